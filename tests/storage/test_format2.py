"""Files of checkpoint format 2, written by the last version that did, go on as a run of today that got as far."""

import math
from pathlib import Path

import numpy as np
import pytest
from solving import rastrigin, rosenbrock, solve

import zoo_opt as zo

FILES = Path(__file__).with_name("format2")
TOLERANCES = zo.Tolerances(tolx=0.01)
BOX = (-5.0, 5.0)
ROTATION = np.linalg.qr(np.random.default_rng(1).standard_normal((3, 3)))[0]


def rotated(x):
    return rastrigin(ROTATION @ x)


CASES = {  # the file -> its method, its loss, the steps it has made
    "cma-bipop-60": (zo.CMAES(restarts="bipop", bounds=BOX, tolerances=TOLERANCES), rastrigin, 60),
    "cma-uh-9": (zo.CMAES(noise=zo.UncertaintyHandling(ratio=0.3)), rastrigin, 9),
    "dd-25": (zo.DDCMAES(restarts="bipop", tolerances=TOLERANCES), rosenbrock, 25),
    "qn-rough-60": (zo.QuasiNewton(), rotated, 60),
    "coord-9": (zo.CoordinateSearch(bounds=BOX), rastrigin, 9),
    "auto-1": (zo.Auto(), rosenbrock, 1),
    "auto-b-14": (zo.Auto(bounds=BOX), rotated, 14),
    "auto-b-25": (zo.Auto(bounds=BOX), rotated, 25),
    "auto-b-150": (zo.Auto(bounds=BOX), rotated, 150),
    "auto-sum-25": (zo.Auto(bounds=BOX), rastrigin, 25),
}


def test_a_run_that_had_ended_stays_ended():
    """Its last searches ended by absolute ranges of the loss, so that a run of today has other steps there."""
    loaded = zo.Optimizer.load(FILES / "auto-400.zoo")
    assert loaded.method == zo.Auto() and loaded.nit == 383 and loaded.best.loss < 1e-20 and loaded.stop()


@pytest.mark.parametrize("name", CASES)
def test_a_file_of_format_2_goes_on(name):
    method, loss, steps = CASES[name]
    loaded = zo.Optimizer.load(FILES / f"{name}.zoo")
    fresh = solve(zo.Optimizer(method, [2.0, -1.5, 0.7], rng=5), loss, steps)
    assert loaded.method == method and loaded.nit == fresh.nit and loaded.nfev == fresh.nfev
    assert type(loaded.state) is type(fresh.state) and loaded.stop() == fresh.stop()
    for _ in range(5):  # few enough for what another machine rounds otherwise to stay small
        np.testing.assert_allclose(loaded.mean, fresh.mean, rtol=1e-4, atol=1e-6)
        assert math.isclose(loaded.best.loss, fresh.best.loss, rel_tol=1e-4, abs_tol=1e-9)
        assert len(loaded.ask()) == len(fresh.ask()) and loaded.stop().keys() == fresh.stop().keys()
        for opt in (loaded, fresh):
            solve(opt, loss, opt.nit + 1)

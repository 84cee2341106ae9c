"""Files of checkpoint format 2, written by the last version that did, go on as they would have gone on there.

What a file holds is the same on any machine, and so is what is asked for next. A run of today gets as far only where
the last digits of the losses, which differ by processor, do not decide where it goes.
"""

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


CASES = {  # the file -> its method, its loss, the steps it has made; today's runs get there on any machine
    "cma-bipop-60": (zo.CMAES(restarts="bipop", bounds=BOX, tolerances=TOLERANCES), rastrigin, 60),
    "cma-uh-9": (zo.CMAES(noise=zo.UncertaintyHandling(ratio=0.3)), rastrigin, 9),
    "dd-25": (zo.DDCMAES(restarts="bipop", tolerances=TOLERANCES), rosenbrock, 25),
}
OTHERWISE = {
    "coord-9": (zo.CoordinateSearch(bounds=BOX), rastrigin, 9),  # it made STEP's moves in every round
    "auto-1": (zo.Auto(), rosenbrock, 1),  # it asked for the start again where one of today looks beside it
    "auto-b-14": (zo.Auto(bounds=BOX), rotated, 14),  # it looked later for a sum
    "auto-sum-25": (zo.Auto(bounds=BOX), rastrigin, 25),  # the same, and it refined every coordinate in every round
}
ROUNDING = {  # here a search has come down to where losses differ by rounding alone
    "qn-rough-60": (zo.QuasiNewton(), rotated, 60),
    "auto-b-25": (zo.Auto(bounds=BOX), rotated, 25),
    "auto-b-150": (zo.Auto(bounds=BOX), rotated, 150),
}
HELD = {  # evaluations, best loss, and of the next candidates, as that version asked: how many, and their sum
    "cma-bipop-60": (806, 10.95164904938221, 28, [-6.64324458, -21.8307362, -76.0490223]),
    "cma-uh-9": (79, 11.534830895260955, 9, [20.4350173, -15.0590772, 3.23093341]),
    "dd-25": (175, 2.3063723122096054, 7, [-1.09728645, 0.330360608, 0.0467548278]),
    "qn-rough-60": (117, 3.8741130962517893e-19, 1, [1.33881704, -1.76684328, 0.39475784]),
    "coord-9": (63, 0.9950528674604175, 4, [1.22016829, 5.19997217, 5.19998713]),  # then 7 candidates
    "auto-1": (1, 3272.5, 1, [2.0, -1.5, 0.7]),
    "auto-b-14": (25, 2.9848771712799542, 2, [2.31414968, -1.91458481, 0.79262883]),
    "auto-b-25": (41, 2.9848771712798845, 3, [0.942449031, -1.2437545, 0.27788648]),
    "auto-b-150": (413, 2.9848771712798734, 7, [16.154228, -35.0, -10.5914828]),  # then reflected: -25.6961593
    "auto-sum-25": (103, 2.984877171279922, 2, [0.610082725, 0.610082725, 0.608044204]),  # then 5, and 7 before
}


def test_a_run_that_had_ended_stays_ended():
    """Its last searches ended by absolute ranges of the loss, so that a run of today has other steps there."""
    loaded = zo.Optimizer.load(FILES / "auto-400.zoo")
    assert loaded.method == zo.Auto() and loaded.nit == 383 and loaded.best.loss < 1e-20 and loaded.stop()


@pytest.mark.parametrize("name", HELD)
def test_a_file_of_format_2_is_read_whole(name):
    (method, loss, steps), (nfev, best, count, total) = {**CASES, **OTHERWISE, **ROUNDING}[name], HELD[name]
    loaded = zo.Optimizer.load(FILES / f"{name}.zoo")
    assert loaded.method == method and (loaded.nit, loaded.nfev, loaded.best.loss) == (steps, nfev, best)
    batch = loaded.ask()
    assert len(batch) == count
    np.testing.assert_allclose(np.sum(batch.X, axis=0), total, rtol=1e-6, atol=1e-6)
    loaded.tell(batch, [loss(x) for x in batch])
    solve(loaded, loss, steps + 5)
    assert loaded.nit == steps + 5 and loaded.best.loss <= best


@pytest.mark.parametrize("name", CASES)
def test_a_file_of_format_2_goes_on(name):
    """As a run of today, and as one whose losses have other last digits: else it would not hold on another machine."""
    method, loss, steps = CASES[name]
    losses = (loss, loss, *(rounded_otherwise(loss, by) for by in (3e-16, -3e-16)))
    opts = [zo.Optimizer(method, [2.0, -1.5, 0.7], rng=5) for _ in losses]
    opts[0] = loaded = zo.Optimizer.load(FILES / f"{name}.zoo")
    for step in range(steps, steps + 5):
        _, fresh, *_ = (solve(*run, step) for run in zip(opts, losses, strict=True))
        assert type(loaded.state) is type(fresh.state)
        for opt in opts:
            np.testing.assert_allclose(opt.mean, fresh.mean, rtol=1e-4, atol=1e-6)
            assert math.isclose(opt.best.loss, fresh.best.loss, rel_tol=1e-4, abs_tol=1e-9)
            assert (opt.nit, opt.nfev) == (fresh.nit, fresh.nfev) and opt.stop().keys() == fresh.stop().keys()


def rounded_otherwise(loss, by):
    return lambda x: loss(x) * (1 + by * math.cos(1e6 * np.sum(x)))

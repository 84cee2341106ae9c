"""calibrate: what it measures, what it returns, what it counts."""

import dataclasses
import itertools
import math

import numpy as np
import pytest
from refusals import refused

import zoo_opt as zo

X0 = np.full(40, 2.0)


def linear(x):
    return float(np.arange(40) @ x)


def noisy(sd, seed=0):
    source = np.random.default_rng(seed)
    return lambda x: linear(x) + sd * source.standard_normal()


@pytest.mark.parametrize(("method", "per_step"), [("spsa", 2), ("spsa-gc", 2), ("bar", 11), ("fzoo", 9)])
def test_measures_slope_and_noise_and_counts(method, per_step):
    calls = []
    settings = {"budget": 1000, "steps": 10, "rng": 0}
    found = zo.calibrate(lambda x: calls.append(x) or linear(x), X0, method, **settings)
    assert found.nfev == len(calls) == 10 * per_step and (found.nfail, found.noise) == (0, 0.0)
    expected = np.linalg.norm(np.arange(40)) / (math.sqrt(40) if method == "bar" else 1)
    assert found.slope == pytest.approx(expected, rel=0.7)
    assert found.method.c == found.c and found.method.lr(0) == found.lr
    assert np.linalg.norm(calls[-1] - X0) < 0.1 * np.linalg.norm(X0)  # nothing moves
    with pytest.raises(dataclasses.FrozenInstanceError):
        found.noise = 1.0
    assert zo.minimize(linear, X0, method=found.method, budget=200, rng=0).fun < linear(X0)


def test_noise_widens_c():
    still, rough = (zo.calibrate(noisy(sd), X0, "fzoo", steps=40, rng=0) for sd in (0.0, 30.0))
    assert rough.noise == pytest.approx(30.0, rel=0.6)
    assert rough.c > 2 * still.c
    assert rough.lr / rough.c == pytest.approx(still.lr / still.c)


def test_common_random_numbers_and_vectorized():
    def batch_loss(x, step):
        return linear(x) + 100.0 * np.random.default_rng(step).standard_normal()

    found = zo.calibrate(batch_loss, X0, zo.FZOO.untuned(), pass_step=True, rng=1)
    assert found.noise == 0.0 and found.nfev == 72
    whole = zo.calibrate(lambda X: X @ np.arange(40.0), X0, zo.FZOO.untuned(), vectorized=True, rng=1)
    assert whole.slope == pytest.approx(found.slope, rel=1e-6)


def test_told_standard_errors():
    found = zo.calibrate(lambda x: (linear(x), 5.0), X0, "spsa", sem=True, rng=0, steps=12)
    assert found.noise == pytest.approx(5.0) and found.c > zo.calibrate(linear, X0, "spsa", rng=0).c


def test_failed_evaluations_are_counted_and_passed_over():
    calls = itertools.count(1)

    def fails(x):
        if (call := next(calls)) % 3 == 0:
            raise RuntimeError
        return math.nan if call % 7 == 0 else linear(x)

    found = zo.calibrate(fails, X0, "fzoo", rng=0)
    assert found.nfev == 54 and 18 <= found.nfail <= 26 and found.slope > 0
    nothing = zo.calibrate(lambda x: None, X0, "spsa", rng=0)
    assert math.isnan(nothing.noise) and math.isnan(nothing.slope) and nothing.nfail == nothing.nfev == 12
    assert nothing.c > 0 and nothing.lr > 0


def test_what_is_given_stays():
    method = zo.SPSA(lr=0.25, c="auto", pairs=3)
    found = zo.calibrate(linear, X0, method, rng=0)
    assert found.method == dataclasses.replace(method, c=found.c) and found.lr == 0.25
    found = zo.calibrate(linear, X0, zo.SPSA(lr="auto", c=0.5), rng=0, budget=100)
    assert found.c == found.method.c == 0.5


def test_gains_under_an_escape_are_calibrated_as_those_without():
    found, plain = (zo.calibrate(linear, X0, name, rng=0, budget=100) for name in ("spsa-geass", "spsa-gc"))
    assert (found.c, found.lr, found.slope, found.nfev) == (plain.c, plain.lr, plain.slope, plain.nfev)
    assert isinstance(found.method, zo.SPSAGEASS)


test_errors = refused(
    zo.calibrate,
    ({"fun": 3}, TypeError, "fun must be callable, got 3"),
    ({"method": zo.SPSA()}, ValueError, "method must be a gradient method with lr='auto' or c='auto', got SPSA"),
    ({"method": zo.CMAES()}, ValueError, "method must be a gradient method"),
    ({"method": "cma-es"}, ValueError, "method must be a gradient method"),
    ({"method": "auto"}, ValueError, "method must be a gradient method"),
    ({"steps": 4}, ValueError, "steps must be >= 5, got 4"),
    ({"budget": 0}, ValueError, "budget must be >= 1, got 0"),
    **{"fun": linear, "x0": X0},
)

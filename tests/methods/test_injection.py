"""Points that a strategy has not drawn: what it would have kept of them, how far they may lie, what they bring."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from solving import advance

import zoo_opt as zo
from zoo_opt.methods.cma.runs import clipped

STRATEGIES = [zo.CMAES, zo.SepCMAES, zo.DDCMAES]


def twisted(x):
    return float((np.cumsum(x) ** 2).sum())


def advanced(method, steps=15):
    """A method's state after some steps, and its next step."""
    opt = advance(zo.Optimizer(method, np.arange(1.0, 5.0), rng=2), twisted, steps)
    return opt.state, opt.method.ask(opt.state, opt.nit)


@pytest.mark.parametrize("cls", STRATEGIES)
def test_what_is_kept_of_points_is_what_drawing_them_keeps(cls):
    method = cls()
    state, asked = advanced(method)
    kept = asked.X if asked.memo.kept is None else asked.memo.kept
    again = method.kept_of(state.distribution, asked.X)
    for one, other in zip(*((k if isinstance(k, tuple) else (k,)) for k in (kept, again)), strict=True):
        assert np.allclose(one, other, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("cls", [zo.CMAES, zo.DDCMAES])  # sep-CMA-ES counts failures in its population
def test_an_injected_point_counts_as_a_candidate(cls):
    """Half of a generation's own points, injected into the other half of it, gives the update of the whole."""
    method = cls(popsize=8)
    state, asked = advanced(method)
    losses = [twisted(x) for x in asked.X]
    order = np.argsort(losses)
    best, rest = order[:4], order[4:]
    failed = [np.nan if k in best else loss for k, loss in enumerate(losses)]
    injected = method.known(state, asked.X[best], [losses[k] for k in best])
    plain, other = method.update(state, asked, losses), method.update(injected, asked, failed)
    assert len(rest) == 4 and other.injected is None
    assert np.allclose(plain.distribution.m, other.distribution.m, rtol=1e-6)
    assert plain.distribution.sigma == pytest.approx(other.distribution.sigma, rel=1e-6)
    assert plain.history[0] == other.history[0] and plain.evaluations == other.evaluations


@given(st.integers(1, 6), st.integers(0, 2**16), st.floats(-3, 6))
def test_an_injected_point_is_drawn_to_the_mean_until_it_is_near_enough(n, seed, log_length):
    rng = np.random.default_rng(seed)
    Z, m = rng.standard_normal((3, n)) * 10**log_length, rng.standard_normal(n)
    near = clipped(m, m + 2 * Z, Z)  # sigma 2, C = I
    length, allowed = np.linalg.norm(Z, axis=1), np.sqrt(n) + 2 * n / (n + 2)
    assert np.linalg.norm((near - m) / 2, axis=1) == pytest.approx(np.minimum(length, allowed), rel=1e-6)
    assert np.allclose(near[length <= allowed], (m + 2 * Z)[length <= allowed], rtol=1e-12)


@pytest.mark.parametrize("cls", STRATEGIES)
def test_a_point_that_is_far_better_draws_the_mean(cls):
    method = cls()
    state, asked = advanced(method, steps=1)
    losses = [twisted(x) for x in asked.X]
    known = method.known(state, np.zeros((1, 4)), [0.0])
    without, with_it = (method.mean(method.update(s, asked, losses)) for s in (state, known))
    assert np.linalg.norm(with_it) < np.linalg.norm(without)


def test_of_many_points_the_best_half_population_is_taken_and_noise_handling_takes_none():
    method = zo.CMAES(popsize=6)
    state, _ = advanced(method)
    X = np.arange(40.0).reshape(10, 4)
    taken = method.known(state, X, [9.0, np.nan, 1.0, 5.0, 2.0, 8.0, 7.0, 6.0, 4.0, 3.0]).injected
    assert taken.losses == [1.0, 2.0, 3.0] and np.array_equal(taken.X, X[[2, 4, 9]])
    noisy = zo.CMAES(noise=zo.LearningRateAdaptation())
    state, _ = advanced(noisy)
    assert noisy.known(state, X, [1.0] * 10) is state

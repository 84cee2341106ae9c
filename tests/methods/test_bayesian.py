"""Bayesian optimisation: its process against the oracle, its parts by their definitions, and what it promises."""

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from oracles import bayesian as oracle

import zoo_opt as zo
from zoo_opt.core.keys import make_key
from zoo_opt.methods.bayesian.acquisition import inside, lowest_bound
from zoo_opt.methods.bayesian.gaussian import LEAST, LENGTHS, NOISES, likeliest, process
from zoo_opt.methods.bayesian.losses import squeezed

seeds = st.integers(0, 10**6)
INF, NAN = math.inf, math.nan


def rugged(x):
    """Rastrigin's function with small ripples, its minimum at .5."""
    z = np.asarray(x) - 0.5
    return float((z * z).sum() + (1 - np.cos(2 * np.pi * z)).sum())


def run(loss, x0, budget, rng=0, **settings):
    opt, seen = zo.Optimizer(zo.BayesianOptimization(**settings), np.asarray(x0, float), rng=rng, budget=budget), []
    while not opt.stop():
        batch = opt.ask()
        seen += list(batch)
        opt.tell(batch, [loss(x) for x in batch])
    return opt, np.array(seen)


def sample(seed, n, d):
    rng = np.random.default_rng(seed)
    return rng, rng.standard_normal((n, d)), rng.standard_normal(n)


# ------------------------------------------------------------------------------------------------------ the process
@given(seeds, st.integers(1, 12), st.integers(1, 4), st.sampled_from(NOISES))
def test_what_it_expects_is_the_conditional_normal(seed, n, d, noise):
    rng, X, y = sample(seed, n, d)
    gp, Z = process(X, y, 1.3, noise), rng.standard_normal((3, d))
    for z, m, s in zip(Z, *gp.expected(Z), strict=True):
        right, deviation = oracle.expected(X, y, 1.3, noise, z)
        assert m == pytest.approx(right, rel=1e-5, abs=1e-5) and s == pytest.approx(deviation, rel=1e-5, abs=5e-5)
        assert s**2 == pytest.approx(deviation**2, rel=0, abs=1e-9 * gp.variance + LEAST)  # a part of 1, subtracted
    np.testing.assert_allclose(gp.losses(), y, atol=1e-6)


@given(seeds, st.integers(3, 10))
def test_the_likeliest_of_the_grid(seed, n):
    _, X, y = sample(seed, n, 2)
    length, noise = likeliest(X, y)
    unit = math.sqrt(np.mean(((X - X.mean(axis=0)) ** 2).sum(axis=1)))
    grid = [(unit * k, g) for k in LENGTHS for g in NOISES]
    least = min(oracle.minus_log_likelihood(X, y, *point) for point in grid)
    assert oracle.minus_log_likelihood(X, y, length, noise) == pytest.approx(least, abs=1e-6)


@given(seeds, st.integers(2, 9), st.integers(1, 4))
def test_its_slopes_are_those_of_mean_and_deviation(seed, n, d):
    rng, X, y = sample(seed, n, d)
    gp, Z, h = process(X, y, 1.1, 1e-2), rng.standard_normal((2, d)), 1e-5
    mean, deviation, g_mean, g_deviation = gp.slopes(Z)
    np.testing.assert_allclose([mean, deviation], gp.expected(Z), atol=1e-12)
    for j, e in enumerate(h * np.eye(d)):
        (above, more), (below, less) = gp.expected(Z + e), gp.expected(Z - e)
        np.testing.assert_allclose(g_mean[:, j], (above - below) / (2 * h), atol=1e-4)
        np.testing.assert_allclose(g_deviation[:, j], (more - less) / (2 * h), atol=1e-3)


def test_believing_changes_no_mean_and_is_surer():
    _, X, y = sample(3, 8, 2)
    gp, x, Z = process(X, y, 1.0, 1e-6), np.array([0.3, -0.2]), np.array([[0.3, -0.2], [0.5, 0.1]])
    told = gp.believing(x)
    assert len(told.X) == 9 and told.variance == gp.variance
    assert told.expected(Z)[1][0] < 0.1 * gp.expected(Z)[1][0]
    assert told.losses()[-1] == pytest.approx(gp.expected(x[None])[0][0], abs=1e-6)


# ------------------------------------------------------------------------------------------------------- the losses
@given(st.lists(st.one_of(st.floats(-1e3, 1e3), st.sampled_from([NAN, INF])), min_size=1, max_size=20))
def test_losses_are_squeezed(losses):
    if any(map(math.isfinite, losses)):
        np.testing.assert_allclose(squeezed(np.array(losses)), oracle.squeezed(losses), rtol=1e-6, atol=1e-6)


def test_a_unit_of_the_loss_changes_no_bit():
    F = np.array([3.0, 1.0, 7.5, 2.25, NAN])
    assert squeezed(F * 2.0**-300).tolist() == squeezed(F).tolist()
    assert squeezed(np.full(4, 2.5)).tolist() == [0.0] * 4
    assert squeezed(np.array([1.0, 2.0, 3.0, 1e300])).max() < 800.0
    assert squeezed(np.array([0.0, 4.0, 2.0**-1022])).max() < 800.0


# -------------------------------------------------------------------------------------------------- the acquisition
@given(seeds, st.integers(1, 4))
def test_points_are_moved_into_ball_and_box(seed, d):
    rng = np.random.default_rng(seed)
    x, Z = rng.uniform(-1, 1, d), 5 * rng.standard_normal((6, d))
    low, high = x - rng.random(d), x + rng.random(d) * (rng.random(d) < 0.7)
    moved = inside(Z, x, 0.8, low, high)
    assert (low <= moved).all() and (moved <= high).all()
    assert (np.linalg.norm(moved - x, axis=1) <= 0.8 * (1 + 1e-12)).all()
    assert np.array_equal(inside(x[None], x, 0.8, low, high)[0], x)


@pytest.mark.parametrize("kappa", [0.0, 1.0])
def test_the_bound_is_as_low_as_on_a_fine_grid(kappa):
    """In 38 of 40 at least: another basin may be missed."""
    low, high, axis = np.full(2, -0.7), np.full(2, 0.7), np.linspace(-0.7, 0.7, 29)
    grid, found = np.array([[a, b] for a in axis for b in axis if math.hypot(a, b) <= 0.9]), 0
    for seed in range(40):
        rng, X, y = sample(seed, 8, 2)
        gp = process(X, y, 1.0, 1e-3)
        x = lowest_bound(gp, np.zeros(2), 0.9, kappa, low, high, rng)
        assert np.linalg.norm(x) <= 0.9 * (1 + 1e-12) and (np.abs(x) <= 0.7).all()
        mean, deviation = gp.expected(np.concatenate([x[None], grid]))
        bound = mean - kappa * deviation
        found += bool(bound[0] <= bound[1:].min() + 1e-3 * np.ptp(bound))
    assert found >= 38


# -------------------------------------------------------------------------------------------------------- the method
def test_ripples_are_seen_through():
    """Twenty evaluations per dimension, to a basin next to the lowest or to that itself."""
    x0 = np.array([-2.5, 3.5, 2.5, -3.5])
    reached = [run(rugged, x0, 80, rng, bounds=(-5, 5), radius=2.0)[0].best.loss for rng in range(3)]
    local = zo.minimize(rugged, x0, method="quasi-newton", bounds=(-5, 5), budget=80, rng=0).fun
    assert min(reached) < 1e-3 and np.median(reached) < 1.0 < local


def test_the_first_steps_are_the_start_the_centre_and_points_around_the_better():
    opt = zo.Optimizer(zo.BayesianOptimization(bounds=(-4, 6), radius=2.0), [5.0, 5.0, 5.0], rng=0)
    first = opt.ask()
    assert first.X.tolist() == [[5.0] * 3, [1.0] * 3]
    opt.tell(first, [9.0, 2.0])
    around = opt.ask()
    assert len(around) == 3 and np.array_equal(np.abs(around.X - 1.0), 2.0 * np.eye(3))
    opt.tell(around, [3.0, 4.0, 5.0])
    assert len(opt.ask()) == 1
    free = zo.Optimizer(zo.BayesianOptimization(bounds=(None, 6)), [5.0, 5.0], rng=0)
    assert free.ask().X.tolist() == [[5.0, 5.0]]


def test_batches_are_of_different_points():
    opt, seen = run(rugged, np.ones(3), 41, bounds=(-5, 5), batch=4)
    assert opt.nfev == 41 and opt.state.steps == 11  # 2, 3, and nine of four
    for batch in seen[5:].reshape(9, 4, 3):
        assert min(np.linalg.norm(a - b) for i, a in enumerate(batch) for b in batch[:i]) > 1e-6


def test_the_radius_doubles_after_two_gains_and_halves_after_three_failures():
    method = zo.BayesianOptimization(radius=1.0, bounds=(-50, 50))
    opt, radii = zo.Optimizer(method, [1.0, 2.0], rng=0), []
    losses = [10.0, 10.0, 10.0, 10.0, *(9.0, 8.0, 7.0, 6.0), *[20.0] * 6]
    for loss in losses:
        if not len(opt.ask()):
            break
        for _ in range(len(opt.ask())):
            opt.tell(opt.ask()[:1], [loss])
        radii.append(opt.state.radius)
    assert max(radii) == 4.0 or max(radii) == 8.0
    k = radii.index(max(radii))
    assert radii[-1] < max(radii) and sorted(radii[: k + 1]) == radii[: k + 1]


def test_it_ends_at_its_end_radius():
    opt, _ = run(lambda x: 1.0, [0.5, 0.5], 500, radius=1.0, end_radius=0.1)
    assert opt.stop() == {"end_radius": 0.1} and opt.state.radius < 0.1


def test_failures_are_the_worst_and_not_asked_for_again():
    def half(x):
        return NAN if x[0] > 1.0 else rugged(x)

    opt, seen = run(half, [0.0, 3.0], 60, bounds=(-5, 5), radius=2.0)
    assert opt.best.loss < 1.5
    assert len(np.unique(seen, axis=0)) == len(seen)


def test_without_any_loss_it_ends():
    opt, seen = run(lambda x: NAN, [1.0, 1.0], 500)
    assert opt.stop() == {"nofiniteloss": 8}
    lengths = np.abs(seen[1:] - 1.0).max(axis=1)
    assert lengths.tolist() == np.repeat(0.5 ** np.arange(7), 2).tolist()


def test_it_goes_on_from_what_is_known():
    method, rng = zo.BayesianOptimization(bounds=(-5, 5), radius=2.0), np.random.default_rng(0)
    X = rng.uniform(-5, 5, (9, 2))
    F = np.array([rugged(x) for x in X])
    key = make_key(np.random.default_rng(1))
    s = method.begun(key, X, F, around=False)
    assert np.array_equal(s.x, X[F.argmin()]) and s.loss == F.min() and s.asked.shape == (1, 2) and s.fitted == 9
    assert method.begun(key, X, F, around=True).asked.shape == (2, 2)
    F[2] = NAN
    assert math.isfinite(method.begun(key, X, F, around=False).asked.sum())


def test_far_points_and_more_than_it_takes_are_left_out():
    method = zo.BayesianOptimization(points=10)
    rng = np.random.default_rng(0)
    X = np.concatenate([rng.standard_normal((30, 2)), [[1e300, 0.0]]])
    s = method.begun(make_key(rng), X, np.array([*(X[:30] ** 2).sum(axis=1), 5.0]), around=False)
    assert np.isfinite(s.asked).all() and np.abs(s.asked).max() < 5.0
    nearest = np.argsort(((X[:30] - s.x) ** 2).sum(axis=1))[:10]
    other = method.begun(s.key, X[nearest], (X[nearest] ** 2).sum(axis=1), around=False)
    assert other.length == pytest.approx(s.length) and other.noise == s.noise


def test_a_longer_run_looks_for_other_hyper_parameters():
    opt, _ = run(rugged, np.zeros(2), 30, bounds=(-5, 5))
    assert opt.state.fitted > 20
    assert replace(opt.state, fitted=0).fitted == 0


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"radius": 0.0}, "radius"),
        ({"radius": 1e101}, "radius must be from 1e-100 to 1e100"),
        ({"end_radius": 2.0}, "end_radius must be at most the radius"),
        ({"kappa": -1.0}, "kappa must be finite and 0 or more, got -1.0"),
        ({"kappa": INF}, "kappa"),
        ({"batch": 0}, "batch"),
        ({"points": 9}, "points"),
    ],
)
def test_settings_out_of_range(wrong, message):
    with pytest.raises(ValueError, match=message):
        zo.BayesianOptimization(**wrong)


def test_a_start_outside_of_the_bounds():
    with pytest.raises(ValueError, match="x0"):
        zo.Optimizer(zo.BayesianOptimization(bounds=(0, 1)), [2.0, 0.5], rng=0)

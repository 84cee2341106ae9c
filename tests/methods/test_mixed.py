"""Integers and choices in the CMA-ES family, against oracles in scipy's terms and explicit Fisher matrices."""

import itertools
import operator

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from refusals import refused
from scipy import stats
from solving import solve

import zoo_opt as zo
from zoo_opt.methods.cma.levels import choices, integers
from zoo_opt.methods.cma.levels.mixed import MixedVariables
from zoo_opt.methods.grid import Grid, cells

LEVELS = (0.0, 1.0, 2.5, 3.0)
GRID = Grid(1, ((0, LEVELS),))
YES, NO = np.array([True]), np.array([False])


# ------------------------------------------------------------------------------------------------------- the grid
@pytest.mark.parametrize(
    ("x", "snapped"),
    [
        ([-9.0, 0.4, 0.1, 0.2, 0.15], [0.0, 0.4, 0.0, 1.0, 0.0]),
        ([1.75, 0.4, 0.5, 0.5, 0.1], [1.0, 0.4, 1.0, 0.0, 0.0]),  # in the middle the lower level, the first of equals
        ([1.76, 0.4, 0.0, 0.0, 0.1], [2.5, 0.4, 0.0, 0.0, 1.0]),
        ([9.0, 0.4, 1.0, 0.0, 0.0], [3.0, 0.4, 1.0, 0.0, 0.0]),
    ],
)
def test_a_grid_snaps_points_to_levels_and_choices(x, snapped):
    grid = Grid(5, ((0, LEVELS),), ((2, 3),))
    assert grid.snap(np.array(x)).tolist() == snapped
    assert grid.snap(np.array([x, x])).tolist() == [snapped, snapped]


def test_what_is_put_has_the_weights_that_it_was_put_with():
    """Three choices of two and one of three, in all their combinations."""
    grid = Grid(7, tuple((j, (-1.0, 3.0)) for j in (0, 2, 6)), ((3, 3),))
    corners = np.array(list(itertools.product((-1.0, 3.0), (7.0,), (-1.0, 3.0), range(3), (-1.0, 3.0))))
    X = np.zeros((len(corners), 7))
    X[:, [0, 1, 2, 6]] = corners[:, [0, 1, 2, 4]]
    X[np.arange(len(X)), 3 + corners[:, 3].astype(int)] = 1.0
    C = grid.weights(X)
    assert C.shape == (24, 9) and set(C.ravel()) == {0.0, 1.0} and (C.sum(1) == 4).all()
    Y = np.full_like(X, 7.0)
    grid.put(Y, C)
    np.testing.assert_array_equal(Y, X)
    near = X + 0.2 * np.sin(np.arange(7))
    np.testing.assert_array_equal(grid.snap(near), np.where(np.arange(7) == 1, near, X))


def test_cells_of_the_unit_cube():
    assert cells([3, 0, 2]) == Grid(3, ((0, (0.5 / 3, 1.5 / 3, 2.5 / 3)), (2, (0.25, 0.75))))


def test_two_levels_are_a_choice_and_three_an_integer():
    grid = Grid(3, ((0, (2.0, 5.0)), (2, LEVELS)))
    assert (grid.binaries.tolist(), grid.integers.tolist(), grid.alternatives) == ([0], [2], (2,))
    assert grid.snap(np.array([[3.4, 7.0, 1.0], [3.6, 7.0, 1.0]])).tolist() == [[2.0, 7.0, 1.0], [5.0, 7.0, 1.0]]
    assert grid.weights(np.array([2.0, 0, 0])).tolist() == [1, 0]
    assert grid.weights(np.array([5.0, 0, 0])).tolist() == [0, 1]


test_a_grid_refuses_what_is_none = refused(
    Grid,
    ((1, ((0, (1.0,)),)), "levels of coordinate 0 must be two or more that increase"),
    ((1, ((0, (1.0, 1.0)),)), "must be two or more that increase"),
    ((3, (), ((0, 1),)), "must have 2 alternatives or more, got 1"),
    ((1, ((1, (0.0, 1.0)),)), "different coordinates below 1"),
    ((3, ((1, (0.0, 1.0)),), ((0, 2),)), "different coordinates below 3"),
)


# ------------------------------------------------------------------------------------------------------- integers
def probabilities(m, std):
    """The probabilities of the levels below, of and above the mean's, by scipy."""
    thresholds = (np.array(LEVELS)[1:] + np.array(LEVELS)[:-1]) / 2
    k = int(np.searchsorted(thresholds, m))
    edges = np.concatenate([[-np.inf], thresholds, [np.inf]])
    below, at_most = stats.norm.cdf(edges[[k, k + 1]], m, std)
    return below, at_most - below, 1 - at_most, k


@given(m=st.floats(-2, 6), std=st.floats(1e-6, 1e3), most=st.floats(1e-6, 0.499), mutated=st.booleans())
def test_the_margin_leaves_its_probability_to_the_levels_next_to_the_mean(m, std, most, mutated):
    alpha = 0.1
    before = integers.Margin(np.ones(1), np.array([most]))
    mean, after = integers.corrected(GRID, np.array([m]), np.array([std]), before, np.array([mutated]), alpha)
    low, middle, high, k = probabilities(float(mean[0]), std * float(after.A[0]))
    assert GRID.cell(mean) == GRID.cell(np.array([m]))  # the level of the mean stays
    neighbours = [high] if k == 0 else [low] if k == len(LEVELS) - 1 else [low, high]
    for p in neighbours:
        assert p >= alpha / len(neighbours) * (1 - 1e-6)
    assert mutated or sum(neighbours) <= max(most, alpha) * (1 + 1e-6)  # no more often where nothing has mutated
    assert low + middle + high == pytest.approx(1)
    assert 0 < after.p_mut[0] < 1


@given(m=st.floats(0.6, 1.6), std=st.floats(0.05, 0.4))
def test_the_margin_changes_nothing_where_all_levels_are_likely_enough(m, std):
    alpha = 0.02
    low, _, high, _ = probabilities(m, std)
    mean, after = integers.corrected(GRID, np.array([m]), np.array([std]), integers.first_margin(1), YES, alpha)
    if min(low, high) > alpha / 2 and max(low, high) < 0.5:
        assert mean[0] == pytest.approx(m, abs=1e-7)
        assert after.A[0] == pytest.approx(1, abs=1e-6)


def test_an_integer_that_has_not_mutated_does_so_no_more_often_than_before():
    args = GRID, np.array([1.2]), np.array([2.0]), integers.Margin(np.ones(1), np.array([0.05]))
    assert integers.corrected(*args, NO, 0.01)[1].p_mut[0] == pytest.approx(0.05)
    assert integers.corrected(*args, YES, 0.01)[1].p_mut[0] > 0.5


@given(st.lists(st.floats(-1, 4), min_size=6, max_size=6), st.floats(0, 3))
def test_centring_moves_mutants_to_their_level_and_takes_the_bias_back(values, m):
    V, chosen, m = np.array(values)[:, None], np.array([0, 2, 3]), np.array([m])
    moved, mutated = integers.centred(GRID, m, V, chosen)
    assert (moved[[1, 4, 5]] == V[[1, 4, 5]]).all()  # the others stay
    level, home = GRID.nearest(V[chosen]), GRID.nearest(m)
    mutant = (level != home)[:, 0]
    assert mutated[0] == mutant.any()
    assert (moved[chosen][mutant] == level[mutant]).all()
    assert (GRID.cell(moved[chosen]) == GRID.cell(V[chosen])).all()  # none changes its level
    bias, left = (level - V[chosen])[mutant].sum(), (moved - V)[chosen].sum()
    assert abs(left) <= abs(bias) + 1e-12
    assert left * bias >= -1e-12


# -------------------------------------------------------------------------------------------------------- choices
CHOICES = Grid(5, (), ((0, 2), (2, 3)))


def test_the_step_of_a_categorical_distribution_is_one_in_the_metric_of_its_fisher_matrix():
    q = np.array([0.3, 0.7, 0.2, 0.5, 0.3])
    C = np.array([[1.0, 0, 0, 1, 0], [0, 1.0, 0, 1, 0]])
    w = np.array([0.6, 0.4])
    after = choices.adapted(CHOICES, choices.Categorical(q, np.zeros(3), Delta=10.0), C, w, alpha=1e-9)
    step = after.q - q
    assert step == pytest.approx((w @ (C - q)) * (step[0] / (w @ (C - q))[0]))  # along the natural gradient
    square = 0.0
    for part in (slice(0, 2), slice(2, 5)):  # K - 1 free probabilities: F = diag(1 / q) + 1 / q_K
        free, last = q[part][:-1], q[part][-1]
        F = np.diag(1 / free) + 1 / last
        square += step[part][:-1] @ F @ step[part][:-1]
    assert np.sqrt(square) == pytest.approx(1 / 10, rel=1e-6)


@given(st.lists(st.integers(0, 5), min_size=1, max_size=30))
def test_every_alternative_keeps_its_margin(rows):
    options = np.array([[a, 1 - a, b == 0, b == 1, b == 2] for a in (0, 1) for b in (0, 1, 2)], dtype=float)
    state = choices.first_categorical(CHOICES, np.full(5, 0.5))
    for row in rows:
        state = choices.adapted(CHOICES, state, options[[row]], np.ones(1), alpha=0.1)
    assert state.q[:2].sum() == pytest.approx(1)
    assert state.q[2:].sum() == pytest.approx(1)
    assert state.q[:2].min() >= 0.1 * (1 - 1e-9)
    assert state.q[2:].min() >= 0.05 * (1 - 1e-9)
    assert np.isfinite(state.s).all()


def test_choices_are_drawn_by_their_probabilities():
    q = np.array([0.3, 0.7, 0.1, 0.6, 0.3])
    C = choices.sample(CHOICES, q, np.random.default_rng(0), 20_000)
    assert (C[:, :2].sum(axis=1) == 1).all()
    assert (C[:, 2:].sum(axis=1) == 1).all()
    assert C.mean(axis=0) == pytest.approx(q, abs=0.015)  # five standard errors


# ---------------------------------------------------------------------------------------------------- the strategy
FIVE = tuple(float(k) for k in range(-5, 6))
MIXED = Grid(7, ((1, FIVE), (2, FIVE), (6, (0.0, 1.0))), ((3, 3),))
BEST = np.array([0.4, -4.0, 3.0, 0.0, 1.0, 0.0, 1.0])


def loss(x):
    return float(((x - BEST) ** 2).sum())


@pytest.mark.parametrize("strategy", [zo.CMAES, zo.SepCMAES, zo.DDCMAES])
@pytest.mark.parametrize("seed", range(5))
def test_a_mixed_minimum_is_met(strategy, seed):
    method = MixedVariables(method=strategy(sigma0=1.0, restarts="ipop"), grid=MIXED, bounds=(-5.0, 5.0))
    opt = zo.Optimizer(method, np.array([0, 0, 0, 1 / 3, 1 / 3, 1 / 3, 0.5]), rng=seed, budget=2500)
    while not opt.stop():
        batch = opt.ask()
        assert (MIXED.snap(batch.X) == batch.X).all()
        assert np.abs(batch.X).max() <= 5
        opt.tell(batch, [loss(x) for x in batch])
    assert opt.best.loss < 1e-10
    assert (MIXED.snap(opt.mean) == opt.mean).all()


def test_integers_do_not_freeze_the_search():
    """A step size that can hardly leave a level: plain rounding often ends where it began, the margin does not."""

    def best(method, rounded, seed):
        opt = zo.Optimizer(method, np.array([0.0, 3, 3, 1, 0, 0, 0]), rng=seed, budget=1500)
        return solve(opt, lambda x: loss(rounded(x))).best.loss

    plain = [best(zo.CMAES(sigma0=0.1), MIXED.snap, seed) for seed in range(10)]
    mixed = [best(MixedVariables(method=zo.CMAES(sigma0=0.1), grid=MIXED), lambda x: x, seed) for seed in range(10)]
    assert max(mixed) < 1e-10
    assert np.median(plain) > 1


def test_a_minimum_on_the_border_is_met_exactly():
    grid = Grid(3, ((1, FIVE),))
    opt = zo.Optimizer(MixedVariables(method=zo.CMAES(), grid=grid, bounds=(-5.0, 5.0)), np.zeros(3), rng=0, budget=400)
    solve(opt, lambda x: float(x @ [1.0, -1.0, 2.0]))
    assert opt.best.x.tolist() == [-5.0, 5.0, -5.0] and np.abs(opt.mean).max() <= 5


def test_choices_alone_are_a_search():
    grid = Grid(12, (), tuple((first, 3) for first in range(0, 12, 3)))
    target = grid.snap(np.random.default_rng(0).random(12))
    opt = zo.Optimizer(MixedVariables(method=zo.CMAES(), grid=grid), np.full(12, 1 / 3), rng=0, budget=400)
    assert solve(opt, lambda x: float(np.abs(x - target).sum())).best.loss == 0


test_what_cannot_be_mixed_is_refused = refused(
    operator.call,
    (lambda: MixedVariables(method=zo.CMAES(bounds=(0, 1)), grid=MIXED), "method must have no bounds"),
    (lambda: MixedVariables(method=zo.CMAES(noise=zo.QuadraticModel()), grid=MIXED), "noise must be None"),
    (lambda: zo.Optimizer(MixedVariables(method=zo.CMAES(), grid=MIXED), [1.0]), "7 coordinates of the grid"),
)

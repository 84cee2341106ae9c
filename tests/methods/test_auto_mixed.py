"""Auto with integers and choices: the sweep, sums, no point twice, budgets and ends."""

import math

import numpy as np
import pytest
from solving import advance, solve

import zoo_opt as zo
from zoo_opt.methods.auto.mixed import MixedAuto
from zoo_opt.methods.auto.unrepeated import Unrepeated
from zoo_opt.methods.grid import Grid, cells
from zoo_opt.methods.local.coordinate_search import CoordinateSearch
from zoo_opt.methods.local.sweep import Sweep

ALL = Grid(5, ((0, (0.0, 0.5, 1.0)), (1, (0.0, 1.0))), ((2, 3),))  # 18 points
LEVELS = (2, 2, 4, 8, 16, 16, 0, 0)


class Points:
    """A loss that keeps the points at which it is evaluated."""

    def __init__(self, loss):
        self.loss, self.X = loss, []

    def __call__(self, x):
        self.X.append(x.copy())
        return self.loss(x)

    @property
    def different(self):
        return len({x.tobytes() for x in self.X})


def optimizer(grid, bounds=(0.0, 1.0), **settings):
    return zo.Optimizer(zo.Auto().within(bounds, grid), np.full(grid.d, 0.5), rng=0, **settings)


def rugged(x):
    """A sum with many local minima in the integers."""
    return float((np.abs(x - 0.31) + 0.3 * (1 - np.cos(30 * (x - 0.31)))).sum())


def tangled(x):
    """No sum, with a unique minimum on a grid."""
    return float(((x - 0.3) ** 2).sum() + (x.sum() - 2.5) ** 2 + 0.1 * np.sin(20 * x).prod())


def test_a_sweep_goes_from_few_levels_to_continuous_variables_and_meets_no_point_twice():
    grid, loss = cells(LEVELS), Points(tangled)
    opt = zo.Optimizer(Sweep(grid=grid, bounds=(0, 1)), grid.snap(np.full(8, 0.5)), rng=0)
    solve(opt, loss)
    assert opt.stop() == {"swept": 8} and loss.different == len(loss.X)
    best, moved = loss.X[0], []
    for x in loss.X[1:]:
        (j,) = np.flatnonzero(x != best)
        moved.append(int(j))
        best = min(best, x, key=tangled)
    firsts = [LEVELS[j] or math.inf for j in dict.fromkeys(moved)]
    assert firsts == sorted(firsts) and set(moved) == set(range(8))
    assert (grid.snap(np.array(loss.X)) == np.array(loss.X)).all() and opt.best.loss == min(map(tangled, loss.X))


def test_a_sweep_follows_a_parabola():
    opt = zo.Optimizer(Sweep(grid=cells((2, 0)), bounds=(0, 1)), np.array([0.25, 0.5]), rng=0)
    solve(opt, lambda x: x[0] + (x[1] - 0.37) ** 2)
    assert opt.best.loss - 0.25 < 1e-30 and opt.nfev == 1 + 1 + 2 + 2


@pytest.mark.parametrize(
    ("levels", "whole", "evaluations"), [(4, False, 4), (4, True, 4), (5, True, 5), (64, True, 64), (65, True, 1)]
)
def test_of_few_levels_a_sweep_tries_all(levels, whole, evaluations):
    grid, loss = cells((levels,)), Points(lambda x: -x[0])
    opt = solve(zo.Optimizer(Sweep(grid=grid, bounds=(0, 1), whole=whole), grid.snap(np.array([0.5])), rng=0), loss)
    assert opt.nfev == loss.different == evaluations
    assert evaluations == 1 or opt.best.x == grid.snap(np.array([1.0]))


def test_of_many_levels_a_sweep_looks_at_a_fifth_and_four_fifths_first():
    grid, loss = cells((101,)), Points(lambda x: -x[0])
    solve(zo.Optimizer(Sweep(grid=grid, bounds=(0, 1)), grid.snap(np.array([0.5])), rng=0), loss)
    assert np.floor(101 * np.array(loss.X)[:3, 0]).tolist() == [50, 20, 80]


def test_a_sum_is_solved_level_by_level_and_then_along_each_continuous_variable():
    grid = cells((16, 16, 8, 8, 8, 4, 2, 0, 0))
    opt = solve(optimizer(grid, budget=400), rugged)
    best = sum(min(map(rugged, np.array([positions]).T)) for _, positions in grid.levels)
    assert opt.best.loss - best < 1e-9


@pytest.mark.parametrize(
    "loss", [tangled, rugged, lambda x: 0.0, lambda x: math.inf], ids=["", "sum", "flat", "infinite"]
)
def test_where_nothing_is_continuous_no_point_is_evaluated_twice(loss):
    points = Points(loss)
    opt = solve(optimizer(cells((5, 5, 5, 4)), bounds=None, budget=300), points)
    assert points.different == len(points.X) == opt.nfev == 300
    everything = Points(loss)
    method = zo.CMAES(restarts="bipop").within(None, ALL)
    opt = solve(zo.Optimizer(Unrepeated(method=method, grid=ALL), np.zeros(5), rng=0), everything)
    assert opt.stop() == {"all_points": 18} and everything.different == len(everything.X) == 18


def test_all_points_of_a_small_space_end_the_run():
    points = Points(tangled)
    opt = solve(optimizer(ALL, bounds=None, budget=1000), points)
    assert opt.stop() == {"all_points": 18} and points.different == len(points.X) == 18


@pytest.mark.parametrize("budget", [1, 2, 3, 17, 40, 101])
def test_the_budget_is_spent(budget):
    assert solve(optimizer(cells(LEVELS), budget=budget), tangled).nfev == budget


@pytest.mark.parametrize(
    ("loss", "reason"), [(tangled, "converged"), (lambda x: math.inf, "nothing_finite")], ids=["finite", "infinite"]
)
def test_it_ends_without_a_budget(loss, reason):
    opt = solve(optimizer(cells((2, 8, 0))), loss)
    assert list(opt.stop()) == [reason] and opt.nfev < 10_000


def test_failures_in_the_sweep_cost_nothing_but_their_points():
    grid = cells(LEVELS)
    opt = solve(optimizer(grid, budget=600), lambda x: math.nan if x[3] > 0.7 else tangled(x))
    whole = solve(optimizer(grid, budget=600), tangled)
    assert opt.best.loss < whole.best.loss + 0.2


def test_a_space_of_parameters_gets_it():
    space = zo.Space(
        layers=zo.Int(1, 9), kernel=zo.Choice("a", "b", "c"), on=zo.Bool(), rate=zo.Float(1e-3, 1.0, log=True)
    )

    def loss(params):
        far = abs(math.log10(params["rate"]) + 2) + (params["layers"] - 4) ** 2
        return far + (params["kernel"] != "b") + (not params["on"])

    res = zo.minimize(loss, space, budget=120, rng=0)
    assert res.fun < 1e-6 and res.params | {"rate": 0} == {"layers": 4, "kernel": "b", "on": True, "rate": 0}


def test_what_is_known_already_is_not_evaluated_again():
    grid, points = cells((5, 5, 5, 4)), Points(tangled)
    opt = optimizer(grid, bounds=None, budget=250)
    while opt.nfev < 60:  # the sweep is over
        advance(opt, points)
    known = np.unique(grid.snap(np.random.default_rng(0).random((100, 4))), axis=0)
    opt.tell_known(known, [tangled(x) for x in known])
    before = len(points.X)
    solve(opt, points)
    assert len(points.X) == 250 and points.different == 250
    assert not {x.tobytes() for x in known} & {x.tobytes() for x in points.X[before:]}


def test_another_budget_goes_on():
    opt = solve(optimizer(cells(LEVELS), budget=40), tangled)
    assert opt.method.replanned(90).budget == 90 and opt.method.replanned(None).ends


def test_what_does_not_fit_is_said():
    with pytest.raises(ValueError, match="x0 must have the 8 coordinates of the grid, got 3"):
        zo.Optimizer(MixedAuto(grid=cells(LEVELS)), np.zeros(3), rng=0)
    with pytest.raises(TypeError, match="grid must be"):
        MixedAuto(grid=LEVELS)


@pytest.mark.parametrize("scale", [2.0**600, 2.0**-600])
def test_a_coordinate_search_is_the_same_in_other_units_of_the_loss(scale):
    def points(unit):
        loss = Points(lambda x: unit * rugged(x))
        solve(zo.Optimizer(CoordinateSearch(bounds=(0, 1)), np.full(3, 0.3), rng=0, budget=80), loss)
        return np.array(loss.X)

    assert np.array_equal(points(scale), points(1.0))

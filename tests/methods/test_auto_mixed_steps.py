"""What `MixedAuto` and `Unrepeated` do after each kind of step, with answers worked out by hand."""

import dataclasses
import itertools
import math
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from solving import solve

import zoo_opt as zo
from zoo_opt.core.keys import RESTART, Key, generator
from zoo_opt.core.method import Asked
from zoo_opt.methods.auto.mixed import LEVELS, SWEEP, MixedAuto, _runs
from zoo_opt.methods.auto.state import COORDINATES, EVOLUTION, EXCHANGE, START, Search
from zoo_opt.methods.auto.unrepeated import Unrepeated, _without
from zoo_opt.methods.grid import Grid, cells

KEY = Key(1, 2)
NAN, INF = math.nan, math.inf
GRID = Grid(7, ((1, (0.0, 1.0)), (2, (0.0, 0.25, 0.5, 0.75, 1.0)), (6, (0.0, 1.0))), ((3, 3),))  # 0 is continuous
X0 = GRID.snap(np.array([0.5, 0.0, 0.5, 1.0, 0.0, 0.0, 1.0]))
DISCRETE = Grid(5, ((3, (0.0, 0.5, 1.0)), (4, (0.0, 1.0))), ((0, 3),))  # 18 points


@dataclass(frozen=True)
class Same(zo.Method):
    """A method that asks for the same points at each step and keeps what it is told."""

    X: Any
    reasons: Any = None

    def init(self, x0, key):
        return ()

    def size(self, state):
        return len(self.X)

    def ask(self, state, step, out=None):
        assert step == sum(told != "known" for told in state)
        return Asked(np.array(self.X))

    def update(self, state, asked, losses):
        return (*state, tuple(losses))

    def mean(self, state):
        return np.array(self.X[0])

    def stop(self, state):
        return self.reasons or {}

    def known(self, state, X, losses):
        return (*state, "known")


# ------------------------------------------------------------------------------------------------- no point twice
def points_of(grid):
    """All points of the grid, found among all combinations of the values that its coordinates have."""
    values = [(0.0, 0.5, 1.0)] * grid.d
    every = np.array(list(itertools.product(*values)))
    return {tuple(x) for x in every if (grid.snap(x) == x).all()}


def test_all_points_of_a_grid():
    once = Unrepeated(method=Same(()), grid=DISCRETE)
    assert once.points == 18 == len(once._all) and {tuple(x) for x in once._all} == points_of(DISCRETE)
    assert once.ends
    taken = once._all[[3, 0, 17]]
    left = _without(once._all, taken)
    assert len(left) == 15 and {tuple(x) for x in left} == points_of(DISCRETE) - {tuple(x) for x in taken}
    assert _without(once._all, taken[:0]).tolist() == once._all.tolist()


def test_a_run_of_it_needs_no_budget():
    X = np.array(sorted(points_of(DISCRETE)))
    result = zo.minimize(lambda x: float(x @ x), X[0], method=Unrepeated(method=Same(X[:1]), grid=DISCRETE), rng=0)
    assert result.nfev == 18 and result.success


def repeating():
    """The state after a step of a method that proposes the same three points, two of them alike, for ever."""
    all_points = np.array(sorted(points_of(DISCRETE)))
    method = Unrepeated(method=Same(all_points[[4, 2, 4]].tolist()), grid=DISCRETE)
    state = method.init(all_points[0], KEY)
    return method, state, all_points


def test_candidates_that_are_alike_are_asked_for_once():
    method, state, all_points = repeating()
    asked = method.ask(state, 0)
    assert method.size(state) == 2 and asked.X.tolist() == all_points[[4, 2]].tolist()
    after = method.update(state, asked, [7.0, NAN])
    assert after.X.tolist() == all_points[[4, 2]].tolist()
    assert repr(after.inner[0]) == repr((7.0, NAN, 7.0))  # the method is told all three
    assert method.mean(after).tolist() == all_points[4].tolist() and method.stop(after) == {}


def test_after_twenty_steps_of_known_points_a_random_one_is_tried_and_after_two_more_another():
    method, state, _ = repeating()
    after = method.update(state, method.ask(state, 0), [7.0, 8.0])
    assert after.turn == 1 + 20 and len(after.inner) == 21 and not len(after.rows)
    left = _without(method._all, after.X)
    assert after.points.tolist() == left[generator(KEY, 2, RESTART).integers(16, size=1)].tolist()
    asked = method.ask(after, 1)
    assert method.size(after) == 1 and asked.memo is None and asked.X.tolist() == after.points.tolist()
    later = method.update(after, asked, [3.0])
    assert later.turn == 21 + 2 and later.V.tolist() == [7.0, 8.0, 3.0]
    left = _without(method._all, later.X)
    assert later.points.tolist() == left[generator(KEY, 3, RESTART).integers(15, size=1)].tolist()


def test_when_all_points_have_been_evaluated():
    method, state, all_points = repeating()
    ended = method.begun(all_points[0], KEY, all_points, np.arange(18.0))
    assert method.stop(ended) == {"all_points": 18} and method.size(ended) == 1
    assert method.ask(ended, 0).X.tolist() == all_points[:1].tolist()
    assert method.update(ended, method.ask(ended, 0), [1.0]) is ended
    assert method.stop(method.known(ended, all_points[:1], [1.0])) == {"all_points": 18}
    assert Unrepeated(method=Same(((0.0,),), {"inner": 3}), grid=DISCRETE).stop(state) == {"inner": 3}


def test_what_is_known_of_the_candidates_is_not_asked_for():
    method, state, all_points = repeating()
    told = method.known(state, all_points[[4]], [5.0])
    assert told.inner == ("known",) and told.V.tolist() == [5.0]
    asked = SimpleNamespace(X=method.method.X)
    assert [asked.X[row] for row in told.rows] == [all_points[2].tolist()]
    random = dataclasses.replace(told, points=all_points[[9]])
    assert not len(method.known(random, all_points[[9]], [5.0]).points)


def test_a_grid_that_is_too_large_is_not_listed():
    grid = cells((1000,) * 4)
    method = Unrepeated(method=Same(((0.0005,) * 4,)), grid=grid)
    state = method.init(np.full(4, 0.0005), KEY)
    after = method.update(state, method.ask(state, 0), [1.0])
    u = generator(KEY, 1, RESTART).random((1, 4))
    assert after.points.tolist() == grid.snap(u).tolist() and len(after.points) == 1


def test_random_points_of_a_large_grid_are_new(monkeypatch):
    """As if 17 points of 18 were too many to be listed: the last one is found."""
    monkeypatch.setattr("zoo_opt.methods.auto.unrepeated.SMALL", 17)
    points = np.array(sorted(points_of(DISCRETE)))
    method = Unrepeated(method=Same(points[:1].tolist()), grid=DISCRETE)
    state = method.begun(points[0], KEY, points[:17], np.zeros(17))
    assert state.points.tolist() == points[17:].tolist() and "_all" not in vars(method)
    monkeypatch.setattr("zoo_opt.methods.auto.unrepeated.SMALL", 18)
    assert method.begun(points[0], KEY, points[:17], np.zeros(17)).points.tolist() == points[17:].tolist()
    assert "_all" in vars(method)


# ----------------------------------------------------------------------------------------- with continuous variables
def started(bounds=(0.0, 1.0), grid=GRID, **changes):
    """`MixedAuto` and a state of it whose best point has the loss 3 and the start 9."""
    method = MixedAuto(grid=grid, bounds=bounds)
    s = method.init(X0 if grid is GRID else np.full(grid.d, 0.5), KEY)
    return method, dataclasses.replace(s, f0=9.0, f=3.0, **changes)


def test_the_start_is_on_the_grid():
    method = MixedAuto(grid=GRID, bounds=(0.0, 1.0))
    s = method.init(np.array([0.3, 0.6, 0.3, 0.3, 0.4, 0.1, 0.2]), KEY)
    assert s.x.tolist() == [0.3, 1.0, 0.25, 0.0, 1.0, 0.0, 0.0] == s.points[0].tolist()
    assert s.stage == START and method.size(s) == 1 and s.f == INF and math.isnan(s.f0)
    asked = method.ask(s, 0)
    swept = method.update(s, asked, [4.0])
    assert swept.stage == SWEEP and swept.f0 == swept.f == 4.0 and swept.evaluations == 1 and not len(swept.X)
    assert method.mean(swept).tolist() == s.x.tolist()


def test_a_step_longer_than_what_is_left_is_made_in_part():
    method, s = started(points=np.tile(X0, (5, 1)), evaluations=17)
    for budget, n in ((None, 5), (30, 5), (22, 5), (21, 4), (18, 1), (17, 5)):
        limited = dataclasses.replace(method, budget=budget)
        assert limited.size(s) == n == len(limited.ask(s, 1).X)
        assert limited.ends is (budget is None)


def test_a_search_of_which_a_part_is_made_is_not_told():
    method, s = started(stage=COORDINATES, search=Search(Same(np.tile(X0, (3, 1)).tolist()), ()))
    method = dataclasses.replace(method, budget=2)
    after = method.update(s, method.ask(s, 0), [5.0, 1.0])
    assert after.search.state == () and after.f == 1.0 and after.evaluations == 2


def moved(s, *columns):
    """The state whose best point is another than the start in these coordinates."""
    x = s.x0.copy()
    for j in columns:
        if j in (3, 4, 5):
            x[3:6] = np.eye(3)[j - 3]
        else:
            x[j] = 1.0 - x[j] if j in (1, 6) else 0.25
    return dataclasses.replace(s, x=x)


def test_every_second_variable_that_has_moved_is_exchanged():
    method, s = started()
    s = moved(s, 1, 2, 4, 0)
    exchange = method._exchange(s)
    assert exchange.stage == EXCHANGE and exchange.search is None and method.size(exchange) == 2
    variables = [part.columns for part in method.sweep.parts if (s.x != s.x0)[part.columns].any()]
    assert len(variables) == 4
    for turn, x in enumerate(exchange.points):
        for i, columns in enumerate(variables):
            assert (x[columns] == (s.x0 if i % 2 == turn else s.x)[columns]).all()
    for few in (moved(s, 1, 2), dataclasses.replace(s, f0=NAN), dataclasses.replace(s, f0=INF)):
        assert method._exchange(few).stage == EVOLUTION
    assert method._exchange(moved(s, 1, 2, 6)).stage == EXCHANGE


@pytest.mark.parametrize(("losses", "stage"), [([5.0, 7.0], LEVELS), ([5.0, 8.0], EVOLUTION), ([5.0], EVOLUTION)])
def test_after_the_exchange(losses, stage):
    """9 + 3 = 5 + 7 is a sum; where the budget had room for one of them, nothing is known."""
    method, s = started()
    exchange = method._exchange(moved(s, 1, 2, 4, 0))
    after = method.update(exchange, Asked(exchange.points[: len(losses)]), losses)
    assert after.stage == stage


def test_after_each_search():
    method, s = started()
    over, going = Same((X0.tolist(),), {"over": 1}), Same((X0.tolist(),))
    for stage in (SWEEP, LEVELS, COORDINATES, EVOLUTION):
        here = dataclasses.replace(s, stage=stage)
        if stage != EVOLUTION:
            assert method._judged(here, Search(going, ()), ()) is here
    levels = method._judged(dataclasses.replace(s, stage=LEVELS), Search(over, ()), ())
    assert levels.stage == COORDINATES
    assert method._judged(dataclasses.replace(s, stage=COORDINATES), Search(over, ()), ()).stage == EVOLUTION
    swept = moved(dataclasses.replace(s, stage=SWEEP), 1, 2, 4)
    state = SimpleNamespace(tried=np.ones((6, 5), dtype=bool))
    after = method._judged(swept, Search(over, state), ())
    assert after.stage == EXCHANGE and after.tried is state.tried


@pytest.mark.parametrize(
    ("f", "before", "without_gain"), [(3.0, 9.0, 0), (3.0, 3.0 + 2e-9, 3), (3.0, 3.0 + 4e-9, 0), (-3.0, -3.0 + 2e-9, 3)]
)
def test_runs_of_the_strategy_without_a_gain_are_counted(f, before, without_gain):
    method, s = started(stage=EVOLUTION, without_gain=2)
    s = dataclasses.replace(s, f=f, f_before=before)
    runs = [SimpleNamespace(inner=SimpleNamespace(log=("run",) * n)) for n in (3, 4)]
    after = method._judged(s, Search(Same(()), runs[1]), runs[0])
    assert after.without_gain == without_gain and after.f_before == f
    assert method._judged(s, Search(Same(()), runs[0]), runs[0]) is s
    assert [_runs(run) for run in runs] == [3, 4]


def test_all_levels_that_the_sweep_has_left_out_are_tried_of_a_sum():
    method, s = started()
    levels = method._levels(s)
    assert levels.stage == LEVELS and levels.search.method.whole and levels.search.method.grid == GRID
    everything = np.ones_like(s.tried)
    assert method._levels(dataclasses.replace(s, tried=everything)).stage == COORDINATES


@pytest.mark.parametrize(("bounds", "low", "high"), [((-2.0, 3.0), -2.0, 3.0), (None, -INF, INF)])
def test_the_continuous_variables_of_a_sum_are_searched_in_the_box(bounds, low, high):
    method, s = started(bounds)
    along = method._coordinates(s)
    assert along.stage == COORDINATES and along.search.method.fixed == (1, 2, 3, 4, 5, 6)
    box = along.search.method.method.bounds
    assert np.ravel(box.low).tolist() == [low] and np.ravel(box.high).tolist() == [high]
    assert along.search.state is not None and not len(along.points)
    nothing = MixedAuto(grid=DISCRETE)
    assert nothing._coordinates(nothing.init(np.zeros(5), KEY)).stage == EVOLUTION


@pytest.mark.parametrize(
    ("bounds", "inside"), [((-2.0, 3.0), (-2.0, 3.0)), (None, (0.0, 1.0)), ((-2.0, None), (-2.0, 1.0))]
)
def test_where_later_runs_of_the_strategy_begin(bounds, inside):
    """Within the box; from 0 to 1 where there is none, as in the integers."""
    method, s = started(bounds, without_gain=1)
    begun = method._evolution(s)
    strategy = begun.search.method.method
    assert [np.ravel(side).tolist() for side in strategy.restart_from] == [[inside[0], 0.0], [inside[1], 1.0]]
    assert strategy.restarts == "bipop" and begun.f_before == 3.0
    assert np.allclose(strategy.sigma0, 0.1) and begun.stage == EVOLUTION


def test_where_nothing_is_continuous_the_points_before_it_are_not_asked_for_again():
    method = MixedAuto(grid=DISCRETE)
    s = method.init(np.zeros(5), KEY)
    s = method.update(s, method.ask(s, 0), [4.0])
    assert s.V.tolist() == [4.0] and (s.x == s.X).all()
    begun = method._evolution(s)
    assert isinstance(begun.search.method, Unrepeated) and begun.search.state.V.tolist() == [4.0]
    choices = MixedAuto(grid=Grid(5, ((3, (0.0, 1.0)), (4, (0.0, 1.0))), ((0, 3),)))  # no coordinate has an order
    assert choices._evolution(choices.init(np.zeros(5), KEY)).stage == EVOLUTION


def test_what_is_known():
    method, s = started()
    near = s.x0 + np.array([0.1, 0, 0, 0, 0, 0, 0])
    off = near + np.array([0, 0.5, 0, 0, 0, 0, 0])
    assert method.known(s, off[None], [1.0]) is s  # not on the grid
    told = method.known(s, np.array([off, near]), [1.0, 2.0])
    assert told.f == 2.0 and (told.x == near).all() and not len(told.X)
    strategy = dataclasses.replace(s, stage=EVOLUTION, search=Search(Same(()), ()))
    assert method.known(strategy, near[None], [2.0]).search.state == ("known",)
    nothing = MixedAuto(grid=DISCRETE)
    first = nothing.init(np.zeros(5), KEY)
    known = nothing.known(first, first.x0[None], [2.0])
    assert known.V.tolist() == [2.0] and known.X.tolist() == first.x0[None].tolist()


def test_why_it_ends():
    method, s = started()
    s = dataclasses.replace(s, evaluations=80_000)
    assert method.stop(s) == {"most_evaluations": 80_000}
    assert method.stop(dataclasses.replace(s, evaluations=79_999)) == {}
    assert dataclasses.replace(method, budget=10**6).stop(s) == {}
    over = dataclasses.replace(s, search=Search(Same(((0.0,),), {"over": 1}), ()))
    assert method.stop(dataclasses.replace(over, stage=EVOLUTION)) == {"over": 1}
    assert method.stop(over) == {"most_evaluations": 80_000}


def test_a_sum_without_bounds_is_solved_on_either_side_of_the_start():
    method = zo.Auto().within(None, GRID)
    target = np.array([-3.25, 1.0, 0.25, 0.0, 1.0, 0.0, 0.0])
    opt = solve(zo.Optimizer(method, X0, rng=0, budget=150), lambda x: float(((x - target) ** 2).sum()))
    assert opt.best.loss < 1e-9

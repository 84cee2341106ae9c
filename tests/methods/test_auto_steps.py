"""What `Auto` does after each kind of step, one function at a time, with answers worked out by hand."""

import dataclasses
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
from zoo_opt.methods.auto import choice, searches, shaking, surrogate
from zoo_opt.methods.auto.last_steps import fitting, last_points, part, with_failures
from zoo_opt.methods.auto.method import AutoMemo
from zoo_opt.methods.auto.state import (
    COORDINATES,
    EVOLUTION,
    EXCHANGE,
    LAST,
    LINE,
    NEAR,
    QUASI_NEWTON,
    SAMPLE,
    SEARCH,
    START,
    SURROGATE,
    TRUST_REGION,
    AutoState,
    Search,
)
from zoo_opt.methods.auto.units import unit_lengths
from zoo_opt.methods.local import quasi_newton as qn
from zoo_opt.methods.local.inverse_hessian import principal_axes
from zoo_opt.methods.trust_region.model import fitted

KEY = Key(1, 2)
BOX = (np.full(4, -5.0), np.full(4, 5.0))
NAN, INF = math.nan, math.inf


@dataclass(frozen=True)
class Idle(zo.Method):
    """A search that only ends, or does not."""

    reasons: Any = None

    def init(self, x0, key):
        return x0

    def size(self, state):
        return 1

    def ask(self, state, step, out=None):
        return Asked(state[None])

    def update(self, state, asked, losses):
        return state

    def mean(self, state):
        return state

    def stop(self, state):
        return self.reasons or {}


GOING, ENDED = Idle(), Idle({"over": 1})


def state(active="", stage=SEARCH, d=4, **changes):
    """A state of `Auto` whose start is 1, 2, ... with the loss 9, and whose best point is -1, -2, ... with loss 3."""
    x0 = np.arange(1.0, d + 1)
    plain = {"unit": np.ones(d), "x0": x0, "f0": 9.0, "x": -x0, "f": 3.0, "points": x0[None][:0], "f_before": 9.0}
    return AutoState(KEY, **{**plain, "stage": stage, "active": active, **changes})


def local(method=GOING, used=0, evaluations=0, **changes):
    return {QUASI_NEWTON: Search(method, qn.begun(KEY, np.ones(4), 3.0), used, evaluations), **changes}


# ------------------------------------------------------------------------------------------- after points of its own
def test_the_best_point_is_kept_in_a_copy():
    s, X = state(), np.array([[1.0] * 4, [2.0] * 4, [3.0] * 4])
    assert choice.improved(s, X, [3.0, NAN, 4.0]) is s  # as low is not lower
    better = choice.improved(s, X, [NAN, 2.5, 2.75])
    X[:] = 0.0
    assert (better.x == 2.0).all() and better.f == 2.5


def test_after_the_start():
    def after(losses=(9.0, 3.1), **changes):
        return choice.after_start(state(stage=START, **changes), BOX, list(losses), 1)

    near = after()
    assert near.stage == NEAR and near.line == (3.0,) and near.digits == 53 and near.points.shape == (1, 4)
    assert np.abs(near.points[0] - near.x) == pytest.approx(2.0**-44 * np.abs(near.x), rel=0.01)  # 1 or more
    assert after(f=INF).stage == SAMPLE
    assert after(noisy=True).active == EVOLUTION
    assert after(losses=[NAN, 3.0], f0=NAN).stage == NEAR  # the start failed and the centre did not
    assert after(losses=[0.5, 0.25, INF]).digits == 1 and after(losses=[0.0, float(np.float32(0.1))]).digits == 24


def near(loss, **changes):
    """After the second step, next to the best point, which has the loss 3."""
    s = state(stage=NEAR, base=-np.arange(1.0, 5.0), line=(3.0,), digits=53)
    return choice.after_near(dataclasses.replace(s, **changes), BOX, loss)


@pytest.mark.parametrize("loss", [3.0, 3.0 + 2e-10, NAN, INF])
def test_neighbours_with_a_slope_between_them_are_smooth(loss):
    s = near(loss)
    assert (s.active, s.noise, s.noisy) == (QUASI_NEWTON, 0.0, False)


@pytest.mark.parametrize("loss", [3.0 + 4e-10, 3.0 - 2e-8, 3.02, 2.0])
def test_what_may_be_a_slope_or_more_than_shaking_is_looked_at_on_a_line(loss):
    s = near(loss)
    assert s.stage == LINE and s.line == (3.0, loss)
    steps = (s.points - s.base) / (2.0**-44 * np.abs(s.base))
    assert np.abs(steps) == pytest.approx(np.array([[2.0] * 4, [3.0] * 4]), rel=0.01)
    assert (np.sign(steps[0]) == np.sign(steps[1])).all()  # one line


def test_neighbours_that_differ_more_than_any_slope_shake():
    s = near(3.0 + 3e-4)
    assert (s.active, s.noisy) == (TRUST_REGION, False) and s.noise == pytest.approx(3e-4 / math.sqrt(2))
    assert s.search.method == zo.TrustRegion(bounds=BOX, radius=1.5, noise=s.noise)
    many = state(stage=NEAR, d=101, base=np.ones(101), line=(3.0,), digits=53)
    box = (np.full(101, -200.0), np.full(101, 200.0))
    s = choice.after_near(many, box, 3.0 + 3e-4)
    assert s.active == QUASI_NEWTON and s.search.method == zo.QuasiNewton(bounds=box, noise=s.noise)


def test_losses_of_few_digits_are_rounded_by_as_much():
    assert near(3.0, digits=24).noise == pytest.approx(3 * 2.0**-24 / math.sqrt(12))
    assert near(3.0, digits=1).noise == near(3.0, digits=24).noise
    assert near(3.0, digits=25).noise == 0.0


def test_a_told_error_stays_noise():
    for loss in (3.0, 3.0 + 3e-4):
        assert near(loss, noisy=True).active == EVOLUTION
    s = state(stage=LINE, line=(3.0, 3.5), noisy=True)
    assert choice.after_line(s, BOX, [3.0, 3.5]).active == EVOLUTION


@pytest.mark.parametrize(
    ("line", "noise", "noisy", "active"),
    [
        ((3.0, 3.5, 4.0, 4.5), 0.0, False, QUASI_NEWTON),  # steep
        ((3.0, 3.001, 2.999, 3.0005), float(np.std([0.0, 1e-3, -1e-3, 5e-4], ddof=1)), False, TRUST_REGION),
        ((3.0, 4.0, 2.0, 3.5), float(np.std([3.0, 4.0, 2.0, 3.5], ddof=1)), True, EVOLUTION),  # of a start of 9
        ((3.0, 4.0, NAN, 3.5), 0.0, False, QUASI_NEWTON),
        ((0.0, 0.0, 0.0, 0.0), 0.0, False, QUASI_NEWTON),
    ],
)
def test_what_second_differences_leave_is_noise(line, noise, noisy, active):
    s = choice.after_line(state(stage=LINE, line=line[:2]), BOX, list(line[2:]))
    assert s.noise == pytest.approx(noise, rel=1e-9) and (s.noisy, s.active) == (noisy, active)


def test_a_line_near_a_bound_goes_inside():
    x = np.array([5.0, -5.0, 0.0, 1.0])
    box = (np.array([-5.0, -5.0, 0.0, 1.0]), np.array([5.0, 5.0, 9.0, 1.0]))
    (point,) = shaking.line(state(base=x, line=(3.0,)), box, 1)
    assert point[0] < 5.0 and point[1] > -5.0 and point[2] > 0.0 and point[3] == 1.0


def test_after_the_exchange():
    going = state(QUASI_NEWTON, EXCHANGE, searches=local())
    is_sum = choice.after_exchange(going, BOX, 3.0, [5.0, 7.0], 1)  # 9 + 3 = 5 + 7
    assert (
        is_sum.active == COORDINATES and is_sum.sum_tested and is_sum.search.state.T.tolist() == [(-going.x0).tolist()]
    )
    goes_on = choice.after_exchange(going, BOX, 3.0, [5.0, 8.0], 1)
    assert (goes_on.active, goes_on.stage, goes_on.sum_tested) == (QUASI_NEWTON, SEARCH, True)
    assert goes_on.without_gain == 0
    ended = dataclasses.replace(going, searches=local(ENDED))
    assert choice.after_exchange(ended, BOX, 3.0, [5.0, 8.0], 1).active == EVOLUTION


def test_after_random_points():
    X = np.arange(12.0).reshape(3, 4)
    s = choice.after_sample(state(stage=SAMPLE), BOX, X, [NAN, 5.0, 4.0], 1)
    assert s.active == QUASI_NEWTON and s.search.state.x.tolist() == X[2].tolist() and s.search.state.loss == 4.0
    assert choice.after_sample(state(stage=SAMPLE, f=INF), BOX, X, [NAN, INF, NAN], 1).stage == SAMPLE
    assert choice.after_sample(state(stage=SAMPLE, noisy=True), BOX, X, [1.0, 5.0, 4.0], 1).active == EVOLUTION


# -------------------------------------------------------------------------------------------------- after a search
@pytest.mark.parametrize("d", [4, 5])
def test_half_of_the_coordinates_are_exchanged_to_see_whether_the_loss_is_a_sum(d):
    """After three evaluations for each dimension, or when the first search has ended."""
    box, search = (np.full(d, -9.0), np.full(d, 9.0)), {QUASI_NEWTON: Search(GOING, None)}
    s = state(QUASI_NEWTON, d=d, evaluations=3 * d, searches=search)
    tested = choice.after_search_step(s, s, box, 7)
    assert tested.stage == EXCHANGE and tested.points.shape == (2, d)
    assert (np.sort(tested.points, axis=0) == np.sort([s.x0, s.x], axis=0)).all()  # what one has the other has not
    half = generator(KEY, 7, RESTART).permutation(d) < (d + 1) // 2
    assert (tested.points[0] == np.where(half, s.x0, s.x)).all() and half.sum() == (d + 1) // 2
    ended = state(QUASI_NEWTON, d=d, evaluations=2, searches={QUASI_NEWTON: Search(ENDED, None)})
    assert choice.after_search_step(ended, ended, box, 7).stage == EXCHANGE
    early = dataclasses.replace(s, evaluations=3 * d - 1)
    shaky = dataclasses.replace(s, noise=1.0, evaluations=8 * d - 1)  # the search is a trust region's there
    shaky = dataclasses.replace(shaky, active=shaky.local, searches={shaky.local: Search(GOING, None)})
    assert choice.after_search_step(shaky, dataclasses.replace(shaky, evaluations=8 * d), box, 7).stage == EXCHANGE
    near = s.x0.copy()
    near[0], near[1:] = -1.0, near[1:] + 0.009  # but for one coordinate it is where the start is
    open_box = (np.array([-INF, *box[0][1:]]), box[1])
    for other, bounds in (
        (early, box),
        (shaky, box),
        (dataclasses.replace(s, x=near), box),
        (dataclasses.replace(s, sum_tested=True), box),
        (s, None),
        (s, open_box),
    ):
        assert choice.after_search_step(other, other, bounds, 7) is other


def test_the_first_quasi_newton_search_has_500_evaluations_for_each_dimension():
    for evaluations, over in ((1999, False), (2000, True)):
        s = state(QUASI_NEWTON, evaluations=evaluations, searches=local(), sum_tested=True)
        assert searches.is_over(s, s) is over
        assert choice.after_search_step(s, s, BOX, 1).active == (EVOLUTION if over else QUASI_NEWTON)


def after(**changes):
    return choice._after_search(state(**{"searches": local(), "active": QUASI_NEWTON, **changes}), BOX, 3)


@pytest.mark.parametrize(
    ("f", "before", "gains"),
    [
        (3.0, 9.0, True),
        (3.0, 3.0 + 2e-9, False),
        (3.0, 3.0 + 4e-9, True),
        (-3.0, -3.0 + 2e-9, False),
        (INF, INF, False),
    ],
)
def test_a_search_that_lowers_the_loss_by_less_than_a_part_in_a_billion_has_gained_nothing(f, before, gains):
    s = after(f=f, f_before=before, without_gain=2)
    assert s.without_gain == (0 if gains else 3) and s.f_before == f


@pytest.mark.parametrize(("used", "theirs", "turn"), [(6, 10, SAMPLE), (7, 10, SEARCH), (0, 4, SAMPLE), (0, 3, SEARCH)])
def test_the_search_that_has_used_less_is_next(used, theirs, turn):
    """A quasi-Newton search from random points needs d evaluations before its first."""
    s = after(searches=local(used=used) | {EVOLUTION: Search(GOING, None, theirs)})
    assert s.stage == turn
    if turn == SEARCH:
        assert s.active == EVOLUTION


def test_the_evolution_strategy_comes_first_and_goes_on_where_there_is_no_other():
    first = after(searches=local(used=50))
    assert first.active == EVOLUTION and first.searches[QUASI_NEWTON].used == 0  # what came before does not count
    assert first.search.state.distribution.m.tolist() == [-1.0, -2.0, -3.0, -4.0]
    assert after(active=EVOLUTION, searches={EVOLUTION: Search(GOING, None, 5)}).active == EVOLUTION


def test_a_later_quasi_newton_search_goes_on_counting():
    s = state(searches=local(used=50) | {EVOLUTION: Search(GOING, None, 90)})
    later = searches.local(s, BOX, np.ones(4), INF)
    assert later.search.used == 50 and math.isnan(later.search.state.f)
    assert searches.local(state(), BOX, np.ones(4), 2.0).search.used == 0


@pytest.mark.parametrize(
    ("d", "kind", "sigma0"), [(4, zo.CMAES, 2.0), (41, zo.DDCMAES, 2.0), (1001, zo.SepCMAES, 80 / 1001)]
)
def test_how_the_searches_are_set(d, kind, sigma0):
    box = zo.Auto(bounds=(-2e3, 2e3)).bounds
    for noisy in (True, False):
        method = searches.evolution(state(d=d, noisy=noisy), box).search.method
        assert type(method) is kind and method.restarts == "bipop" and method.bounds == box
        assert method.sigma0 == sigma0
        if kind is zo.CMAES:
            assert method.noise == (zo.QuadraticModel() if noisy else None)
    assert searches.local(state(), box, np.ones(4), 1.0).search.method == zo.QuasiNewton(bounds=box)
    assert searches.coordinates(state(), box).search.method == zo.CoordinateSearch(bounds=box)


def test_when_a_search_is_over():
    """A run of the strategy ends in it, and another follows; the coordinate search goes on until it ends."""
    runs = [{EVOLUTION: Search(GOING, SimpleNamespace(log=("run",) * n))} for n in (1, 2)]
    before, same, after = (state(EVOLUTION, searches=runs[n]) for n in (0, 0, 1))
    assert not searches.is_over(before, same) and searches.is_over(before, after)
    for method in (GOING, ENDED):
        s = state(COORDINATES, evaluations=10**6, searches={COORDINATES: Search(method, None)})
        assert searches.is_over(s, s) is (method is ENDED)
    ended = state(QUASI_NEWTON, searches=local(ENDED) | {EVOLUTION: Search(GOING, None)})
    assert searches.is_over(ended, ended)


def test_what_a_search_uses_is_counted():
    s = searches.advanced(state(QUASI_NEWTON, searches=local(used=5)), Asked(np.ones((3, 4))), [1.0, 2.0, 3.0])
    assert s.search.used == 8


def test_smooth_losses_of_a_thousand_dimensions_at_most_are_the_quasi_newton_methods():
    for d, active in ((1000, QUASI_NEWTON), (1001, EVOLUTION)):
        box = (np.full(d, -2e3), np.full(d, 2e3))
        assert choice._from(state(d=d), box, np.ones(d), 1.0).active == active


# ------------------------------------------------------------------------------------------------- random points
def test_random_points_of_a_later_search_keep_to_the_middle_of_the_box():
    """A tenth of its width is left on either side; where nothing bounds a coordinate it is 4 units to the start."""
    s, u = state(), generator(KEY, 5, RESTART).random((4, 4))
    box = (np.array([0.0, -INF, 2.0, -INF]), np.array([11.0, 3.0, INF, INF]))
    low, high = np.array([1.1, -1.5, 2.5, 0.8]), np.array([9.9, 2.5, 6.5, 7.2])
    sampled = choice._sample(s, box, 5)
    assert sampled.stage == SAMPLE
    np.testing.assert_allclose(sampled.points, low + u * (high - low), rtol=1e-12)
    np.testing.assert_allclose(choice._sample(s, None, 5).points, s.x0 - 3.2 + 6.4 * u, rtol=1e-12)
    assert len(choice._sample(state(d=1), None, 5).points) == 2


@pytest.mark.parametrize("evaluations", [0, 7])
def test_while_nothing_has_a_loss_random_points_are_near_and_far_in_turn(evaluations):
    d = 30
    s = state(d=d, f=INF, evaluations=evaluations)
    parts = np.resize([1, 1 / 4, 4, 1 / 16, 16, 1 / 64, 64, 1 / 256, 256], 18 + evaluations)[evaluations:, None]
    u = generator(KEY, 5, RESTART).random((18, d))
    np.testing.assert_allclose(choice._sample(s, None, 5).points, s.x0 + parts * (6.4 * u - 3.2), rtol=1e-12)
    box = (np.full(d, -10.0), np.full(d, INF))  # no farther on the side that is bounded, wherever that bound is
    low, high = -3.2 * np.minimum(parts, 1.0), 3.2 * parts
    np.testing.assert_allclose(choice._sample(s, box, 5).points, s.x0 + low + u * (high - low), rtol=1e-12)


def test_a_start_that_fails_far_from_its_only_bound_goes_on():
    """It raised "high - low < 0": the points were to be farther from the far bound than from the start."""
    opt = zo.Optimizer(zo.Auto(bounds=(-1000.0, None)), np.ones(2), rng=0, budget=200)
    assert solve(opt, lambda x: math.nan if x[0] < 1.5 else float(x @ x)).best.loss < 3.6


# --------------------------------------------------------------------------------------------- the last of a budget
def gradient(f=3.0, along_axes=False, step=(3.0, 0.0, 4.0, 0.0)):
    """A state whose next step is a gradient of the quasi-Newton method."""
    inner = dataclasses.replace(qn.begun(KEY, np.ones(4), f), axes=() if along_axes else None, s=np.array(step))
    return state(QUASI_NEWTON, searches={QUASI_NEWTON: Search(GOING, inner)})


@pytest.mark.parametrize(
    ("s", "left", "n"),
    [
        (gradient(), 0, 99),
        (gradient(), -1, 99),
        (gradient(), 1, 1),
        (gradient(), 4, 2),  # two are for the line search
        (gradient(), 6, 4),
        (gradient(), 50, 4),
        (gradient(NAN), 2, 2),  # the loss at x, and one axis
        (gradient(NAN), 5, 3),
        (gradient(NAN), 7, 5),
        (gradient(along_axes=True), 2, 2),
        (gradient(along_axes=True), 6, 4),
        (gradient(along_axes=True), 9, 6),
        (gradient(along_axes=True), 10, 8),
        (state(COORDINATES), 98, 97),
        (state(COORDINATES), 1, 1),
        (state(COORDINATES), 99, 99),
        (state(stage=SAMPLE), 98, 98),
        (state(stage=EXCHANGE), 1, 99),
        (state(EVOLUTION), 3, 3),
        (state(EVOLUTION, noisy=True), 49, 99),
        (state(EVOLUTION, noisy=True), 50, 50),
        (state(EVOLUTION, noisy=True, stage=SAMPLE), 3, 3),
    ],
)
def test_how_much_of_a_step_is_made(s, left, n):
    assert fitting(s, 99, left) == n


@pytest.mark.parametrize(
    ("s", "needed"),
    [
        (gradient(), 2),
        (gradient(NAN), 3),
        (gradient(along_axes=True), 3),
        (state(stage=EXCHANGE, points=np.zeros((2, 4))), 2),
        (state(EVOLUTION), 0),
    ],
)
def test_when_the_last_points_are_random(s, needed):
    s = dataclasses.replace(s, searches=s.searches or local())
    s = s if s.stage == SEARCH else dataclasses.replace(s, active=QUASI_NEWTON)
    for left in (-1, 0, 1, 2, 3):
        points = last_points(s, left, 4)
        assert (points is not None) == (0 < left < needed)
        assert points is None or points.shape == (left, 4)


def test_the_last_points_are_as_far_off_as_the_last_step():
    z = generator(KEY, 4, RESTART).standard_normal((2, 4))
    for step, length in (((3.0, 0.0, 4.0, 0.0), 5.0), ((), 1.0)):
        s = gradient(NAN, step=step)
        expected = s.x + length * z / np.sqrt((z * z).sum(axis=1, keepdims=True))
        np.testing.assert_allclose(last_points(s, 2, 4), expected, rtol=1e-12)


def test_the_last_point_in_place_of_a_line_is_one_unit_off():
    s = state(stage=LINE, points=np.ones((2, 4)))
    assert np.linalg.norm(last_points(s, 1, 4) - s.x) == pytest.approx(1.0) and last_points(s, 2, 4) is None


def test_the_last_points_of_a_trust_region_are_as_far_off_as_its_radius():
    region = searches.region(state(), BOX, np.ones(4), 3.0)
    s = dataclasses.replace(region, stage=EXCHANGE, points=np.ones((2, 4)))
    assert np.linalg.norm(last_points(s, 1, 4) - s.x) == pytest.approx(1.5)


def rippled(f=None, d=4, **changes):
    """A first quasi-Newton search before and after the gradient that follows its first step; f: by how much it fell."""
    first = dataclasses.replace(
        qn.begun(KEY, np.zeros(d), 8.0), s=np.ones(d), g_before=np.full(d, -4.0 / d), gain=2.0 if f is None else f
    )
    then = dataclasses.replace(first, stage=qn.SEARCH, g=np.zeros(d))
    plain = {"active": QUASI_NEWTON, "sum_tested": True, **changes}
    return (state(searches={QUASI_NEWTON: Search(zo.QuasiNewton(), q)}, d=d, **plain) for q in (first, then))


def on_a_plateau(**changes):
    """A quasi-Newton search before and after a gradient of nothing but zeros, which has made it look farther."""
    before = qn.begun(KEY, np.zeros(4), 8.0)
    after = dataclasses.replace(before, axes=principal_axes(np.eye(4)), delta=1.0, **changes)
    return (
        state(QUASI_NEWTON, sum_tested=True, searches={QUASI_NEWTON: Search(zo.QuasiNewton(), q)})
        for q in (before, after)
    )


def test_a_plateau_is_left_to_the_evolution_strategy_for_good():
    before, after = on_a_plateau()
    s = choice.after_search_step(before, after, BOX, 1)
    assert s.active == EVOLUTION and s.level and zo.Auto().believed(s).startswith("level around the start; ")
    log = (None,)
    ended = dataclasses.replace(s.search.state, log=log)
    over = s.searching(EVOLUTION, dataclasses.replace(s.search, state=ended, used=900))
    assert choice.after_search_step(s, over, BOX, 2).active == EVOLUTION
    sampled = choice.after_search_step(s, dataclasses.replace(over, level=False), BOX, 2)
    assert sampled.stage == SAMPLE  # else a quasi-Newton search would be next
    for changes in ({"known": True}, {"g": np.array([0.0, 0.0, 1e-9, 0.0])}):
        before, after = on_a_plateau(**changes)
        assert choice.after_search_step(before, after, BOX, 1) is after


SEEN = {"X": np.array([[1.0] * 4, [2.0, 0, 0, 0]]), "F": np.array([3.0, 5.0])}


def test_ripples_are_left_to_bayesian_optimisation():
    """The slopes -4 and 0 at the ends of a step promise 2 of a parabola."""
    before, after = rippled(**SEEN)
    assert choice.after_search_step(before, after, BOX, 1) is after
    before, after = rippled(0.5, **SEEN)
    s = choice.after_search_step(before, after, BOX, 1)
    assert s.active == SURROGATE and s.concave and s.search.state.X.tolist() == SEEN["X"].tolist()
    assert s.search.method == zo.BayesianOptimization(bounds=BOX, radius=2.0, end_radius=0.1, points=150)
    assert s.search.state.asked.shape == (4, 4) and np.abs(s.search.state.asked - 1.0).max() == 2.0  # around the best
    before, after = rippled(0.5, d=41)
    s = choice.after_search_step(before, after, None, 1)
    assert s.active == TRUST_REGION and s.search.state.x.tolist() == after.x.tolist()
    assert s.search.method == zo.TrustRegion(radius=1.5, end_radius=0.3)
    for changes in ({"noise": 1e-3}, {"active": QUASI_NEWTON, "stage": EXCHANGE}):
        before, after = rippled(0.5, **changes)
        assert choice.after_search_step(before, after, BOX, 1).active == QUASI_NEWTON
    before, after = rippled(0.5)
    later = dataclasses.replace(after, searches=after.searches | {EVOLUTION: Search(GOING, None, 10**6)})
    assert not choice._is_rippled(before, later)


def sloping(F, trials=(), g=(1.0, 0.0, 0.0, 0.0), **changes):
    """A first line search from 0, where the loss is 8 and the slope g; two other points are known."""
    first = dataclasses.replace(
        qn.begun(KEY, np.zeros(4), 8.0), stage=qn.SEARCH, g=np.array(g) / 8, trials=tuple(qn.Trial(*t) for t in trials)
    )
    seen = {"X": SEEN["X"], "F": np.array(F), **changes}
    return state(QUASI_NEWTON, searches={QUASI_NEWTON: Search(zo.QuasiNewton(), first)}, **seen)


def test_what_is_below_its_tangent_or_above_a_chord_is_not_convex():
    """The tangent is 9 and 10 at the two points; of a line search the middle one of three must not be the highest."""
    assert not surrogate.is_concave(sloping([9.0, 10.0])) and not surrogate.is_concave(sloping([20.0, NAN]))
    assert surrogate.is_concave(sloping([9.0, 9.0])) and not surrogate.is_concave(sloping([9.0, 9.5]))  # .3 of 2 is .6
    assert surrogate.is_concave(sloping([7.0, 10.0])) and not surrogate.is_concave(sloping([9.0, INF]))
    flat = {"F": [9.0, 10.0], "g": (0.0, 0.0, 0.0, 0.0)}
    assert not surrogate.is_concave(sloping([-9.0, -10.0], g=flat["g"]))  # where there is no slope nothing is said
    assert not surrogate.is_concave(sloping(trials=[(2.0, 1.0, 0.0), (1.0, 1.0, 0.0)], **flat))
    assert surrogate.is_concave(sloping(trials=[(2.0, 1.0, 0.0), (1.0, 2.0, 0.0)], **flat))
    s = sloping([9.0, 9.0])
    later = dataclasses.replace(s.search.state, known=True)
    assert not surrogate.is_concave(dataclasses.replace(s, searches={QUASI_NEWTON: Search(zo.QuasiNewton(), later)}))
    assert choice.after_search_step(s, dataclasses.replace(s, sum_tested=True), BOX, 1).active == SURROGATE


@pytest.mark.parametrize(("loss", "parabola"), [(0.5, True), (0.6, False)])
def test_a_parabola_is_seen_by_two_trials(loss, parabola):
    """From 1 with the slope -1: 1 - t + t^2 / 2 at t = .5 and at 2 in the one case, more at 2 in the other."""
    first = dataclasses.replace(qn.begun(KEY, np.zeros(2), 1.0), g=np.array([-1.0, 0.0]), p=np.array([1.0, 0.0]))
    before = dataclasses.replace(first, stage=qn.SEARCH, length=0.5, trials=(qn.Trial(2.0, 2 * loss, -2.0),))
    after = dataclasses.replace(first, x=np.array([0.5, 0.0]), f=0.625, s=np.array([0.5, 0.0]), gain=0.375)
    assert surrogate.is_parabola(before, after) is parabola
    same = dataclasses.replace(before, trials=(qn.Trial(0.5, 0.625, -0.5),))
    assert not surrogate.is_parabola(same, after)  # one trial is not two
    assert not surrogate.is_parabola(before, dataclasses.replace(after, s=np.zeros(0)))


def test_a_small_budget_is_bayesian_optimisations_after_an_iteration():
    first = dataclasses.replace(
        qn.begun(KEY, np.zeros(4), 1.0), g=np.full(4, -1.0), p=np.ones(4), stage=qn.SEARCH, length=0.5
    )
    then = dataclasses.replace(first, stage=qn.GRADIENT, s=np.full(4, 0.5), gain=0.5, f=0.5)
    plain = {"active": QUASI_NEWTON, "sum_tested": True, "few": True, **SEEN}
    before, after = (state(searches={QUASI_NEWTON: Search(zo.QuasiNewton(), q)}, **plain) for q in (first, then))
    s = choice.after_search_step(before, after, BOX, 1)
    assert s.active == SURROGATE and not s.concave and s.search.state.asked.shape == (1, 4)  # not around the best
    for change in ({"few": False}, {"searches": {**after.searches, EVOLUTION: Search(GOING, None, 10**6)}}):
        assert choice.after_search_step(before, dataclasses.replace(after, **change), BOX, 1).active == QUASI_NEWTON
    shaking_loss = state(few=True, noise=1e-3, **SEEN)
    assert choice._from(shaking_loss, BOX, shaking_loss.x, 3.0).active == SURROGATE
    over = dataclasses.replace(s, searches={**s.searches, SURROGATE: Search(ENDED, None)})
    assert choice._after_search(over, BOX, 1).active == QUASI_NEWTON
    assert not searches.is_over(s, dataclasses.replace(s, searches={SURROGATE: Search(GOING, None, 149)}))
    assert searches.is_over(s, dataclasses.replace(s, searches={SURROGATE: Search(GOING, None, 150)}))


def test_what_a_small_budget_is():
    assert surrogate.is_small(100, 5) and not surrogate.is_small(101, 5) and not surrogate.is_small(None, 5)
    assert surrogate.is_small(9, 40) and not surrogate.is_small(9, 41) and not surrogate.is_small(9, 4)


def test_points_are_remembered_that_are_not_next_to_another():
    s = surrogate.remembered(state(), np.array([[0.0] * 4, [0.005] * 4, [1.0] * 4]), [5.0, 6.0, 7.0])
    assert s.X.tolist() == [[0.0] * 4, [1.0] * 4] and s.F.tolist() == [5.0, 7.0]
    s = surrogate.remembered(s, np.array([[1.005] * 4]), [2.0])  # a lower one takes the place of its neighbour
    assert s.X.tolist() == [[0.0] * 4, [1.005] * 4] and s.F.tolist() == [5.0, 2.0]
    assert len(surrogate.remembered(state(d=41), np.zeros((1, 41)), [1.0]).F) == 0
    full = dataclasses.replace(s, F=np.zeros(150))
    assert surrogate.remembered(full, np.full((1, 4), 9.0), [1.0]) is full


def test_after_a_coarse_look_quasi_newton_goes_on_with_the_models_curvatures():
    d = 2  # in three it begins with none
    box = (np.full(d, -9.0), np.full(d, 9.0))
    s = searches.region(state(d=d), box, -np.arange(1.0, d + 1), 3.0, 0.3)
    model = fitted(s.x, s.x + np.vstack([np.zeros(d), np.eye(d)]), np.ones(d + 1), np.diag([1.0, 2.0]))
    region = dataclasses.replace(s.search.state, model=model)  # of losses in units of 2
    s = dataclasses.replace(s, searches={TRUST_REGION: dataclasses.replace(s.search, state=region)})
    after = choice._after_search(s, box, 3)
    assert after.active == QUASI_NEWTON and after.search.state.known and after.search.state.loss == 3.0
    np.testing.assert_allclose(after.search.state.H.matrix, np.diag([1.0, 0.5]))  # in the same units
    shaky = dataclasses.replace(s, noise=1e-3)
    assert choice._after_search(shaky, box, 3).active == EVOLUTION
    huge = dataclasses.replace(s.search, state=dataclasses.replace(region, loss_unit=2.0**1023))
    assert not choice._after_search(dataclasses.replace(s, searches={TRUST_REGION: huge}), box, 3).search.state.known


def test_a_local_search_under_noise_leaves_its_best_point_to_a_strategy_that_handles_it():
    """Where the noise is a large part of the loss that is left; then there are no local searches any more."""
    for noise, noisy in ((0.1, False), (0.2, True)):
        s = searches.region(state(noise=noise), BOX, np.ones(4), 3.0)
        after = choice._after_search(s, BOX, 3)
        assert after.noisy is noisy and after.search.method.noise == (zo.QuadraticModel() if noisy else None)
        far = after.searching(EVOLUTION, dataclasses.replace(after.search, used=10**6))
        assert choice._after_search(far, BOX, 3).stage == (SEARCH if noisy else SAMPLE)


def test_in_few_dimensions_a_trust_region_looks_first():
    for d, name in ((1, TRUST_REGION), (2, TRUST_REGION), (3, TRUST_REGION), (4, QUASI_NEWTON)):
        box = (np.full(d, -9.0), np.full(d, 9.0))
        assert choice._from(state(d=d), box, np.ones(d), 3.0).active == name
        assert choice._from(state(d=d), None, np.ones(d), 3.0).active == (TRUST_REGION if d < 3 else QUASI_NEWTON)
        later = state(d=d, searches={QUASI_NEWTON: Search(GOING, None)})
        assert choice._from(later, box, np.ones(d), 3.0).active == QUASI_NEWTON


def coarse(d=2):
    """The first look is going; the start is known to it."""
    box = (np.full(d, -9.0), np.full(d, 9.0))
    known = dict(X=np.stack([np.arange(1.0, d + 1), -np.arange(1.0, d + 1)]), F=np.array([9.0, 3.0]))
    return choice.after_start(state(stage=START, d=d, **known), box, [9.0, 3.1], 1), box


def test_the_first_look_knows_the_start():
    s, box = coarse()
    assert s.active == TRUST_REGION and s.search.method.end_radius == 0.3 and s.line == (3.0,)
    assert s.search.state.X.tolist() == [[1.0, 2.0]] and (s.search.state.f, s.search.state.F[0]) == (1.5, 4.5)
    near = dict(X=-np.stack([[1.0, 2.0], [1.5, 3.0]]), F=np.array([3.0, 9.0]))
    assert not len(choice.after_start(state(stage=START, d=2, **near), box, [9.0, 3.0], 1).search.state.X)


@pytest.mark.parametrize("d", [2, 3])
def test_noise_is_looked_for_when_the_first_look_is_over(d):
    s, box = coarse(d)
    f = s.search.state.f
    model = fitted(s.x, s.x + np.vstack([np.zeros(d), np.eye(d)]), np.ones(d + 1), np.eye(d))
    ended = dataclasses.replace(s.search.state, X=s.x + np.eye(d), F=f + np.arange(d), model=model, radius=0.3, rho=0.3)
    s = s.searching(TRUST_REGION, dataclasses.replace(s.search, state=ended))
    s = choice._after_search(dataclasses.replace(s, x=s.x + 1.0, f=2.0), box, 3)
    assert s.stage == NEAR and np.abs(s.points - s.base).max() < 1e-12 and (s.base != s.x).all()  # where it was before
    smooth = choice.after_near(s, box, 3.0)
    assert smooth.active == QUASI_NEWTON and smooth.search.state.known is (d == 2)
    assert (smooth.search.state.x == s.x).all() and smooth.search.state.loss == 2.0
    shaky = choice.after_near(s, box, 3.0 + 3e-6)
    assert shaky.active == TRUST_REGION and shaky.search.state.rho < 0.3 and not shaky.search.state.reasons
    assert shaky.search.method.noise == shaky.noise > 0.0
    noisy = choice.after_line(dataclasses.replace(s, line=(3.0, 3.2)), box, [2.9, 3.3])
    assert noisy.active == EVOLUTION and noisy.noisy


@pytest.mark.parametrize("d", [2, 3])
def test_a_sphere_takes_one_evaluation_after_the_first_look_and_a_slope_two(d):
    for loss, last in ((lambda x: float((x - 3) @ (x - 3)) + 1.0, 3.0), (lambda x: float(x.sum()), -5.0)):
        opt = zo.Optimizer(zo.Auto(bounds=(-5, 5)), np.full(d, -3.0 if last > 0 else 3.0), rng=0, budget=100)
        while opt.nfev < 3 + d + (last < 0):
            batch = opt.ask()
            opt.tell(batch, [loss(x) for x in batch])
        np.testing.assert_allclose(opt.best.x, last, rtol=1e-9)


def test_what_is_believed_in_words():
    auto = zo.Auto(bounds=(-4.0, 9.0))
    s = state(evaluations=30, line=(3.0, 3.0))
    assert auto.believed(state()) == "1 of 4 coordinates at a bound"
    assert zo.Auto().believed(s) == ""  # a line may follow
    for line, said in (((3.0, 3.0), "smooth at the start; "), ((3.0, NAN), ""), ((3.0, 3.1, NAN, 3.0), "")):
        begun = dataclasses.replace(s, line=line, searches=local(evaluations=25))
        assert zo.Auto().believed(begun) == f"{said}evaluations: quasi-newton 25 of 30"
    s = dataclasses.replace(s, noise=3e-4, sum_tested=True, x=np.ones(4), searches=local(evaluations=25))
    assert auto.believed(s) == (
        "its last digits shake, by about 0.0003; no sum over the coordinates; no bound is active; "
        "evaluations: quasi-newton 25 of 30"
    )
    s = dataclasses.replace(s, noisy=True, searches={COORDINATES: Search(GOING, None, evaluations=9), **s.searches})
    assert auto.believed(s) == (
        "noisy, by about 0.0003; a sum over the coordinates; no bound is active; "
        "evaluations: coordinates 9, quasi-newton 25 of 30"
    )
    assert zo.Auto().believed(state(noisy=True)) == "noisy"


def test_which_candidates_are_made_of_a_step():
    rng = generator(KEY, 6, RESTART)
    axes = sorted(rng.choice(4, 2, replace=False).tolist())
    assert part(gradient(), 2, 4, 6).tolist() == axes
    assert part(gradient(NAN), 3, 5, 6).tolist() == [0, *(1 + i for i in axes)]
    assert part(gradient(along_axes=True), 4, 8, 6).tolist() == [*axes, *(4 + i for i in axes)]
    for n in (1, 4, 8):  # the point of the best, and some of the moves
        moves = generator(KEY, 6, RESTART).choice(7, n - 1, replace=False)
        assert part(state(COORDINATES), n, 8, 6).tolist() == [0, *sorted(1 + moves)]
    assert part(state(EVOLUTION), 3, 9, 6).tolist() == [0, 1, 2] == part(state(stage=SAMPLE), 3, 9, 6).tolist()


def test_what_is_not_made_is_told_as_failed():
    whole = Asked(np.zeros((4, 2)))
    assert with_failures([1.0, 2.0], None, whole) == [1.0, 2.0]
    told = with_failures([1.0, 2.0], np.array([0, 3]), whole)
    assert repr(told) == repr([1.0, NAN, NAN, 2.0])


# ------------------------------------------------------------------------------------------------------ the method
AUTO = zo.Auto(budget=20)


def test_the_last_step_is_random_points_in_the_box():
    bounded = zo.Auto(budget=20, bounds=(-3.5, 20.0))
    s = dataclasses.replace(gradient(NAN), evaluations=18, unit=np.full(4, 2.0))
    for method in (AUTO, bounded):
        last = method._ending(s, 4)
        low = -INF if method is AUTO else -1.75  # in units
        assert last.stage == LAST and (last.points == np.clip(last_points(s, 2, 4), low, INF)).all()
    assert AUTO._ending(dataclasses.replace(s, evaluations=17), 4).stage == SEARCH
    assert zo.Auto()._ending(s, 4) is s
    after_it = AUTO.update(last, Asked(last.points * 2.0, AutoMemo(5, last.points, None)), [5.0, NAN])
    assert after_it.stage == SEARCH and after_it.active == QUASI_NEWTON and after_it.evaluations == 20


def test_a_start_without_budget_for_more_leaves_the_centre_out():
    for budget, n in ((1, 1), (2, 2), (None, 2)):
        assert len(zo.Auto(bounds=(-1.0, 3.0), budget=budget).init(np.zeros(2), KEY).points) == n
    one_sided = zo.Auto(bounds=[(-1.0, 3.0), (None, 2.0)]).init(np.array([0.5, 0.25]), KEY)
    assert (one_sided.points * one_sided.unit).tolist() == [[0.5, 0.25], [1.0, 0.25]]


def test_candidates_are_in_parameter_units():
    """Of a search some rows may be left out."""
    unit = np.array([2.0, 4.0, 8.0, 16.0])
    near = state(stage=NEAR, unit=unit, evaluations=2, points=np.ones((1, 4)))
    asked = zo.Auto().ask(near, 3)
    assert asked.X.tolist() == [unit.tolist()] and asked.again is None and asked.memo.X.tolist() == [[1.0] * 4]
    sample = state(stage=SAMPLE, unit=unit, evaluations=18, points=np.arange(12.0).reshape(3, 4))
    part_of_it = AUTO.ask(sample, 3)
    assert AUTO.size(sample) == 2 and part_of_it.X.tolist() == (sample.points[:2] * unit).tolist()
    assert part_of_it.again is None and len(part_of_it.memo.X) == 2 and part_of_it.memo.step == 3
    s = dataclasses.replace(gradient(), unit=unit, evaluations=16, searches=local(zo.QuasiNewton()))
    whole, some = zo.Auto().ask(s, 3), AUTO.ask(s, 3)
    rows = part(s, 2, 4, 3)
    assert whole.memo.rows is None and len(whole.X) == 4 and AUTO.size(s) == 2
    assert some.X.tolist() == whole.X[rows].tolist() and some.memo.rows.tolist() == rows.tolist()
    assert (whole.memo.inner.X * unit == whole.X).all()
    after = AUTO.update(s, some, [3.5, 2.5])
    assert after.evaluations == 18 and after.f == 2.5 and (after.x == some.memo.X[1]).all()
    assert np.flatnonzero(after.search.state.g).tolist() == rows.tolist()  # the others are held


@pytest.mark.parametrize(
    ("scale", "d", "budget", "planned"),
    [(3.0, 2000, 4000, 3.0), (tuple([3.0, 4.0] * 1000), 2000, 4000, math.sqrt(12.5))],
)
def test_a_declared_scale_is_that_of_the_gradient_method_too(scale, d, budget, planned):
    plan = zo.Auto(scale=scale).plan(np.zeros(d), budget)
    expected = zo.FZOO.untuned(scale=planned).plan(np.zeros(d), budget)
    assert type(plan) is zo.FZOO and plan.c.smallest == pytest.approx(expected.c.smallest, rel=1e-12)
    assert plan.lr(0) == pytest.approx(expected.lr(0), rel=1e-12)


def test_units_at_the_ends():
    """Powers of 2 between 2^-900 and 2^900; a coordinate that is fixed has that of the scale."""
    assert unit_lengths(np.array([1e300, 1e300]), None, None).tolist() == [2.0**900] * 2
    assert unit_lengths(np.zeros(2), None, [1e-300, 6.0]).tolist() == [2.0**-900, 4.0]
    low, high = (0.0, 1.0, 0.0, -math.inf), (0.0, 81.0, 5e-324, 3.0)
    assert unit_lengths(np.array([0.0, 1.0, 0.0, 0.0]), (low, high), 8.0).tolist() == [4.0, 8.0, 2.0**-900, 4.0]
    start = np.array([40.0, 1.0, 0.0, 30.0])
    low, high = (40.0, 1.0, 0.0, -math.inf), (40.0, 81.0, 10.0, 30.0)
    assert unit_lengths(start, (low, high), None).tolist() == [4.0, 8.0, 1.0, 4.0]  # 0.3 * 35.4 / 2 of those two


def test_what_is_known_is_in_parameter_units():
    s = state(unit=np.full(4, 4.0))
    told = zo.Auto().known(s, np.array([[8.0] * 4, [4.0] * 4]), [2.0, 1.0])
    assert told.x.tolist() == [1.0] * 4 and told.f == 1.0
    assert zo.Auto().known(s, np.array([[8.0] * 4]), [5.0]).f == 3.0
    strategy = searches.evolution(s, BOX)
    told = zo.Auto().known(strategy, np.array([[8.0] * 4, [4.0] * 4]), [2.0, 1.0])
    assert told.search.state.injected.X.tolist() == [[1.0] * 4, [2.0] * 4]
    assert told.search.state.injected.losses == [1.0, 2.0] and told.x.tolist() == [1.0] * 4


def test_a_standard_error_of_0_is_no_noise():
    opt = zo.Optimizer(zo.Auto(), np.ones(4), rng=0)
    opt.tell(opt.ask(), [1.0], sem=[0.0])
    assert not opt.state.noisy and opt.state.stage == NEAR


def test_the_mean_is_the_strategys_under_noise_alone():
    search = {EVOLUTION: Search(GOING, np.full(4, 7.0))}
    noisy = state(EVOLUTION, searches=search, noisy=True, unit=np.full(4, 2.0))
    assert zo.Auto().mean(noisy).tolist() == [14.0] * 4
    assert zo.Auto().mean(dataclasses.replace(noisy, noisy=False)).tolist() == [-2.0, -4.0, -6.0, -8.0]
    assert zo.Auto().mean(dataclasses.replace(noisy, searches={})).tolist() == [-2.0, -4.0, -6.0, -8.0]


def test_noise_ends_a_run_without_a_budget_ten_times_as_early():
    for noisy, most in ((True, 5000), (False, 50_000)):
        s = state(evaluations=most, noisy=noisy)
        assert zo.Auto().stop(s) == {"most_evaluations": most} and AUTO.stop(s) == {}
        assert zo.Auto().stop(dataclasses.replace(s, evaluations=most - 1)) == {}


@pytest.mark.parametrize("d", [2, 3, 5])
def test_only_the_first_look_goes_on_with_finer_radii(d, monkeypatch):
    """A search that ended later had been taken up again in place of a new one from the best point of each sample."""
    finer, stages = choice.finer, []
    monkeypatch.setattr(choice, "finer", lambda s, box: stages.append(s.stage) or finer(s, box))
    P = np.random.default_rng(5).uniform(-4, 4, (20, d))
    opt = zo.Optimizer(zo.Auto(bounds=(-5.0, 5.0)), np.ones(d), rng=0, budget=400 * d)
    solve(opt, lambda x: float(np.float32(10 - np.exp(-((P - x) ** 2).sum(axis=1) / 2).max())), 400 * d)
    assert set(stages) <= {NEAR, LINE} and len(stages) == (d <= 3)

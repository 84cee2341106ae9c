"""The parts of the gains that follow what is measured, and of a step, with answers worked out by hand."""

import math

import numpy as np
import pytest
from refusals import raises

import zoo_opt as zo
from zoo_opt.core.buffers import BLOCK
from zoo_opt.core.keys import Key
from zoo_opt.gradient.adaptive import Adaptive, AdaptiveState
from zoo_opt.gradient.auto import Plan, filled_in, gains
from zoo_opt.gradient.bounded import BoundedProbes
from zoo_opt.gradient.gains import Constant, Gain, Observation, Scheduled
from zoo_opt.gradient.noise import MeasuredRadius, Noise
from zoo_opt.gradient.scaling import SlopeRMS, Unscaled
from zoo_opt.gradient.trend import GuardedRate, Trend
from zoo_opt.gradient.updates import Plain
from zoo_opt.methods.bar import OneSided
from zoo_opt.methods.fzoo import Centered
from zoo_opt.methods.spsa import TwoSided

KEY = Key(1, 2)
NAN, INF = math.nan, math.inf
DRAWS = [zo.Rademacher(), zo.SegmentedUniform(), zo.Gaussian(), zo.QuantileGaussian(), zo.Sphere()]


def near(value):
    return pytest.approx(value, rel=1e-12)


# ------------------------------------------------------------------------------------------------------------- noise
def test_variance_of_two_losses_of_a_point():
    """Half of the squared difference; the newest counts one in n, and a twentieth from then on."""
    noise = Noise().after_repeat(5.0, 3.0)
    assert (noise.variance, noise.repeats) == (2.0, 1)
    assert noise.after_repeat(3.0, 7.0).variance == near(5.0)  # the mean of 2 and 8
    old = Noise(variance=2.0, repeats=19).after_repeat(0.0, 2.0 * math.sqrt(6))
    assert old.variance == near(2.0 + 10.0 / 20) and old.repeats == 20
    assert Noise(variance=2.0, repeats=500).after_repeat(0.0, 2.0 * math.sqrt(6)).variance == near(2.5)
    assert noise._replace(told=True).after_repeat(9.0, 1.0) == noise._replace(told=True)


def test_told_standard_errors():
    """They are counted anew where there were repeats: the mean of their squares, of those that were told."""
    noise = Noise(variance=7.0, repeats=5).after_sem([3.0, NAN, 4.0])
    assert (noise.variance, noise.repeats, noise.told) == (12.5, 1, True)
    again = noise.after_sem([1.0, INF])
    assert (again.variance, again.repeats) == (near(6.75), 2)
    assert noise.after_sem([NAN, NAN]) is noise


def test_slopes_less_their_noise():
    noise = Noise().after_slopes(9.0, 4.0)
    assert (noise.slope2, noise.steps) == (5.0, 1)
    assert noise.after_slopes(1.0, 4.0).slope2 == near(1.0)  # the mean of 5 and -3
    assert Noise(slope2=1.0, steps=500).after_slopes(9.0, 4.0).slope2 == near(1.2)
    assert noise.after_slopes(NAN, 1.0) is noise and noise.after_slopes(1.0, INF) is noise


@pytest.mark.parametrize(
    ("noise", "steps"),
    [
        (Noise(), [0, 1, 2, 3, 32, 64, 96]),
        (Noise(variance=1.0), [0, 1, 2, 3, *range(8, 100, 8)]),
        (Noise(variance=1.0, told=True), []),
    ],
)
def test_which_steps_repeat_a_point(noise, steps):
    assert [t for t in range(100) if noise.wants_repeat(t)] == steps


@pytest.mark.parametrize(
    ("noise", "cautious"),
    [
        (Noise(3.0, 8), 3.0 * 2.0),
        (Noise(3.0, 2), 3.0 * 3.0),
        (Noise(3.0, 0), 3.0 * (1 + math.sqrt(8))),
        (Noise(3.0, 8, told=True), 3.0),
    ],
)
def test_a_variance_from_few_measurements_is_taken_for_larger(noise, cautious):
    assert noise.cautious == near(cautious)


def test_a_radius_is_between_its_bounds():
    radius = MeasuredRadius(0.5, 2.0)
    for signal, noise, c in (
        (4.0, 1.0, 1.0),
        (0.01, 0.0025, 1.0),  # signals below 1 count as others
        (4.0, 0.01, 0.5),
        (4.0, 100.0, 2.0),
        (0.0, 1.0, 2.0),
        (-1.0, 1.0, 2.0),
    ):
        assert radius.at(signal, noise) == near(c)
    assert radius(0) == radius(99) == 0.5 and MeasuredRadius(1.0, 1.0).at(1.0, 9.0) == 1.0


# -------------------------------------------------------------------------------------------------------------- trend
def test_windows_of_the_trend():
    """Eight steps or a tenth of all; a window ends with its mean and the squared standard error of that."""
    trend = Trend()
    for i, loss in enumerate([1.0, 3.0] * 4, 1):
        assert (trend.t, trend.n) == (i - 1, i - 1)
        trend = trend.after([loss])
    assert (trend.t, trend.n, trend.mean, trend.squares, trend.last) == (8, 0, 0.0, 0.0, 2.0)
    assert trend.error == near(8.0 / 7 / 8) and trend.factor == 1.0
    late = Trend(t=99, n=8, mean=2.0, squares=8.0).after([2.0])
    assert late.n == 9  # a tenth of 100 is more
    assert Trend(t=89, n=8, mean=2.0, squares=8.0).after([2.0]).n == 0


@pytest.mark.parametrize(("rise", "factor"), [(3.99, 0.75), (4.01, 0.375), (-9.0, 0.75)])
def test_a_rise_of_more_than_four_standard_errors_halves_the_rate(rise, factor):
    """Of the difference: the squares of both windows' add up."""
    window = Trend(factor=0.75, t=15, n=7, mean=10.0, squares=7.0, last=NAN, error=0.5)
    mean, squares = 10.0 + 1.0 / 8, 7.0 + 7.0 / 8
    step = 4 * math.sqrt(squares / 7 / 8 + 0.5) / 4
    after = window._replace(last=mean - rise * step).after([11.0])
    assert after.factor == factor and after.last == near(mean) and after.error == near(squares / 7 / 8)
    assert window.after([11.0]).factor == 0.75  # there is none before


def test_losses_that_are_not_finite_are_no_part_of_a_steps_mean():
    assert Trend().after([1.0, NAN, 4.0, INF]).mean == 2.5
    assert Trend().after([1e308, 1e308, 1e308]).mean == near(1e308)


# ------------------------------------------------------------------------------------------------ gains that follow
RATE, RADIUS = GuardedRate(Constant(0.5)), MeasuredRadius(0.1, 10.0)


def adaptive(lr=RATE, c=RADIUS, per_c=False, normalised=False, noise=2.0):
    return Adaptive(Scheduled(lr, c, Constant(0.25)), noise, per_c, normalised)


SEEN = AdaptiveState(Noise(variance=3.0, repeats=8, slope2=4.0, steps=1), Trend(factor=0.5))  # cautious: 6
WIDER = 2.0 * math.sqrt(2.0 * 6.0 / 4.0)


@pytest.mark.parametrize(
    ("settings", "gain"),
    [
        ({}, Gain(0.25, WIDER, 0.25)),
        ({"per_c": True}, Gain(0.25 * WIDER / 0.1, WIDER, 0.25)),
        ({"normalised": True}, Gain(0.25 * math.sqrt(4 / (4 + 12 / WIDER**2)), WIDER, 0.25)),
        ({"lr": Constant(0.5)}, Gain(0.5, WIDER, 0.25)),
        ({"c": Constant(0.3)}, Gain(0.25, 0.3, 0.25)),
        ({"c": Constant(0.3), "normalised": True, "per_c": True}, Gain(0.25, 0.3, 0.25)),
    ],
)
def test_gains_as_noise_and_trend_want_them(settings, gain):
    assert adaptive(**settings).at(SEEN, 3) == near(gain)


@pytest.mark.parametrize("noise", [Noise(), Noise(variance=3.0, repeats=8), Noise(slope2=4.0, steps=5), Noise(steps=5)])
def test_without_noise_or_before_a_slope_gains_are_the_scheduled_ones(noise):
    """On a plateau too, where the slopes are 0."""
    state = AdaptiveState(noise, Trend())
    assert adaptive(per_c=True, normalised=True).at(state, 3) == Gain(0.5, 0.1, 0.25)


def test_steps_lost_in_noise_keep_a_tenth_of_their_length():
    for slope2 in (0.0, -5.0, 1e-9):
        lost = AdaptiveState(SEEN.noise._replace(slope2=slope2), Trend())
        assert adaptive(normalised=True).at(lost, 3) == near(Gain(0.05, 10.0, 0.25))


def test_which_steps_of_the_gains_repeat_a_point():
    assert adaptive().repeats(AdaptiveState(), 0) and not adaptive().repeats(AdaptiveState(), 5)
    assert not adaptive(c=Constant(0.3)).repeats(AdaptiveState(), 0)
    told = adaptive().told_sem(AdaptiveState(), [0.5, 0.5])
    assert told.noise.variance == near(0.25) and not adaptive().repeats(told, 0) and told.trend == Trend()


def test_what_the_gains_take_in():
    estimator, gain = TwoSided(2), Gain(0.5, 0.2)
    state, policy = AdaptiveState(), adaptive(noise=estimator.noise)
    plain = policy.observe(state, Observation([1.0, 2.0, 3.0, 4.0], gain, False, estimator, [0.5, -1.0]))
    assert plain.noise.slope2 == near(2 * 1.25) and plain.noise.variance == 0.0
    assert (plain.trend.t, plain.trend.mean) == (1, 2.5)
    repeated = policy.observe(state, Observation([1.0, 3.0, 3.0, 4.0], gain, True, estimator, [0.5, -1.0]))
    assert repeated.noise.variance == 2.0 and repeated.trend.mean == near(8 / 3)  # the repeat is no loss of its own
    added = 0.5 * 2.0 * (1 + 2 * math.sqrt(2)) / 0.2**2
    assert repeated.noise.slope2 == near(2.5 - added)
    nothing = policy.observe(state, Observation([1.0, 3.0, NAN, NAN], gain, True, estimator))
    assert nothing.noise.variance == 2.0 and nothing.trend == Trend() and nothing.noise.steps == 0


def test_what_an_observation_says():
    seen = Observation([1.0], Gain(1.0, 1.0), False, OneSided(2), [0.5, -1.0], np.array([3.0, 4.0]), 2.0)
    assert seen.norm == 2.5 and seen.square == near(2 * 1.25)
    nothing = Observation([1.0], Gain(1.0, 1.0), False, OneSided(2))
    assert math.isnan(nothing.norm) and math.isnan(nothing.square)


def test_which_gains_follow():
    follows = gains(GuardedRate(Constant(0.5)), 0.2, OneSided(3), Unscaled(), per_c=True)
    assert isinstance(follows, Adaptive) and follows.noise == 2.0 and follows.per_c and not follows.normalised
    assert follows.base.c == Constant(0.2) and follows.base.momentum == Constant(0.0)
    assert gains(Constant(0.5), MeasuredRadius(0.1, 1.0), OneSided(3), SlopeRMS(), Constant(0.5)).normalised
    assert gains(Constant(0.5), 0.2, OneSided(3), Unscaled()) == Scheduled(Constant(0.5), Constant(0.2))


@pytest.mark.parametrize("moving", ["lr", "c", "momentum"])
def test_gains_of_which_one_moves(moving):
    schedules = {"lr": Constant(0.5), "c": Constant(0.2), "momentum": Constant(0.1)}
    policy = Scheduled(**{**schedules, moving: lambda t: 0.25 * t})
    assert policy.at(None, 2) == Gain(0.5, 0.2, 0.1)._replace(**{moving: 0.5})
    assert policy.at(None, 3) == Gain(0.5, 0.2, 0.1)._replace(**{moving: 0.75})
    assert (
        not policy.observes and not policy.repeats(None, 0) and policy.observe(3, None) == policy.told_sem(3, []) == 3
    )


@pytest.mark.parametrize(
    ("gain", "message"),
    [
        ((-1e-9, 1.0, 0.0), "lr must be >= 0 and finite at every step, got -1e-09 at step 4"),
        ((INF, 1.0, 0.0), "lr must be"),
        ((NAN, 1.0, 0.0), "lr must be"),
        ((0.0, 0.0, 0.0), "c must be > 0 and finite at every step, got 0.0 at step 4"),
        ((0.0, INF, 0.0), "c must be"),
        ((0.0, 1.0, 1.0), r"momentum must be in \[0, 1\) at every step, got 1.0 at step 4"),
        ((0.0, 1.0, -0.1), "momentum must be"),
        ((0.0, "x", 0.0), "schedules must give numbers"),
        ((None, 1.0, 0.0), "schedules must give numbers"),
    ],
)
def test_gains_out_of_range(gain, message):
    schedules = [lambda t, value=value: value for value in gain]
    raises((ValueError, TypeError), message, Scheduled(*schedules).at, None, 4)


# --------------------------------------------------------------------------------------------------------------- plan
def test_the_plan_by_hand():
    plan = Plan(length=8.0, d=1000, q=4, steps=500)
    first = 18 * (2.0 / 500_000) ** (1 / 3)
    rate = plan.rate(0.5).base
    assert (rate.start, rate.end, rate.steps) == (near(first * 4), near(0.01 * first * 4), 500)
    radius = plan.radius(4.0)
    assert (radius.smallest, radius.largest) == (near(0.02), near(0.6))
    short = Plan(length=8.0, d=3, q=4, steps=2)
    assert short.rate(1.0).base.start == near(0.3 * 8)  # no longer than that
    endless = Plan(length=8.0, d=1000, q=4, steps=None).rate(1.0).base
    assert (endless.a, endless.A, endless.alpha) == (near(18 * (2.0 / 1e6) ** (1 / 3) * 8 * math.sqrt(1001)), 1000, 0.5)


def test_a_step_over_c_is_planned_for_the_first_c():
    x0, c = np.full(64, 2.0), zo.PowerLaw(0.5, alpha=0.101)
    planned = filled_in(zo.FZOO(lr="auto", c=c), x0, 10**6, per_c=True)
    fixed = filled_in(zo.FZOO(lr="auto", c=0.5), x0, 10**6, per_c=True)
    assert planned.lr == fixed.lr and planned.c is c and planned.scale is None
    q = planned.compose().estimator.q
    delta, psi = planned.draws.lengths(64)
    steps = 10**6 // planned.compose().estimator.n
    assert planned.lr(0) == near(18 * (math.sqrt(q) / (64 * steps)) ** (1 / 3) * 16.0 * math.sqrt(q) / psi * 0.5)
    assert filled_in(zo.SPSA(), x0, 10**6) == zo.SPSA() and delta == 8.0


# -------------------------------------------------------------------------------------------------------------- steps
@pytest.mark.parametrize("draws", DRAWS, ids=repr)
@pytest.mark.parametrize("estimator", [zo.SPSA, zo.BAR])
def test_a_step_goes_along_the_slope_where_probes_are_shortened(draws, estimator):
    """The mean step on a plane is lr times its gradient, in a coordinate narrower than a probe and in an open one."""
    g, lr = np.array([2.0, -3.0, 1.0]), 1e-6
    many = {"pairs": 4000} if estimator is zo.SPSA else {"directions": 4000}
    method = estimator(lr=lr, c=0.4, draws=draws, bounds=([0.0, -9.0, -9.0], [0.5, 9.0, 9.0]), **many)
    state = method.init(np.array([0.25, 0.0, 1.0]), KEY)
    asked = method.ask(state, 0)
    after = method.update(state, asked, (asked.X @ g).tolist())
    np.testing.assert_allclose((state.x - after.x) / lr, g, atol=0.5)


def test_the_room_that_bounds_leave():
    probes = BoundedProbes(np.array([0.0, -1.0, -np.inf]), np.array([1.0, 1.0, 5.0]))
    room = probes.room(0.75, np.dtype(float))
    assert room.margin.tolist() == [0.5, 0.75, 0.75]
    np.testing.assert_allclose(room.part, [2 / 3, 1.0, 1.0])
    assert room.center(np.array([0.9, 0.9, 7.0])).tolist() == [0.5, 0.25, 4.25]
    wide = probes.room(0.5, np.dtype(float))
    assert wide.part is None and wide.center(np.array([0.9, 0.9, 7.0])).tolist() == [0.5, 0.5, 4.5]
    ghat = np.array([4.0, 2.0, 2.0])
    wide.undo(ghat)
    assert ghat.tolist() == [4.0, 2.0, 2.0]
    room.undo(ghat)
    np.testing.assert_allclose(ghat, [9.0, 2.0, 2.0])
    c_delta = np.full((2, 2), 0.75)
    room.shorten(c_delta, slice(0, 2))
    np.testing.assert_allclose(c_delta, [[0.5, 0.75]] * 2)
    X = np.array([[-0.5, 3.0, 9.0]])
    room.keep(X)
    assert X.tolist() == [[0.0, 1.0, 5.0]]
    one = BoundedProbes(np.array(0.0), np.array(1.0)).room(1.0, np.dtype(float))
    one.shorten(c_delta)
    np.testing.assert_allclose(c_delta, [[0.25, 0.375]] * 2)


def test_a_projected_step_loses_the_momentum_that_pushed():
    probes = BoundedProbes(np.array([0.0, 0.0, 0.0]), np.array(1.0))
    x, m = probes.project(np.array([-0.5, 0.5, 1.5]), np.array([-1.0, 2.0, 3.0]))
    assert x.tolist() == [0.0, 0.5, 1.0] and m.tolist() == [0.0, 2.0, 0.0]
    assert probes.project(np.array([2.0, 0.5, 0.0]), np.zeros(0))[1].size == 0


def test_how_far_a_coordinate_of_a_direction_goes():
    """For normal ones two standard deviations."""
    assert [draws.reach(16) for draws in DRAWS] == [1.0, 1.0, 2.0, 2.0, near(0.5)]
    assert [draws.self_dual(16) for draws in DRAWS] == [1.0, None, 1.0, 1.0, 16.0]
    expected = [(4.0, 4.0), (math.sqrt(28 / 3), math.sqrt(32)), (4.0, 4.0), (4.0, 4.0), (1.0, 16.0)]
    assert [draws.lengths(16) for draws in DRAWS] == [near(lengths) for lengths in expected]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("draws", DRAWS[:-1], ids=repr)
def test_a_direction_begins_alike_whatever_its_length(draws, dtype):
    """Whether it ends within a byte of signs or with one."""
    whole = draws.draw(KEY, 1, (1, 64), dtype)
    for d in (1, 7, 8, 13, 16, 63):
        np.testing.assert_array_equal(draws.draw(KEY, 1, (1, d), dtype), whole[:, :d])


PARTS = [Plain(), Unscaled(), SlopeRMS(0.5), Constant(2.0), zo.Nesterov(), zo.GradientCorrection(), *DRAWS]
PARTS += [zo.PowerLaw(1.0), zo.PolyDecay(1.0, 0.0, steps=0.5), zo.StepDecay(1.0, every=1), zo.Cosine(1.0, 0.0, steps=1)]
PARTS += [TwoSided(1), OneSided(1), Centered(1), RADIUS, RATE, BoundedProbes(0.0, 1.0), adaptive()]


@pytest.mark.parametrize("part", PARTS, ids=repr)
def test_parts_of_a_method_are_values(part):
    """Known by what they are made of: methods are compared, and written to checkpoints, by them."""
    names = {type(other).__name__: type(other) for other in PARTS} | {"Scheduled": Scheduled}
    again = eval(repr(part), names)
    assert again == part and again is not part and hash(again) == hash(part)


@pytest.mark.parametrize(
    ("schedule", "message"),
    [
        (lambda: zo.StepDecay(1.0, every=0), "every must be >= 1, got 0"),
        (lambda: zo.Cosine(1.0, 0.0, steps=0), "steps must be >= 1, got 0"),
        (lambda: zo.PolyDecay(1.0, 0.0, steps=0), "steps must be > 0, got 0"),
        (lambda: zo.Cosine(0.0, 0.0, steps=1), "start must be > 0"),
        (lambda: zo.Cosine(1.0, -1.0, steps=1), "end must be >= 0"),
        (lambda: zo.PowerLaw(1.0, A=-1e-9), "A must be >= 0"),
        (lambda: zo.PowerLaw(0.0), "a must be > 0"),
        (lambda: zo.Constant(INF), "value must be"),
    ],
)
def test_schedules_that_are_refused(schedule, message):
    raises(ValueError, message, schedule)


class Watched(zo.Rademacher):
    """Draws that keep the shapes they are asked for."""

    def __init__(self, by_columns):
        self.__dict__["shapes"], self.__dict__["by_columns"] = [], by_columns

    def sample(self, rng, out, c=1.0):
        self.shapes.append(out.shape)
        super().sample(rng, out, c)


@pytest.mark.parametrize(
    ("q", "d", "by_columns", "shapes"),
    [
        (2, BLOCK // 2, True, [(2, BLOCK // 2)]),
        (3, BLOCK // 2, True, [(2, BLOCK // 2), (1, BLOCK // 2)]),
        (2, BLOCK + 64, True, [(1, BLOCK), (1, 64)] * 2),
        (2, BLOCK + 64, False, [(1, BLOCK + 64)] * 2),
    ],
)
def test_a_large_step_is_drawn_in_parts(q, d, by_columns, shapes):
    """No more than a block of numbers at a time, as far as the draws allow."""
    draws = Watched(by_columns)
    method = zo.SPSA(pairs=q, draws=draws)
    method.ask(method.init(np.zeros(d, np.float32), KEY), 0)
    assert draws.shapes == shapes


def test_a_repeated_point_stands_beside_its_first():
    method = zo.SPSA(lr=0.5, c=MeasuredRadius(0.1, 1.0), pairs=2, draws=zo.Rademacher())
    state = method.init(np.zeros(3), KEY)
    asked = method.ask(state, 0)
    assert asked.again == [None, 0, None, None] and (asked.X[0] == asked.X[1]).all() and asked.memo.repeats
    after = method.update(state, asked, [1.0, 3.0, 2.0, 1.5])
    delta = (asked.X[2] - asked.X[3]) / 0.2
    np.testing.assert_allclose(state.x - after.x, 0.5 * 0.5 / 0.2 * delta)  # the first pair is not there
    assert after.gains.noise.variance == 2.0
    later = method.ask(after, 5)
    assert later.again is None and not later.memo.repeats
    failed = method.update(after, later, [NAN] * 4)
    assert (failed.x == after.x).all() and repr(failed.gains) == repr(after.gains)
    fails = method.update(state, asked, [1.0, 3.0, NAN, 1.5])  # no slope, but the noise is known
    assert (fails.x == state.x).all() and fails.gains.noise.variance == 2.0


def test_slopes_beyond_the_numbers_change_nothing():
    method = zo.SPSA(lr=0.5, c=0.1, draws=zo.Rademacher())
    for dtype, large in ((np.float32, 1e19), (np.float64, 1e154)):
        state = method.init(np.zeros(3, dtype), KEY)
        asked = method.ask(state, 0)
        assert method.update(state, asked, [0.2 * 2 * large, 0.0]) is state
        assert method.update(state, asked, [0.2 * large, 0.0]) is not state


def test_mean_squares_of_slopes():
    """Slopes come divided by their number, centred ones by one less; what is lost is 0 and does not count."""
    slopes = [0.5, -0.5, 0.0, 0.25]
    assert TwoSided(4).square(slopes) == OneSided(4).square(slopes) == 3 * 0.5625
    assert Centered(4).square(slopes) == 2 * 0.5625 and Centered(4).square([0.0, 0.0]) == 0.0
    assert [estimator(4).noise for estimator in (TwoSided, OneSided, Centered)] == [0.5, 2.0, 1.0]

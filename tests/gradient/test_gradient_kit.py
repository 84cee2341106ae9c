"""The gradient kit, part by part: estimators, scaling, updates, schedules, the GEASS state machine."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from refusals import raises
from solving import advance

import zoo_opt as zo
from zoo_opt.core.buffers import BLOCK
from zoo_opt.core.keys import Key
from zoo_opt.gradient.gains import Gain, Scheduled
from zoo_opt.gradient.scaling import SlopeRMS, Unscaled
from zoo_opt.gradient.updates import Plain
from zoo_opt.gradient.zo_gradient import ZOGradient
from zoo_opt.methods.bar import OneSided
from zoo_opt.methods.fzoo import Centered, LossSpread
from zoo_opt.methods.spsa import TwoSided
from zoo_opt.methods.spsa_geass import GainState, Geass

KEY = Key(1, 2)
DRAWS = [zo.Rademacher(), zo.SegmentedUniform(), zo.Gaussian(), zo.QuantileGaussian(), zo.Sphere()]
DTYPES = [np.float32, np.float64]
dtypes = pytest.mark.parametrize("dtype", DTYPES)
NAN, INF = math.nan, math.inf


# ------------------------------------------------------------------------------------------------------- estimators
def placed(estimator, center, delta, c):
    X = np.empty((estimator.n, center.size), center.dtype)
    for k in range(0, len(delta), 2):  # in blocks of two directions
        estimator.place(X, k, center, c * delta[k : k + 2])
    return X


@pytest.mark.parametrize("q", [1, 2, 5])
def test_points_and_directions(q):
    center, delta = np.linspace(1, 2, 6), zo.Gaussian().draw(KEY, 0, (q, 6), np.float64)
    for estimator, expected in (
        (TwoSided(q), [x for row in delta for x in (center + 0.5 * row, center - 0.5 * row)]),
        (OneSided(q), [center, *(center + 0.5 * row for row in delta)]),
    ):
        X = placed(estimator, center, delta, 0.5)
        np.testing.assert_allclose(X, expected, rtol=1e-15)
        np.testing.assert_allclose(estimator.delta(X, 0.5), delta, rtol=1e-12, atol=1e-14)
        slopes = list(np.linspace(-1, 3, q))
        np.testing.assert_allclose(np.array(estimator.weights(slopes, 0.5)) @ X, slopes @ delta, rtol=1e-12, atol=1e-12)


PAIRS, ONE_SIDED = TwoSided(2), OneSided(3, at_least=2)


@pytest.mark.parametrize(
    ("estimator", "losses", "slopes"),
    [
        (PAIRS, [3.0, 1.0, 5.0, 6.0], [2 / 0.4 / 2, -1 / 0.4 / 2]),
        (PAIRS, [3.0, NAN, 5.0, 6.0], [0.0, -1 / 0.4]),
        (PAIRS, [3.0, 1.0, INF, 6.0], [2 / 0.4, 0.0]),
        (PAIRS, [INF, INF, 5.0, 6.0], [0.0, -1 / 0.4]),
        (PAIRS, [NAN, 1.0, 5.0, INF], None),
        (PAIRS, [2.0, 2.0, 2.0, 2.0], [0.0, 0.0]),
        (ONE_SIDED, [1.0, 3.0, 2.0, 0.0], [2 / 0.2 / 3, 1 / 0.2 / 3, -1 / 0.2 / 3]),
        (ONE_SIDED, [1.0, NAN, 2.0, 0.0], [0.0, 1 / 0.2 / 2, -1 / 0.2 / 2]),
        (ONE_SIDED, [1.0, INF, 2.0, NAN], None),
        (ONE_SIDED, [NAN, 3.0, 2.0, 0.0], None),
        (ONE_SIDED, [INF, 3.0, 2.0, 0.0], None),
        (Centered(4), [1.0, 3.0, 2.0, 0.0], [-0.5 / 0.6, 1.5 / 0.6, 0.5 / 0.6, -1.5 / 0.6]),
        (Centered(4), [1.0, NAN, 2.0, INF], [-0.5 / 0.2, 0.0, 0.5 / 0.2, 0.0]),
        (Centered(4), [1.0, NAN, INF, NAN], None),
    ],
)
def test_slopes(estimator, losses, slopes):
    assert estimator.slopes(losses, 0.2) == (slopes if slopes is None else pytest.approx(slopes))


@given(st.lists(st.floats(), min_size=2, max_size=12).filter(lambda v: len(v) % 2 == 0), st.floats(1e-6, 1e3))
def test_slopes_are_never_nan(losses, c):
    losses = [abs(loss) if loss == -INF else loss for loss in losses]
    for estimator in (TwoSided(len(losses) // 2), OneSided(len(losses) - 1)):
        slopes = estimator.slopes(losses, c)
        assert slopes is None or (len(slopes) == estimator.q and not any(map(math.isnan, slopes)))


SPREAD = 1 / np.std([1, 2, 4], ddof=1)


@pytest.mark.parametrize(
    ("scaling", "losses", "factor"),
    [
        (Unscaled(), [1.0, 2.0], 1.0),
        (LossSpread(), [99.0, 1.0, 2.0, 4.0], pytest.approx(SPREAD)),
        (LossSpread(), [99.0, 1.0, NAN, 2.0, INF, 4.0], pytest.approx(SPREAD)),
        (LossSpread(), [5.0, 5.0, 5.0, 5.0], 1.0),
        (LossSpread(), [0.0, 5.0, 5.0, 5.0], pytest.approx(100 / 5)),  # ties: the floor
        (LossSpread(), [0.0, 1e300, 2e300, 4e300], pytest.approx(SPREAD / 1e300)),
        (LossSpread(base=False), [1.0, 2.0, NAN, 4.0], pytest.approx(SPREAD)),
        (LossSpread(base=False), [5.0, 5.0, 5.0], 1.0),
    ],
)
def test_loss_spread(scaling, losses, factor):
    assert scaling.factor(losses, [1.0], ())[0] == factor


def test_slope_rms():
    """Adam's second moment with its correction for the start; slopes come divided by their number, lost ones as 0."""
    scaling, memory, squares = SlopeRMS(decay=0.8), (), []
    for slopes in ([3.0, -1.0], [0.5, 2.0, 0.0], [0.0, 4.0]):
        alive = [slope for slope in slopes if slope]
        squares.append(np.mean([(slope * len(alive)) ** 2 for slope in alive]))
        factor, memory = scaling.factor([], slopes, memory)
        weights = 0.8 ** np.arange(len(squares))[::-1]
        assert factor == pytest.approx(1 / np.sqrt(weights @ squares / weights.sum()))
    before = memory
    assert SlopeRMS().factor([], [0.0], ()) == (1.0, ())  # nothing measured yet
    assert scaling.factor([], [1e200, 1e200], memory) == (1.0, before)  # overflows
    raises(ValueError, r"decay must be in \[0, 1\), got 1.0", SlopeRMS, decay=1.0)


@pytest.mark.parametrize("estimator", [TwoSided(4), OneSided(4), Centered(4)], ids=repr)
def test_noise_of_the_slopes(estimator):
    """What `square` gives of noise alone; what all candidates share does not enter."""
    rng, c = np.random.default_rng(0), 0.5
    slopes = [estimator.slopes(list(rng.standard_normal(estimator.n) + 7.0), c) for _ in range(20_000)]
    measured = np.mean([estimator.square(each) for each in slopes])
    assert measured == pytest.approx(estimator.noise / c**2, rel=0.03)


def test_lengths_of_the_draws():
    for draws in DRAWS:
        delta = draws.draw(KEY, 0, (500, 40), np.float64)
        got = [np.sqrt(np.mean(np.sum(v * v, axis=1))) for v in (delta, draws.dual(delta))]
        assert got == pytest.approx(draws.lengths(40), rel=0.02), draws


@settings(max_examples=50)
@given(st.floats(0.01, 1e6), st.floats(-1e3, 1e3))
def test_fzoo_does_not_feel_scale_and_shift_of_the_loss(scale, shift):
    runs = []
    for a, b in ((1.0, 0.0), (scale, shift)):
        opt = zo.Optimizer(zo.FZOO(lr=0.001, c=0.1), np.ones(4), rng=0)
        runs.append(advance(opt, lambda x, a=a, b=b: a * float(np.sin(x).sum()) + b, 3).mean)
    np.testing.assert_allclose(*runs, rtol=1e-5)


@pytest.mark.parametrize("draws", DRAWS, ids=repr)
@dtypes
@pytest.mark.parametrize("d", [3 * BLOCK // 7, BLOCK + 321])
def test_large_steps_are_made_in_blocks(draws, dtype, d):
    """Drawn, placed and combined a block at a time, points and estimate are those of the whole."""
    x, c = np.linspace(1, 2, d).astype(dtype), 0.5 * (math.sqrt(d) if draws == zo.Sphere() else 1)
    opt = zo.Optimizer(zo.FZOO(lr=0.1, c=c, directions=3, draws=draws), x, rng=0)
    delta = draws.draw(opt.state.key, 0, (3, d), dtype)
    X = opt.ask().X
    tolerance = 8 * np.finfo(dtype).eps
    np.testing.assert_allclose(X, np.vstack([x, x + dtype(c) * delta]), rtol=tolerance, atol=4 * tolerance)
    opt.tell([0, 1, 2, 3], [1.0, 2.0, 4.0, 0.5])
    slopes = np.array([1.0, 3.0, -0.5]) / c / 3 / np.std([2.0, 4.0, 0.5], ddof=1)
    expected = x - 0.1 * (slopes @ draws.dual(delta).astype(float))
    np.testing.assert_allclose(opt.mean, expected, rtol=100 * tolerance, atol=100 * tolerance)


# ---------------------------------------------------------------------------------------------------------- updates
def test_updates_by_hand():
    x, m, ghat = np.array([1.0, 2.0]), np.array([0.5, -0.5]), np.array([4.0, 8.0])
    gain = Gain(lr=0.25, c=1.0, momentum=0.5)
    expected = {
        Plain(): ([1, 2], [0, 0], [0.5, -0.5]),
        zo.GradientCorrection(): ([1.25, 1.75], [0.25, -0.25], [-0.75, -2.25]),  # m = .5 m - g / 4, x + m
        zo.Nesterov(): ([1, 2], [1 - 0.25 * 6.125, 2 - 0.25 * 11.875], [4.25, 7.75]),  # m = .5 m + g, g + .5 m
    }
    for rule, (center, x_new, m_new) in expected.items():
        assert np.array_equal(rule.center(x, m, gain), center)
        got_x, got_m = rule.step(x, m, ghat.copy(), gain)
        np.testing.assert_allclose(got_x, x_new)
        np.testing.assert_allclose(got_m, m_new)
    assert (x == [1, 2]).all() and (m == [0.5, -0.5]).all()


# -------------------------------------------------------------------------------------------------------- schedules
@pytest.mark.parametrize(
    ("schedule", "values"),
    [
        (zo.Constant(0.3), {0: 0.3, 10**6: 0.3}),
        (zo.PowerLaw(2.0), {0: 2.0, 1: 2 / 2**0.602, 99: 2 / 100**0.602}),
        (zo.PowerLaw(2.0, A=9, alpha=0.5), {0: 2 / math.sqrt(10), 15: 0.4}),
        (zo.PolyDecay(10, 0.1, steps=90), {0: 10, 45: 9.9 * 0.5**0.9 + 0.1, 90: 0.1, 1000: 0.1}),
        (zo.PolyDecay(1, 0, steps=2.5, power=1), {0: 1, 1: 0.6, 2: 0.2, 3: 0}),
        (zo.StepDecay(1.0), {0: 1, 298: 1, 299: 0.33, 598: 0.33, 599: 0.33**2}),
        (zo.StepDecay(8.0, rate=0.5, every=2), {0: 8, 1: 4, 2: 4, 3: 2}),
        (zo.Cosine(1.0, 0.2, steps=10), {0: 1, 5: 0.6, 10: 0.2, 11: 0.2, 2: 0.6 + 0.4 * math.cos(math.pi / 5)}),
    ],
    ids=repr,
)
def test_schedules(schedule, values):
    for t, value in values.items():
        assert schedule(t) == pytest.approx(value, rel=1e-12) and type(schedule(t)) is float
    assert hash(schedule) == hash(eval(repr(schedule), {type(schedule).__name__: type(schedule)}))


def test_a_number_and_its_constant_are_the_same_method():
    points = [zo.Optimizer(zo.SPSA(lr=lr), [1.0], rng=0).ask().X for lr in (0.1, zo.Constant(0.1), lambda t: 0.1)]
    assert np.array_equal(points[0], points[1]) and np.array_equal(points[0], points[2])


def test_schedules_count_steps_from_zero():
    seen = []
    opt = zo.Optimizer(zo.SPSA(c=lambda t: seen.append(t) or 0.1), [1.0], rng=0)
    for _ in range(4):
        opt.tell(opt.ask(), [1.0, 2.0])
    assert [t for i, t in enumerate(seen) if t not in seen[:i]][-4:] == [0, 1, 2, 3]


# ------------------------------------------------------------------------------------------------------------ GEASS
def geass(**options):
    return Geass(
        Scheduled(zo.Constant(1.0), zo.Constant(2.0), zo.Constant(0.9)),
        **{"threshold": 1.0, "k1": 3, "k2": 2, "eta1": 10.0, "eta2": 100.0, **options},
    )


def walk(policy, norms):
    """The gains of each step, told the norms."""
    state, gains = GainState(), []
    for t, norm in enumerate(norms):
        gains.append(policy.at(state, t))
        state = policy.after(state, norm)
    return gains, state


def boosts(gains):
    return "".join("B" if gain.lr == 10.0 else "." for gain in gains)


COUNTING = {"count_in_cooldown": True}


@pytest.mark.parametrize(
    ("options", "norms", "expected"),
    [
        ({}, [0.5] * 12, "...BB...BB.."),  # strikes start anew after the cooldown
        ({}, [0.5, 0.5, 2.0, 0.5, 0.5, 0.5, 0.5], "......B"),  # only steps in a row count
        ({}, [1.0] * 6, "......"),  # the comparison is strict
        ({}, [0.5, 0.5, 0.5, 9.0, 9.0, 9.0], "...BB."),
        ({"k1": 3, "k2": 2, "cooldown_momentum": 0.0, **COUNTING}, [0.5] * 10, "...BB.BB.B"),
        ({"k1": 1, "k2": 2, **COUNTING}, [0.5] * 6, ".BBBBB"),  # an escape within an escape starts it afresh
    ],
)
def test_geass(options, norms, expected):
    gains, _ = walk(geass(**options), norms)
    assert boosts(gains) == expected
    assert set(gains) <= {Gain(1.0, 2.0, 0.9), Gain(10.0, 200.0, options.get("cooldown_momentum", 0.9))}


def test_geass_after_a_zero_gradient():
    gains, state = walk(geass(zero_gradient_boost=10.0), [5.0, 0.0, 5.0, 0.0, 5.0])
    assert [gain.c for gain in gains] == [2, 2, 20, 20, 200] and state.c_factor == 100
    gains, state = walk(geass(zero_gradient_boost=10.0), [0.0] * 400)
    assert all(math.isfinite(gain.c) for gain in gains)  # a dead metric does not drive c to infinity


def test_geass_at_threshold_zero_never_fires():
    gains, state = walk(geass(threshold=0.0), [0.0] * 20)
    assert boosts(gains) == "." * 20 and state == GainState()


@given(st.lists(st.floats(0, 2), max_size=60), st.integers(1, 5), st.integers(1, 5))
def test_geass_boosts_k2_steps_after_k1_strikes(norms, k1, k2):
    gains, _ = walk(geass(k1=k1, k2=k2), norms)
    strikes, left = 0, 0
    for gain, norm in zip(gains, norms, strict=True):
        assert gain.lr == (10.0 if left else 1.0)
        if left:
            left -= 1
            continue
        strikes = strikes + 1 if norm < 1.0 else 0
        if strikes == k1:
            strikes, left = 0, k2


@pytest.mark.parametrize(("length", "strikes"), [(0.999, 1), (1.001, 0)])
def test_geass_sees_the_norm_of_the_estimate(length, strikes):
    """ghat = (f+ - f-) / (2 c) delta with |delta| = 2 in four dimensions, against a threshold of 1."""
    opt = zo.Optimizer(zo.SPSAGEASS(threshold=1.0, draws=zo.Rademacher(), c=0.25), np.ones(4), rng=0)
    opt.tell(opt.ask(), [0.25 * length, 0.0])
    assert opt.state.gains.strikes == strikes


def test_geass_observes_the_estimate_before_it_is_scaled():
    """|ghat| = 1 here, whatever a scaling makes of it."""
    kit = ZOGradient(zo.Rademacher(), OneSided(3), geass(threshold=1.001, k1=9), scaling=LossSpread())
    state = kit.init(np.zeros(1), KEY)
    asked = kit.ask(state, 0)
    for slope, strikes in ((1.0, 1), (1.1, 0)):
        losses = [5.0, *(5.0 + slope * x[0] + 1e-6 * i for i, x in enumerate(asked.X[1:]))]
        assert kit.update(state, asked, losses).gains.strikes == strikes


@dtypes
def test_estimates_are_accurate_where_the_radius_is_small(dtype):
    """The direction is taken from the points: |x| / c = 1000 costs three digits, and no more."""
    x = np.linspace(1, 2, 500).astype(dtype)
    for draws in DRAWS:
        c = 1e-3 * (math.sqrt(500) if draws == zo.Sphere() else 1)
        opt = zo.Optimizer(zo.SPSA(lr=1.0, c=c, draws=draws), x, rng=0)
        psi = draws.dual(draws.draw(opt.state.key, 0, (1, 500), dtype))[0]
        opt.tell(opt.ask(), [c, -c])  # a slope of 1
        error = np.abs((x.astype(float) - opt.mean) - psi).max() / np.abs(psi).max()
        assert error < 4e3 * np.finfo(dtype).eps, draws

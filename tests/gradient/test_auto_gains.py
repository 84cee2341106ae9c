"""``lr="auto"`` and ``c="auto"``: what they are tied to, what they measure, and that they are sane off the digits."""

import math
import operator
from dataclasses import replace

import numpy as np
import pytest
from oracles import gradient as oracle
from refusals import refused
from solving import advance, rosenbrock

import zoo_opt as zo
from zoo_opt.gradient.auto import Plan
from zoo_opt.gradient.noise import Noise
from zoo_opt.gradient.trend import Trend
from zoo_opt.testing import sphere

METHODS = {
    "spsa": zo.SPSA(lr="auto", c="auto"),
    "spsa-gc": zo.SPSAGC(lr="auto", c="auto", momentum=0.8),
    "bar": zo.BAR(lr="auto", c="auto"),
    "fzoo": zo.FZOO(lr="auto", c="auto"),
    "untuned": zo.FZOO.untuned(),
}
all_methods = pytest.mark.parametrize("method", METHODS.values(), ids=METHODS)
D = 60


def run(method, f, x0, budget=1200, rng=3, noise=0.0, sem=None):
    """An optimizer that has spent its budget on f plus noise that no two evaluations share."""
    opt, source = zo.Optimizer(method, x0, rng=rng, budget=budget), np.random.default_rng(5)
    while not opt.stop():
        batch = opt.ask()
        losses = [f(x) + noise * source.standard_normal() for x in batch]
        opt.tell(batch, losses, sem=None if sem is None else [sem] * len(losses))
    return opt


# ------------------------------------------------------------------------------------------------------------- plan
@all_methods
def test_plan_fills_in_both_gains_once(method):
    x0 = np.linspace(1, 2, D)
    planned = method.plan(x0, 1200)
    assert isinstance(planned.lr, zo.GuardedRate) and isinstance(planned.lr.base, zo.Cosine)
    assert isinstance(planned.c, zo.MeasuredRadius)
    assert planned.plan(x0, 99) == planned
    assert planned.lr.base.steps == 1200 // planned.size(planned.init(x0, None))
    assert planned.lr.base.end == pytest.approx(0.01 * planned.lr.base.start)
    assert isinstance(method.plan(x0, None).lr.base, zo.PowerLaw)
    assert zo.Optimizer(method, x0, budget=1200).method == planned


@all_methods
def test_first_steps_and_probes_have_the_length_that_x0_gives_them(method):
    """On a linear loss in many dimensions the mean moves by a known length in a step, about whatever c and draws."""
    d, x0 = 4000, np.full(4000, 2.0)
    slope = np.random.default_rng(0).standard_normal(d)
    opt = zo.Optimizer(method, x0, rng=1, budget=None)
    q = opt.method.compose().estimator.q
    planned = 18 * (math.sqrt(q) / (d * 1000)) ** (1 / 3) * np.linalg.norm(x0)
    lengths, radii = [], []
    for step in range(60):
        before, batch = opt.mean.copy(), opt.ask()
        radii += [float(np.linalg.norm(x - before)) for x in batch]
        opt.tell(batch, [float(slope @ x) for x in batch])
        if step >= 20:  # no repeats there, but for step 32
            lengths.append(float(np.linalg.norm(opt.mean - before)))
    if "momentum" not in vars(method):  # there it builds up
        assert np.sqrt(np.mean(np.square(lengths))) == pytest.approx(planned, rel=0.25)
        assert max(radii) == pytest.approx(0.01 * np.linalg.norm(x0), rel=0.1)


@pytest.mark.parametrize("x0", [np.zeros(D), np.full(D, 1e-3), np.full(D, 50.0)])
def test_scale_is_declared_or_that_of_x0_or_one(x0):
    steps = {}
    for scale in (None, 2.0):
        method = zo.SPSA(lr="auto", c="auto", scale=scale, draws=zo.Rademacher()).plan(x0, 1000)
        steps[scale] = method.lr(0), method.c(0)
        assert method.scale is None  # used up
    typical = float(np.abs(x0[0])) or 1.0
    np.testing.assert_allclose(steps[None], np.array(steps[2.0]) * typical / 2, rtol=1e-12)
    assert steps[2.0][1] == pytest.approx(0.02)


def test_one_gain_can_be_left_open_alone():
    x0 = np.ones(D)
    only_c = zo.SPSA(lr=0.3, c="auto").plan(x0, 500)
    assert only_c.lr == 0.3 and only_c.scaling == zo.SPSA().scaling and isinstance(only_c.c, zo.MeasuredRadius)
    expected = pytest.approx(zo.FZOO(lr="auto", c="auto").plan(x0, 500).lr(0) / 0.01)
    for c in (1e-3, zo.Constant(1e-3)):
        only_lr = zo.FZOO(lr="auto", c=c).plan(x0, 500)
        assert only_lr.c == c and only_lr.lr(0) / 1e-3 == expected
    assert zo.SPSA(lr="auto", c="auto", scaling=zo.SlopeRMS(0.5)).plan(x0, 500).scaling == zo.SlopeRMS(0.5)
    assert run(zo.FZOO(lr="auto", c=1e-3), sphere, x0).mean @ np.ones(D) < D / 2


def test_a_subspace_plans_its_method_for_steps_of_the_same_length():
    x0 = np.full(300, 3.0)
    inner = zo.RandomSubspace(zo.SPSA(lr="auto", c="auto"), dim=20).plan(x0, 800).method
    assert inner == zo.SPSA(lr="auto", c="auto").plan(np.full(20, 3.0), 800)
    batch = zo.Optimizer(zo.RandomSubspace(zo.FZOO.untuned(), dim=20), x0, rng=0, budget=800).ask()
    assert batch.of[:3] == [None, 0, None] and (batch.X[0] == batch.X[1]).all()


OWN = "base must be True for draws that are not their own"


test_errors = refused(
    operator.call,
    (lambda: zo.SPSA(scale=1.0), ValueError, "scale must be None unless lr or c is 'auto', got 1.0"),
    (lambda: zo.FZOO(lr="auto", scale=0), ValueError, "scale must be > 0, got 0"),
    (lambda: zo.BAR(lr="auto", steps=9), ValueError, "lr must be a number where steps is given, got 'auto'"),
    (lambda: zo.FZOO(base=False, draws=zo.SegmentedUniform()), ValueError, OWN),
    (lambda: zo.MeasuredRadius(2.0, 1.0), ValueError, "largest must be at least smallest, 2.0, got 1.0"),
    (lambda: zo.MeasuredRadius(0.0, 1.0), ValueError, "smallest must be > 0, got 0.0"),
    (lambda: zo.SPSA(lr="auto").ask(zo.SPSA().init(np.ones(2), None), 0), ValueError, "lr is 'auto': plan"),
    (lambda: zo.FZOO(lr="Auto"), TypeError, "lr must be a real number, got 'Auto'"),
    (lambda: zo.FZOO(lr="big"), TypeError, "lr must be a real number, got 'big'"),
)


# -------------------------------------------------------------------------------------------------------- invariance
@all_methods
@pytest.mark.parametrize("factor", [2.0**-10, 2.0**10])
def test_scale_of_loss_and_parameters_changes_nothing(method, factor):
    """Exact for powers of two, so up to rounding for all others."""
    x0 = np.linspace(-1, 2, D)
    plain = run(method, sphere, x0, noise=0.1).mean
    assert (run(method, lambda x: factor * sphere(x), x0, noise=factor * 0.1).mean == plain).all()
    assert (run(method, lambda x: sphere(x / factor), factor * x0, noise=0.1).mean == factor * plain).all()


@all_methods
def test_shift_of_the_loss_changes_next_to_nothing(method):
    runs = [run(method, lambda x, b=b: sphere(x) + b, np.ones(D), budget=300).mean for b in (0.0, 64.0)]
    np.testing.assert_allclose(*runs, rtol=1e-6, atol=1e-6)


# ------------------------------------------------------------------------------------------------------------- noise
def test_repeats_are_marked_and_measure_the_noise():
    opt, source = zo.Optimizer(zo.SPSA(lr="auto", c="auto", pairs=2), np.ones(D), rng=0), np.random.default_rng(1)
    repeats = []
    for step in range(30):
        batch = opt.ask()
        assert (batch.of[1] == batch.ids[0]) == (step < 4 or step % 8 == 0)
        losses = [sphere(x) + source.standard_normal() for x in batch]
        if batch[1].of is not None:
            assert (batch.X[0] == batch.X[1]).all()
            repeats.append((losses[0], losses[1]))
        opt.tell(batch, losses)
    noise = opt.state.gains.noise
    assert noise.repeats == len(repeats) == 7
    assert noise.variance == pytest.approx(oracle.noise_of_repeats(repeats, 0.05), rel=1e-12)


def test_variance_is_a_running_mean():
    losses = np.random.default_rng(2).normal(3.0, 2.0, (60, 2)).tolist()
    noise = Noise()
    for first, second in losses:
        noise = noise.after_repeat(first, second)
    assert noise.variance == pytest.approx(oracle.noise_of_repeats(losses, 0.05), rel=1e-12)
    assert noise.after_repeat(math.nan, 1.0) == noise.after_repeat(1.0, math.inf) == noise
    assert 1.0 < noise.variance < 16.0 and noise.cautious > noise.variance


@all_methods
def test_c_grows_until_slopes_stand_out_of_the_noise(method):
    x0 = np.ones(D)
    runs = {noise: run(method, sphere, x0, budget=300, noise=noise) for noise in (0.0, 0.5, 1e4)}
    c = {noise: opt.method.kit.gain(opt.state, 100).c for noise, opt in runs.items()}
    radius = runs[0.0].method.c
    assert c[0.0] == radius.smallest < c[0.5] < c[1e4]
    assert 0.2 * radius.largest < c[1e4] <= radius.largest


def test_radius_is_where_the_slope_is_twice_its_noise():
    radius = zo.MeasuredRadius(1e-6, 1e6)
    c = radius.at(signal=9.0, noise=0.04)
    assert math.sqrt(9.0) == pytest.approx(2 * math.sqrt(0.04) / c)
    assert radius.at(0.0, 1.0) == 1e6


@all_methods
def test_told_standard_errors_take_the_place_of_repeats(method):
    noise = run(method, sphere, np.ones(D), budget=600, noise=0.0, sem=0.25).state.gains.noise
    assert noise.told and noise.variance == pytest.approx(0.0625)
    assert zo.Optimizer(method, np.ones(D)).ask().of[1] == 0
    opt = zo.Optimizer(method, np.ones(D), rng=0)
    for _ in range(2):
        batch = opt.ask()
        opt.tell(batch, [sphere(x) for x in batch], sem=0.25 * np.ones(len(batch)))
    assert opt.ask().of[1] is None


def test_common_random_numbers_leave_c_alone():
    """Noise that all candidates of a step share is none between them."""
    source = np.random.default_rng(0)
    opt = zo.Optimizer(zo.FZOO.untuned(), np.ones(D), rng=0, budget=600)
    while not opt.stop():
        batch, shared = opt.ask(), source.standard_normal(D)
        opt.tell(batch, [float((x + shared) @ (x + shared)) for x in batch])
    assert opt.state.gains.noise.variance == 0.0


# ------------------------------------------------------------------------------------------------------------- trend
def test_a_rise_halves_the_rate_and_noise_does_not():
    quiet = Trend()
    for loss in np.random.default_rng(0).standard_normal(2000):
        quiet = quiet.after([loss, loss + 1, math.nan, math.inf])
    assert quiet.factor == 1.0 and quiet.t == 2000 and quiet.mean == pytest.approx(0.5, abs=0.5)
    rising = Trend()
    for t in range(16):
        rising = rising.after([math.nan] if t == 3 else [float(t)])
    assert rising.factor == 1.0  # one step told nothing: the second window is open
    assert rising.after([17.0]).factor == 0.5
    assert Trend().after([math.nan]) == Trend()


def test_steps_that_are_too_long_for_the_curvature_are_cut():
    opt = run(replace(zo.FZOO.untuned(), scale=20.0), sphere, np.ones(200), budget=6000)
    assert opt.state.gains.trend.factor <= 0.25 and sphere(opt.mean) < 20


# ------------------------------------------------------------------------------------------------------------ sanity
@all_methods
@pytest.mark.parametrize(
    ("f", "x0", "budget", "reduction"),
    [
        (sphere, np.ones(100), 4000, 0.01),
        (sphere, np.ones(1000), 5000, 0.6),
        (lambda x: float(10.0 ** np.linspace(0, 3, x.size) @ (x * x)), np.ones(1000), 5000, 0.5),
        (rosenbrock, np.full(20, -1.0), 8000, 0.05),
        (lambda x: sphere(x - 3), np.zeros(50), 4000, 0.05),
    ],
    ids=["sphere", "sphere 1000", "condition 1e3", "rosenbrock", "zero"],
)
def test_sane(method, f, x0, budget, reduction):
    """Not where these methods shine, but untuned they have to get somewhere."""
    assert f(run(method, f, x0, budget).mean) < reduction * f(x0)


@all_methods
@pytest.mark.parametrize(("noise", "reduction"), [(1.0, 0.1), (10.0, 0.9)])
def test_sane_under_noise(method, noise, reduction):
    """A loss of 100 with noise that no two evaluations share."""
    assert sphere(run(method, sphere, np.ones(100), 4000, noise=noise).mean) < reduction * 100


def test_without_a_budget_steps_shrink_and_get_there():
    opt = zo.Optimizer(zo.FZOO.untuned(), np.ones(50), rng=0)
    assert sphere(advance(opt, sphere, 600).mean) < 1.0


# ----------------------------------------------------------------------------------------- any gains under an escape
@pytest.mark.parametrize("changes", [{}, {"c": 0.01}, {"lr": 0.01}, {"draws": zo.Rademacher(), "pairs": 2}])
def test_geass_that_never_fires_is_gradient_correction_whatever_the_gains(changes):
    auto = {"lr": "auto", "c": "auto"} | changes
    geass, gc = (run(cls(**auto), sphere, np.ones(D), noise=0.2) for cls in (zo.SPSAGEASS, zo.SPSAGC))
    assert np.array_equal(geass.mean, gc.mean) and geass.state.gains.base == gc.state.gains
    assert geass.state.gains.base.noise.repeats == gc.state.gains.noise.repeats


def test_geass_boosts_gains_that_follow_what_is_measured(tmp_path):
    method = zo.SPSAGEASS(lr="auto", c="auto", pairs=2, threshold=1e300, strikes=2, cooldown=1, lr_boost=3, c_boost=2)
    opt, boosted = zo.Optimizer(method, np.ones(D), rng=0, budget=400), []
    for t in range(6):
        gains, kit = opt.state.gains, opt.method.kit
        boosted.append(kit.gain(opt.state, t) != kit.gains.base.at(gains.base, t))
        advance(opt, sphere)
    assert boosted == [False, False, True, False, False, True]
    opt.save(tmp_path / "run.zoo")
    loaded = zo.Optimizer.load(tmp_path / "run.zoo")
    assert repr(loaded.state.gains) == repr(opt.state.gains) and np.array_equal(loaded.ask().X, opt.ask().X)


def test_told_standard_errors_reach_the_gains_under_an_escape():
    noise = run(zo.SPSAGEASS(lr="auto", c="auto"), sphere, np.ones(D), budget=200, sem=0.25).state.gains.base.noise
    assert noise.told and noise.variance == pytest.approx(0.0625)


@pytest.mark.parametrize(
    ("x0", "scale", "budget", "expected"),
    [
        ([3.0, 4.0], None, None, (5.0, None)),
        ([0.0, 0.0, 0.0, 0.0], None, 100, (2.0, 10)),
        ([3.0, 4.0, 0.0, 0.0], 0.5, 99, (1.0, 9)),
        ([1.0], None, 5, (1.0, 1)),
    ],
)
def test_what_gains_are_tied_to(x0, scale, budget, expected):
    """The length of x0, or of the declared scale in each coordinate, and the steps, at least one."""
    plan = Plan.of(np.array(x0), scale, 3, 10, budget)
    assert (plan.length, plan.steps) == expected and (plan.d, plan.q) == (len(x0), 3)

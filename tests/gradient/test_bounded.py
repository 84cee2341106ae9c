"""Bounds of the gradient-estimate methods: nothing leaves them, probes keep their length, shortened ones no bias."""

from dataclasses import replace

import numpy as np
import pytest
from refusals import raises
from solving import advance

import zoo_opt as zo
from zoo_opt.core.keys import Key
from zoo_opt.gradient.bounded import BoundedProbes, inwards
from zoo_opt.methods.box import Box, contains

DRAWS = [zo.Rademacher(), zo.SegmentedUniform(), zo.Gaussian(), zo.QuantileGaussian(), zo.Sphere()]
METHODS = {
    "spsa": lambda **options: zo.SPSA(lr=0.1, c=0.2, pairs=2, **options),
    "spsa-gc": lambda **options: zo.SPSAGC(lr=0.02, c=0.2, **options),
    "geass": lambda **options: zo.SPSAGEASS(lr=0.02, c=0.2, threshold=50.0, lr_boost=5, c_boost=5, **options),
    "nesterov": lambda **options: zo.SPSAGEASS(lr=0.02, c=0.2, rule=zo.Nesterov(), **options),
    "bar": lambda **options: zo.BAR(lr=0.1, c=0.2, **options),
    "fzoo": lambda **options: zo.FZOO(lr=0.02, c=0.2, **options),
}
BOXES = {
    "both": (-1.0, 1.5),
    "one side": (None, 1.0),
    "each": [(0, 1), (None, 1.2), (0.5, None), (None, None), (0.7, 1.3)],
    "narrow": ([-1, 0.9, 0.95, 1.0, 1.0], [1, 1.1, 1.05, 1.0, 1.001]),  # less than two perturbations, down to none
}
tables = pytest.mark.parametrize("bounds", BOXES.values(), ids=BOXES)


def run(method, x0, target, steps=60):
    opt = zo.Optimizer(method, x0, rng=0)
    for _ in range(steps):
        batch = opt.ask()
        assert contains(batch.X, opt.method.bounds) and contains(opt.mean, opt.method.bounds)
        opt.tell(batch, [float(((x - target) ** 2).sum()) for x in batch])
    return opt


@tables
@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_nothing_leaves(bounds, name, dtype):
    for draws in DRAWS:
        opt = run(METHODS[name](draws=draws, bounds=bounds), np.ones(5, dtype), np.array([3, -2, 0, 4, -5.0]))
        assert opt.mean.dtype == dtype


@pytest.mark.parametrize("name", METHODS)
def test_bounds_far_away_change_nothing(name):
    target = np.array([3, -2, 0, 4, -5.0])
    a, b = (run(METHODS[name](bounds=bounds), np.ones(5), target) for bounds in ((-1e6, 1e6), (None, [1e9] * 5)))
    free = zo.Optimizer(METHODS[name](), np.ones(5), rng=0)
    advance(free, lambda x: float(((x - target) ** 2).sum()), 60)
    assert np.array_equal(a.mean, free.mean) and np.array_equal(b.mean, free.mean)


def test_probes_keep_their_length_at_a_bound():
    """The pair surrounds the nearest point that has room for it on both sides."""
    opt = zo.Optimizer(zo.SPSA(c=0.25, draws=zo.Rademacher(), bounds=(0, [1, 1, 9])), [0.0, 1.0, 5.0], rng=0)
    plus, minus = opt.ask()
    assert np.abs(plus - minus).tolist() == [0.5, 0.5, 0.5]
    assert ((plus + minus) / 2).tolist() == [0.25, 0.75, 5.0]


@pytest.mark.parametrize("draws", DRAWS, ids=str)
@pytest.mark.parametrize("estimate", ["spsa", "bar", "fzoo without base"])
def test_estimates_of_a_slope_are_right_where_probes_are_shortened(draws, estimate):
    """On a linear loss the mean estimate is its gradient, in a narrow coordinate, at a bound and in the open."""
    g, c = np.array([1.0, -2.0, 3.0, 0.5]), 0.4
    bounds, x0 = Box((0.0, -5.0, -5.0, 0.0), (0.5, 5.0, 0.0, 1e9)), np.array([0.1, 0.0, 0.0, 0.0])
    if estimate == "spsa":
        method = zo.SPSA(lr=1.0, c=c, pairs=4000, draws=draws, bounds=bounds)
    elif estimate == "bar":
        method = zo.BAR(lr=1.0, c=c, directions=4000, draws=draws, bounds=bounds)
    elif draws == zo.SegmentedUniform():
        pytest.skip("has no dual for it")
    else:
        method = zo.FZOO(lr=1.0, c=c, directions=4000, base=False, draws=draws, bounds=bounds)
    kit, state = method.kit, method.init(x0, Key(1, 2))
    asked = kit.ask(state, 0)
    slopes = kit.estimator.slopes((asked.X @ g).tolist(), c)
    room = kit._room(asked.memo.gain, 4, x0.dtype)
    ghat = kit._combine(slopes, asked.X, c)
    if draws.self_dual(4) is not None:
        room.undo(ghat)
    assert room.part is None or room.part[0] < 1.0
    np.testing.assert_allclose(ghat, g, atol=0.25)  # the clipped tails of normal draws are a few percent


@pytest.mark.parametrize("name", METHODS)
def test_finds_a_minimum_on_the_bounds(name):
    """The nearest point of the box to a target outside; the slopes across the bounds stay, as noise of the others."""
    first = 0.003 if name == "fzoo" else 0.05 if name in ("spsa", "bar") else 0.005
    made = METHODS[name](draws=zo.Rademacher(), bounds=(-1, [2, 2, 2, 0.5]))
    method = replace(made, lr=zo.Cosine(first, 1e-3 * first, 1500), c=0.01)
    opt = run(method, np.zeros(4), np.array([3.0, -2.0, 0.3, 0.2]), 1500)
    np.testing.assert_allclose(opt.mean[:2], [2.0, -1.0], atol=1e-4)
    np.testing.assert_allclose(opt.mean[2:], [0.3, 0.2], atol=0.15)


def test_in_blocks_as_in_one():
    """Large problems are placed some columns at a time: each column has its own part."""
    d = 2**16
    bounds = (0.0, np.tile([1.0, 0.01], d // 2))
    opt = zo.Optimizer(zo.SPSA(c=0.1, draws=zo.Rademacher(), bounds=bounds), np.tile([0.5, 0.005], d // 2), rng=0)
    plus, minus = opt.ask()
    np.testing.assert_allclose(np.abs(plus - minus), np.tile([0.2, 0.01], d // 2), rtol=1e-12)


@pytest.mark.parametrize("cls", [zo.SPSA, zo.SPSAGC, zo.SPSAGEASS, zo.BAR, zo.FZOO])
def test_bad_bounds(cls):
    raises(ValueError, "bounds must have low <= high", cls, bounds=(1, 0))
    raises(ValueError, r"x0\[1\] = 2.0 outside \[0.0, 1.0\]", zo.Optimizer, cls(bounds=(0, 1)), [0.5, 2.0])


def test_an_iterate_of_another_type_is_projected_into_the_box():
    """Both sides are no float32: the nearest ones, .1 and -.3, are outside by a rounding."""
    probes = BoundedProbes(np.array(-0.3), np.array(0.1))
    x, m = probes.project(np.array([-9.0, 0.0, 9.0], np.float32), np.ones(3, np.float32))
    assert (x >= -0.3).all() and (x <= 0.1).all() and m.tolist() == [0.0, 1.0, 0.0]
    np.testing.assert_allclose(x, [-0.3, 0.0, 0.1], atol=1e-7)


@pytest.mark.parametrize("side", [0.1, 0.3, -0.7, 1 / 3, 0.5, 0.0, -np.inf, 1e-50])
def test_sides_are_rounded_into_the_box(side):
    """To the nearest float32 that is inside; what is one already, and a side in its own type, stays."""
    side = np.array([side])
    for towards, is_inside in ((np.inf, np.greater_equal), (-np.inf, np.less_equal)):
        rounded = inwards(side, np.dtype(np.float32), towards)
        assert rounded.dtype == np.float32 and is_inside(rounded, side).all()
        assert rounded == side or not is_inside(np.nextafter(rounded, np.float32(-towards)), side).any()
        assert inwards(side, side.dtype, towards) == side

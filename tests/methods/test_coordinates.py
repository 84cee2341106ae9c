"""Scales and fixed variables: any method in other coordinates, the same run as on the problem in those coordinates."""

from dataclasses import replace

import numpy as np
import pytest
import solving
from doubting import Doubting
from refusals import raises
from scipy.optimize import Bounds

import zoo_opt as zo
from zoo_opt.methods.box import Box
from zoo_opt.methods.coordinates import ScaledVariables, lengths

SCALE = np.array([1024.0, 1.0, 0.5**10])
METHODS = {
    "spsa": zo.SPSA(lr="auto", c="auto"),
    "spsa-gc": zo.SPSAGC(lr=1e-3, c=1e-2),
    "fzoo": zo.FZOO.untuned(),
    "cma-es": zo.CMAES(restarts="ipop"),
    "dd-cma-es": zo.DDCMAES(),
    "sep-cma-es": zo.SepCMAES(),
    "quasi-newton": zo.QuasiNewton(),
    "auto": zo.Auto(),
    "subspace": zo.RandomSubspace(zo.CMAES(), dim=2),
    "outside": Doubting(),
}
methods = pytest.mark.parametrize("method", METHODS.values(), ids=METHODS)


def quadratic(w):
    return float(((w - np.arange(1, w.size + 1)) ** 2 @ np.arange(1, w.size + 1)) + 0.1 * w[0] * w[-1])


def trace(method, x0, f, budget=150, **options):
    """The points of a run, and where it stands in the end."""
    opt = zo.Optimizer(method, x0, rng=3, budget=budget, **options)
    return opt, solving.trace(opt, f)


@methods
def test_scaled_is_the_same_run_in_units_of_the_scale(method):
    """x_scale makes of f(x) the problem f(scale w), bit for bit; other sizes are rounded to powers of 2."""
    _, plain = trace(method, np.full(3, 0.5), quadratic)
    for x_scale in (SCALE, SCALE * 1.3):
        opt, scaled = trace(method, 0.5 * SCALE, lambda x: quadratic(x / SCALE), x_scale=x_scale)
        assert np.array_equal(scaled, plain * SCALE)
    assert opt.best.x is not None and opt.lookahead == 0


@methods
def test_bounds_and_scales(method):
    """Bounds are those of x, whatever the coordinates that the method works in."""
    low, high = np.array([0.0, -1.0, 0.0]), np.array([1.5, np.inf, 2.5])
    _, scaled = trace(
        method, 0.5 * SCALE, lambda x: quadratic(x / SCALE), bounds=(low * SCALE, high * SCALE), x_scale=SCALE
    )
    assert ((low * SCALE <= scaled) & (scaled <= high * SCALE)).all()
    _, plain = trace(method, np.full(3, 0.5), quadratic, bounds=(low, high))
    assert np.array_equal(scaled, plain * SCALE)


@methods
def test_a_fixed_variable_is_left_out(method):
    """low == high: the run is that of the problem without the variable."""
    bounds = [(None, None), (7.25, 7.25), (-100, 100)]
    _, whole = trace(method, [0.5, 7.25, 0.5], lambda x: quadratic(x[[0, 2]]), bounds=bounds)
    _, part = trace(method, [0.5, 0.5], quadratic, bounds=[(None, None), (-100, 100)])
    assert (whole[:, 1] == 7.25).all() and np.array_equal(whole[:, [0, 2]], part)


@pytest.mark.parametrize("make", [zo.CMAES, zo.SepCMAES, zo.DDCMAES, zo.Auto, zo.QuasiNewton, zo.SPSA, zo.FZOO])
def test_the_methods_own_bounds_fix_variables_too(make):
    opt, points = trace(make(bounds=[(-1, 1), (0, None), (0.5, 0.5)]), [0.5, 0.5, 0.5], quadratic)
    assert (points[:, 2] == 0.5).all() and points[:, 0].max() <= 1 and points[:, 1].min() >= 0
    assert opt.method.bounds == Box((-1.0, 0.0, 0.5), (1.0, np.inf, 0.5))


def test_forms_are_those_of_bounds():
    for bounds in ((0, [5, 10]), [(0, 5), (0, 10)], Bounds([0, 0], [5, 10])):
        res = zo.minimize(lambda x: float(((x - 7) ** 2).sum()), [1.0, 1.0], bounds=bounds, budget=600, rng=0)
        np.testing.assert_allclose(res.x, [5, 7], atol=1e-4)


def test_bounds_may_be_an_iterator():
    opt = zo.Optimizer("spsa", [0.5, 0.5], bounds=zip([0, 0], [1, 2], strict=True), rng=0)
    assert opt.method.bounds == ((0.0, 0.0), (1.0, 2.0))


def test_a_plain_problem_is_not_wrapped():
    for options in ({}, {"bounds": None}, {"bounds": (None, None)}):
        assert zo.Optimizer(zo.CMAES(), [1.0, 1.0], **options).method == zo.CMAES()
    assert zo.Optimizer(zo.CMAES(), [1.0, 1.0], bounds=(0, 2)).method == zo.CMAES(bounds=(0, 2))
    assert isinstance(zo.Optimizer(Doubting(), [1.0, 1.0], bounds=(0, 2)).method, ScaledVariables)


def test_float32_stays(tmp_path):
    """Sides that are no float32 are rounded into the box; a save in between changes nothing."""
    x0 = np.full(3, 0.8, np.float32)
    opt = zo.Optimizer(zo.RandomSubspace(zo.SPSA(lr=1.0), dim=2), x0, bounds=(0.7, 0.9), rng=0, lookahead=1)
    for _ in range(20):
        batch = opt.ask()
        assert batch.X.dtype == np.float32 and (batch.X.astype(float) >= 0.7).all()
        opt.tell(batch, [float(x.sum()) for x in batch])
        opt.save(tmp_path / "run.zoo")
        opt = zo.Optimizer.load(tmp_path / "run.zoo")
    assert opt.mean.dtype == np.float32 and opt.mean.astype(float).min() >= 0.7


def test_settings_for_each_variable_follow():
    """Positions are converted, lengths are those of the variables that are left."""
    method = zo.CMAES(bounds=[(0, 4), (1, 1), (0, 16)], restart_from=[(1, 2), (1, 1), (4, 8)], restarts="ipop")
    inner = zo.Optimizer(method, [1.0, 1.0, 1.0], x_scale=[2, 1, 8]).method.method
    assert (inner.bounds, inner.restart_from) == (((0.0, 0.0), (2.0, 2.0)), ((0.5, 0.5), (1.0, 1.0)))
    auto = zo.Optimizer(zo.Auto(scale=(1.0, 2.0, 3.0)), np.ones(3), bounds=[(0, 4), (1, 1), (0, 16)]).method.method
    assert auto.scale == (1.0, 3.0)


def test_sigma0_for_each_variable():
    """The first generation has these standard deviations; equal ones are the run of the one number."""
    for cls in (zo.CMAES, zo.SepCMAES, zo.DDCMAES):
        opt = zo.Optimizer(cls(sigma0=[30.0, 1e-2, 0.5], popsize=4000), [1.0, 2.0, 3.0], rng=0)
        np.testing.assert_allclose(opt.ask().X.std(axis=0), [30.0, 1e-2, 0.5], rtol=0.05)
        _, one = trace(cls(sigma0=0.5), np.ones(3), quadratic)
        _, each = trace(cls(sigma0=(0.5, 0.5, 0.5)), np.ones(3), quadratic)
        np.testing.assert_allclose(each, one, rtol=1e-9)
    bounded = zo.CMAES(sigma0=[1.0, 5.0], bounds=[(0, None), (2, 2)], restarts="ipop", restart_from=(0, 2))
    _, points = trace(bounded, [1.0, 2.0], quadratic)
    assert (points[:, 1] == 2).all()


MIXED = zo.MixedVariables(method=zo.CMAES(), grid=zo.Grid(2, levels=((0, (0.0, 1.0)),)))
ERRORS = [
    (
        dict(bounds=(0, 1)),
        zo.CMAES(bounds=(0, 2)),
        ValueError,
        "bounds must be given once, got .0.0, 1.0. beside",
    ),
    (dict(bounds=(2, 1)), zo.CMAES(), ValueError, "bounds must have low <= high"),
    (dict(bounds=(2, 3)), zo.CMAES(), ValueError, r"x0 must lie inside bounds, got x0\[0\] = 1.0 outside \[2.0, 3.0\]"),
    (dict(bounds=[(0, 2)] * 3), zo.CMAES(), ValueError, "bounds must be numbers or arrays of length 2, got length 3"),
    (dict(bounds=(1, 1)), zo.CMAES(), ValueError, "bounds must leave a variable to search, got low == high in all 2"),
    (dict(x_scale=0), zo.CMAES(), ValueError, "x_scale must be > 0, got 0"),
    (dict(x_scale=[1, np.nan]), zo.CMAES(), ValueError, "x_scale must be > 0 and finite"),
    (dict(x_scale=10**400), zo.CMAES(), ValueError, "x_scale must be finite, got 1000"),
    (dict(x_scale="big"), zo.CMAES(), TypeError, "x_scale must be a real number, got 'big'"),
    (dict(x_scale=[1, 2, 3]), zo.CMAES(), ValueError, "x_scale must be a number or an array of length 2, got length 3"),
    ({}, zo.CMAES(sigma0=[1, 2, 3]), ValueError, "sigma0 must be a number or an array of length 2, got length 3"),
    (
        dict(x_scale=2),
        MIXED,
        ValueError,
        "x_scale must be None with integers or choices, whose scale is theirs, got 2",
    ),
    ({}, replace(MIXED, bounds=[(1, 1), (0, 2)]), ValueError, "bounds must not fix a variable beside integers"),
    (dict(bounds=(0, None)), zo.CoordinateSearch(bounds=(0, 2)), ValueError, "bounds must be given once"),
]


@pytest.mark.parametrize(("options", "method", "kind", "message"), ERRORS, ids=lambda value: str(value)[:30])
def test_errors(options, method, kind, message):
    raises(kind, message, zo.Optimizer, method, [1.0, 1.0], **options)


def test_scales_of_1000_1_and_a_thousandth():
    """What x_scale is for: a method that knows one step size only."""

    def f(x):
        return float((((x - [2000, 3, 5e-4]) / [1000, 1, 1e-3]) ** 2).sum())

    scaled = zo.minimize(f, [1000.0, 1.0, 1e-3], method="cma-es", x_scale=[1000, 1, 1e-3], budget=600, rng=0)
    plain = zo.minimize(f, [1000.0, 1.0, 1e-3], method="cma-es", budget=600, rng=0)
    assert scaled.fun < 1e-8 < plain.fun


def test_a_checkpoint_of_other_bounds_is_refused(tmp_path):
    options = dict(method="spsa", budget=40, rng=0, checkpoint=tmp_path / "run.zoo")
    first = zo.minimize(quadratic, np.ones(3), bounds=[(0, 2), (1, 1), (0, 3)], x_scale=4, **options)
    again = zo.minimize(quadratic, np.ones(3), bounds=[(0, 2), (1, 1), (0, 3)], x_scale=4, **options)
    assert np.array_equal(first.x, again.x) and first.x[1] == 1
    with pytest.raises(zo.CheckpointError, match="is of another run: its method is"):
        zo.minimize(quadratic, np.ones(3), bounds=[(0, 2), (1, 1), (0, 4)], x_scale=4, **options)


def test_the_wrapper_is_planned_once():
    method = ScaledVariables(zo.SPSA(lr="auto", c="auto"), scale=(1.0, 2.0), bounds=(-4, 4))
    opt = zo.Optimizer(method, [1.0, 2.0], budget=100)
    assert zo.Optimizer(opt.method, [1.0, 2.0], budget=100).method == opt.method
    assert replace(method, fixed=[1]).fixed == (1,)


@pytest.mark.parametrize(
    ("value", "expected"), [(2, 2.0), (0.5, 0.5), ([1, 2.5], (1.0, 2.5)), (np.array([3.0]), (3.0,)), ((1e-9,), (1e-9,))]
)
def test_lengths(value, expected):
    found = lengths("x_scale", value)
    assert found == expected and type(found) is type(expected)


@pytest.mark.parametrize(
    ("value", "kind", "message"),
    [
        ([], ValueError, r"got shape \(0,\)"),
        ([[1.0, 2.0]], ValueError, r"got shape \(1, 2\)"),
        ([[]], ValueError, r"got shape \(1, 0\)"),
        ([1.0, 0.0], ValueError, "must be > 0 and finite"),
        ([1.0, np.inf], ValueError, "must be > 0 and finite"),
        ([np.nan, 1.0], ValueError, "must be > 0 and finite"),
        (["a"], TypeError, "a number or a 1-D array of numbers"),
        (0.0, ValueError, "x_scale"),
        ("2", TypeError, "x_scale"),
    ],
)
def test_what_is_no_length(value, kind, message):
    raises(kind, message, lengths, "x_scale", value)

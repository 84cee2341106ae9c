"""Bounds: every form they may have, what is refused, reflection at sides that are absent, one or far apart."""

import math
from dataclasses import replace

import numpy as np
import pytest
from refusals import raises
from scipy.optimize import Bounds

import zoo_opt as zo
from zoo_opt.methods.box import Box, check_box, check_finite_box, contains, uniform
from zoo_opt.storage import checkpoint

INF = math.inf
FORMS = [  # what is given, what it is
    ((-1, 2), (-1.0, 2.0)),
    ([-1, 2], (-1.0, 2.0)),
    (np.array([-1, 2]), (-1.0, 2.0)),
    (([-1, 0, 5], [1, 0.5, 9]), ((-1.0, 0.0, 5.0), (1.0, 0.5, 9.0))),
    ((np.array([0, 1]), np.array([5, 10])), ((0.0, 1.0), (5.0, 10.0))),  # two arrays are two sides
    ([(0, 5), (1, 10)], ((0.0, 1.0), (5.0, 10.0))),  # pairs are one for each coordinate, in two dimensions too
    (((0, 5), (1, 10)), ((0.0, 1.0), (5.0, 10.0))),
    ([[0, 5], [1, 10]], ((0.0, 1.0), (5.0, 10.0))),
    (((0, None), (0, None)), ((0.0, 0.0), (INF, INF))),  # as the documentation of scipy has it
    ([(0, 5)], ((0.0,), (5.0,))),
    ([(0, 5), (1, 10), (None, 3)], ((0.0, 1.0, -INF), (5.0, 10.0, 3.0))),
    (np.array([[0, 5], [1, 10], [2, 3]]), ((0.0, 1.0, 2.0), (5.0, 10.0, 3.0))),
    (np.array([[0, 5, 6], [1, 10, 7]]), ((0.0, 5.0, 6.0), (1.0, 10.0, 7.0))),
    (zip([0, 1], [5, 10], strict=True), ((0.0, 1.0), (5.0, 10.0))),
    (Bounds([0, 1], [5, np.inf]), ((0.0, 1.0), (5.0, INF))),
    (Bounds(0, 5), (0.0, 5.0)),
    ((0, None), (0.0, INF)),
    ((None, [1, 2, None]), (-INF, (1.0, 2.0, INF))),
    ((0, INF), (0.0, INF)),
    ((1, 1), (1.0, 1.0)),
    ((-1e308, 1e308), (-1e308, 1e308)),
    ((None, None), None),
    ([(None, INF), (-INF, None)], None),
    (Box((0.0, 1.0), (5.0, 10.0)), ((0.0, 1.0), (5.0, 10.0))),
]
REFUSED = [
    (5, TypeError, r"bounds must be a pair \(low, high\) .*got 5"),
    ("ab", TypeError, "got 'ab'"),
    ((1, 2, 3), TypeError, r"got \(1, 2, 3\)"),
    (("a", "b"), TypeError, r"got \('a', 'b'\)"),
    ((False, True), TypeError, "got .False, True"),
    ({"x": (0, 1)}, TypeError, "got {'x'"),
    ((), TypeError, r"got \(\)"),
    (([], []), ValueError, "at least one coordinate"),
    ((1, -1), ValueError, r"low <= high in every coordinate, .*got \(1, -1\)"),
    ((INF, INF), ValueError, "low <= high .* with a number between"),
    ((math.nan, 1), ValueError, "without NaN"),
    (([0, 0], [1, 1, 1]), ValueError, r"sides of one length, got \(2,\) and \(3,\)"),
    ([np.array([0, 5, 1])] * 3, TypeError, r"bounds must be a pair \(low, high\)"),
    (np.array([[0, 5], [1, 10]]), ValueError, "two arrays .* or a list of two pairs, got one array"),
]


@pytest.mark.parametrize(("given", "expected"), FORMS)
def test_forms(given, expected):
    box = check_box("bounds", given)
    assert box == expected and (box is None or check_box("bounds", box) == box)
    assert replace(zo.CMAES(bounds=box), popsize=9).bounds == expected


@pytest.mark.parametrize(("given", "kind", "message"), REFUSED)
def test_refused(given, kind, message):
    raises(kind, message, check_box, "bounds", given)


@pytest.mark.parametrize("given", [(0, INF), (None, None), [(0, 1), (None, 1)]])
def test_where_both_sides_must_be_finite(given):
    for call in (check_finite_box, lambda name, box: zo.CMAES(restart_from=box)):
        raises(ValueError, "must be finite on both sides", call, "restart_from", given)


def test_a_start_outside_is_named_to_the_last_digit():
    above = np.nextafter(1.0, 2.0)
    with pytest.raises(ValueError, match=r"got x0\[1\] = 1\.0000000000000002 outside \[0\.0, 1\.0\]$"):
        zo.Optimizer(zo.CMAES(bounds=(0, 1)), [0.5, above])
    with pytest.raises(ValueError, match=r"got x0\[0\] = -1\.0 outside \[0\.0, inf\]$"):
        zo.Optimizer(zo.CMAES(bounds=(0, None)), [-1.0, 2.0])


def test_bounds_that_were_saved_as_plain_tuples(tmp_path):
    """A file of before has the normal form as two tuples, which in two dimensions would be read as pairs."""
    method = zo.CMAES(bounds=Box((0.0, 1.0), (5.0, 10.0)), restart_from=Box((1.0, 2.0), (3.0, 4.0)))
    for name in ("bounds", "restart_from"):
        object.__setattr__(method, name, tuple(getattr(method, name)))
    checkpoint.write(tmp_path / "old.zoo", method)
    read = checkpoint.read(tmp_path / "old.zoo")
    assert (read.bounds, read.restart_from) == (((0.0, 1.0), (5.0, 10.0)), ((1.0, 2.0), (3.0, 4.0)))


def test_a_save_keeps_bounds(tmp_path):
    opt = zo.Optimizer(zo.CMAES(bounds=[(0, 5), (1, None)]), [1.0, 2.0])
    opt.save(tmp_path / "run.zoo")
    assert zo.Optimizer.load(tmp_path / "run.zoo").method == opt.method


# ---------------------------------------------------------------------------------------------- inside the bounds
def test_uniform_draws_what_a_generator_does():
    box, x0 = Box((-1.0, 0.0, 2.0), (1.0, 5.0, 7.0)), np.zeros(3)
    expected = np.random.default_rng(0).uniform(*box)
    assert np.array_equal(uniform(np.random.default_rng(0), box, x0), expected)
    part = uniform(np.random.default_rng(0), Box((-1.0, 0.0, 2.0), (1.0, INF, 7.0)), x0)
    assert part.tolist() == [expected[0], 0.0, expected[2]]
    wide = Box(-1.7e308, 1.7e308)
    assert contains(uniform(np.random.default_rng(0), wide, x0), wide)


WIDE = {
    "cma-es": zo.CMAES(restarts="bipop", popsize=6, tolerances=zo.Tolerances(tolfun=1e300, tolfunhist=1e300)),
    "sep-cma-es": zo.SepCMAES(restarts="ipop", popsize=6, tolerances=zo.Tolerances(tolfun=1e300)),
    "coordinate-search": zo.CoordinateSearch(bounds=(-1, 1)),
    "quasi-newton": zo.QuasiNewton(),
    "trust-region": zo.TrustRegion(end_radius=1e-100),
    "bayesian-optimization": zo.BayesianOptimization(end_radius=1e-100),
    "auto": zo.Auto(),
}


@pytest.mark.parametrize("method", WIDE.values(), ids=WIDE)
@pytest.mark.parametrize("bounds", [(-1e308, 1e308), (-1.7e308, [1.7e308, 1.0])], ids=["1e308", "1.7e308"])
def test_bounds_as_wide_as_the_numbers(method, bounds):
    """They raised OverflowError where a restart or a coordinate was drawn from them."""
    method = method.within(bounds)
    opt = zo.Optimizer(method, [0.5, -0.5], rng=0, budget=400)
    while not opt.stop():
        batch = opt.ask()
        assert contains(batch.X, method.bounds)
        opt.tell(batch, [float(np.abs(x / 1e3).sum()) for x in batch])
    assert opt.nfev > 100

"""Bounds of the evolution strategies: what is beyond is moved inside and ranked lower, as a transcription does it."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import zoo_opt as zo
from zoo_opt.methods.box import check_box, contains
from zoo_opt.methods.cma.repair import penalised, repaired

NAN, INF = math.nan, math.inf
RNG = np.random.default_rng(8)
BOXES = [(-1.0, 2.0), ([-1.0, 0.5, -INF, 0.0], [1.0, 0.5, 0.0, INF])]  # one coordinate held, two with one side


def nearest(x, low, high, std):
    """The nearest point of the box, and the mean square of how far it is, in deviations, of what is not held."""
    inside = [min(max(a, lo), hi) for a, lo, hi in zip(x, low, high, strict=True)]
    squares = [
        0.0 if lo == hi else ((a - b) / s) ** 2 for a, b, lo, hi, s in zip(x, inside, low, high, std, strict=True)
    ]
    return inside, sum(squares) / len(x)


@pytest.mark.parametrize("bounds", BOXES)
def test_candidates_are_moved_to_the_nearest_points(bounds):
    box, X, std = check_box("bounds", bounds), 2 * RNG.standard_normal((30, 4)), np.array([0.1, 1.0, 3.0, 10.0])
    inside, beyond = repaired(X, box, std)
    low, high = (np.broadcast_to(side, 4) for side in box)
    for x, point, square in zip(X, inside, beyond, strict=True):
        expected = nearest(x, low, high, std)
        assert (point.tolist(), square) == (expected[0], pytest.approx(expected[1], rel=1e-12))
    assert (
        (beyond > 0).any()
        and (beyond == 0).any()
        and (inside[beyond == 0][:, [0, 2, 3]] == X[beyond == 0][:, [0, 2, 3]]).all()
    )


def test_far_beyond_is_far():
    box = check_box("bounds", (-1.0, 1.0))
    inside, beyond = repaired(np.array([[1e300, 0.0], [INF, 0.0], [0.5, 0.0]]), box, np.array([1e-20, 1.0]))
    assert inside.tolist() == [[1.0, 0.0], [1.0, 0.0], [0.5, 0.0]] and beyond.tolist() == [INF, INF, 0.0]


def test_ranks_and_penalties_by_hand():
    """Four candidates and one that was injected; a mean square of 1 costs as many ranks as there are candidates."""
    values = [5.0, 3.0, NAN, -1.0, 4.0]
    assert penalised(values, np.zeros(4)) is values
    got = penalised(values, np.array([0.0, 0.25, 1.0, 1.0]))
    np.testing.assert_array_equal(got, [3.0, 1.0 + 1.0, NAN, 0.0 + 4.0, 2.0])
    assert penalised([2.0, 1.0], np.array([0.0, INF])) == [1.0, INF]


@given(st.lists(st.floats(-1e3, 1e3), min_size=2, max_size=9, unique=True), st.data())
def test_an_increasing_function_of_the_loss_changes_nothing(losses, data):
    beyond = np.array(data.draw(st.lists(st.floats(0, 9), min_size=len(losses), max_size=len(losses))))
    order = np.argsort(losses)
    other = np.empty(len(losses))
    other[order] = np.cumsum(RNG.uniform(0.1, 1e6, len(losses)))
    got = [np.argsort(penalised(list(map(float, values)), beyond), kind="stable") for values in (losses, other)]
    assert got[0].tolist() == got[1].tolist() or not beyond.any()
    if not beyond.any():
        assert penalised(losses, beyond) == losses


@pytest.mark.parametrize(
    "method", [zo.CMAES(), zo.SepCMAES(), zo.DDCMAES(), zo.CMAES(noise=zo.QuadraticModel())], ids=repr
)
def test_the_lowest_point_may_be_a_corner(method):
    """A slope whose minimum is a corner: the mean is held near it, and what is evaluated is the corner itself."""
    opt = zo.Optimizer(method, np.full(6, 0.5), rng=2, bounds=(-1.0, 1.0))
    slope = np.array([1.0, -2.0, 3.0, -4.0, 5.0, -6.0])
    for _ in range(150):
        batch = opt.ask()
        assert contains(batch.X, (-1.0, 1.0)) and contains(opt.mean, (-1.0, 1.0))
        opt.tell(batch, [float(slope @ x) for x in batch])
    assert opt.best.loss == -21.0
    np.testing.assert_allclose(opt.mean, -np.sign(slope), atol=1e-2)
    dist = opt.state.distribution
    assert (np.abs(dist.m) < 1 + 10 * dist.sigma * dist.std()).all()  # it does not run away


def test_bounds_that_nothing_reaches_change_nothing():
    runs = []
    for bounds in (None, (-1e6, 1e6)):
        opt = zo.Optimizer(zo.CMAES(sigma0=0.5), np.ones(3), rng=4, bounds=bounds)
        for _ in range(30):
            batch = opt.ask()
            opt.tell(batch, [float(x @ x) for x in batch])
        runs.append(opt.mean)
    np.testing.assert_array_equal(*runs)

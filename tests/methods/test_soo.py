"""SOO: against the oracle, and what it promises."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from oracles import soo as oracle
from solving import solve

import zoo_opt as zo

LOW, HIGH = [-1.5, 0.0, 10.0], [2.5, 1.0, 12.0]


def rugged(x):
    """Many basins; the lowest is not in the middle of anything."""
    z = (np.asarray(x) - LOW[: len(x)]) / np.subtract(HIGH, LOW)[: len(x)] - 0.7183
    return float(np.sum(z**2 - 0.05 * np.cos(40 * z)) + 0.01 * np.sum(np.arange(len(z)) * z))


def sweeps(method, x0, count, loss=rugged):
    """The points of each step."""
    opt = zo.Optimizer(method, np.asarray(x0, float), rng=0)
    found = []
    for _ in range(count):
        batch = opt.ask()
        found.append(np.array(batch))
        opt.tell(batch, [loss(x) for x in batch])
    return opt, found


@pytest.mark.parametrize("d", [1, 2, 3])
def test_it_divides_what_the_plain_transcription_divides(d):
    low, high = np.array(LOW[:d]), np.array(HIGH[:d])
    _, found = sweeps(zo.SOO(bounds=(low, high)), low, 26)
    expected = oracle.minimize(rugged, low, high, 25)
    np.testing.assert_array_equal(found[0][1], low)  # x0 is evaluated beside the centre
    np.testing.assert_allclose(found[0][0], expected[0][0])
    assert len(found) == len(expected)
    for got, wanted in zip(found[1:], expected[1:], strict=True):
        np.testing.assert_allclose(got[np.lexsort(got.T)], np.array(wanted)[np.lexsort(np.array(wanted).T)], rtol=1e-13)
    assert len(expected[-1]) > 2  # several depths at once


@settings(deadline=None, max_examples=20)
@given(st.integers(1, 3), st.integers(0, 10**6), st.floats(1e-3, 1e3))
def test_only_the_order_of_losses_counts(d, seed, scale):
    centre = np.random.default_rng(seed).uniform(-1, 1, d)
    bounded, start = zo.SOO(bounds=(-1, 1)), np.zeros(d)

    def loss(x):
        return float(np.abs(x - centre).sum())

    _, plain = sweeps(bounded, start, 12, loss)
    _, monotone = sweeps(bounded, start, 12, lambda x: math.expm1(loss(x)) * scale)
    assert all(np.array_equal(a, b) for a, b in zip(plain, monotone, strict=True))


@settings(deadline=None, max_examples=20)
@given(st.integers(1, 3), st.integers(0, 10**6), st.floats(0.0, 1.0))
def test_no_point_twice_and_none_outside_whatever_fails(d, seed, failing):
    rng = np.random.default_rng(seed)
    low = rng.uniform(-2, 0, d)
    box = (low, low + rng.uniform(0.1, 5, d))

    def loss(x):
        return math.nan if rng.random() < failing else float(rng.standard_normal())

    _, found = sweeps(zo.SOO(bounds=box), low, 15, loss)
    points = np.concatenate(found)
    assert len(np.unique(points, axis=0)) == len(points)
    assert (points >= box[0]).all() and (points <= box[1]).all()


def test_a_fixed_coordinate_is_left_and_the_finest_cells_are_not_divided():
    box = (np.array([0.0, 3.0]), np.array([1.0, 3.0]))
    opt, found = sweeps(zo.SOO(bounds=box), [0.5, 3.0], 60, lambda x: abs(float(x[0]) - 0.3))
    points = np.concatenate(found)
    assert (points[:, 1] == 3.0).all() and len(np.unique(points[:, 0])) == len(points)
    opt = solve(zo.Optimizer(zo.SOO(bounds=(0.0, 1.0)), [0.1], rng=0, budget=3000), lambda x: abs(float(x[0]) - 0.3))
    assert opt.state.divisions.max() == 33 and opt.best.loss < 1e-15


def test_many_basins_in_two_dimensions():
    """Schwefel's function: its second best basins are far from the best, which is near a corner."""

    def schwefel(x):
        return float(np.sum(-x * np.sin(np.sqrt(np.abs(x)))))

    opt = solve(zo.Optimizer(zo.SOO(bounds=(-500, 500)), np.zeros(2), rng=0, budget=400), schwefel)
    np.testing.assert_allclose(opt.best.x, [420.97, 420.97], atol=2.0)
    start = solve(zo.Optimizer(zo.SOO(bounds=(-500, 500)), np.zeros(2), rng=0, budget=1), schwefel)
    np.testing.assert_array_equal(start.best.x, 0.0)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: zo.SOO(bounds=(-math.inf, math.inf)), "bounds must be finite on both sides"),
        (lambda: zo.SOO(bounds=(0, None)), "bounds must be finite on both sides"),
        (lambda: zo.Optimizer(zo.SOO(bounds=(0, 1)), [7.0]), "x0 must lie inside"),
    ],
)
def test_errors(make, message):
    with pytest.raises(ValueError, match=message):
        make()

"""What `QuasiNewton` does in each situation, one function at a time, with answers worked out by hand."""

import dataclasses
import math

import numpy as np
import pytest

import zoo_opt as zo
from zoo_opt.core.keys import Key, generator
from zoo_opt.methods.local.bfgs import given, unknown
from zoo_opt.methods.local.inverse_hessian import (
    Axes,
    axes_inside,
    inverse_of,
    measured,
    newton_step,
    principal_axes,
    reduced,
)
from zoo_opt.methods.local.line_search import Trial, accepted, falls, next_length
from zoo_opt.methods.local.loss_units import loss_unit
from zoo_opt.methods.local.quasi_newton import GRADIENT, SEARCH, begun
from zoo_opt.methods.local.ripples import disagreement

KEY = Key(1, 2)
NAN, INF = math.nan, math.inf
H = 2.0**-26
FREE, BOX = zo.QuasiNewton(), zo.QuasiNewton(bounds=([0.0, -2.0, 1.0], [4.0, 5.0, 1.0]))


def at(x, f=8.0, **changes):
    return dataclasses.replace(begun(KEY, np.array(x, float), f), **changes)


# ------------------------------------------------------------------------------------------------------ differences
def test_a_search_begins_with_losses_in_units():
    s = begun(KEY, np.array([1.0, 2.0]), -12.0)
    assert (
        (s.f, s.loss_unit, s.loss) == (-1.5, 8.0, -12.0) and s.H.matrix.tolist() == np.eye(2).tolist() and not s.known
    )
    nothing = begun(KEY, np.array([1.0, 2.0]))
    assert math.isnan(nothing.f) and nothing.loss_unit == 0.0
    assert [loss_unit(v) for v in ([0.75, -3.0, INF, NAN], [0.0], [NAN], [], [1.0], [0.99])] == [2, 0, 0, 0, 1, 0.5]


@pytest.mark.parametrize("scale", [1.0, 8.0])
def test_forward_differences_go_to_either_side_by_a_part_of_the_coordinate(scale):
    method, s = zo.QuasiNewton(scale=scale), at([0.5, -16.0, 3.0, 1.0])
    sides = np.where(generator(KEY, 3).random(4) >= 0.5, 1.0, -1.0)
    h = H * np.maximum([0.5, 16.0, 3.0, 1.0], scale)
    assert method.size(s) == 4 and (s.x + np.diag(sides * h) == method.ask(s, 3).X).all()
    first = dataclasses.replace(s, f=NAN)
    assert method.size(first) == 5 and (np.vstack([s.x, s.x + np.diag(sides * h)]) == method.ask(first, 3).X).all()


@pytest.mark.parametrize(("noise", "f", "h"), [(8e-6, 8.0, 1e-3), (8.0, 8.0, 0.1), (1e-30, 8.0, H), (1.0, 0.0, H)])
def test_forward_differences_are_as_long_as_the_noise_asks_for(noise, f, h):
    """The root of the relative precision, a tenth at most."""
    X = zo.QuasiNewton(noise=noise).ask(at([1.0, -4.0], f), 3).X
    assert np.abs((X - [1.0, -4.0]).diagonal()) == pytest.approx([h, 4 * h], rel=1e-6)


def test_differences_along_the_axes_are_for_changes_above_the_noise():
    s = at([1.0, 2.0], 8.0, known=True, gain=0.0)
    assert zo.QuasiNewton(noise=0.5)._stalled(s).delta == 0.25  # the root of 0.5 in units of 8
    assert zo.QuasiNewton()._stalled(s).delta == pytest.approx(math.sqrt(1e-13))


def test_a_search_begins_with_the_curvatures_of_a_model():
    hessian = np.array([[16.0, 0.0], [0.0, -4.0]])
    s = begun(KEY, np.array([1.0, 2.0]), 12.0, hessian)  # in units of 8
    assert s.known
    np.testing.assert_allclose(s.H.matrix, np.diag([0.5, 2.0]))
    for f, useless in ((12.0, np.zeros((2, 2))), (12.0, np.full((2, 2), 1e-320)), (1e-300, np.full((2, 2), 1e10))):
        s = begun(KEY, np.array([1.0, 2.0]), f, useless)  # flat, or no number in units of the loss
        assert not s.known and s.H.matrix.tolist() == np.eye(2).tolist()
    assert not begun(KEY, np.array([1.0, 2.0]), NAN, hessian).known
    assert inverse_of(np.diag([1e3, 1e-9])) == pytest.approx(np.diag([1e-3, 1e3]))  # a millionth at least


def test_a_steps_change_is_compared_with_the_slopes_at_its_ends():
    """Along (1, 2) the slopes before and after are -8 and -2: a parabola falls by 5."""
    before = at([0.0, 0.0], s=np.array([1.0, 2.0]), g_before=np.array([-4.0, -2.0]), gain=5.0)
    after = dataclasses.replace(before, stage=SEARCH, g=np.array([2.0, -2.0]))
    assert disagreement(before, after) == 0.0
    assert disagreement(dataclasses.replace(before, gain=1.0), after) == 0.5
    assert disagreement(dataclasses.replace(before, gain=13.0), after) == 8 / 13
    for other in ({"stage": SEARCH}, {"s": np.zeros(0)}, {"axes": axes_inside(np.eye(2), 1.0, np.ones(2), np.ones(2))}):
        assert disagreement(dataclasses.replace(before, gain=1.0, **other), after) == 0.0
    assert disagreement(dataclasses.replace(before, gain=1.0), before) == 0.0
    still = dataclasses.replace(before, gain=0.0, g_before=np.zeros(2))
    assert disagreement(still, dataclasses.replace(after, g=np.zeros(2))) == 0.0


def test_forward_differences_turn_round_at_a_bound():
    """They keep to their side if it has room for them, and go to the roomier side if not."""
    method = zo.QuasiNewton(bounds=(0.0, 1.0))
    for x, side in ((0.0, 1.0), (1.0, -1.0), (H / 2, 1.0), (1.0 - H / 2, -1.0)):
        for step in range(6):
            assert method.ask(at([x]), step).X.item() == x + side * H
    middle = {method.ask(at([0.5]), step).X.item() for step in range(20)}
    assert middle == {0.5 - H, 0.5 + H}
    exact = {method.ask(at([H]), step).X.item() for step in range(20)}
    assert exact == {0.0, 2 * H}  # just enough room
    narrow = zo.QuasiNewton(bounds=(0.0, H / 2))
    assert {narrow.ask(at([H / 8]), step).X.item() for step in range(6)} == {H / 2}
    assert {narrow.ask(at([3 * H / 8]), step).X.item() for step in range(6)} == {0.0}


def test_other_steps():
    s = at([1.0, 2.0, 1.0], stage=SEARCH, p=np.array([2.0, -8.0, 3.0]), length=0.75)
    assert FREE.size(s) == 1 and FREE.ask(s, 1).X.tolist() == [[2.5, -4.0, 3.25]]
    assert BOX.ask(s, 1).X.tolist() == [[2.5, -2.0, 1.0]]
    axes = Axes(np.eye(3), np.array([1.0, 2.0, 4.0]))
    along = at([1.0, 2.0, 1.0], axes=axes, delta=0.5)
    shifts = np.diag([0.5, 1.0, 2.0])
    assert FREE.size(along) == 6
    assert FREE.ask(along, 1).X.tolist() == (along.x + np.vstack([shifts, -shifts])).tolist()
    assert FREE.mean(s) is s.x


def told(method, s, losses, step=0):
    return method.update(s, method.ask(s, step), losses)


def slopes(method, s, slope, step=0, **changes):
    """Tell the losses of a plane, in parameter units, beside the loss of the state."""
    asked = method.ask(s, step)
    losses = [float(s.loss + (x - s.x) @ slope) for x in asked.X]
    for i, value in changes.items():
        losses[int(i[1:])] = value
    return method.update(s, asked, losses)


def test_the_gradient_and_the_first_direction():
    s = slopes(FREE, at([1.0, 2.0, 4.0]), np.array([16.0, -32.0, 0.0]))
    np.testing.assert_allclose(s.g, [2.0, -4.0, 0.0], atol=1e-6)  # the unit is 8
    np.testing.assert_allclose(s.p, -s.g)
    assert s.stage == SEARCH and s.length == 1.0 / np.abs(s.p).max() and s.slope == float(s.g @ s.p) and not s.known
    known = slopes(
        FREE, at([1.0, 2.0, 4.0], known=True, H=given(np.diag([2.0, 0.5, 1.0]))), np.array([16.0, -32.0, 0.0])
    )
    np.testing.assert_allclose(known.p, [-4.0, 2.0, 0.0], atol=1e-6)
    assert known.length == 1.0
    longer = slopes(zo.QuasiNewton(scale=16.0), at([1.0, 2.0, 4.0]), np.array([16.0, -32.0, 0.0]))
    assert longer.length == 16.0 / np.abs(longer.p).max()


def test_a_loss_at_x_that_is_not_known_is_taken_from_the_first_candidate():
    s = told(FREE, begun(KEY, np.array([1.0, 2.0])), [5.0, 5.0 + H, 5.0])
    assert (s.f, s.loss_unit) == (1.25, 4.0) and s.stage == SEARCH
    again = told(FREE, at([1.0, 2.0], NAN, loss_unit=2.0), [5.0, 5.0 + H, 5.0])
    assert (again.f, again.loss_unit) == (2.5, 2.0)


def test_a_slope_that_failed_is_0_and_no_curvature_is_taken_from_it():
    before = {"s": np.array([1.0, 1.0, 1.0]), "g_before": np.zeros(3), "known": True}
    s = at([1.0, 2.0, 4.0], **before)
    whole = slopes(FREE, s, np.array([16.0, 32.0, 8.0]))
    assert (unknown(3).updated(s.s, whole.g).matrix == whole.H.matrix).all()
    for failed in (NAN, INF):
        part = slopes(FREE, s, np.array([16.0, 32.0, 8.0]), i1=failed)
        assert part.g[1] == 0.0 and part.g[0] != 0.0 and (np.eye(3) == part.H.matrix).all()
        np.testing.assert_allclose(part.p, [-2.0, 0.0, -1.0], atol=1e-6)
    assert not whole.s.size and (whole.trials, whole.f) == ((), 1.0)


def test_a_coordinate_that_the_bounds_fix_does_not_hinder_the_curvature():
    s = at([1.0, 2.0, 1.0], s=np.array([1.0, 1.0, 0.0]), g_before=np.zeros(3))
    after = slopes(BOX, s, np.array([16.0, 32.0, 99.0]))
    assert after.g[2] == 0.0 and after.known
    np.testing.assert_allclose(after.H.matrix, unknown(3).updated(s.s, after.g).matrix)


def test_a_matrix_that_is_beyond_the_numbers_is_not_taken():
    s = at([1.0, 2.0, 4.0], s=np.full(3, 1e160), g_before=np.zeros(3), known=True)
    after = slopes(FREE, s, np.array([1e-150, 2e-150, 1e-150]) * 1e6 + 16.0)
    assert np.isfinite(after.H.matrix).all()


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_a_direction_that_does_not_descend_is_not_searched(sign):
    s = slopes(FREE, at([1.0, 2.0, 4.0], H=given(sign * np.eye(3)), known=True), np.array([16.0, 32.0, 8.0]))
    assert (s.stage, s.axes is None) == ((SEARCH, True) if sign > 0 else (GRADIENT, False))


def test_a_gradient_along_the_axes_makes_the_matrix_known():
    s = at([1.0, 2.0], axes=principal_axes(np.eye(2)), delta=0.5)
    after = told(FREE, s, [8 * (1 + 0.5**2), 8.0 * (1 + 2 * 0.5**2)] * 2)
    assert after.known and after.g.tolist() == [0.0, 0.0]
    np.testing.assert_allclose(after.H.matrix, np.diag([0.5, 0.25]), rtol=1e-12)
    level = told(FREE, s, [8.0] * 4)
    assert not level.known and (np.eye(2) == level.H.matrix).all()


def test_where_nothing_around_has_a_loss_the_fifth_step_is_the_last():
    s = begun(KEY, np.ones(2))
    for stalls in range(1, 5):
        s = told(FREE, s, [NAN, INF, NAN])
        assert (s.stalls, FREE.stop(s)) == (stalls, {}) and math.isnan(s.f) and s.stage == GRADIENT
    assert FREE.stop(told(FREE, s, [NAN] * 3)) == {"nofiniteloss": 5}
    asked = FREE.ask(s, 0)
    found = FREE.update(s, asked, [INF, NAN, 6.0])
    assert (found.x == asked.X[2]).all() and found.f == 1.5 and found.stalls == 0 and found.stage == GRADIENT
    asked.X[:] = 0.0
    assert found.x.any()


# -------------------------------------------------------------------------------------------------------- direction
@pytest.mark.parametrize(
    ("x", "g", "p"),
    [
        ([0.0, 1.0, 1.0], [-0.5, 2.0, 0.0], [0.5, -2.0, 0.0]),  # at the low bound, and pulled away from it
        ([0.0, 1.0, 1.0], [0.5, 2.0, 0.0], [0.0, -2.0, 0.0]),
        ([4.0, 1.0, 1.0], [0.5, 2.0, 0.0], [-0.5, -2.0, 0.0]),
        ([4.0, 1.0, 1.0], [-0.5, 2.0, 0.0], [0.0, -2.0, 0.0]),
        ([4.0, -2.0, 1.0], [-0.5, 0.25, 0.0], [0.0, 0.0, 0.0]),
        ([2.0, 1.0, 1.0], [0.5, 0.0, 3.0], [-0.5, 0.0, 0.0]),  # the last is fixed
        ([2.0, 1.0, 1.0], [0.5, 0.0, -3.0], [-0.5, 0.0, 0.0]),
    ],
)
def test_coordinates_at_a_bound_move_away_from_it_alone(x, g, p):
    assert BOX._direction(np.array(x), np.eye(3), np.array(g)).tolist() == p


def test_coordinates_that_newtons_step_pushes_against_their_bound_are_held():
    """The slope pulls the first from its bound, but the second drags it back: then the second moves as if alone."""
    method, A = zo.QuasiNewton(bounds=(0.0, 9.0)), np.array([[1.0, 0.9], [0.9, 1.0]])
    g = np.array([-0.1, -2.0])
    assert newton_step(np.linalg.inv(A), g, np.array([True, True]))[0] < 0.0
    np.testing.assert_allclose(method._direction(np.array([0.0, 1.0]), np.linalg.inv(A), g), [0.0, 2.0])
    np.testing.assert_allclose(method._direction(np.array([9.0, 1.0]), np.linalg.inv(A), -g), [0.0, -2.0])
    inside = method._direction(np.array([1.0, 1.0]), np.linalg.inv(A), g)
    np.testing.assert_allclose(inside, -np.linalg.inv(A) @ g)
    np.testing.assert_allclose(FREE._direction(np.array([0.0, 1.0]), np.linalg.inv(A), g), -np.linalg.inv(A) @ g)


def test_how_far_a_path_goes_until_it_stands_still():
    assert FREE._longest(np.ones(3), np.ones(3)) == INF
    for p, longest in (
        ([1.0, 0.0, 0.0], 3.0),
        ([-2.0, 0.0, 0.0], 0.5),
        ([-2.0, 1.0, 1.0], 3.0),
        ([0.0, -8.0, 0.0], 0.5),
    ):
        assert BOX._longest(np.array([1.0, 2.0, 1.0]), np.array(p)) == longest
    s = slopes(BOX, at([3.0, 5.0, 1.0]), np.array([-16.0, 0.0, 0.0]))
    assert s.length == pytest.approx(0.5) and s.p[0] == pytest.approx(2.0)  # to the bound
    assert [side.tolist() for side in FREE._room(np.ones(2))] == [[INF, INF]] * 2
    assert [side.tolist() for side in BOX._room(np.array([1.0, 2.0, 1.0]))] == [[1.0, 4.0, 0.0], [3.0, 3.0, 0.0]]


# ------------------------------------------------------------------------------------------------------ where it stalls
AXES = principal_axes(np.eye(2))


def test_the_first_remedy_is_differences_along_the_axes():
    s = at([1.0, 2.0], -8.0, known=True, H=given(np.diag([4.0, 1.0])), g=np.ones(2), gain=0.25, stalls=7, changes=2)
    along = FREE._stalled(s)
    assert along.delta == 0.5 and sorted(along.axes.D) == [1.0, 2.0] and along.stage == GRADIENT
    assert (along.stalls, along.changes, along.reasons, along.trials) == (0, 2, {}, ())
    assert FREE._stalled(dataclasses.replace(s, gain=0.0)).delta == pytest.approx(math.sqrt(1e-13))
    flat = dataclasses.replace(s, known=False, g=np.zeros(2))
    plateau = zo.QuasiNewton(scale=3.0)._stalled(flat)
    assert plateau.delta == 1.0 and plateau.axes.D.tolist() == [3.0, 3.0]
    assert FREE._stalled(dataclasses.replace(flat, g=np.ones(2))).reasons == {"stalled": 5}
    zero = dataclasses.replace(s, f=0.0)
    assert FREE._stalled(zero).reasons == {"stalled": 5}
    assert FREE._stalled(dataclasses.replace(zero, g=np.zeros(2))).delta == 1.0


@pytest.mark.parametrize(("g", "delta"), [([0.0, 1e-300], 0.05), ([0.0, 0.0], 2.0)])
def test_then_other_distances(g, delta):
    s = at([1.0, 2.0], axes=AXES, delta=0.5, g=np.array(g), known=True, stalls=3, changes=2, trials=(1,))
    other = FREE._stalled(s)
    assert other.delta == pytest.approx(delta) and (other.changes, other.stalls, other.trials) == (3, 3, ())
    for end in ({"changes": 3}, {"delta": 1e-150}, {"delta": 1e-160}):
        ended = FREE._stalled(dataclasses.replace(s, **end))
        assert ended.reasons == {"stalled": 5} and ended.stage == GRADIENT and not ended.s.size and ended.trials == ()
    assert FREE._stalled(dataclasses.replace(s, delta=2e-150)).reasons == {}


# -------------------------------------------------------------------------------------------------------- line search
def searching(**changes):
    return at(
        [1.0, 2.0, 1.0],
        stage=SEARCH,
        g=np.array([1.0, 0.0, 5.0]),
        p=np.array([-1.0, 0.0, -5.0]),
        slope=-1.0,
        length=0.5,
        **changes,
    )


def test_a_trial_is_judged_by_what_the_slope_promises_within_the_bounds():
    s = told(FREE, searching(), [8.0 * 2.0])
    assert s.trials == (Trial(0.5, 2.0, -13.0),) and s.length == pytest.approx(0.5 * 13.0 / 28.0)
    bounded = told(BOX, searching(), [8.0 * 2.0])  # the last coordinate is fixed
    assert bounded.trials == (Trial(0.5, 2.0, -0.5),)
    failed = told(FREE, searching(), [NAN])
    assert failed.trials == (Trial(0.5, INF, -13.0),) and failed.length == 0.05
    assert told(FREE, searching(loss_unit=0.0), [3.0]).trials[0].loss == 3.0


def test_a_step_is_taken():
    s = told(BOX, searching(stalls=3, changes=2), [8.0 * 0.75])  # the slope promised 0.5 and 0.25 came
    assert s.stage == GRADIENT and s.x.tolist() == [0.5, 2.0, 1.0] and (s.f, s.gain) == (0.75, 0.25)
    assert s.s.tolist() == [-0.5, 0.0, 0.0] and s.g_before.tolist() == [1.0, 0.0, 5.0]
    assert (s.trials, s.stalls, s.changes, s.axes) == ((), 0, 0, None)


@pytest.mark.parametrize(("gain", "stalls"), [(2.0**-47, 4), (2.0**-46, 0)])
def test_steps_of_almost_no_gain_are_counted(gain, stalls):
    """2^-47 is less than 1e-14, 2^-46 is more."""
    trials = (Trial(1.0, 2.0, -1.0),) * 9  # the next one is the last
    s = told(BOX, searching(stalls=3, trials=trials), [8.0 * (1.0 - gain)])
    assert s.stalls == stalls and s.gain == gain
    fifth = told(BOX, searching(stalls=4, trials=trials, known=True), [8.0 * (1.0 - gain)])
    assert (fifth.axes is None) == (stalls == 0)


@pytest.mark.parametrize(
    ("gain", "before", "after"), [(0.25, 0.4, 0.5), (0.25, 0.1, 0.2), (0.25, 6.0, 0.6), (0.25, 1e-155, 1e-150)]
)
def test_along_the_axes_the_distance_follows_the_gain(gain, before, after):
    """Its root, between a tenth of the last distance and twice that."""
    s = told(BOX, searching(axes=principal_axes(np.eye(3)), delta=before, stalls=2), [8.0 * (1.0 - gain)])
    assert s.stage == GRADIENT and s.delta == pytest.approx(after, rel=1e-12) and s.x.tolist() == [0.5, 2.0, 1.0]


def test_a_search_in_vain_stalls():
    trials = (Trial(1.0, 2.0, -1.0),) * 9
    s = told(BOX, searching(trials=trials, known=True), [8.0 * 1.0])
    assert s.axes is not None and s.x.tolist() == [1.0, 2.0, 1.0] and s.f == 1.0


def test_what_is_expected_of_the_next_step():
    s = searching(known=True)
    assert s.expected_change() == -8.0
    for other in ({"known": False}, {"stage": GRADIENT}, {"trials": (Trial(1.0, 2.0, -1.0),)}):
        assert dataclasses.replace(s, **other).expected_change() == -INF


F0 = 10.0


@pytest.mark.parametrize(
    ("trials", "longest", "following"),
    [
        ([(1.0, 12.0, -2.0)], INF, 0.25),  # the parabola's minimum, 2 / (2 * 4)
        ([(1.0, 100.0, -2.0)], INF, 0.1),  # no less than a tenth
        ([(1.0, 10.0, -2.0)], INF, 0.5),  # no more than half
        ([(1.0, INF, -2.0)], INF, 0.1),
        ([(1.0, 9.9999, -2.0)], INF, 0.5),  # less than Armijo's rule asks for
        ([(1.0, INF, -2.0), (0.1, 12.0, -0.2)], INF, 0.01),  # of the shortest
        ([(1.0, 9.0, -2.0)], INF, None),  # at the minimum
        ([(1.0, 8.2, -2.0)], INF, 5.0),
        ([(1.0, 8.2, -2.0)], 3.0, 3.0),
        ([(1.0, 8.2, -2.0)], 1.3, None),  # not far enough
        ([(1.0, 8.02, -2.0)], INF, 10.0),
        ([(1.0, 8.0, -2.0)], INF, 1e4),  # straight
        ([(1.0, 7.5, -2.0)], INF, 10.0),  # steeper than straight
        ([(1.0, 9.9, -2.0)], INF, 2.0 / 3.8),  # too long, and the first
        ([(1.0, 9.7, -2.0)], INF, 2.0 / 3.4),
        ([(1.0, 9.2, -2.0)], INF, None),
        ([(2.0, 12.0, -4.0), (1.0, 9.9, -2.0)], INF, None),  # too long, and not the first
        ([(1.0, 8.2, -2.0), (5.0, 9.0, -10.0)], INF, None),  # the last is not the best
        ([(1.0, 12.0, -2.0)] * 10, INF, None),
        ([(1.0, 12.0, -2.0)] * 9, INF, 0.25),
    ],
)
def test_the_length_to_try_next(trials, longest, following):
    got = next_length(F0, tuple(Trial(*trial) for trial in trials), longest)
    assert got == (following if following is None else pytest.approx(following, rel=1e-9))


def test_what_is_accepted():
    assert falls(10.0, Trial(1.0, 9.9998, -2.0)) and not falls(10.0, Trial(1.0, 9.99981, -2.0))
    assert not falls(10.0, Trial(1.0, 10.0, 0.0))  # no gain at all
    best = Trial(0.5, 9.5, -1.0)
    assert accepted(10.0, (Trial(1.0, 9.7, -2.0), best)) is best
    assert accepted(9.5, (best,)) is None


# --------------------------------------------------------------------------------------------------- inverse Hessian
def test_a_pair_must_show_curvature():
    s = np.array([3.0, 4.0])
    for part, taken in ((0.9e-10, False), (1.1e-10, True)):
        y = part * s + np.array([-4.0, 3.0])
        before = unknown(2)
        assert (before.updated(s, y) is not before) is taken
    ours = unknown(2, 7.0).updated(s, s / 2)  # a pair scales the identity
    np.testing.assert_allclose(ours.matrix, 2.0 * np.eye(2), atol=1e-12)
    y = np.array([1.0, 2.0])  # s's / s'y = 25 / 11, not s'y / y'y = 11 / 5, is the scale of what is left
    left = np.array([2.0, -1.0])  # y'left = 0
    assert left @ unknown(2).updated(s, y).matrix @ left > 25 / 11 * (left @ left) * 0.999
    assert given(np.diag([7.0, 9.0])).updated(s, s / 2).W.size == 0


def test_what_is_left_of_a_singular_part_is_not_taken_off():
    free = np.array([True, True, False])
    H3 = np.diag([2.0, 3.0, 0.0])
    assert reduced(H3, free).tolist() == [[2.0, 0.0], [0.0, 3.0]]
    step = newton_step(H3, np.array([1.0, -1.0, 5.0]), free)
    assert step.tolist() == [-2.0, 3.0, 0.0]


def test_axes_of_a_matrix_that_rounding_has_made_indefinite():
    axes = principal_axes(np.diag([4.0, -1e-18, 0.0]))
    np.testing.assert_allclose(sorted(axes.D), [2e-7, 2e-7, 2.0])
    assert principal_axes(np.zeros((1, 1))).D.tolist() == [0.0]


def test_coordinates_with_less_room_than_a_probe_are_held_and_probed_alone():
    """Probes of length 0.5 move the coordinates by 0.5 sqrt(H_ii) = 1, 0.5, 2."""
    H3, delta = np.diag([4.0, 1.0, 16.0]), 0.5
    wide = axes_inside(H3, delta, np.array([1.0, 0.5, 2.0]), np.array([1.0, 0.5, 2.0]))
    assert not wide.near.size and sorted(wide.D) == [1.0, 2.0, 4.0]
    axes = axes_inside(H3, delta, np.array([0.9, 0.5, 7.0]), np.array([0.7, 9.0, 0.1]))
    assert axes.near.tolist() == [0, 2] and axes.D.tolist() == [1.0]
    assert axes.inward.tolist() == [-0.9, -2.0]  # as far as there is room, but no farther than a probe
    level = axes_inside(H3, delta, np.array([0.25, 9.0, 9.0]), np.array([0.25, 9.0, 9.0]))
    assert level.inward.tolist() == [0.25]
    probes = axes.probes(delta)
    np.testing.assert_allclose(np.abs(probes[0]), [0.0, 0.5, 0.0])
    np.testing.assert_allclose(probes[3], -probes[0])
    assert probes[1].tolist() == [-0.9, 0.0, 0.0] and probes[4].tolist() == [-0.45, 0.0, 0.0]
    assert probes[2].tolist() == [0.0, 0.0, -2.0] and probes[5].tolist() == [0.0, 0.0, -1.0]


def test_what_is_measured_where_a_coordinate_is_held():
    """f = 3 x + 5 y^2 + y from (0, 0), x held at its bound and y curved by 10 where H has 1."""
    axes = Axes(np.array([[0.0], [1.0]]), np.array([1.0]), np.array([0]), np.array([0.5]))
    ahead, behind = np.array([5 * 0.25 + 0.5, 1.5]), np.array([5 * 0.25 - 0.5, 0.75])
    for known, rest in ((True, 4.0), (False, 4.0 / 10.0)):
        g, corrected = measured(axes, 0.5, 0.0, ahead, behind, np.diag([4.0, 1.0]), known)
        assert g.tolist() == [3.0, 1.0]
        np.testing.assert_allclose(corrected, np.diag([rest, 0.1]))
    g, _ = measured(axes, 0.5, 0.0, np.array([1.75, NAN]), behind, np.eye(2), True)
    assert g.tolist() == [0.0, 1.0]


def test_an_axis_that_does_not_curve_upwards_is_left_as_it_is_or_as_the_others():
    axes = Axes(np.eye(3), np.ones(3))
    losses = np.array([1.0, 4.0, -1.0])  # of curvatures 2, 8 and -2
    _, corrected = measured(axes, 1.0, 0.0, losses, losses, np.eye(3), True)
    np.testing.assert_allclose(corrected, np.diag([0.5, 0.125, 1.0]))
    _, corrected = measured(axes, 1.0, 0.0, losses, losses, np.eye(3), False)
    np.testing.assert_allclose(corrected, np.diag([0.5, 0.125, 0.25]))  # their geometric mean is 4

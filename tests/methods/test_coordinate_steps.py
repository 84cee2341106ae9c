"""The parts of `CoordinateSearch` and `Sweep`: transcribed plainly, coordinate by coordinate, and by hand."""

import dataclasses
import itertools
import math

import numpy as np
import pytest

import zoo_opt as zo
from zoo_opt.core.keys import CHOICE, Key, generator
from zoo_opt.methods.grid import Grid, cells
from zoo_opt.methods.local.coordinate_search import CoordinateState, _easiest, _refined, _to_refine
from zoo_opt.methods.local.sums import separable
from zoo_opt.methods.local.sweep import Sweep, SweepState, _lower

KEY = Key(1, 2)
NAN, INF = math.nan, math.inf
RNG = np.random.default_rng(3)
GOLDEN = (3 - math.sqrt(5)) / 2


# ------------------------------------------------------------------------------------------------ STEP and refinement
def easiest(t, v):
    """STEP for one coordinate: the interval whose parabola, dipping below the best by a part, is the least curved."""
    pairs = sorted(zip(t, v, strict=True))
    alive = [value for _, value in pairs if value < INF]
    best, worst = min(alive), max(alive)
    target = best - 1e-4 * (worst - best)
    chosen = None
    for (a, fa), (b, fb) in itertools.pairwise(pairs):
        if b > a:
            root_a, root_b = (math.sqrt(min(value, worst) - target + 1e-300) for value in (fa, fb))
            curvature = (root_a + root_b) / (b - a)
            if chosen is None or curvature < chosen[0]:
                chosen = curvature, a + min(max(root_a / (root_a + root_b), 0.25), 0.75) * (b - a)
    return chosen[1]


@pytest.mark.parametrize("n", [2, 3, 9])
def test_the_easiest_interval(n):
    T, V = RNG.uniform(-3, 3, (n, 40)), RNG.uniform(0, 1, (n, 40))
    V[:, 20:] **= 8  # some near the best: the clip matters
    V[0, ::3] = INF
    expected = [easiest(t, v) for t, v in zip(T.T, V.T, strict=True)]
    np.testing.assert_allclose(_easiest(T, V), expected, rtol=1e-12)


def test_the_easiest_interval_by_hand():
    """Level losses: the middle of the widest interval; points that coincide are no interval."""
    T, V = np.array([[0.0], [1.0], [4.0], [4.0]]), np.full((4, 1), 5.0)
    assert _easiest(T, V).tolist() == [2.5]
    assert _easiest(np.array([[0.0], [8.0]]), np.array([[0.0], [1.0]])).tolist() == [2.0]  # a quarter at least
    assert _easiest(np.array([[0.0], [8.0]]), np.array([[1.0], [0.0]])).tolist() == [6.0]


def refined(t, v, turn, below, above):
    """The point next to the best one: outward, by the golden section of the wider side, or by the parabola."""
    pairs = sorted(zip(t, v, strict=True))
    m = min(range(len(pairs)), key=lambda i: pairs[i][1])
    b = pairs[m][0]
    a, c = pairs[max(m - 1, 0)][0], pairs[min(m + 1, len(pairs) - 1)][0]
    reach = c - b if c - b > b - a else a - b
    outermost = (m == 0 and below) or (m == len(pairs) - 1 and above)
    x = b + (-2.0 if outermost else GOLDEN) * reach
    lowest = sorted(((value, point) for point, value in pairs if value < INF))[:3]
    if turn % 6 != 5 and len(lowest) == 3:
        values, points = zip(*lowest, strict=True)
        square, slope, _ = np.linalg.solve(np.vander(points, 3), values)
        vertex = -slope / (2 * square)
        if a < vertex < c and vertex != b:
            x = vertex
    return x


@pytest.mark.parametrize("turn", [2, 5, 7, 11])
@pytest.mark.parametrize("open_sides", [(False, False), (True, False), (False, True), (True, True)])
def test_the_refined_point(turn, open_sides):
    T, V = RNG.uniform(-3, 3, (5, 60)), RNG.uniform(0, 1, (5, 60))
    V[4, ::4] = INF
    below, above = (np.full(60, side) for side in open_sides)
    expected = [refined(t, v, turn, *open_sides) for t, v in zip(T.T, V.T, strict=True)]
    np.testing.assert_allclose(_refined(T, V, turn, below, above), expected, rtol=1e-7)


def test_the_refined_point_by_hand():
    T, V = np.array([[0.0], [1.0], [4.0]]), np.array([[9.0], [4.0], [1.0]])  # (x - 3)^2 at 0, 1, 4
    shut, outward = np.array([False]), np.array([True])
    assert _refined(T, V, 2, shut, shut).tolist() == [3.0]  # between the best, the last, and the point before it
    assert _refined(T, V, 5, shut, shut).tolist() == [4.0 - 3.0 * GOLDEN]
    assert _refined(T, V, 5, shut, outward).tolist() == [10.0]
    assert _refined(-T, V, 5, outward, shut).tolist() == [-10.0]
    V = np.array([[2.25], [0.25], [6.25]])  # (x - 1.5)^2
    assert _refined(T, V, 2, outward, outward).tolist() == [1.5]
    assert _refined(T, V, 5, outward, outward).tolist() == [1.0 + 3.0 * GOLDEN]
    nearer = np.array([[4.0], [0.25], [1.0], [9.0]])  # (x - 1.5)^2 at 0, 1, 2.5, 4.5: by the three lowest
    assert _refined(np.array([[-0.5], [1.0], [2.5], [4.5]]), nearer, 3, shut, shut).tolist() == [1.5]
    huge = np.array([[-1.7e308], [0.0], [1.0]])
    with np.errstate(over="ignore"):
        for turn in (3, 5):
            assert np.isfinite(_refined(huge, np.array([[0.0], [1.0], [2.0]]), turn, outward, outward)).all()


@pytest.mark.parametrize(
    ("losses", "is_sum"),
    [
        ((1.0, 3.0, 2.0, 2.0), True),
        ((1.0, 3.0, 2.0, 2.0 + 1.9e-9), True),
        ((1.0, 3.0, 2.0, 2.0 + 2.1e-9), False),
        ((1.0, 3.0, 2.0, 2.0 - 2.1e-9), False),
        ((1e6, 1e6 + 0.1, 1e6, 1e6 + 0.1), True),
        ((1e6, 1e6 + 0.9e-3, 1e6 + 0.9e-3, 1e6), False),  # less than a part in a billion: a plateau
        ((0.0, 0.0, 0.0, 0.0), False),
        ((-1.0, -3.0, -2.0, -2.0), True),
        ((1.0, NAN, 2.0, 2.0), False),
        ((1.0, 3.0, INF, 2.0), False),
    ],
)
def test_what_a_sum_is(losses, is_sum):
    assert separable(*losses) is is_sum


# ---------------------------------------------------------------------------------------------------- coordinate search
SEARCH, OPEN = zo.CoordinateSearch(bounds=(-4.0, 6.0)), zo.CoordinateSearch(bounds=None)


def test_the_first_moves_go_to_the_bounds_or_as_far_as_the_start_is_from_0():
    s = SEARCH.init(np.array([1.0, 2.0]), KEY)
    assert SEARCH.size(s) == 5 and SEARCH.mean(s).tolist() == [1.0, 2.0]
    assert SEARCH.ask(s, 0).X.tolist() == [[1, 2], [-4, 2], [1, -4], [6, 2], [1, 6]]
    s = OPEN.init(np.array([0.5, -3.0]), KEY)
    assert OPEN.ask(s, 0).X.tolist() == [[0.5, -3], [-0.5, -3], [0.5, -6], [1.5, -3], [0.5, 0]]
    mixed = zo.CoordinateSearch(bounds=[(None, 1.0), (-4.0, None)])
    assert mixed.ask(mixed.init(np.array([0.5, -3.0]), KEY), 0).X.tolist() == [
        *([0.5, -3], [-0.5, -3], [0.5, -4], [1.0, -3], [0.5, 0])
    ]


def first_round(method=SEARCH, x0=(1.0, 2.0), losses=(10.0, 20.0, 12.0, 8.0, 13.0)):
    s = method.init(np.array(x0), KEY)
    return method.update(s, method.ask(s, 0), list(losses))


def test_the_change_along_each_coordinate_is_kept_in_units_of_the_loss():
    s = first_round()
    assert s.loss_unit == 16.0 and s.f == 10 / 16 and s.round == 1
    assert (s.V * 16).tolist() == [[0, 0], [10, 2], [-2, 3]] and s.T.tolist() == [[1, 2], [-4, -4], [6, 6]]
    assert SEARCH.mean(s).tolist() == [6.0, 2.0]
    failed = first_round(losses=(10.0, NAN, INF, 8.0, 13.0))
    assert (failed.V * failed.loss_unit).tolist() == [[0, 0], [INF, INF], [-2, 3]]


def test_the_second_round_has_a_random_point_and_later_ones_refine():
    s = first_round()
    asked = SEARCH.ask(s, 7).X
    one = _easiest(s.T, s.V)
    u = generator(KEY, 7).random(2)
    expected = [[6, 2], [one[0], 2], [6, one[1]], [-4 + 10 * u[0], 2], [6, -4 + 10 * u[1]]]
    np.testing.assert_allclose(asked, expected, rtol=1e-12)
    later = dataclasses.replace(s, round=2)  # every second round has moves of STEP's
    other = refined(s.T[:, 0], s.V[:, 0], 2, False, False), refined(s.T[:, 1], s.V[:, 1], 2, False, False)
    expected = [[6, 2], [one[0], 2], [6, one[1]], [other[0], 2], [6, other[1]]]
    assert SEARCH.size(later) == 5
    np.testing.assert_allclose(SEARCH.ask(later, 7).X, expected, rtol=1e-12)
    wide = first_round(OPEN, (0.5, -3.0))
    u = generator(KEY, 7).random(2)
    np.testing.assert_allclose(OPEN.ask(wide, 7).X[[3, 4], [0, 1]], [-0.5 + 2 * u[0], -6 + 6 * u[1]], rtol=1e-12)
    out = OPEN.ask(dataclasses.replace(wide, round=5), 7).X
    assert out[1, 0] == 1.5 + 2.0 * 1.0  # the best is the outermost, and nothing bounds it


def to_refine(T, V, f):
    """Which coordinates are refined, one by one: the larger loss beside the best says how much there is to gain."""
    depths = []
    for t, v in zip(T.T, V.T, strict=True):
        worst = max(b for b in v if b < INF)
        pairs = sorted((a, min(b, worst)) for a, b in zip(t, v, strict=True) if a < INF)
        m = min(range(len(pairs)), key=lambda i: pairs[i][1])
        beside = pairs[max(m - 1, 0) : m + 2]
        room = beside[-1][0] - beside[0][0] > 4 * 2.0**-52 * abs(pairs[m][0])
        depths.append((max(b for _, b in beside) - pairs[m][1], room))
    most = max(depth for depth, _ in depths)
    return [depth >= 0.1 * most and depth > 2.0**-52 * abs(f) and room for depth, room in depths]


@pytest.mark.parametrize("f", [1.0, 1e20])  # the second is so large that rounding hides what is left
def test_the_coordinates_that_are_refined(f):
    T, V = RNG.uniform(-3, 3, (6, 40)), RNG.uniform(0, 1, (6, 40)) * 10.0 ** RNG.uniform(-2, 0, 40)
    T[4, ::3] = V[4, ::3] = INF  # left out
    V[5, ::4] = INF  # failed
    T[:, 5] = 1.0  # nothing is left between
    expected = to_refine(T, V, f)
    assert _to_refine(CoordinateState(KEY, T, V, f, round=2)).tolist() == expected
    assert 0 < sum(expected) < 39 if f == 1.0 else not any(expected)
    assert _to_refine(CoordinateState(KEY, T, V, f, round=1)).all()


def test_a_coordinate_left_out_keeps_its_points():
    s = dataclasses.replace(first_round(), round=4, V=np.array([[0.0, 0.0], [8.0, 0.01], [-2.0, 0.02]]))
    asked = SEARCH.ask(s, 4)
    assert [part.tolist() for part in asked.memo] == [[0, 1], [0]] and SEARCH.size(s) == len(asked.X) == 4
    after = SEARCH.update(s, asked, [-22.0, -20.0, -18.0, -30.0])  # as promised: 10 - 2 * 16
    assert after.T[3:].tolist() == [[asked.X[1, 0], asked.X[2, 1]], [asked.X[3, 0], INF]]
    assert after.V[3:].tolist() == [[-1.875, 0.25], [-2.5, INF]] and SEARCH.stop(after) == {}
    again = SEARCH.ask(after, 4).X
    assert np.isfinite(again).all() and (again >= -4).all() and (again <= 6).all()


def test_between_rounds_with_steps_moves_only_what_there_is_to_refine_is_moved():
    s = dataclasses.replace(first_round(), round=5, V=np.array([[0.0, 0.0], [8.0, 0.01], [-2.0, 0.02]]))
    asked = SEARCH.ask(s, 3)
    assert [part.tolist() for part in asked.memo] == [[], [0]] and SEARCH.size(s) == len(asked.X) == 2
    assert asked.X.tolist() == [[6.0, 2.0], [6.0 - 5.0 * GOLDEN, 2.0]]
    after = SEARCH.update(dataclasses.replace(s, without_gain=7), asked, [-22.0, -20.0])
    assert after.without_gain == 7 and (after.T[3] == INF).all() and after.T[4].tolist() == [asked.X[1, 0], INF]
    done = dataclasses.replace(s, V=np.zeros((3, 2)))  # nothing to refine
    assert [part.tolist() for part in SEARCH.ask(done, 3).memo] == [[0, 1], []]


def test_the_combined_point_is_evaluated_only_where_it_is_new():
    s = dataclasses.replace(first_round(), round=5, V=np.array([[0.0, 0.0], [8.0, 0.01], [-2.0, 0.02]]))
    asked = SEARCH.ask(s, 3)
    worse = SEARCH.update(s, asked, [-22.0, -20.0])  # the move was no gain: the best coordinates are still the best
    assert worse.f_best == -22.0 / 16 and SEARCH.size(worse) == len(SEARCH.ask(worse, 4).X) == 4
    assert not (SEARCH.mean(worse) == SEARCH.ask(worse, 4).X).all(axis=1).any()
    lower = SEARCH.update(worse, SEARCH.ask(worse, 4), [-30.0, -20.0, -20.0, -20.0])
    assert math.isnan(lower.f_best) and lower.V[5].tolist() == [-2.5, 0.125]
    assert (SEARCH.ask(lower, 5).X[0] == SEARCH.mean(lower)).all()
    failed = SEARCH.update(s, asked, [NAN, -20.0])
    assert failed.f_best == s.f - 2.0  # the sum of its parts


@pytest.mark.parametrize(
    ("together", "ends"), [(-22.0, False), (-6.5, False), (-5.5, True), (12.0, True), (NAN, False)]
)
def test_parts_that_do_not_add_up_are_no_sum(together, ends):
    """From 10 they promise 32 less: half of that is -6."""
    s = dataclasses.replace(first_round(), V=np.array([[0.0, 0.0], [8.0, 8.0], [-1.0, -1.0]]))
    after = SEARCH.update(s, SEARCH.ask(s, 1), [together, 50.0, 50.0, 50.0, 50.0])
    assert SEARCH.stop(after) == ({"no_sum": 0.5} if ends else {})


def test_a_later_round_counts_from_the_point_of_the_best():
    s = first_round()
    asked = SEARCH.ask(s, 1)
    after = SEARCH.update(s, asked, [7.0, 9.0, 6.0, 7.5, 8.0])  # the sum of its parts would be 8
    assert (after.V[3:] * 16).tolist() == [[0, -1], [-1.5, 1]] and after.f == s.f
    failed = SEARCH.update(s, asked, [NAN, 9.0, 6.0, 7.5, 8.0])  # it is taken for 8
    assert (failed.V[3:] * 16).tolist() == [[-1, -2], [-2.5, 0]]
    assert after.round == 2 and after.T[3:, 0].tolist() == asked.X[[1, 3], 0].tolist()
    assert after.T[3:, 1].tolist() == asked.X[[2, 4], 1].tolist()


def test_rounds_without_a_better_basin_end_it():
    """The first of the two moves counts: it must be below the best so far and below the other move."""
    s = dataclasses.replace(first_round(), without_gain=3)
    asked = SEARCH.ask(s, 1)
    for losses, count in (
        ([8.0, 9.0, 7.0, 9.0, 9.0], 0),
        ([8.0, 7.0, 9.0, 6.0, 9.0], 4),  # the other move is better
        ([8.0, 8.0, 8.0, 9.0, 9.0], 4),  # as good is not better
    ):
        after = SEARCH.update(s, asked, losses)
        assert after.without_gain == count and SEARCH.stop(after) == {}
    short = zo.CoordinateSearch(bounds=(-4.0, 6.0), patience=4)
    assert short.stop(short.update(s, asked, [8.0, 9.0, 9.0, 9.0, 9.0])) == {"patience": 4}


def test_where_the_start_has_no_loss_the_search_begins_at_the_best_of_the_others():
    s = first_round(losses=(NAN, 20.0, NAN, 12.0, INF))
    assert s.T.tolist() == [[6.0, 2.0]] and s.V.tolist() == [[0.0, 0.0]] and (s.f, s.loss_unit) == (0.75, 16.0)
    assert s.round == 0 and s.key is KEY
    after = SEARCH.update(s, SEARCH.ask(s, 1), [12.0, 20.0, 30.0, 40.0, 50.0])
    assert after.T.shape == after.V.shape == (3, 2) and (after.V * 16).tolist() == [[0, 0], [8, 18], [28, 38]]
    nothing = first_round(losses=[NAN] * 5)
    assert nothing.loss_unit == 0.0 and math.isnan(nothing.f) and nothing.round == 1
    assert isinstance(nothing, CoordinateState) and np.isinf(nothing.V[1:]).all()


# -------------------------------------------------------------------------------------------------------------- sweep
@pytest.mark.parametrize(
    ("T", "V", "line", "integer", "x"),
    [
        ([2.0, 8.0, 5.0], [1.0, 25.0, 4.0], (0, 10), False, 1.0),  # the best is the first: halfway to the end
        ([2.0, 8.0, 5.0], [25.0, 1.0, 4.0], (0, 10), False, 9.0),
        ([8.0, 2.0, 5.0], [16.0, 4.0, 1.0], (0, 10), False, 4.0),  # (x - 4)^2
        ([2.0, 8.0, 5.0], [9.0, 9.0, 0.0], (0, 10), False, 3.5),  # at the best itself: the middle, of the left if alike
        ([2.0, 9.0, 5.0], [9.0, 16.0, 0.0], (0, 10), False, 7.0),  # of the wider
        ([1.0, 8.0, 5.0], [16.0, 9.0, 0.0], (0, 10), False, 3.0),
        ([1.0, 8.0, 5.0], [INF, 9.0, 0.0], (0, 10), False, 3.0),
        ([2.0, 9.0, 5.0], [9.0, INF, 0.0], (0, 10), False, 7.0),
        ([4.0, 9.0, 5.0], [9.0, INF, 0.0], (0, 10), True, 7.0),
        ([2.0, 8.0, 5.0], [9.0, 9.0, 0.0], (0, 10), True, 4.0),  # 3.5 is for the level 4
        ([4.0, 6.0, 5.0], [1.0, 1.0, 0.0], (0, 10), True, 4.0),  # nothing between: the next on that side
        ([4.0, 7.0, 5.0], [1.0, 4.0, 0.0], (0, 10), True, 6.0),
        ([0.0, 3.0], [1.0, 2.0], (0, 10), True, 1.0),
        ([1.0, 3.0], [1.0, 2.0], (0, 10), True, 0.0),
        ([10.0, 3.0], [1.0, 2.0], (0, 10), True, 10.0),
        ([9.0, 3.0], [1.0, 2.0], (0, 10), True, 10.0),
    ],
)
def test_where_a_line_is_likely_to_be_lowest(T, V, line, integer, x):
    got = _lower(np.array(T), np.array(V), *map(float, line), integer)
    assert (round(got) if integer else got) == x


GRID = Grid(9, ((0, tuple(map(float, range(9)))), (1, (0.0, 1.0)), (2, (0.0, 1.0, 2.0))), ((5, 3),))
SWEEP = Sweep(grid=GRID, bounds=[(0, 8)] * 3 + [(0.0, 1.0), (2.0, 2.0)] + [(0, 1)] * 3 + [(0.0, None)])
X0 = np.array([4.0, 1.0, 2.0, 0.5, 2.0, 0.0, 1.0, 0.0, 3.0])


def test_which_variables_are_swept():
    """From few levels to many; of the continuous ones those between two bounds."""
    assert [part.columns.tolist() for part in SWEEP.parts] == [[1], [2], [5, 6, 7], [0], [3]]
    assert [part.columns.tolist() for part in Sweep(grid=GRID).parts] == [[1], [2], [5, 6, 7], [0]]
    s = SWEEP.init(X0, KEY)
    assert s.tried.shape == (5, 9) and not s.tried.any() and math.isnan(s.f)
    random = generator(KEY, 0, CHOICE).random(5)
    assert s.order.tolist() == sorted(range(5), key=lambda i: ((2, 3, 3, 9, INF)[i], random[i]))
    assert SWEEP.size(s) == 1 and SWEEP.ask(s, 0).X.tolist() == [X0.tolist()]


def at(part, **changes):
    """A state of the sweep at a variable, from its start with the loss 4."""
    s = SweepState(X0, 4.0, np.zeros((5, 9), dtype=bool), np.arange(5), 0, *[np.zeros(0)] * 3)
    return SWEEP._at(dataclasses.replace(s, **changes), part)


def test_all_of_a_few_levels_and_alternatives_are_tried_in_one_step():
    s = at(0)
    assert s.turn == 0 and s.ahead.tolist() == [0.0] and s.T.tolist() == [1.0] and s.V.tolist() == [4.0]
    assert s.tried[0].tolist() == [True, True] + [False] * 7
    s = at(1)
    assert s.ahead.tolist() == [0.0, 1.0] and SWEEP.ask(s, 1).X[:, 2].tolist() == [0.0, 1.0]
    s = at(2)
    assert s.ahead.tolist() == [0.0, 2.0]
    assert SWEEP.ask(s, 1).X[:, 5:8].tolist() == [[1, 0, 0], [0, 0, 1]] and SWEEP.size(s) == 2
    tried = np.zeros((5, 9), dtype=bool)
    tried[2, 2] = True
    assert at(2, tried=tried).ahead.tolist() == [0.0]


def test_lines_are_looked_at_in_two_places_and_then_twice_by_parabola():
    s = at(4)
    assert s.T.tolist() == [0.5] and s.ahead.tolist() == [0.2, 0.8] and not s.tried.any()
    s = SWEEP.update(s, SWEEP.ask(s, 1), [5.0, NAN])
    assert s.T.tolist() == [0.5, 0.2, 0.8] and s.V.tolist() == [4.0, 5.0, INF] and s.ahead.tolist() == [0.65]
    s = SWEEP.update(s, SWEEP.ask(s, 1), [3.0])
    assert s.f == 3.0 and s.x[3] == 0.65 and len(s.ahead) == 1
    s = SWEEP.update(s, SWEEP.ask(s, 1), [3.5])
    assert SWEEP.stop(s) == {"swept": 5} and s.x[3] == 0.65 and SWEEP.mean(s)[3] == 0.65
    assert SWEEP.ask(s, 1).X.tolist() == [s.x.tolist()] and SWEEP.size(s) == 1
    assert SWEEP.update(s, SWEEP.ask(s, 1), [9.0]) is s


def test_of_many_levels_some_are_tried():
    s = at(3)
    assert s.T.tolist() == [4.0] and s.ahead.tolist() == [2.0, 6.0]  # 0.2 and 0.8 of 8, rounded
    assert np.flatnonzero(s.tried[3]).tolist() == [2, 4, 6]
    s = SWEEP.update(s, SWEEP.ask(s, 1), [3.0, 9.0])
    assert s.ahead.tolist() == [1.0] and s.x[0] == 2.0 and s.f == 3.0
    s = SWEEP.update(s, SWEEP.ask(s, 1), [5.0])
    assert s.ahead.tolist() == [3.0] and s.tried[3].sum() == 5
    s = SWEEP.update(s, SWEEP.ask(s, 1), [5.0])
    assert s.turn == 4  # that was enough


def test_a_sweep_of_all_levels_leaves_out_lines_and_very_many_levels():
    whole = Sweep(grid=cells((0, 64, 65, 5)), bounds=(0, 1), whole=True)
    x0 = whole.grid.snap(np.full(4, 0.5))
    tried = np.zeros((4, 65), dtype=bool)
    tried[0, 1] = True
    s = whole.begun(x0, 4.0, tried, KEY)
    assert s.part == 0 and s.ahead.tolist() == [0.0, 3.0, 4.0]
    s = whole.update(s, whole.ask(s, 0), [5.0, 6.0, 7.0])
    assert s.part == 1 and len(s.ahead) == 63
    s = whole.update(s, whole.ask(s, 1), [5.0] * 63)
    assert whole.stop(s) == {"swept": 4}


def test_a_start_that_fails_gives_way_to_any_loss():
    s = SWEEP.init(X0, KEY)
    failed = SWEEP.update(s, SWEEP.ask(s, 0), [NAN])
    assert failed.f == INF and len(failed.ahead)
    better = SWEEP.update(failed, SWEEP.ask(failed, 1), [7.0] * len(failed.ahead))
    assert better.f == 7.0 and (better.x == SWEEP.ask(failed, 1).X[0]).all()

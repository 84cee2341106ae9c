"""Small parts of the methods, each against what its docstring says."""

from types import SimpleNamespace

import numpy as np
import pytest
from refusals import raises

import zoo_opt as zo
from zoo_opt.core.keys import SUBSPACE, generator, make_key
from zoo_opt.core.method import Asked
from zoo_opt.gradient.draws import Rademacher
from zoo_opt.gradient.gains import Constant, Gain, Observation
from zoo_opt.methods.bar import OneSided
from zoo_opt.methods.box import Box, check_box, check_start
from zoo_opt.methods.coordinates import ScaledVariables, in_coordinates
from zoo_opt.methods.fzoo import Centered
from zoo_opt.methods.grid import Grid
from zoo_opt.methods.starts import SeveralStarts

STARTS = np.array([[3.0, 3.0], [1.0, -1.0]])


# ------------------------------------------------------------------------------------------------- boxes and grids
def test_the_first_coordinate_outside_is_named():
    """Those on a side are inside."""
    start = np.array([0.0, 5.0, 5.5, -3.0])
    raises(ValueError, r"x0\[2\] = 5.5 outside \[0.0, 5.0\]", check_start, start, Box(0.0, 5.0))
    check_start(start[:2], Box(0.0, 5.0))


def test_two_arrays_of_two_coordinates_are_sides():
    for other in ([5.0, 6.0], (5.0, 6.0), np.array([5.0, 6.0])):
        assert check_box("bounds", (np.array([0.0, 1.0]), other)) == Box((0.0, 1.0), (5.0, 6.0))
    assert check_box("bounds", [(0.0, 5.0), np.array([1.0, 6.0])]) == Box((0.0, 1.0), (5.0, 6.0))


@pytest.mark.parametrize("box", [(2.0, 1.0), (np.inf, np.inf), (-np.inf, -np.inf), ([0.0, 3.0, 0.0], [1.0, 2.0, 1.0])])
def test_a_box_without_a_number(box):
    raises(ValueError, "must have low <= high in every coordinate", check_box, "bounds", box)


@pytest.mark.parametrize("box", [([], []), ([], 1.0), (0.0, [])])
def test_a_box_without_a_coordinate(box):
    raises(ValueError, "must have at least one coordinate", check_box, "bounds", box)


@pytest.mark.parametrize(
    "box", [[1.0], [], [1.0, 2.0, 3.0], [(1.0,)], [(0.0, 1.0), 2.0, 3.0], [np.zeros(1), np.ones(1), np.ones(1)]]
)
def test_a_box_that_is_no_two_sides(box):
    raises(TypeError, "bounds must be", check_box, "bounds", box)


@pytest.mark.parametrize("attributes", [{"lb": [0.0]}, {"ub": [1.0]}])
def test_half_of_scipys_bounds_is_no_box(attributes):
    raises(TypeError, "bounds must be", check_box, "bounds", SimpleNamespace(**attributes))


@pytest.mark.parametrize("coordinate", [-1, 3, 5])
def test_levels_of_a_coordinate_that_is_not_there(coordinate):
    raises(ValueError, "coordinates below 3", Grid, 3, levels=((coordinate, (0.0, 1.0)),))


def test_three_levels_are_an_integer_and_two_are_a_choice():
    grid = Grid(4, levels=((0, (0.0, 1.0)), (2, (0.0, 1.0, 2.0)), (3, (-1.0, 5.0, 6.0, 9.0))))
    assert grid.integers.tolist() == [2, 3] and grid.alternatives == (2,)
    assert grid.positions.tolist() == [[0.0, 1.0, 2.0, np.inf], [-1.0, 5.0, 6.0, 9.0]]


def test_a_binary_beyond_its_levels_weighs_as_on_them():
    grid = Grid(2, levels=((0, (0.0, 1.0)), (1, (-1.0, 3.0))))
    X = np.array([[-5.0, 3.0], [9.0, 9.0], [0.25, 0.0]])
    assert grid.weights(X).tolist() == [[1.0, 0.0, 0.0, 1.0], [0.0, 1.0, 0.0, 1.0], [0.75, 0.25, 0.75, 0.25]]


def test_ends_of_binaries():
    grid = Grid(4, levels=((0, (0.0, 1.0)), (1, (0.0, 1.0, 2.0)), (3, (-1.0, 5.0))))
    assert grid.ends.tolist() == [[0.0, -1.0], [1.0, 5.0]] and Grid(2).ends.shape == (2, 0)


# -------------------------------------------------------------------------------------------------------- wrappers
def test_a_wrapper_ends_as_its_method_does():
    assert SeveralStarts(zo.SPSA(), STARTS).ends is zo.SPSA().ends
    assert SeveralStarts(zo.QuasiNewton(), STARTS).ends is zo.QuasiNewton().ends
    assert zo.SPSA().ends is not zo.QuasiNewton().ends
    for inner in (zo.SPSA(), zo.QuasiNewton()):
        assert zo.RandomSubspace(inner, dim=1).lookahead is inner.lookahead


def test_a_subspace_has_a_dimension():
    raises(ValueError, "dim must be >= 1, got 0", zo.RandomSubspace, zo.SPSA(), dim=0)
    assert zo.RandomSubspace(zo.SPSA(), dim=1).dim == 1


def test_a_method_in_scaled_variables_already():
    """It stays as it is, unless it is to be scaled once more."""
    x0, method = np.ones(2), ScaledVariables(zo.SPSA(), scale=2.0)
    assert in_coordinates(method, x0) is method
    assert in_coordinates(method, x0, x_scale=4.0) == ScaledVariables(method, 4.0)
    bounded = in_coordinates(method, x0, bounds=(0, 5))
    assert isinstance(bounded, ScaledVariables) and bounded.bounds == Box(0.0, 5.0)


def test_repeats_in_a_subspace():
    """Those of this step are the same row, bit for bit; those of steps before are new points, as A moves none."""

    class Repeats(zo.SPSA):
        def ask(self, state, step, out=None):
            X = np.linspace(0.1, 0.9, 8).reshape(4, 2)
            X[2:] = X[:2]
            return Asked(X, None, [-1, None, 0, 1])

    method = zo.RandomSubspace(Repeats(), dim=2)
    asked = method.ask(method.init(np.ones(5), make_key(np.random.default_rng(0))), 0)
    assert asked.again == [None, None, 0, 1]
    assert (asked.X[2:] == asked.X[:2]).all() and (asked.X[0] != asked.X[1]).any()


def test_lengths_of_another_number_of_variables_are_left_to_the_method():
    x0 = np.array([1.0, 5.0, 3.0])
    for sigma0, inner in (((1.0, 2.0, 3.0), (1.0, 3.0)), ((1.0, 2.0), (1.0, 2.0))):
        method = in_coordinates(zo.CMAES(sigma0=sigma0), x0, bounds=[(0, 9), (5, 5), (0, 9)])
        assert method.method.sigma0 == inner


def test_points_in_scaled_variables_stay_in_a_box_of_another_type():
    """Neither side is a float32; the nearest ones are outside by a rounding."""
    method = ScaledVariables(zo.SPSA(), bounds=(-0.3, 0.1))
    state = method.init(np.zeros(2, np.float32), make_key(np.random.default_rng(0)))
    X = method.points(state, np.array([[-9.0, 9.0]], np.float32))
    assert X.dtype == np.float32 and X[0, 0] >= -0.3 and X[0, 1] <= 0.1
    np.testing.assert_allclose(X, [[-0.3, 0.1]], atol=1e-7)


def test_a_wrapper_keeps_its_state_where_known_points_change_nothing():
    """And has what its method makes of them where they do, in the method's own coordinates."""
    x0, X = np.array([1.0, 5.0, 3.0]), np.array([[2.0, 9.0, 8.0], [4.0, 9.0, 2.0]])
    key = make_key(np.random.default_rng(0))
    for inner, uses in ((zo.SPSA(lr=0.1, c=0.1), False), (zo.CMAES(), True)):
        method = ScaledVariables(inner, scale=(2.0, 1.0, 4.0), fixed=(1,))
        state = method.init(x0, key)
        state = method.update(state, method.ask(state, 0), [1.0] * method.size(state))
        after = method.known(state, X, [0.5, 0.25])
        assert (after is state) is not uses
        if uses:
            alone = inner.known(state.inner, np.array([[1.0, 2.0], [2.0, 0.5]]), [0.5, 0.25])
            assert repr(after.inner) == repr(alone)


def test_draws_go_by_columns_unless_they_say_no():
    by_columns = {cls: cls.by_columns for cls in (Rademacher, zo.Gaussian, zo.QuantileGaussian, zo.SegmentedUniform)}
    assert all(by_columns.values()) and not zo.Sphere.by_columns


def test_a_wrapper_is_replanned_as_its_method_is():
    for inner in (zo.SPSA(lr=0.1), zo.CMAES(), zo.QuasiNewton(), zo.Auto()):
        planned = zo.RandomSubspace(inner, dim=2).plan(np.ones(4), 50)
        alone, again = planned.method.replanned(80), planned.replanned(80)
        assert again == (None if alone is None else zo.RandomSubspace(alone, dim=2))
    assert zo.Auto().plan(np.ones(2), 50).replanned(80) == zo.Auto().plan(np.ones(2), 80)


@pytest.mark.parametrize(("evaluations", "budget", "left"), [(None, 50, 46), (24, 50, 26), (24, 10, 6)])
def test_the_method_is_told_what_the_race_leaves_of_a_budget(evaluations, budget, left):
    """Four starts: two rounds of 4 x 3 and 2 x 6 evaluations, or one of each start where that is too much."""
    starts = np.arange(8.0).reshape(4, 2)
    planned = SeveralStarts(zo.Auto(), starts, evaluations).plan(starts[0], budget)
    assert planned.method == zo.Auto().plan(starts[0], left)


@pytest.mark.parametrize(("known", "begins_at"), [(0.5, 9.0), (1.0, 1.0), (1.5, 1.0), (np.nan, 1.0)])
def test_a_point_known_before_the_race_is_one_more_start(known, begins_at):
    method = SeveralStarts(zo.SPSA(), [[3.0], [1.0]])
    state = method.init(np.zeros(1), make_key(np.random.default_rng(0)))
    state = method.known(state, np.array([[9.0]]), [known])
    state = method.update(state, method.ask(state, 0), [3.0, 1.0])
    assert method.mean(state).tolist() == [begins_at]


def test_a_point_known_where_all_starts_fail():
    method = SeveralStarts(zo.SPSA(), [[3.0], [1.0]])
    state = method.known(method.init(np.zeros(1), make_key(np.random.default_rng(0))), np.array([[9.0]]), [7.0])
    state = method.update(state, method.ask(state, 0), [np.nan, np.nan])
    assert method.mean(state).tolist() == [9.0]


def test_a_large_subspace_is_drawn_in_blocks_of_a_given_size():
    d, k = 70_000, 2
    method = zo.RandomSubspace(zo.SPSA(lr=0.1, c=0.1), dim=k)
    state = method.init(np.zeros(d), make_key(np.random.default_rng(0)))
    A, rows = np.empty((d, k)), 131_072 // k
    for number, start in enumerate(range(0, d, rows)):
        Rademacher().sample(generator(state.key, number, SUBSPACE), A[start : start + rows])
    W = np.array([[1.0, 0.5], [-2.0, 0.25]])
    np.testing.assert_allclose(method.points(state, W), W @ A.T / np.sqrt(k), rtol=1e-15)


@pytest.mark.parametrize("starts", [[[np.nan, 1.0]], [[1.0], [np.inf]], [], [1.0, 2.0], [[[1.0]]]])
def test_starts_that_are_none(starts):
    raises(ValueError, "starts must be one or more 1-D arrays of finite numbers", SeveralStarts, zo.SPSA(), starts)


@pytest.mark.parametrize("x0", [np.zeros(1), np.zeros(3)])
def test_starts_of_another_length(x0):
    key = make_key(np.random.default_rng(0))
    raises(ValueError, f"length of x0, {x0.size}, got 2", SeveralStarts(zo.SPSA(), STARTS).init, x0, key)
    assert SeveralStarts(zo.SPSA(), [x0]).init(x0, key).left == (0,)
    assert list(SeveralStarts(zo.SPSA(), [x0], evaluations=8).rounds()) == [(1, 1)]  # one start is no race


# ------------------------------------------------------------------------------------------------------ fzoo and bar
@pytest.mark.parametrize("base", [True, False])
def test_a_spread_takes_three_losses(base):
    """Two probes of four have failed, then one: the first step is lost, the other one is made."""
    method = zo.FZOO(lr=0.1, c=0.1, directions=4, base=base)
    state = method.init(np.ones(3), make_key(np.random.default_rng(0)))
    asked = method.ask(state, 0)
    first = [1.0] if base else []
    assert (method.update(state, asked, [*first, 2.0, np.nan, np.nan, 5.0]).x == state.x).all()
    assert (method.update(state, asked, [*first, 2.0, 1.0, np.nan, 5.0]).x != state.x).all()


def test_probes_that_all_lie_level_have_no_spread():
    assert Centered(3, at_least=3).square([0.0, 0.0, 0.0]) == 0.0
    assert Centered(3, at_least=3).square([1.0, 0.0, -2.0]) == 5.0


def test_bar_in_one_direction():
    opt = zo.Optimizer(zo.BAR(lr=0.1, c=0.1, directions=1), np.ones(2), rng=0)
    assert len(opt.ask()) == 2
    raises(ValueError, "directions must be >= 1, got 0", zo.BAR, directions=0)


def test_the_least_of_pairs_and_steps():
    assert zo.SPSA(pairs=1).pairs == 1 and zo.BAR(lr=0.1, steps=1).steps == 1
    raises(ValueError, "pairs must be >= 1, got 0", zo.SPSA, pairs=0)
    raises(ValueError, "steps must be >= 1, got 0", zo.BAR, lr=0.1, steps=0)
    for lr in ("auto", zo.Cosine(0.1, 0.01, 10)):
        raises(ValueError, "lr must be a number where steps is given", zo.BAR, lr=lr, steps=9)


def test_settled_gains_go_by_the_first_momentum():
    """A schedule is asked for step 0, and for none before it."""

    def momentum(t):
        assert t >= 0
        return 0.5 / (1 + t)

    x0 = np.full(4, 2.0)
    scheduled, plain = (zo.SPSAGC(lr="auto", c="auto", momentum=value).plan(x0, 100) for value in (momentum, 0.5))
    assert scheduled.lr == plain.lr


@pytest.mark.parametrize("lr_min", [0.0, 0.05, 0.1])
def test_the_least_rate_of_bar_is_at_most_the_first(lr_min):
    assert zo.BAR(lr=0.1, lr_min=lr_min, steps=10).lr_min == lr_min
    raises(ValueError, "lr_min must be at most lr, 0.1, got 0.2", zo.BAR, lr=0.1, lr_min=0.2, steps=10)
    raises(ValueError, "lr_min must be 0 where steps is not given, got 0.2", zo.BAR, lr=0.1, lr_min=0.2)


# ------------------------------------------------------------------------------------------------------ gradient escape
def test_the_threshold_of_the_released_trainer_grows_with_the_dimension():
    assert zo.SPSAGEASS.paper(dim=500).threshold == 0.5 and zo.SPSAGEASS.paper(dim=1, threshold=2.0).threshold == 2.0
    raises(ValueError, "dim must be >= 1, got 0", zo.SPSAGEASS.paper, dim=0)
    raises(ValueError, "dim must be >= 1, got 0", zo.SPSAGEASS.released, dim=0)


def test_one_strike_is_enough_if_asked_for():
    method = zo.SPSAGEASS(lr=0.1, c=0.1, threshold=1.0, strikes=1, cooldown=1, lr_boost=7.0, c_boost=3.0)
    raises(ValueError, "strikes must be >= 1", zo.SPSAGEASS, lr=0.1, c=0.1, threshold=1.0, strikes=0)
    opt = zo.Optimizer(method, np.zeros(3), rng=0)
    opt.tell(batch := opt.ask(), [0.0] * len(batch))
    gain = opt.method.kit.gain(opt.state, 1)
    assert (gain.lr, gain.c) == pytest.approx((0.7, 0.3))


def test_gradient_escape_has_its_base_observe():
    """A base whose gains follow the losses goes on doing so; one whose gains are given is not told."""
    followed = zo.SPSAGEASS(lr="auto", c="auto", threshold=1e-9).plan(np.ones(3), 100)
    opt = zo.Optimizer(followed, np.ones(3), rng=0)
    before = opt.state.gains.base
    for _ in range(3):
        batch = opt.ask()
        opt.tell(batch, (batch.X**2).sum(axis=1))
    assert opt.state.gains.base != before
    given = zo.Optimizer(zo.SPSAGEASS(lr=0.1, c=0.1, threshold=1e-9), np.ones(3), rng=0)
    before = given.state.gains.base
    given.tell(batch := given.ask(), (batch.X**2).sum(axis=1))
    assert given.state.gains.base == before


# ------------------------------------------------------------------------------------------------------------ fzoo
def test_a_step_of_fzoo_grows_with_its_radius():
    method = zo.FZOO(lr="auto", c="auto").plan(np.ones(50), 1000)
    assert method.compose().gains.per_c is True


def test_an_observation_is_not_scaled_unless_it_says_so():
    seen = Observation([1.0], Gain(1.0, 1.0), False, OneSided(2), [0.5, -1.0], np.array([3.0, 4.0]))
    assert seen.norm == 5.0 and Constant(2.0)(0) == 2.0

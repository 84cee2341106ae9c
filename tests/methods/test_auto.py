"""Auto: which method it hands a loss to, and CoordinateSearch and units, which it is composed of."""

import itertools
import math
import operator
from collections.abc import Callable
from functools import partial
from types import SimpleNamespace

import numpy as np
import pytest
from refusals import refused
from solving import advance, rastrigin, rosenbrock, solve

import zoo_opt as zo
from zoo_opt.methods.auto.choice import MOST_WITHOUT_GAIN, endings
from zoo_opt.methods.auto.mixed import MixedAuto
from zoo_opt.methods.auto.searches import is_over
from zoo_opt.methods.auto.state import EVOLUTION, QUASI_NEWTON, SURROGATE, TRUST_REGION
from zoo_opt.methods.auto.units import unit_lengths
from zoo_opt.methods.grid import Grid
from zoo_opt.methods.local.sums import separable
from zoo_opt.testing import sphere

BOX = (-5.0, 5.0)


def run(loss: Callable[[np.ndarray], float], x0: np.ndarray, budget: int | None, **hyper: object) -> zo.Optimizer:
    return solve(zo.Optimizer(zo.Auto(**hyper), x0, rng=3, budget=budget), loss)


# ---------------------------------------------------------------------------------------------------------- routes


def test_start_centre_and_a_neighbour() -> None:
    """The first step is x0 and the centre of the box, the second a point next to the better of them."""
    opt = zo.Optimizer("auto", [1.0, 2.0], rng=0)
    assert opt.ask().X.tolist() == [[1.0, 2.0]]
    opt = zo.Optimizer(zo.Auto(bounds=(-1.0, [3.0, 5.0, 5.0, 5.0])), [1.0, 2.5, 2.0, 2.0], rng=0)
    first = opt.ask()
    assert first.X.tolist() == [[1.0, 2.5, 2.0, 2.0], [1.0, 2.0, 2.0, 2.0]]
    opt.tell(first, [1.0, 0.7])
    (second,) = opt.ask()
    assert (second != first.X[1]).all() and np.abs(second - first.X[1]).max() < 1e-12
    assert len(zo.Optimizer(zo.Auto(bounds=BOX), np.zeros(2)).ask()) == 1  # it is the centre


def test_smooth_loss_is_the_quasi_newton_methods() -> None:
    opt = run(rosenbrock, np.full(5, -1.5), 400, bounds=BOX)
    assert opt.state.active == QUASI_NEWTON and opt.best.loss < 1e-8


def test_noisy_loss_is_the_noise_handling_evolution_strategys() -> None:
    rng = np.random.default_rng(0)
    opt = run(lambda x: float(x @ x) + 4 * rng.standard_normal(), np.full(4, 3.0), 400, bounds=BOX)
    assert opt.state.noisy and set(opt.state.searches) == {EVOLUTION}
    assert opt.state.searches[EVOLUTION].method.noise == zo.QuadraticModel()
    assert float(opt.mean @ opt.mean) < 3.0  # of 36: the mean is the one of the strategy, not the luckiest point


def jittered(kind: str, size: float) -> Callable[[np.ndarray], float]:
    """The valley of Rosenbrock above 1, whose last digits shake: float32, anew at every call, or by the point."""
    rng = np.random.default_rng(0)

    def loss(x: np.ndarray) -> float:
        value = 1.0 + rosenbrock(x)
        if kind == "float32":
            return float(np.float32(value))
        own = np.random.default_rng(list(x.tobytes())) if kind == "of x" else rng
        return value * (1 + size * own.standard_normal())

    return loss


@pytest.mark.parametrize(
    ("kind", "size"),
    [("float32", 6e-8), ("anew", 1e-8), ("anew", 1e-4), ("anew", 1e-3), ("of x", 1e-8), ("of x", 1e-4)],
)
def test_losses_whose_last_digits_shake_are_the_trust_regions(kind: str, size: float) -> None:
    """Nearly down to what the shaking hides; quasi-Newton's differences of 1e-8 end two hundred times higher."""
    loss = jittered(kind, size)
    opt = run(loss, np.full(4, -1.5), 400, bounds=BOX)
    assert TRUST_REGION in opt.state.searches and QUASI_NEWTON not in opt.state.searches and not opt.state.noisy
    assert rosenbrock(opt.best.x) < max(1e-4, 50 * size)
    assert "shake" in opt.believed


@pytest.mark.parametrize("size", [1e-15, 1e-12])
def test_jitter_of_the_last_digits_alone_changes_nothing(size: float) -> None:
    """A sum in another order at every call, say: such a loss was taken for noise, and ended at 7."""
    rng = np.random.default_rng(0)
    opt = run(lambda x: rosenbrock(x) * (1 + size * rng.standard_normal()), np.full(8, -1.5), 500, bounds=BOX)
    assert QUASI_NEWTON in opt.state.searches and not opt.state.noisy and opt.best.loss < 1e-9


def test_ripples_are_seen_beyond() -> None:
    """Ackley's function, in whose first dents gradients end."""

    def ackley(x: np.ndarray) -> float:
        z = x - 0.3
        bowl, ripples = np.exp(-0.2 * np.sqrt(np.mean(z * z))), np.exp(np.mean(np.cos(2 * np.pi * z)))
        return float(20 - 20 * bowl + np.e - ripples)

    opt = run(ackley, np.array([3.3, -2.1, 2.7, 3.9, -3.2, 2.2, -2.8, 3.1]), 200, bounds=BOX)
    assert SURROGATE in opt.state.searches and opt.best.loss < 1.0 and "it has ripples or basins" in opt.believed


@pytest.mark.parametrize("factor", [2.0**-20, 2.0**20])
def test_shaking_losses_are_the_same_in_other_units(factor: float) -> None:
    loss = jittered("float32", 0.0)
    opts = [
        run(lambda x, c=c: 2.0**-40 * c * loss(x / c), np.full(3, -1.5 * c), 200, bounds=(-5 * c, 5 * c))
        for c in (1.0, factor)
    ]
    assert opts[0].best.loss * factor == opts[1].best.loss and (opts[0].best.x * factor == opts[1].best.x).all()
    assert TRUST_REGION in opts[0].state.searches


def test_a_told_standard_error_is_noise() -> None:
    opt = zo.Optimizer(zo.Auto(bounds=BOX), np.ones(3), rng=0)
    opt.tell(opt.ask(), [1.0, 2.0], sem=[0.1, None])
    assert opt.state.noisy and opt.state.active == EVOLUTION


def test_sum_over_coordinates_is_searched_coordinate_by_coordinate() -> None:
    """Rastrigin in 10 dimensions has 10^10 local minima; as a sum it takes 100 evaluations per dimension."""
    assert run(rastrigin, np.full(10, -3.2), 1500, bounds=BOX).best.loss < 1e-8


def test_many_basins_are_the_evolution_strategys_and_later_searches() -> None:
    rotation = np.linalg.qr(np.random.default_rng(1).standard_normal((2, 2)))[0]
    opt = run(lambda x: rastrigin(rotation @ x), np.full(2, 3.0), 6000, bounds=BOX)
    assert opt.best.loss < 1e-8
    assert {QUASI_NEWTON, EVOLUTION} <= set(opt.state.searches)


def test_many_parameters_and_few_evaluations_are_the_gradient_familys() -> None:
    for d, budget in ((2000, None), (2000, 10**6), (200, 3000)):
        assert isinstance(zo.Optimizer("auto", np.ones(d), budget=budget).method, zo.FZOO)
    for d, budget in ((200, None), (200, 20_000), (50, 100)):
        assert isinstance(zo.Optimizer("auto", np.ones(d), budget=budget).method, zo.Auto)
    bounded = zo.Optimizer(zo.Auto(bounds=BOX), np.ones(2000), rng=0, budget=20_000)
    assert np.abs(advance(bounded, sphere, 4).ask().X).max() <= 5.0
    assert isinstance(bounded.state.search.method, zo.SepCMAES)


@pytest.mark.parametrize(
    ("d", "budget", "kind"),
    [
        (100, 1999, zo.FZOO),  # less than 20 evaluations per dimension, in 100 dimensions or more
        (100, 2000, zo.Auto),
        (99, 1979, zo.Auto),
        (1001, None, zo.FZOO),  # more than 1,000 dimensions
        (1000, None, zo.Auto),
        (200, 24, zo.FZOO),  # two of its steps at least
        (200, 23, zo.Auto),
    ],
)
def test_which_problems_are_the_gradient_familys(d: int, budget: int | None, kind: type) -> None:
    assert zo.FZOO.untuned().directions == 12
    assert type(zo.Optimizer("auto", np.ones(d), budget=budget).method) is kind


@pytest.mark.parametrize(("d", "kind"), [(40, zo.CMAES), (41, zo.DDCMAES), (1000, zo.DDCMAES), (1001, zo.SepCMAES)])
def test_which_evolution_strategy_by_the_number_of_dimensions(d: int, kind: type) -> None:
    opt = zo.Optimizer(zo.Auto(bounds=BOX), np.zeros(d), rng=0)
    opt.tell(opt.ask(), [1.0], sem=[0.1])
    assert type(opt.state.search.method) is kind


@pytest.mark.parametrize(
    ("f", "evaluations", "without_gain", "reasons"),
    [
        (math.inf, 600, 0, {"nothing_finite": 600}),  # 200 for each dimension, and 200
        (math.inf, 599, 0, {}),
        (1.0, 600, 0, {}),
        (1.0, 3000, 0, {"most_evaluations": 3000}),
        (1.0, 2999, 4, {}),
        (1.0, 10, 5, {"converged": 5}),
    ],
)
def test_why_a_run_without_a_budget_ends(f: float, evaluations: int, without_gain: int, reasons: dict) -> None:
    state = SimpleNamespace(f=f, x=np.zeros(2), evaluations=evaluations, without_gain=without_gain)
    assert endings(state, 1000) == reasons


def test_failed_start_goes_on() -> None:
    start = np.full(3, 2.0)
    assert run(lambda x: math.nan if (x == start).all() else float(x @ x), start, 200).best.loss < 1e-10


def test_candidates_keep_to_the_box() -> None:
    low, high = np.array([0.1, -100.0, 3.0]), np.array([0.2, 700.0, 3e6])
    seen = []

    def loss(x: np.ndarray) -> float:
        seen.append(x.copy())
        z = (x - low) / (high - low)
        return float(np.sin(20 * z).sum() + z[0] * z[1])

    run(loss, (low + high) / 2, 3000, bounds=(low, high))
    X = np.array(seen)
    assert (low <= X).all() and (high >= X).all() and (X.max(0) - X.min(0) > 0.5 * (high - low)).all()


def test_ends_when_converged_unless_there_is_a_budget() -> None:
    opt = run(sphere, np.ones(2), None, bounds=BOX)
    assert opt.stop() == {"converged": MOST_WITHOUT_GAIN} and opt.best.loss < 1e-12
    assert zo.Auto().ends and not zo.Auto(budget=5).ends
    assert run(sphere, np.ones(2), 3000, bounds=BOX).stop() == {"budget": 3000}


@pytest.mark.parametrize("factor", [2.0**-20, 2.0**20])
def test_units_do_not_matter(factor: float) -> None:
    """Everything multiplied by a power of 2: the same run, bit for bit."""
    for bounds, scaled in ((BOX, (-5.0 * factor, 5.0 * factor)), (None, None)):
        plain = run(rosenbrock, np.full(3, -1.5), 300, bounds=bounds)
        other = run(lambda x: rosenbrock(x / factor), np.full(3, -1.5 * factor), 300, bounds=scaled)
        assert other.best.loss == plain.best.loss


# ------------------------------------------------------------------------------------------------------- its parts


def test_units_are_powers_of_two_near_the_declared_lengths() -> None:
    x0 = np.array([3.0, -4.0])
    assert unit_lengths(x0, (-5.0, 5.0), None).tolist() == [1.0, 1.0]
    assert unit_lengths(x0, ((0.0, 0.0), (40.0, 1e-3)), None).tolist() == [4.0, 2.0**-13]
    assert unit_lengths(x0, None, [2.0, 16.0]).tolist() == [1.0, 8.0]
    assert unit_lengths(np.zeros(2), None, None).tolist() == [0.5, 0.5]
    assert unit_lengths(x0, None, None).tolist() == [0.5, 0.5]  # 0.3 * 3.5 / 2


test_bad_settings_are_named = refused(
    operator.call,
    (lambda: zo.Auto(scale=0.0), (ValueError, TypeError), "scale must be positive"),
    (lambda: zo.Auto(scale="x"), (ValueError, TypeError), "scale must be a number"),
    (lambda: zo.Auto(scale=[[1.0]]), (ValueError, TypeError), "scale must be a number"),
    (lambda: zo.Auto(bounds=(1.0, 0.0)), (ValueError, TypeError), "bounds must have low <= high"),
    (lambda: zo.Auto(budget=0), (ValueError, TypeError), "budget must be >= 1"),
    (lambda: zo.Optimizer(zo.Auto(bounds=(-1.0, 1.0)), [2.0]), ValueError, "x0 must lie inside bounds"),
    (lambda: zo.Optimizer(zo.Auto(scale=[1.0, 2.0]), [2.0]), ValueError, "scale must .* an array of length 1"),
    (lambda: zo.CoordinateSearch(bounds=BOX, patience=0), ValueError, "patience must be >= 1"),
    (lambda: zo.Optimizer(zo.CoordinateSearch(bounds=BOX), [7.0]), ValueError, "x0 must lie inside"),
)


def test_sum_is_told_from_other_losses() -> None:
    a, b, mix, other = np.array([1.0, 2.0]), np.array([-3.0, 0.5]), np.array([1.0, 0.5]), np.array([-3.0, 2.0])
    assert separable(*map(rastrigin, (a, b, mix, other)))
    assert not separable(*map(rosenbrock, (a, b, mix, other)))
    assert not separable(1.0, 1.0, 1.0, 1.0)  # a plateau shows nothing
    assert not separable(1.0, math.inf, 1.0, 2.0)
    assert separable(9.0, 3.0, 5.0, 7.05, noise=0.01) and not separable(9.0, 3.0, 5.0, 7.07, noise=0.01)
    assert not separable(9.0, 3.0, 5.0, 7.0, noise=0.2)  # all of it may be noise


def test_coordinate_search_solves_a_steep_sum() -> None:
    """Coordinates whose curvatures differ by 1e6, each with a minimum on a bound, off centre, or among ripples."""
    opt = zo.Optimizer(zo.CoordinateSearch(bounds=BOX), np.array([1.0, 1.0, 1.0]), rng=0, budget=7 * 80)
    solve(opt, lambda x: 1e6 * abs(x[0] - 4.9) + x[1] + 1e-2 * rastrigin(x[2:]))
    np.testing.assert_allclose(opt.best.x, [4.9, -5.0, 1.3], atol=1e-6)


def test_coordinate_search_ends_when_nothing_new_turns_up() -> None:
    opt = zo.Optimizer(zo.CoordinateSearch(bounds=BOX, patience=10), [1.0], rng=0)
    assert solve(opt, sphere).stop() == {"patience": 10}


# ------------------------------------------------------------------------------------------------- the whole budget


@pytest.mark.parametrize(
    ("d", "budget", "bounds"),
    [
        (20, 20, (-5, 6)),  # 3 evaluations were made
        (500, 500, (-5, 6)),  # 3
        (999, 1998, (-5, 6)),  # 1004
        (2, 17, (-5, 6)),
        (3, 25, None),
        (5, 30, (0, None)),
        (20, 130, None),
        (20, 470, (-5, 6)),
        (50, 99, None),
        (1500, 20, (-5, 6)),
        (2000, 20, None),
    ],
)
@pytest.mark.parametrize("fails", ["nothing", "the start"])
def test_a_budget_is_spent_by_something_that_makes_progress(
    d: int, budget: int, bounds: tuple[float, float | None] | None, fails: str
) -> None:
    w, x0 = np.linspace(1, 10, d), np.full(d, 2.0)

    def loss(x: np.ndarray) -> float:
        return math.nan if fails == "the start" and (x == x0).all() else float(w @ (x + 1) ** 2)

    opt = run(loss, x0, budget, bounds=bounds)
    assert opt.nfev == budget
    assert opt.best.loss < w.sum() * (2.25 if bounds == (-5, 6) else 9.0)  # that of the centre, or of the start


def test_no_large_matrix_where_the_start_fails() -> None:
    start = np.full(3000, 2.0)
    opt = run(lambda x: math.nan if (x == start).all() else sphere(x), start, 200, bounds=(-5, 6))
    assert opt.nfev == 200 and set(opt.state.searches) == {EVOLUTION}


@pytest.mark.parametrize("bounds", [None, BOX])
def test_where_all_near_the_start_fails_the_search_begins_elsewhere(bounds: tuple[float, float] | None) -> None:
    opt = run(lambda x: math.nan if x[0] > -1 else sphere(x + 3), np.full(3, 2.0), 300, bounds=bounds)
    assert opt.nfev == 300 and opt.best.loss < 1e-8


def test_a_budget_that_is_raised_when_it_is_spent_goes_on() -> None:
    opt = run(rosenbrock, np.full(5, -1.5), 40, bounds=BOX)
    assert opt.nfev == 40
    opt.budget = 500
    assert solve(opt, rosenbrock).best.loss < 1e-8


def test_three_scales_without_settings() -> None:
    scales = np.array([1000.0, 1.0, 1e-3])
    Q = np.linalg.qr(np.random.default_rng(7).standard_normal((3, 3)))[0]
    A = Q @ np.diag([1.0, 5.0, 30.0]) @ Q.T
    for x0 in (np.zeros(3), np.ones(3), scales, -3 * scales):
        for matrix in (np.eye(3), A):
            opt = run(lambda x, A=matrix: (x / scales - 0.7) @ A @ (x / scales - 0.7), x0, 600)
            assert opt.best.loss < 1e-8


NOISE = np.random.default_rng(2)


@pytest.mark.parametrize(
    "loss",
    [
        lambda x: NOISE.standard_normal(),
        lambda x: sphere(x) + NOISE.standard_normal(),
        lambda x: sphere(x) if NOISE.random() < 0.5 else math.nan,
        lambda x: 1.0,
        lambda x: x.sum(),
        lambda x: -np.exp(min(x.sum(), 700.0)),
    ],
    ids=["noise", "noisy sphere", "failures", "constant", "slope", "steep slope"],
)
@pytest.mark.parametrize("bounds", [None, BOX])
def test_ends_without_a_budget(loss: Callable[[np.ndarray], float], bounds: tuple[float, float] | None) -> None:
    opt = zo.Optimizer(zo.Auto(bounds=bounds), np.ones(1), rng=0)
    assert set(solve(opt, loss, 3000).stop()) <= {"converged", "most_evaluations"} and opt.stop()


def test_within() -> None:
    assert zo.Auto(scale=3.0).within((0, 1)) == zo.Auto(bounds=(0, 1), scale=3.0)
    grid = Grid(2, ((0, (0.0, 1.0)),))
    assert zo.Auto().within((0, 1), grid) == MixedAuto(grid=grid, bounds=(0, 1))


# ------------------------------------------------------------------------------------- what a fresh pair of eyes found


@pytest.mark.parametrize("value", [math.nan, math.inf])
@pytest.mark.parametrize("bounds", [None, (-5.0, 5.0)])
def test_ends_where_no_loss_is_finite(value: float, bounds: tuple[float, float] | None) -> None:
    values = itertools.repeat(value, 59_999)  # more are an error: it does not end
    run = partial(
        zo.minimize, lambda x: next(values), np.ones(2), method=zo.Auto(bounds=bounds), rng=0, on_error="raise"
    )
    if math.isnan(value):
        with pytest.raises(zo.ObjectiveError):
            run()
    else:
        assert not run().success


def test_many_bounded_dimensions_make_progress() -> None:
    d = 1005
    for budget, reached in ((2500, 0.95), (8000, 0.8)):
        settings = {"method": zo.Auto(bounds=(-5, 5)), "budget": budget, "rng": 0}
        result = zo.minimize(lambda x: float(((x - 0.3) ** 2).sum()), np.full(d, 2.0), **settings)
        assert result.fun < reached * 0.09 * d  # the loss at the centre of the box


def test_a_budget_that_ends_before_the_line_is_spent_and_the_line_follows_if_it_is_raised() -> None:
    """Losses that differ by more than a slope explains, and two evaluations more would tell how much they shake."""
    rng = np.random.default_rng(0)

    def loss(x: np.ndarray) -> float:
        return (1.0 + sphere(x)) * (1 + 0.02 * rng.standard_normal())

    opt = solve(zo.Optimizer(zo.Auto(bounds=BOX), np.ones(4), rng=0, budget=4), loss)
    assert opt.nfev == 4
    opt.budget = 30
    X = opt.ask().X
    assert len(X) == 2 and np.abs(X).max() < 1e-11  # next to the centre
    assert solve(opt, loss).nfev == 30 and "its last digits shake" in opt.believed


def test_a_budget_of_one_evaluates_the_start() -> None:
    result = zo.minimize(sphere, [0.1], method=zo.Auto(bounds=(0, 1)), budget=1, rng=0)
    assert result.nfev == 1 and result.x.tolist() == [0.1]


@pytest.mark.parametrize("largest", [np.finfo(float).max, 1e300, 1e-300, 5e-324])
def test_any_width_of_box(largest: float) -> None:
    opt = zo.Optimizer(zo.Auto(bounds=(-largest, largest)), np.zeros(3), rng=0, budget=200)
    while not opt.stop():
        batch = opt.ask()
        assert (np.abs(batch.X) <= largest).all()
        opt.tell(batch, np.abs(batch.X / largest - 0.3).sum(axis=1))


def test_any_scale_of_the_start() -> None:
    for length in (1e200, 1e-200):
        opt = zo.Optimizer("auto", np.full(3, length), rng=0, budget=100)
        assert solve(opt, lambda x, length=length: np.abs(x / length - 0.3).sum()).best.loss < 0.5


@pytest.mark.parametrize(("expected", "over"), [(-0.5, True), (-0.99, True), (-1.01, False), (-5.0, False)])
def test_a_later_quasi_newton_search_goes_on_if_ten_times_what_it_expects_reaches_the_best(expected, over) -> None:
    """It is at 13 and the best loss is 3: what is expected of its next step must be at least a tenth of the 10."""
    going = SimpleNamespace(loss=13.0, expected_change=lambda: expected)
    search = SimpleNamespace(state=going, has_ended=lambda: False)
    s = SimpleNamespace(active=QUASI_NEWTON, search=search, searches={QUASI_NEWTON: search, EVOLUTION: None}, f=3.0)
    assert is_over(s, s) is over

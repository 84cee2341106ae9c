"""QuasiNewton, its line search and its inverse Hessian, against plain BFGS, scipy and functions with known minima."""

import math
from collections.abc import Callable

import numpy as np
import pytest
from oracles import quasi_newton as oracle
from solving import rastrigin, rosenbrock, solve

import zoo_opt as zo
from zoo_opt.methods.local.bfgs import given, unknown
from zoo_opt.methods.local.inverse_hessian import Axes, axes_inside, measured, principal_axes, reduced
from zoo_opt.methods.local.line_search import LIMIT, Trial, accepted, next_length

RNG = np.random.default_rng(5)
ROOT = RNG.standard_normal((6, 6))
A = ROOT @ ROOT.T + np.diag(10.0 ** np.arange(6))


def quadratic(x: np.ndarray) -> float:
    return float(0.5 * x @ A @ x)


def run(loss: Callable[[np.ndarray], float], x0: np.ndarray, budget: int, **hyper: object) -> zo.Optimizer:
    return solve(zo.Optimizer(zo.QuasiNewton(**hyper), x0, rng=3, budget=budget), loss)


# ------------------------------------------------------------------------------------------------ inverse Hessian


def curved_pair() -> tuple[np.ndarray, np.ndarray]:
    s, y = RNG.standard_normal(6), RNG.standard_normal(6)
    return s, y * np.sign(s @ y)


def test_bfgs_is_the_plain_formula() -> None:
    s, y = curved_pair()
    H = np.linalg.inv(A)
    ours = given(H).updated(s, y).matrix
    np.testing.assert_allclose(ours, oracle.bfgs_update(H, s, y), rtol=1e-9)
    np.testing.assert_allclose(ours @ y, s, rtol=1e-8)  # the secant equation


def test_bfgs_from_the_identity_is_begun_anew_with_the_flattest_scale_so_far() -> None:
    ours, pairs = unknown(6), []
    np.testing.assert_array_equal(ours.matrix, np.eye(6))
    for _ in range(9):
        pairs.append(curved_pair())
        ours = ours.updated(*pairs[-1])
        np.testing.assert_allclose(ours.matrix, oracle.bfgs_of_pairs(pairs), rtol=1e-6, atol=1e-9)


def test_bfgs_leaves_a_pair_without_curvature_out() -> None:
    H, s = unknown(2), np.array([1.0, 0.0])
    assert H.updated(s, -s) is H


def test_axes_measure_gradient_and_curvature() -> None:
    """On a quadratic: the exact gradient from any H, and the exact inverse Hessian where its axes are H's."""
    x = RNG.standard_normal(6)
    for H, exact in ((np.eye(6), False), (np.linalg.inv(A) * 3.0, True)):
        axes = principal_axes(H)
        ahead, behind = (np.array([quadratic(x + side * row) for row in axes.probes(0.5)[:6]]) for side in (1, -1))
        g, corrected = measured(axes, 0.5, quadratic(x), ahead, behind, H, exact)
        np.testing.assert_allclose(g, A @ x, rtol=1e-6)
        assert corrected is not None
        if exact:
            np.testing.assert_allclose(corrected, np.linalg.inv(A), rtol=1e-5, atol=1e-12)


def test_one_measurement_corrects_a_curvature_by_a_hundred_at_most() -> None:
    curvature = np.array([1e6, 1e-6, 3.0, 0.2])
    losses = 0.5 * curvature * 0.1**2
    axes = Axes(np.eye(4), np.ones(4))
    _, corrected = measured(axes, 0.1, 0.0, losses, losses, np.eye(4), True)
    np.testing.assert_allclose(corrected, np.diag([0.01, 100.0, 1 / 3.0, 5.0]))


def test_axes_without_upward_curvature_correct_nothing() -> None:
    axes = Axes(np.eye(2), np.ones(2))
    g, corrected = measured(axes, 1.0, 0.0, np.array([-1.0, math.nan]), np.array([-1.0, -1.0]), np.eye(2), True)
    assert corrected is None and g.tolist() == [0.0, 0.0]


def test_reduced_is_the_inverse_of_the_free_part() -> None:
    free = np.array([True, False, True, True, False, True])
    np.testing.assert_allclose(reduced(np.linalg.inv(A), free), np.linalg.inv(A[np.ix_(free, free)]), rtol=1e-6)


def test_axes_keep_to_the_box_and_measure_there() -> None:
    """Coordinate 1 at its upper bound, 4 just above its lower one: exact gradient, and the exact H but for H_aa."""
    x = RNG.standard_normal(6)
    below, above = np.full(6, 10.0), np.full(6, 10.0)
    above[1], below[4] = 0.0, 1e-9
    H = np.linalg.inv(A) * 3.0
    axes = axes_inside(H, 0.5, below, above)
    probes = axes.probes(0.5)
    assert axes.near.tolist() == [1, 4] and (probes >= -below - 1e-12).all() and (probes <= above + 1e-12).all()
    losses = np.array([quadratic(x + row) for row in probes])
    g, corrected = measured(axes, 0.5, quadratic(x), losses[:6], losses[6:], H, True)
    np.testing.assert_allclose(g, A @ x, rtol=1e-6)
    free = np.array([True, False, True, True, False, True])
    np.testing.assert_allclose(reduced(corrected, free), np.linalg.inv(A[np.ix_(free, free)]), rtol=1e-5)


# ---------------------------------------------------------------------------------------------------- line search


def search(phi: Callable[[float], float], slope: float, length: float, longest: float = math.inf) -> list[Trial]:
    trials: list[Trial] = []
    following: float | None = length
    while following is not None:
        trials.append(Trial(following, phi(following), slope * following))
        following = next_length(phi(0.0), tuple(trials), longest)
    return trials


@pytest.mark.parametrize("first", [1e-4, 0.1, 1.0, 30.0, 1e4])
def test_search_finds_the_minimum_of_a_parabola(first: float) -> None:
    trials = search(lambda t: (t - 2.0) ** 2, -4.0, first)
    best = accepted(4.0, tuple(trials))
    assert best is not None and abs(best.length - 2.0) <= 1.0 and len(trials) <= 7


def test_search_goes_to_the_end_of_a_straight_line() -> None:
    assert [t.length for t in search(lambda t: -t, -1.0, 1.0, longest=77.0)] == [1.0, 77.0]


def test_search_gives_up_where_nothing_falls() -> None:
    trials = search(lambda t: float(t > 0), -1.0, 1.0)
    assert len(trials) == LIMIT and accepted(0.0, tuple(trials)) is None


def test_search_steps_back_from_failures() -> None:
    trials = search(lambda t: math.inf if t > 0.3 else -t * (1 - t), -1.0, 1.0)
    best = accepted(0.0, tuple(trials))
    assert best is not None and 0 < best.length <= 0.3


# --------------------------------------------------------------------------------------------------------- method


def test_quadratic_takes_few_more_steps_than_plain_bfgs() -> None:
    """Plain BFGS has exact gradients and line searches; we have neither."""
    x0 = np.ones(6)
    exact = oracle.minimize(lambda x: A @ x, x0, 20)
    steps = next(k for k, x in enumerate(exact) if quadratic(x) < 1e-8)
    assert run(quadratic, x0, (2 * steps + 5) * 9).best.loss < 1e-8


@pytest.mark.parametrize("d", [2, 5, 10])
def test_rosenbrock_is_solved_in_about_the_evaluations_of_scipy(d: int) -> None:
    x0 = np.linspace(-1.2, 1.0, d)
    theirs = pytest.importorskip("scipy.optimize").minimize(rosenbrock, x0, method="BFGS")
    ours = run(rosenbrock, x0, int(1.3 * theirs.nfev))
    assert ours.best.loss <= max(theirs.fun, 1e-10)


def test_on_a_plateau_it_looks_as_far_as_the_scale_and_then_farther() -> None:
    opt = zo.Optimizer(zo.QuasiNewton(scale=0.5), [1.0, 2.0, 3.0], rng=3)
    reach = []
    while not opt.stop():
        batch = opt.ask()
        reach.append(float(np.abs(batch.X - opt.mean).max()))
        opt.tell(batch, [7.0] * len(batch))
    np.testing.assert_allclose(reach[1:], [0.5, 2.0, 8.0, 32.0])


def test_minimum_in_a_corner() -> None:
    """A slope ends in the corner of the box after one gradient and two trials."""
    low, high = np.full(4, -1.0), np.array([2.0, 3.0, 4.0, 5.0])
    opt = run(lambda x: float(x @ np.array([1.0, -2.0, 3.0, -0.1])), np.zeros(4), 7, bounds=(low, high))
    np.testing.assert_array_equal(opt.best.x, [-1.0, 3.0, -1.0, 5.0])


def test_minimum_on_a_bound() -> None:
    opt = run(lambda x: quadratic(x - 2.0), np.zeros(6), 600, bounds=(-1.0, 1.0))
    scipy = pytest.importorskip("scipy.optimize")
    best = scipy.minimize(lambda x: quadratic(x - 2.0), np.zeros(6), bounds=[(-1, 1)] * 6, method="L-BFGS-B", tol=1e-15)
    assert opt.best.loss <= best.fun * (1 + 1e-6)


@pytest.mark.parametrize("method", [zo.QuasiNewton, zo.Auto])
def test_minimum_on_bounds_that_others_depend_on(method: type[zo.Method]) -> None:
    """Auto answered 37.217: the free variables' step is Newton's only with the active ones taken out of H."""

    def loss(x: np.ndarray) -> float:
        return float(1e4 * (x.sum() - 7) ** 2 + (x[0] - x[1] - 10) ** 2 + (x[0] + x[1] - 2 * x[2] - 4) ** 2)

    opt = solve(zo.Optimizer(method(bounds=(-5, 5)), np.zeros(3), rng=0, budget=400), loss)
    assert opt.best.loss == pytest.approx(32.39870, abs=1e-5)


@pytest.mark.parametrize("method", [zo.QuasiNewton, zo.Auto])
def test_minimum_with_nine_active_bounds(method: type[zo.Method]) -> None:
    """Condition 1e6 in 20 dimensions; the answer was 4e3 above the minimum."""
    rng = np.random.default_rng(0)
    Q = np.linalg.qr(rng.standard_normal((20, 20)))[0]
    B = Q @ np.diag(10.0 ** np.linspace(0, 6, 20)) @ Q.T
    minimum, multipliers = rng.uniform(-4, 4, 20), np.zeros(20)
    minimum[:9] = rng.choice([-5.0, 5.0], 9)
    multipliers[:9] = -np.sign(minimum[:9]) * rng.uniform(1e3, 1e5, 9)  # the gradient there (Karush, Kuhn and Tucker)

    def above(x: np.ndarray) -> float:
        return float(0.5 * (x - minimum) @ B @ (x - minimum) + multipliers @ (x - minimum))

    opt = solve(zo.Optimizer(method(bounds=(-5, 5)), np.zeros(20), rng=0, budget=4000), above)
    assert -1e-9 < opt.best.loss < 1e-6


def test_coordinates_that_are_free_on_one_side_or_fixed() -> None:
    low, high = [0, None, None, 2], [None, -1000, None, 2]
    for method in (zo.QuasiNewton, zo.CoordinateSearch, zo.Auto):
        opt = zo.Optimizer(method(bounds=(low, high)), [1.0, -2e3, 0.5, 2.0], rng=0, budget=900)
        solve(opt, lambda x: (x[0] - 70) ** 2 + 1e-4 * (x[1] + 300) ** 2 + (x[2] + 40) ** 2 + x[3])
        np.testing.assert_allclose(opt.best.x, [70.0, -1000.0, -40.0, 2.0], rtol=1e-4)


def stairs(x: np.ndarray) -> float:
    return float((np.floor(4 * x) ** 2).sum())


@pytest.mark.parametrize("k", [-500, -37, 1, 500])
@pytest.mark.parametrize("loss", [rosenbrock, rastrigin, stairs])
@pytest.mark.parametrize(
    "method",
    [zo.QuasiNewton(), zo.QuasiNewton(bounds=(-5, 1)), zo.CoordinateSearch(bounds=(-5, 5)), zo.Auto(bounds=(-5, 1))],
    ids=repr,
)
def test_a_loss_times_a_power_of_two_gives_the_same_run(
    method: zo.Method, loss: Callable[[np.ndarray], float], k: int
) -> None:
    """Bit for bit; the method stalled at 1e-170 and at 1e160."""
    plain, scaled = (zo.Optimizer(method, np.array([-1.5, 0.3, 0.7]), rng=3, budget=400) for _ in range(2))
    while not plain.stop():
        batch, other = plain.ask(), scaled.ask()
        assert np.array_equal(batch.X, other.X)
        plain.tell(batch, [loss(x) for x in batch])
        scaled.tell(other, [math.ldexp(loss(x), k) for x in other])
    assert scaled.stop() == plain.stop()


def test_rough_loss_is_taken_over_larger_distances() -> None:
    """Ripples of 1e-9 undo forward differences; those along the axes still find the minimum."""
    opt = run(lambda x: quadratic(x) + 1e-9 * float(np.sin(1e7 * x).sum()), np.ones(6), 3000)
    assert opt.state.axes is not None and opt.best.loss < 1e-5


def test_plateaus_are_left() -> None:
    """A staircase has no gradient anywhere."""
    assert run(lambda x: float((np.floor(4 * x) ** 2).sum()), np.array([7.3, -6.6]), 300).best.loss <= 8.0


def test_failed_start_is_replaced() -> None:
    start = np.ones(3)
    opt = run(lambda x: math.nan if (x == start).all() else float(x @ x), start, 100)
    assert opt.best.loss < 1e-12 and opt.nfail == 1


def test_start_without_any_loss_ends() -> None:
    assert run(lambda x: math.nan, np.ones(3), 1000).stop() == {"nofiniteloss": 5}


def test_failures_along_the_way_do_not_derail() -> None:
    """One evaluation in 29 fails."""
    count = iter(range(10**6))
    assert run(lambda x: math.nan if next(count) % 29 == 5 else quadratic(x), np.ones(6), 2500).best.loss < 1e-6


@pytest.mark.parametrize(
    ("hyper", "x0", "error", "match"),
    [
        ({"scale": 0.0}, None, ValueError, "scale must be"),
        ({"tolerance": -1.0}, None, ValueError, "tolerance must be"),
        ({"noise": -1.0}, None, ValueError, "noise must be finite and 0 or more, got -1.0"),
        ({"noise": math.inf}, None, ValueError, "noise must be finite and 0 or more, got inf"),
        ({"bounds": (1.0, -1.0)}, None, ValueError, "bounds must have low <= high"),
        ({"bounds": 3.0}, None, TypeError, "bounds must be a pair"),
        ({"bounds": (-1.0, 1.0)}, [2.0], ValueError, "x0 must lie inside bounds"),
        ({"bounds": ([-1.0, -1.0, -1.0], 1.0)}, [0.0, 0.0], ValueError, "length 2"),
    ],
)
def test_bad_settings_are_named(hyper: dict[str, object], x0: list[float] | None, error: type, match: str) -> None:
    with pytest.raises(error, match=match):
        method = zo.QuasiNewton(**hyper)
        assert x0 is not None, "the method itself is refused"
        zo.Optimizer(method, x0)


def test_what_is_expected_of_a_search_is_known_at_its_start_alone():
    """On a quadratic half of it or more comes true; where it is not known it is -inf, as much as can be."""
    scales, gains = np.array([1.0, 2.0, 4.0]), []
    opt = zo.Optimizer(zo.QuasiNewton(), [1.0, 1.5, 2.0], rng=0)
    for _ in range(40):
        expected, before, batch = opt.state.expected_change(), opt.state.loss, opt.ask()
        if len(batch) > 1:  # a gradient
            assert expected == -math.inf
        opt.tell(batch, [float(scales @ x**2) for x in batch])
        if math.isfinite(expected):
            assert expected <= 0.0
            if before > 1e-6:
                gains.append((expected, opt.best.loss - before))
    assert len(gains) >= 2 and all(0.5 <= gain / expected <= 1.0 for expected, gain in gains)


def test_noise_far_beyond_the_loss_keeps_candidates_near() -> None:
    def loss(x: np.ndarray) -> float:
        assert np.abs(x).max() < 1e9
        return float(np.sum((x - 0.3) ** 2))

    assert zo.minimize(loss, np.ones(3), method=zo.QuasiNewton(noise=1.7e308), budget=60, rng=0).fun < 1.0

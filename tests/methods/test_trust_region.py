"""The trust region: against the oracle, its parts by their definitions, and what it promises."""

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from oracles import trust_region as oracle
from solving import solve

import zoo_opt as zo
from zoo_opt.core.keys import generator, make_key
from zoo_opt.methods.trust_region import ball, points
from zoo_opt.methods.trust_region.ball import in_ball, lowest
from zoo_opt.methods.trust_region.model import fitted

seeds = st.integers(0, 10**6)
INF, NAN = math.inf, math.nan


def valley(x):
    return float(np.sum((1 - x) ** 2) + 2 * np.sum((x[1:] - x[:-1] ** 2) ** 2) + 0.1 * np.sum(np.sin(3 * x)))


def run(loss, x0, budget, rng=0, **settings):
    opt, seen = zo.Optimizer(zo.TrustRegion(**settings), np.asarray(x0, float), rng=rng, budget=budget), []
    while not opt.stop():
        batch = opt.ask()
        seen += list(batch)
        opt.tell(batch, [loss(x) for x in batch])
    return opt, np.array(seen)


# ------------------------------------------------------------------------------------------------------- the oracle
@pytest.mark.parametrize("d", [2, 3, 5])
def test_it_goes_where_the_plain_transcription_goes(d):
    """Trials, geometry, replacements and smaller rho, until rounding tells the two apart."""
    x0 = np.linspace(-1.0, 1.5, d)
    opt, seen = run(valley, x0, 12 * d)
    signs = np.where(generator(opt.state.key, 0).random(d) >= 0.5, 1.0, -1.0)
    expected = np.array(oracle.minimize(valley, x0, signs, 12 * d))
    np.testing.assert_allclose(seen, expected[: len(seen)], rtol=1e-6, atol=1e-6)
    assert len(seen) == 12 * d and opt.best.loss < 0.1 * valley(x0)


@given(seeds, st.integers(1, 4), st.integers(0, 9))
def test_a_model_is_the_nearest_quadratic_through_the_points(seed, d, more):
    rng = np.random.default_rng(seed)
    m = min(d + 1 + more, (d + 1) * (d + 2) // 2)
    X, F, H = rng.standard_normal((m, d)), rng.standard_normal(m), rng.standard_normal((d, d))
    H, x = H + H.T, X[0]
    got = fitted(x, X, F, H)
    well = np.abs(got.W).max() < 1e4  # else the points hardly determine it, and rounding decides
    if well:
        c, g, expected = oracle.model(x, X, F, H)
        np.testing.assert_allclose(got.H, expected, rtol=1e-6, atol=1e-6)
        np.testing.assert_allclose(np.append(got.g, got.c), np.append(g, c), rtol=1e-6, atol=1e-6)
        np.testing.assert_allclose([got.c + got.change(p - x) for p in X], F, atol=1e-6)
        np.testing.assert_allclose(got.lagrange_at(X[-1] - x), np.eye(m)[-1], atol=1e-6)
        s = rng.standard_normal(d)
        c, g, L = got.lagrange(m - 1)
        assert c + g @ s + 0.5 * s @ L @ s == pytest.approx(got.lagrange_at(s)[-1], abs=1e-6)


def test_of_too_few_points_the_least_gradient():
    X, x = np.array([[0.0, 0.0], [2.0, 0.0]]), np.zeros(2)
    model = fitted(x, X, np.array([1.0, 5.0]), np.zeros((2, 2)))
    np.testing.assert_allclose(model.g, [2.0, 0.0], atol=1e-9)
    assert np.abs(model.H).max() < 1e-9


# --------------------------------------------------------------------------------------------------------- the ball
@given(seeds, st.integers(1, 6), st.sampled_from(["any", "convex", "no slope", "hard", "flat"]))
def test_the_lowest_point_of_a_ball(seed, d, kind):
    """The conditions of Moré and Sorensen: (H + mu I) s = -g, H + mu I >= 0, mu >= 0, and |s| = radius if mu > 0."""
    rng = np.random.default_rng(seed)
    H, g, radius = rng.standard_normal((d, d)), rng.standard_normal(d), float(np.exp(rng.standard_normal()))
    H = H @ H.T if kind == "convex" else np.zeros((d, d)) if kind == "flat" else H + H.T
    if kind == "no slope":
        g = np.zeros(d)
    if kind == "hard":
        g -= (low := np.linalg.eigh(H)[1][:, 0]) * (low @ g)
    s = in_ball(g, H, radius)
    length, least = np.linalg.norm(s), np.linalg.eigvalsh(H)[0]
    assert length <= radius * (1 + 1e-9)
    mu = max(0.0, -float(s @ (H @ s + g)) / length**2) if length > 0 else 0.0
    if length < radius * (1 - 1e-6):
        assert least >= -1e-6 and np.abs(H @ s + g).max() <= 1e-6 * (1 + np.abs(g).max())
    else:
        size = 1 + np.abs(H).max() + np.abs(g).max()
        assert np.abs(H @ s + mu * s + g).max() <= 1e-4 * size and least + mu >= -1e-4 * size


@given(seeds, st.integers(1, 5))
def test_a_step_keeps_to_the_ball_and_the_box_and_is_no_worse_than_steepest_descent(seed, d):
    rng = np.random.default_rng(seed)
    H, g = rng.standard_normal((d, d)), rng.standard_normal(d)
    H = H + H.T
    low, high = -rng.random(d) * (rng.random(d) < 0.7), rng.random(d) * (rng.random(d) < 0.7)
    s = lowest(g, H, 0.8, low, high)
    assert (low <= s).all() and (s <= high).all() and np.linalg.norm(s) <= 0.8 * (1 + 1e-9)

    def value(s):
        return g @ s + 0.5 * s @ H @ s

    descent = [np.clip(-t * 0.8 * g / np.linalg.norm(g), low, high) for t in 0.5 ** np.arange(12)]
    assert value(s) <= min(0.0, *map(value, descent)) + 1e-12


def test_a_step_in_a_corner_is_the_lowest_point_there():
    H, g = np.array([[2.0, 1.5], [1.5, 2.0]]), np.array([-3.0, 1.0])
    s = lowest(g, H, 10.0, np.array([-5.0, -0.5]), np.array([0.5, 5.0]))
    assert s == pytest.approx([0.5, -0.5])
    s = lowest(g, H, 10.0, np.array([-5.0, -5.0]), np.array([0.5, 5.0]))
    assert s == pytest.approx([0.5, -0.875])  # of s_2 -> s_2^2 + 1.75 s_2
    assert lowest(np.array([1.0]), np.eye(1), 1.0, np.zeros(1), np.ones(1)).tolist() == [0.0]


# ------------------------------------------------------------------------------------------------------- the points
def test_the_first_points_are_on_the_side_with_room():
    up = np.array([True, False, True, False, True, True])
    low = -np.array([9.0, 9.0, 9.0, 0.5, 0.25, 0.0])
    high = np.array([9.0, 9.0, 0.5, 9.0, 0.5, 0.0])
    assert points.first(2.0, up, low, high).tolist() == [2.0, -2.0, -2.0, 2.0, 0.5, 0.0]


def test_the_first_step_is_the_start_and_a_point_along_each_coordinate():
    opt = zo.Optimizer(zo.TrustRegion(radius=0.5, bounds=([0, 0, 1], [4, 4, 1])), [0.0, 2.0, 1.0], rng=0)
    X = opt.ask().X
    assert X[0].tolist() == [0.0, 2.0, 1.0] and X[1].tolist() == [0.5, 2.0, 1.0]
    assert X[2].tolist() in ([0.0, 1.5, 1.0], [0.0, 2.5, 1.0]) and len(X) == 3  # the third is fixed


# ---------------------------------------------------------------------------------------------------------- promises
def test_a_quadratic_takes_few_evaluations():
    rng = np.random.default_rng(3)
    R, A = np.linalg.qr(rng.standard_normal((6, 6)))[0], 10.0 ** np.linspace(0, 3, 6)
    opt, _ = run(lambda x: float(A @ (R @ x - 1) ** 2), np.zeros(6), 150)
    assert opt.best.loss < 1e-8


@pytest.mark.parametrize("jitter", [1e-8, 1e-4, "float32"])
def test_it_stands_noise_that_finite_differences_do_not(jitter):
    """Down to where the noise is larger than what is left to gain."""
    rng, level = np.random.default_rng(1), 6e-8 if jitter == "float32" else jitter

    def loss(x):
        value = 1.0 + valley(x)
        return float(np.float32(value)) if jitter == "float32" else value * (1 + jitter * rng.standard_normal())

    true = zo.minimize(valley, np.full(4, -1.0), method="quasi-newton", budget=2000, rng=0).fun
    _, seen = run(loss, np.full(4, -1.0), 200)
    assert min(map(valley, seen)) - true < 100 * level
    other = zo.minimize(loss, np.full(4, -1.0), method="quasi-newton", budget=200, rng=0)
    assert valley(other.x) - true > 10 * (min(map(valley, seen)) - true)


def test_bounds_that_are_active_at_the_minimum():
    R = np.linalg.qr(np.random.default_rng(5).standard_normal((5, 5)))[0]
    A, centre = R.T * 10.0 ** np.linspace(0, 3, 5) @ R, np.array([3.0, -4.0, 0.2, 0.1, 5.0])
    opt, seen = run(lambda x: float((x - centre) @ A @ (x - centre)), np.zeros(5), 400, bounds=(-1, 1))
    assert np.abs(seen).max() <= 1.0
    x, g = opt.best.x, 2 * A @ (opt.best.x - centre)
    assert ((x == np.sign(x)) & (g * x < 0) | (np.abs(g) < 1e-3)).all()  # the conditions of Karush, Kuhn and Tucker


@pytest.mark.parametrize("factor", [2.0**-300, 2.0**300])
def test_a_loss_times_a_power_of_two_gives_the_same_run(factor):
    plain, times = (run(lambda x, c=c: c * valley(x), np.full(3, -1.0), 90)[1] for c in (1.0, factor))
    assert (plain == times).all()


@pytest.mark.parametrize("factor", [2.0**-30, 2.0**30])
def test_lengths_times_a_power_of_two_give_the_same_run(factor):
    def at(c):
        settings = {"radius": c, "end_radius": 1e-8 * c, "bounds": (-2 * c, 2 * c)}
        return run(lambda x: valley(x / c), np.full(3, -c), 90, **settings)[1] / c

    assert (at(1.0) == at(factor)).all()


@settings(max_examples=30)
@given(seeds, st.integers(1, 4), st.sampled_from([0.1, 0.5, 0.9]))
def test_failures_end_nothing(seed, d, part):
    """Whatever fails, the budget is not exceeded, the best is the best told, and the points are finite."""
    rng = np.random.default_rng(seed)
    told = []

    def loss(x):
        value = [NAN, INF][rng.integers(2)] if rng.random() < part else valley(x)
        told.append(value)
        return value

    opt, seen = run(loss, np.ones(d), 60, bounds=(-2, 2))
    assert np.isfinite(seen).all() and np.abs(seen).max() <= 2 and len(seen) <= 60
    finite = [value for value in told if value < INF]
    assert opt.best.loss == min(finite, default=INF)


def test_where_nothing_has_a_loss_it_looks_nearer_and_ends():
    opt, seen = run(lambda x: NAN, np.zeros(2), 100)
    assert "nofiniteloss" in opt.stop() and len(seen) == 15
    assert [float(np.abs(step).max()) for step in seen.reshape(5, 3, 2)] == [1.0, 0.5, 0.25, 0.125, 0.0625]


@pytest.mark.parametrize("penalty", [1e300, 1.7e308])
@pytest.mark.parametrize("d", [3, 5])
def test_a_penalty_is_a_large_number_and_no_error(d, penalty):
    """Nor does it take the digits of the losses beside it."""

    def loss(x):
        return penalty if x.sum() > 0.31 * d else 1.0 + float(np.sum((x - 0.3) ** 2 * np.arange(1, d + 1)))

    assert run(loss, np.full(d, -1.0), 30 * d + 10)[0].best.loss == pytest.approx(1.0, abs=1e-9)


def test_a_model_that_is_no_number_is_flat():
    X = np.array([[0.0], [1.0], [1e-3]])
    with np.errstate(all="ignore"):
        model = fitted(X[0], X, np.array([0.0, 1.7e308, -1.7e308]), np.zeros((1, 1)))
    assert model.g.tolist() == [0.0] and model.H.tolist() == [[0.0]]


@pytest.mark.parametrize("loss", [lambda x: float(x[0]), lambda x: -math.log1p(abs(float(x[0])))])
def test_a_loss_without_a_minimum_is_followed_as_long_as_the_budget_lasts(loss):
    opt, seen = run(loss, np.zeros(1), 1500)
    assert np.isfinite(seen).all() and np.abs(seen).max() > 1e90 and opt.state.radius <= 1e100


def test_why_it_ends():
    opt, _ = run(valley, np.zeros(2), 1000)
    assert opt.stop() == {"end_radius": 1e-8}
    rng = np.random.default_rng(0)
    opt, _ = run(lambda x: 1.0 + float(x @ x) + 0.1 * rng.standard_normal(), np.full(2, 4.0), 1000, noise=0.1)
    assert opt.stop() == {"noise": 0.1} and opt.best.loss < 2.0


def test_a_plateau_ends():
    opt, _ = run(lambda x: 1.0, np.zeros(3), 1000)
    assert "end_radius" in opt.stop()


@pytest.mark.parametrize(
    ("hyper", "x0", "error", "match"),
    [
        ({"radius": 0.0}, [1.0], ValueError, "radius must be > 0, got 0.0"),
        ({"radius": 1e101}, [1.0], ValueError, "radius must be from 1e-100 to 1e100, got 1e.101; x_scale"),
        ({"end_radius": 1e-101}, [1.0], ValueError, "end_radius must be from 1e-100 to 1e100, got 1e-101"),
        ({"end_radius": -1.0}, [1.0], ValueError, "end_radius must be > 0, got -1.0"),
        ({"radius": 1e-9}, [1.0], ValueError, "end_radius must be at most the radius, 1e-09, got 1e-08"),
        ({"points": 2}, [1.0], ValueError, "points must be"),
        ({"points": 5}, [1.0] * 4, ValueError, "points must be >= 6, got 5"),
        ({"points": 5.5}, [1.0], TypeError, "points must be an integer"),
        ({"noise": -1.0}, [1.0], ValueError, "noise must be finite and 0 or more, got -1.0"),
        ({"noise": NAN}, [1.0], ValueError, "noise must be finite and 0 or more, got nan"),
        ({"bounds": (2, 3)}, [1.0], ValueError, "x0 must lie inside bounds"),
    ],
)
def test_bad_settings_are_named(hyper, x0, error, match):
    with pytest.raises(error, match=match):
        zo.Optimizer(zo.TrustRegion(**hyper), x0, rng=0)


def test_time(monkeypatch):
    """A model of 161 points in 40 dimensions takes far less than a tenth of a second, and none is larger."""
    opt = zo.Optimizer(zo.TrustRegion(), np.zeros(40), rng=0)
    solve(opt, lambda x: float(np.sum((x - 1) ** 2 * np.arange(1, 41)) + np.sum(np.sin(x))), 300)
    assert 150 < len(opt.state.X) <= 161  # rounding decides when a far point goes
    assert len(solve(zo.Optimizer(zo.TrustRegion(), np.zeros(41), rng=0), valley, 120).state.X) == 83


# ---------------------------------------------------------------------------------------- small parts, found by mutants
def test_a_first_step_without_a_loss_halves_both_radii():
    method = zo.TrustRegion(radius=2.0)
    state = method.init(np.zeros(3), make_key(np.random.default_rng(0)))
    assert len(state.asked) == 4
    state = method.update(state, method.ask(state, 0), [math.nan] * 4)
    assert (state.radius, state.rho, state.starts) == (1.0, 1.0, 1)


def test_a_start_whose_loss_is_known_is_not_asked_for():
    state = zo.TrustRegion().begun(make_key(np.random.default_rng(0)), np.ones(3), 5.0)
    assert state.asked.shape == (3, 3) and (abs(state.asked - 1.0).sum(axis=1) == 1.0).all()


def known(loss, x, far, up_to=3, **settings):
    """The losses of a search that is told of a far point."""
    method = zo.TrustRegion(**settings)
    x, far = np.array(x, float), np.array(far, float)
    s, seen = method.begun(make_key(np.random.default_rng(0)), x, loss(x), (far, loss(far))), []
    for step in range(up_to):
        asked = method.ask(s, step)
        losses = [loss(x) for x in asked.X]
        s, seen = method.update(s, asked, losses), [*seen, (asked.X, losses)]
    return s, seen


def test_a_far_point_shows_how_curved_a_sphere_is():
    c = np.array([3.0, -2.0, 1.0])
    s, seen = known(lambda x: 5.0 + 3 * float((x - c) @ (x - c)), np.zeros(3), [-4.0, 4.0, 0.0], up_to=2)
    assert np.sign((seen[0][0]).sum(axis=0))[:2].tolist() == [1.0, -1.0]  # away from it
    np.testing.assert_allclose(seen[1][0], [c], rtol=1e-9)
    plain, _ = run(lambda x: 5.0 + 3 * float((x - c) @ (x - c)), np.zeros(3), 5)
    assert plain.best.loss > 6.0
    assert s.loss == pytest.approx(5.0)


def test_a_far_point_that_would_shorten_the_step_tells_nothing():
    def wall(x):
        return float((x - 2) @ (x - 2)) + (1e6 if x[0] < -3 else 0.0)

    for far in ([-4.0, 0.0], [0.0, 9.0]):
        s, _ = known(wall, np.zeros(2), far, up_to=1)
        assert (np.abs(s.model.H).max() < 1e-12) == (far[0] == -4.0)
        assert len(s.F) == 3  # it is in no model
        assert (s.radius == 1.0) == (far[0] == -4.0)
    s, _ = known(lambda x: NAN if x[1] else float((x - 2) @ (x - 2)), np.zeros(2), [9.0, 0.0], up_to=1)
    assert np.abs(s.model.H).max() < 1e-12  # a point of the first step is missing
    s, _ = known(lambda x: abs(float(x[0])), np.zeros(2), [9.0, 0.0], up_to=1)
    assert len(s.F) == 3  # no unit of the loss is known


def test_a_loss_that_follows_the_model_exactly_is_followed_to_the_bounds():
    _, seen = run(lambda x: float(x @ [1.0, -3.0, 1e-3]), np.zeros(3), 6, bounds=(-1e3, 1e3))
    np.testing.assert_allclose(seen[5], [-1e3, 1e3, -1e3])


def test_a_search_that_ended_goes_on_with_smaller_radii():
    opt, _ = run(valley, np.zeros(2), 200, end_radius=0.3)
    assert opt.state.reasons == {"end_radius": 0.3}
    finer = zo.TrustRegion(end_radius=1e-3)
    s = finer.resumed(opt.state)
    assert not s.reasons and s.rho < 0.3 and s.asked.shape == (1, 2) and s.F is opt.state.F
    assert zo.TrustRegion(end_radius=1e-3, noise=1e3).resumed(opt.state).reasons == {"noise": 1e3}


def test_the_steepest_descent_ends_where_the_quadratic_is_lowest():
    """-s + s^2 / 2 * 16 along one axis: of the lengths 1, 1/2, 1/4, ... the best is 1/16."""
    step = ball._along_gradient(
        np.array([-1.0, 0.0]), np.diag([16.0, 1.0]), 1.0, np.full(2, -np.inf), np.full(2, np.inf)
    )
    assert step.tolist() == [0.0625, 0.0]


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_the_hard_case_goes_down_the_slope_that_is_left(sign):
    """The lowest axis has hardly a slope: the step goes along it, to the side where even that leads down."""
    g = np.array([1e-14 * sign, 1.0])
    step = ball.in_ball(g, np.diag([-1.0, 2.0]), 1.0)
    assert np.sign(step[0]) == -sign and np.linalg.norm(step) == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("times", "then"), [(16.0, 1.0), (16.5, math.sqrt(16.5)), (250.0, math.sqrt(250)), (300.0, 30.0)]
)
def test_rho_falls_by_the_rule_of_newuoa(times, then):
    """Powell 2006, section 2: to the end from 16 times it, by a square root from 250 times it, else to a tenth."""
    method = zo.TrustRegion(end_radius=0.5, radius=500.0)
    state = replace(method.init(np.zeros(2), make_key(np.random.default_rng(0))), rho=0.5 * times)
    assert method._reduced(state).rho == pytest.approx(0.5 * then)


def test_it_ends_where_its_points_tell_no_more_than_the_noise():
    for noise, ends in ((1.0, True), (1e-9, False)):
        opt, _ = run(lambda x: float(np.sum(x * x)), np.full(2, 0.4), 12, noise=noise)
        assert ("noise" in opt.stop()) is ends


def test_the_largest_settings_and_the_least():
    assert zo.TrustRegion(radius=1e100, end_radius=1e-100, points=3).points == 3
    for wrong, message in (({"radius": 2e100}, "radius must be"), ({"points": 2}, "points must be >= 3, got 2")):
        with pytest.raises(ValueError, match=message):
            zo.TrustRegion(**wrong)

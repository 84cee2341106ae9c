"""Noise, failures, delay and quantised inputs around a problem."""

import time

import numpy as np
import pytest
from bench.test_suite import BBOB, load
from hypothesis import given
from hypothesis import strategies as st

from zoo_opt.bench import Counted, SphereProblem, Wrapped, make_problem
from zoo_opt.bench.problems.shaky import PERIODS, Ripple, jitter_of_points

X = np.random.default_rng(0).standard_normal((5000, 3))


def test_additive_noise_has_the_deviation_asked_for():
    noise = Wrapped(SphereProblem(3), additive=0.5).losses(X, 0, 1) - SphereProblem(3).losses(X, 0, 1)
    assert abs(noise.mean()) < 0.03 and noise.std() == pytest.approx(0.5, rel=0.05)


def test_multiplicative_noise_is_relative_to_the_optimum():
    problem = make_problem("bbob", {"function": 1, "dimension": 3, "wrap": {"multiplicative": 0.1}})
    inner = make_problem("bbob", {"function": 1, "dimension": 3})
    factor = (problem.losses(X, 0, 1) - inner.optimum) / (inner.losses(X, 0, 1) - inner.optimum)
    assert factor.mean() == pytest.approx(1, abs=0.01) and factor.std() == pytest.approx(0.1, rel=0.05)


def test_failures_come_at_the_rate_asked_for_and_do_not_hide_the_truth():
    counted = Counted(Wrapped(SphereProblem(3), failures=0.2), 5000, seed=1)
    losses = counted(X)
    assert np.isnan(losses).mean() == pytest.approx(0.2, abs=0.02)
    assert counted.precision == pytest.approx(SphereProblem(3).losses(X, 0, 0).min())
    assert counted.best == np.nanmin(losses)


def test_noise_depends_on_problem_seed_and_order_alone():
    first, second, other = (Counted(Wrapped(SphereProblem(3), additive=1), 100, seed) for seed in (1, 1, 2))
    a = np.concatenate([first(X[:10]), first(X[:10])])
    np.testing.assert_array_equal(a, np.concatenate([second(X[:10]), second(X[:10])]))
    assert not np.array_equal(a[:10], a[10:])  # the same points again, other noise
    assert not np.array_equal(a[:10], other(X[:10]))


def test_delay_is_per_candidate():
    start = time.perf_counter()
    Wrapped(SphereProblem(3), delay=0.005).losses(X[:4], 0, 0)
    assert time.perf_counter() - start >= 0.02


def test_quantised_inputs_have_so_many_levels():
    problem = Wrapped(SphereProblem(2), levels=5, box=(-1, 1))
    points = np.column_stack([np.linspace(-2, 2, 401), np.zeros(401)])
    assert sorted(set(problem.losses(points, 0, 0))) == [0, 0.25, 1]
    assert problem.quantised(points.astype(np.float32)).dtype == np.float32
    assert problem.name == "sphere-d2-levels5" and problem.metrics(points[0]) == {}
    assert Wrapped(SphereProblem(2)).quantised(points) is points


def test_wrappers_go_around_noisy_problems_and_each_other():
    inner = make_problem("bbob-noisy", {"function": 101, "dimension": 5, "wrap": {"additive": 1.0}})
    both = Wrapped(inner, failures=0.5)
    assert both.name == "bbob-noisy-f101-i1-d5-add1-fail0.5"
    points = np.random.default_rng(1).uniform(-4, 4, (20, 5))
    clean = make_problem("bbob-noisy", {"function": 101, "dimension": 5})
    np.testing.assert_allclose(both.true_losses(points, 0, 0), clean.true_losses(points, 0, 0), atol=1e-9)
    assert 3 < np.isnan(both.losses(points, 0, 0)).sum() < 17
    stochastic = Wrapped(make_problem("svm"), additive=0.01)
    assert stochastic.curve == "validation_loss" and stochastic.targets == make_problem("svm").targets
    assert stochastic.metrics(np.zeros(32)) == make_problem("svm").metrics(np.zeros(32))


def test_a_suite_says_it_in_a_table(tmp_path):
    text = BBOB.replace("functions", "wrap = { levels = 256, failures = 0.1 }, functions")
    names = {task.problem_name for task in load(tmp_path, text).tasks()}
    assert names == {f"bbob-f0{f}-i{i}-d{d}-fail0.1-levels256" for f in (1, 8) for i in (1, 2) for d in (2, 3)}


# ------------------------------------------------------------------------------------------------------ shaky digits


def test_single_precision_is_what_is_told_and_not_what_is_recorded():
    points = np.array([[1.0, 1e-6, 0.0]])
    counted = Counted(Wrapped(SphereProblem(3), float32=True), 10, seed=1)
    assert counted(points)[0] == 1.0  # 1 + 1e-12 in 24 bits
    assert counted.precision == pytest.approx(1 + 1e-12, rel=1e-15) and counted.precision > 1


def relative(wrap, points=X):
    """(told - true) / true, shape (n,)."""
    inner = SphereProblem(points.shape[1])
    true = inner.losses(points, 0, 0)
    return Wrapped(inner, **wrap).losses(points, 0, 1) / true - 1


@pytest.mark.parametrize("by", ["point", "evaluation"])
@pytest.mark.parametrize("size", [1e-3, 1e-8])
def test_jitter_is_relative_and_uniform(by, size):
    u = relative({"jitter": size, "jitter_by": by}) / size
    assert np.abs(u).max() <= 1 + 1e-7 and abs(u.mean()) < 0.03
    assert u.std() == pytest.approx(3**-0.5, rel=0.03)
    assert abs(np.corrcoef(u[1:], u[:-1])[0, 1]) < 0.05


def test_jitter_of_the_point_is_the_same_again_and_another_for_neighbours_and_problems():
    again = np.vstack([X[:20], X[:20]])
    wrapped = Counted(Wrapped(SphereProblem(3), jitter=1e-4), 100, seed=1)
    y = wrapped(again)
    np.testing.assert_array_equal(y[:20], y[20:])
    anew = Counted(Wrapped(SphereProblem(3), jitter=1e-4, jitter_by="evaluation"), 100, seed=1)(again)
    assert not np.any(anew[:20] == anew[20:])
    near = np.nextafter(X[:20], np.inf)
    assert np.abs(jitter_of_points(near, "a") - jitter_of_points(X[:20], "a")).min() > 1e-6
    assert np.abs(jitter_of_points(X[:20], "b") - jitter_of_points(X[:20], "a")).min() > 1e-6


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False, width=64), min_size=1, max_size=5))
def test_jitter_of_a_point_depends_on_its_numbers_alone(x):
    row = np.array([x])
    u = jitter_of_points(row, "p")
    assert -1 <= u[0] < 1
    assert u == jitter_of_points(np.asfortranarray(np.vstack([row, row]))[1:], "p") == jitter_of_points(row * 1.0, "p")
    assert jitter_of_points(np.where(row == 0, -0.0, row), "p") == u


def test_a_ripple_is_a_saw_tooth_with_a_hundred_teeth_across_the_box():
    ripple = Ripple("p", 1, 10.0)
    line = np.linspace(-5, 5, 100_001)[:, None]
    r = ripple(line)
    steps = np.diff(r)
    jumps = np.abs(steps) > 1
    assert abs(jumps.sum() - PERIODS) <= 1 and r.min() >= -1 and r.max() <= 1
    np.testing.assert_allclose(np.abs(steps[~jumps]), 2 * PERIODS / 10 * 1e-4, rtol=1e-6)
    wide = relative({"ripple": 1e-3}, np.random.default_rng(3).uniform(1, 5, (4000, 3))) / 1e-3
    assert np.abs(wide).max() <= 1 + 1e-9 and wide.std() == pytest.approx(3**-0.5, rel=0.05)


def test_shaky_wrappers_have_names_and_refusals():
    assert Wrapped(SphereProblem(2), jitter=1e-4, float32=True).name == "sphere-d2-jitter0.0001-float32"
    assert Wrapped(SphereProblem(2), jitter=1e-4, jitter_by="evaluation").name == "sphere-d2-rejitter0.0001"
    with pytest.raises(ValueError, match=r"jitter_by must be one of \('point', 'evaluation'\), got 'x'"):
        Wrapped(SphereProblem(2), jitter_by="x")
    with pytest.raises(ValueError, match="jitter must be finite and 0 or more, got -1"):
        Wrapped(SphereProblem(2), jitter=-1)

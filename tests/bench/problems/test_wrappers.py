"""Noise, failures, delay and quantised inputs around a problem."""

import time

import numpy as np
import pytest
from bench.test_suite import BBOB, load

from zoo_opt.bench import Counted, SphereProblem, Wrapped, make_problem

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

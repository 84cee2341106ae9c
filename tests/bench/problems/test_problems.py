"""The benchmark problems: what they say they are, checked against their sources."""

import numpy as np
import pytest
from refusals import raises, refused

from zoo_opt.bench import Counted, NoisyProblem, Problem
from zoo_opt.bench.problems.control import TIME_STEPS, PendulumPolicy, advance
from zoo_opt.bench.problems.registry import PROBLEMS, expand, make_problem

SMALL = {
    "bbob": {"function": 8, "dimension": 3},
    "bbob-noisy": {"function": 107, "dimension": 5},
    "bbob-largescale": {"function": 2, "dimension": 80},
    "bbob-mixint": {"function": 8, "dimension": 5},
    "digits": {"hidden": 4, "batch": 16},
    "pendulum": {"hidden": 2, "episodes": 2},
    "svm": {},
    "more-wild": {"number": 15, "kind": "noisy"},
    "real": {"task": "circuit"},
    "sphere": {"dimension": 3},
}


@pytest.mark.parametrize("kind", list(PROBLEMS))
def test_every_problem_keeps_the_protocol(kind):
    problem, again = make_problem(kind, SMALL[kind]), make_problem(kind, SMALL[kind])
    assert isinstance(problem, Problem)
    x0 = problem.x0(3)
    assert x0.shape == (problem.dim,)
    np.testing.assert_array_equal(x0, again.x0(3))
    assert kind in ("bbob-mixint", "more-wild") or not np.array_equal(x0, problem.x0(4))
    X = x0 + np.linspace(0, 0.1, 3)[:, None]
    losses = problem.losses(X, 5, 3)
    assert losses.shape == (3,) and np.isfinite(losses).all()
    np.testing.assert_allclose(again.losses(X, 5, 3), losses, rtol=1e-12)  # of (step, seed) alone
    if problem.curve != "precision":
        assert np.isfinite(problem.metrics(x0)[problem.curve])
        assert not np.array_equal(problem.losses(X, 6, 3), losses)  # another step, another minibatch
        np.testing.assert_allclose(problem.losses(X[1:2], 5, 3), losses[1:2], rtol=1e-5)  # shared by the step
    assert problem.reusable and (problem.bounds is None or problem.bounds in [(-5, 5), (0, 1)])


test_bad_arguments_are_named = refused(
    make_problem,
    (("bbob", {"function": 25, "dimension": 2}), r"function must be in 1\.\.24, got 25"),
    (("bbob", {"function": 1, "dimension": 4}), "dimension must be one of 2, 3, 5, 10, 20, 40, got 4"),
    (("bbob-noisy", {"function": 1, "dimension": 5}), r"function must be in 101\.\.130, got 1"),
    (("bbob-largescale", {"function": 1, "dimension": 5}), "dimension must be one of 20, 40, 80, 160, 320, 640"),
    (("bbob", {"function": 1, "dimension": 2, "instance": 0}), "instance must be 1 or more, got 0"),
    (("pendulum", {"hidden": 0}), "hidden must be 1 or more"),
    (("pendulum", {"episodes": 0}), "episodes must be 1 or more"),
    (("svm", {"c": 1}), "problem 'svm' refuses its arguments"),
    (("bbob", {"function": 25, "dimension": 10}), "function must be in 1..24, got 25"),
    (("bbob", {"function": 1, "dimension": 7}), "dimension must be one of"),
    (("bbob", {"fun": 1}), "refuses its arguments"),
    (("digits", {"batch": 0}), "batch must be in 1..1437, got 0"),
    (("nope", {}), "problem must be one of"),
    (("nope.nope:f", {}), "can be imported"),
    (("math:sqrt", {"x": 1}), "refuses"),
    (("builtins:dict", {}), "must make a zoo_opt.bench.Problem, got a dict"),
    (("sphere", {"wrap": {"additive": -1}}), "additive must be finite and 0 or more, got -1"),
    (("sphere", {"wrap": {"multiplicative": np.inf}}), "multiplicative must be finite"),
    (("sphere", {"wrap": {"delay": -1}}), "delay must be"),
    (("sphere", {"wrap": {"failures": 1}}), "failures must be a probability below 1, got 1"),
    (("sphere", {"wrap": {"levels": 1}}), "levels must be an integer of 2 or more, got 1"),
    (("sphere", {"wrap": {"noise": 1}}), "wrap refuses {'noise': 1}"),
    (("digits", {"hidden": 2, "wrap": {"levels": 256}}), "box must be given to quantise the inputs of digits"),
)


def test_lists_expand_to_every_combination():
    made = expand("bbob-noisy", {"dimensions": [5, 20], "wrap": {"failures": 0.1}})
    assert len(made) == 60
    assert made[0] == ("bbob-noisy", {"function": 101, "dimension": 5, "instance": 1, "wrap": {"failures": 0.1}})
    raises(TypeError, "go with no 'function'", expand, "bbob", {"functions": [1], "function": 2})


@pytest.mark.parametrize("dimension", [80, 320])
def test_largescale_optimum_is_not_undercut(dimension):
    for function in (1, 8, 15, 24):
        problem = make_problem("bbob-largescale", {"function": function, "dimension": dimension})
        assert problem.losses(problem.x0(1)[None], 0, 1)[0] > problem.optimum
    assert problem.name == f"bbob-largescale-f24-i1-d{dimension}"


def test_integers_of_bbob_mixint_are_cells_of_the_unit_cube():
    problem = make_problem("bbob-mixint", {"function": 1, "dimension": 10, "instance": 11})
    assert problem.levels == (2, 2, 4, 4, 8, 8, 16, 16, 0, 0) and (problem.x0(1) == 0.5).all()
    x = np.full((1, 10), 0.5)
    inside, beyond = x.copy(), x.copy()
    inside[0, 4], beyond[0, 4] = 0.6, 0.63  # the cell of 0.5 ends at 5/8
    middle, same, other = (problem.losses(X, 0, 0)[0] for X in (x, inside, beyond))
    assert same == middle != other
    edges = np.stack([np.zeros(10), np.ones(10)])
    assert (problem.losses(edges, 0, 0) > problem.optimum).all()


def test_the_optimum_of_bbob_mixint_is_reached_and_not_undercut():
    """By its own minimiser, and from any sample above it."""
    for function in range(1, 25):
        problem = make_problem("bbob-mixint", {"function": function, "dimension": 5, "instance": 12})
        X = np.random.default_rng(function).random((200, 5))
        best = problem.losses(X, 0, 0).min() - problem.optimum
        assert 0 <= best < 1e7


# ------------------------------------------------------------------------------------------------- bbob-noisy


def noisy(function, dimension=5):
    return make_problem("bbob-noisy", {"function": function, "dimension": dimension})


@pytest.mark.parametrize(
    ("function", "noiseless"), [(101, 1), (105, 8), (107, 1), (111, 8), (113, 7), (119, 14), (124, 17), (128, 21)]
)
def test_noise_free_values_are_those_of_the_noiseless_function(function, noiseless):
    """Where bbob has the same function: inside the box, where the two suites' penalties agree too."""
    clean = make_problem("bbob", {"function": noiseless, "dimension": 5})
    problem = noisy(function)
    X = np.random.default_rng(0).uniform(-4, 4, (5, 5))
    assert problem.optimum == clean.optimum
    np.testing.assert_allclose(problem.true_losses(X, 0, 0), clean.losses(X, 0, 0), rtol=0, atol=1e-8)


def test_a_noise_model_needs_no_luck_to_be_taken_off():
    """The noise-free value does not depend on what cocoex drew before."""
    problem, x = noisy(109, 20), np.full((1, 20), 5.5)  # outside the box: the penalty is part of it
    values = {float(problem.true_losses(x, 0, 0)[0]) for _ in range(50)}
    assert max(values) - min(values) < 1e-9


@pytest.mark.parametrize("function", [101, 102, 103, 107, 108, 109])
def test_the_noise_has_the_distribution_of_cocoex(function):
    """Quartiles of 4,000 values, at a point inside and one outside the box."""
    suite = pytest.importorskip("cocoex").Suite("bbob-noisy", "instances: 1", "dimensions: 5")
    theirs = suite.get_problem_by_function_dimension_instance(function, 5, 1)
    problem = noisy(function)
    for x in (np.full(5, 1.5), np.full(5, 5.3)):
        X = np.tile(x, (4000, 1))
        true = problem.true_losses(X[:1], 0, 0)
        ours = problem.observe(X, np.repeat(true, 4000), np.random.default_rng(1))
        logs = [np.log(np.asarray(y) - problem.optimum) for y in (ours, [theirs(row) for row in X])]
        quartiles = [np.quantile(y, [0.25, 0.5, 0.75]) for y in logs]
        # not closer than this: cocoex's normal deviates have a standard deviation of 1.05
        np.testing.assert_allclose(*quartiles, rtol=0, atol=1e-9 + 0.1 * np.ptp(quartiles[0]))


def test_there_is_no_noise_at_the_optimum():
    problem = noisy(107)
    at = np.full(3, problem.optimum)
    np.testing.assert_array_equal(problem.observe(np.zeros((3, 5)), at, np.random.default_rng(0)), at)


def test_the_bench_follows_the_noise_free_value():
    problem = noisy(108)
    assert isinstance(problem, NoisyProblem)
    runs = [Counted(problem, 40, seed=1) for _ in range(2)]
    X = np.random.default_rng(0).uniform(-4, 4, (40, 5))
    whole = runs[0](X)
    parts = np.concatenate([runs[1](part) for part in np.split(X, 8)])
    true = problem.true_losses(X, 0, 1) - problem.optimum
    assert not np.allclose(whole - problem.optimum, true)  # the optimiser sees noise
    assert runs[0].precision == runs[1].precision == pytest.approx(true.min(), abs=1e-9)
    assert runs[0].best == whole.min()
    assert runs[0].curve[-1] == runs[1].curve[-1]
    for counted in runs:
        reached = [target for target, hit in zip(problem.targets, counted.hits, strict=True) if hit]
        assert reached == [target for target in problem.targets if target >= true.min()]
    assert not np.array_equal(whole, Counted(problem, 40, seed=2)(X))  # another seed, other noise
    again = Counted(problem, 40, seed=1)
    np.testing.assert_array_equal(np.concatenate([again(part) for part in np.split(X, 8)]), parts)


# -------------------------------------------------------------------------------------------------- real tasks


def test_a_pendulum_is_gymnasiums():
    env = pytest.importorskip("gymnasium").make("Pendulum-v1").unwrapped
    env.reset(seed=1)
    angle, speed = (np.array([value]) for value in env.state)
    for torque in np.random.default_rng(0).uniform(-2, 2, 50):
        _, reward, *_ = env.step([torque])
        angle, speed, cost = advance(angle, speed, np.array([torque]))
        np.testing.assert_allclose([angle[0], speed[0], -cost[0]], [*env.state, reward], rtol=1e-6, atol=1e-9)


def test_a_good_policy_costs_less():
    """An energy pump by hand is not in the family; holding a torque of nothing is, and hangs down."""
    problem = PendulumPolicy(hidden=2, episodes=4)
    idle = problem.metrics(np.zeros(problem.dim))["mean_cost"]
    x = np.zeros(problem.dim)
    x[4] = x[10 - 2] = 3.0  # a torque in the direction of the speed
    assert idle == pytest.approx(6.5, abs=1.0)  # hanging costs about pi^2 less what swings
    assert 0 < problem.metrics(x)["mean_cost"] != idle
    assert TIME_STEPS == 200


def test_tuning_the_svm_pays():
    problem = make_problem("svm")
    defaults = problem.metrics(np.zeros(32))
    assert defaults["test_error"] < 0.1
    assert defaults["validation_loss"] < problem.metrics(problem.x0(1))["validation_loss"]
    assert np.isfinite(problem.losses(np.full((1, 32), 1e6), 0, 0)).all()  # far out is clipped

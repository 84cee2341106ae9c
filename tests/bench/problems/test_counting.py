"""The counting wrapper counts truly, for ours and for every peer, and never lets a budget be exceeded."""

import numpy as np
import pytest
from refusals import raises

from zoo_opt.bench import SphereProblem, make_problem, make_solver
from zoo_opt.bench.problems.counting import BudgetExceeded, Counted, curve_marks

SOLVERS = [
    ("cma-es", {"sigma0": 1.0}),
    ("fzoo", {"lr": 1e-4}),
    ("spsa", {}),
    ("pycma", {"sigma0": 1.0}),
    ("pycma", {"sigma0": 1.0, "diagonal": True, "restarts": "ipop"}),
    ("cmaes:CMA", {"sigma0": 1.0}),
    ("cmaes:SepCMA", {"sigma0": 1.0, "restarts": "bipop", "restart_from": [-4, 4]}),
    ("nevergrad:OnePlusOne", {}),
    ("nevergrad:TBPSA", {"config": {"naive": False, "initial_popsize": 3}}),
    ("nevergrad:CMA", {}),
]


class Spy(SphereProblem):
    """A sphere that counts its own rows."""

    rows = 0

    def losses(self, X, step, seed):
        self.rows += len(X)
        return super().losses(X, step, seed)


every_solver = pytest.mark.parametrize(("use", "options"), SOLVERS, ids=lambda v: v if isinstance(v, str) else "")


@every_solver
def test_count_equals_calls_and_keeps_the_budget(use, options):
    problem = Spy(5)
    counted = Counted(problem, 150, seed=1)
    solver = make_solver(use, options, problem.x0(1), seed=1, budget=150)
    while not solver.stop():
        batch = solver.ask()
        solver.tell(batch, counted(batch.X, batch.step))
    assert counted.nfev == problem.rows == solver.nfev
    assert 100 < counted.nfev <= 150
    np.testing.assert_array_equal(counted.best_x, solver.best.x)
    assert counted.best == solver.best.loss and solver.mean.shape == (5,)


def test_a_call_beyond_the_budget_raises_before_it_evaluates():
    problem = Spy(3)
    counted = Counted(problem, 5, seed=0)
    counted(np.ones((4, 3)))
    raises(BudgetExceeded, "2 evaluations asked for after 4 of 5", counted, np.ones((2, 3)))
    assert counted.nfev == problem.rows == 4


def test_hits_and_curve_are_exact_within_a_batch():
    problem = SphereProblem(1)
    problem.targets = (100.0, 10.0, 1.0, 0.01)
    counted = Counted(problem, 10, seed=0)
    counted([[20.0], [9.0], [11.0]])  # 400, 81, 121
    counted([[np.nan], [2.0], [0.5]])  # -, 4, 0.25
    assert counted.hits == [2, 5, 6, None] and not counted.solved
    assert counted.curve == [(1, 400.0), (2, 81.0), (3, 81.0), (4, 81.0), (5, 4.0), (6, 0.25)]
    counted([[0.05]])
    assert counted.hits[-1] == 7 and counted.solved


def test_the_metric_is_followed_at_marks_only_and_costs_nothing():
    problem = SphereProblem(2)
    problem.curve, problem.targets = "size", (5.0, 1.0)
    problem.metrics = lambda x: {"size": float(np.abs(x).max())}
    counted = Counted(problem, 1000, seed=0)
    counted(np.ones((3, 2)))
    assert counted.check_point([7.0, 0.0]) == {"size": 7.0}
    assert counted.check_point([0.0, 0.0]) is None  # no mark passed since
    counted(np.ones((500, 2)))
    counted.check_point([4.0, 0.0])
    assert (counted.curve, counted.hits, counted.nfev) == ([(3, 7.0), (503, 4.0)], [503, None], 503)


@pytest.mark.parametrize("budget", [1, 7, 1000])
def test_marks_grow_to_the_budget(budget):
    marks = curve_marks(budget)
    assert (marks[0], marks[-1]) == (1, budget) and (np.diff(marks) > 0).all()


def test_a_peer_leaves_numpys_global_generator_alone():
    for use, options in SOLVERS[3:]:
        np.random.seed(5)  # noqa: NPY002
        expected = np.random.get_state()[1].copy()  # noqa: NPY002
        solver = make_solver(use, options, np.ones(4), seed=0, budget=60)
        batch = solver.ask()
        solver.tell(batch, SphereProblem(4).losses(batch.X, 0, 0))
        np.testing.assert_array_equal(np.random.get_state()[1], expected)  # noqa: NPY002


@every_solver
def test_the_same_seed_gives_the_same_run(use, options):
    def points(seed):
        solver = make_solver(use, options, np.ones(4), seed=seed, budget=100)
        out = []
        for _ in range(3):
            batch = solver.ask()
            out.append(np.array(batch.X))
            solver.tell(batch, SphereProblem(4).losses(batch.X, 0, 0))
        return np.concatenate(out)

    np.testing.assert_array_equal(points(3), points(3))
    assert not np.array_equal(points(3), points(4))


def test_a_peer_is_as_strict_as_ours():
    solver = make_solver("cmaes:CMA", {}, np.ones(4), seed=0, budget=100)
    batch = solver.ask()
    assert solver.ask() is batch
    raises(ValueError, "losses must have length 8, got 3", solver.tell, batch, [1.0, 2.0, 3.0])
    raises(ValueError, "greater than -inf", solver.tell, batch, [-np.inf] * 8)
    solver.tell(batch, [1.0, None, float("nan"), 4.0, 5.0, 6.0, 7.0, float("inf")])
    assert (solver.nfev, solver.nfail, solver.best.loss) == (8, 2, 1.0)
    raises(ValueError, "the one that the last ask", solver.tell, batch, [1.0] * 8)


def test_a_schedule_gets_the_steps_that_the_budget_allows():
    solver = make_solver("fzoo", {"lr": {"type": "Cosine", "start": 0.1, "end": 0.01}}, np.ones(3), seed=0, budget=900)
    assert solver.method.lr.steps == 100  # 9 evaluations a step


def test_problems_pair_their_seeds():
    for kind, options in (("bbob", {"function": 8, "dimension": 5}), ("digits", {"hidden": 4})):
        problem, again = make_problem(kind, options), make_problem(kind, options)
        np.testing.assert_array_equal(problem.x0(3), again.x0(3))
        assert not np.array_equal(problem.x0(3), problem.x0(4))
        X = np.stack([problem.x0(1), problem.x0(2)])
        np.testing.assert_array_equal(problem.losses(X, 7, 3), again.losses(X, 7, 3))


def test_digits_minibatch_depends_on_seed_and_step_alone():
    problem = make_problem("digits")
    x = problem.x0(1)
    assert (problem.dim, x.dtype) == (9610, np.float32)
    first = problem.losses(x[None], 0, 1)
    np.testing.assert_allclose(problem.losses(np.stack([x, x]), 0, 1), first[0], rtol=1e-6)
    assert problem.losses(x[None], 1, 1) != first != problem.losses(x[None], 0, 2)
    figures = problem.metrics(x)
    assert 1.5 < figures["train_loss"] < 4 and 0 <= figures["test_accuracy"] < 0.4


def test_digits_loss_against_a_plain_computation():
    problem = make_problem("digits", {"hidden": 5, "batch": 1437})
    x = problem.x0(2).astype(float)
    w1, b1, w2, b2 = np.split(x, [320, 325, 375])
    hidden = np.maximum(problem._train @ w1.reshape(64, 5) + b1, 0)
    logits = hidden @ w2.reshape(5, 10) + b2
    p = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    plain = -np.log(p[np.arange(1437), problem._labels]).mean()
    assert problem.losses(x[None], 0, 0)[0] == pytest.approx(plain, rel=1e-5)
    assert problem.metrics(x)["train_loss"] == pytest.approx(plain, rel=1e-5)


@pytest.mark.parametrize("function", [1, 8, 15, 24])
def test_bbob_optimum(function):
    problem = make_problem("bbob", {"function": function, "dimension": 5, "instance": 2})
    other = make_problem("bbob", {"function": function, "dimension": 10, "instance": 2})
    assert problem.optimum == other.optimum  # offsets do not depend on the dimension
    assert (problem.losses(np.random.default_rng(0).uniform(-5, 5, (100, 5)), 0, 0) > problem.optimum).all()

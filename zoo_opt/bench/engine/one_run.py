"""One run of a suite: a method on a problem from its start to its end, as an entry of the record."""

from __future__ import annotations

import json
import time
import traceback
from typing import Any

from zoo_opt.bench.engine.record import plain
from zoo_opt.bench.problems.counting import BudgetExceeded, Counted
from zoo_opt.bench.problems.protocol import Problem
from zoo_opt.bench.problems.registry import make_problem
from zoo_opt.bench.solvers import make_solver, version_of
from zoo_opt.bench.suite import Task, with_problem

_KEPT: dict[str, Problem] = {}  # the last problem, if runs leave no trace in it


def run_task(task: Task) -> dict[str, Any]:
    """Do one run and return its entry for the record; an exception of the method becomes the entry's ``error``.

    The run ends when the optimiser stops, the budget is spent, or the problem's last target is reached.
    """
    problem = problem_of(task)
    counted = Counted(problem, task.budget, task.seed)
    entry = _head(task, problem)
    stopped: dict[str, Any] = {}
    figures: dict[str, float] = {}
    start = time.process_time()
    try:
        x0 = problem.x0(task.seed)
        options = with_problem(task.method.options, problem)
        solver = make_solver(task.method.use, options, x0, seed=task.seed, budget=task.budget)
        start = time.process_time()  # after the imports
        while not (counted.solved or (stopped := dict(solver.stop()))):
            batch = solver.ask()
            if len(batch) == 0:
                raise RuntimeError("ask() returned no candidate though stop() was empty")
            solver.tell(batch, counted(batch.X, batch.step))
            counted.check_point(solver.mean)
        figures = problem.metrics(solver.mean)
        if problem.curve == "precision":
            figures["precision"] = counted.precision
        if counted.nfev and (not counted.curve or counted.curve[-1][0] < counted.nfev):
            counted.curve.append((counted.nfev, figures[problem.curve]))
    except BudgetExceeded as error:
        entry["error"] = f"exceeded its budget: {error}"
    except Exception:
        entry["error"] = traceback.format_exc(limit=-4)
    entry |= {
        "nfev": counted.nfev,
        "best": counted.best,
        "hits": counted.hits,
        "curve": counted.curve,
        "figures": figures,
        "stop": {"solved": True} if counted.solved else stopped,
        "seconds": round(time.process_time() - start, 3),  # of CPU time
    }
    return dict(plain(entry))


def lost_run(task: Task, error: str) -> dict[str, Any]:
    """The entry of a run that took its process with it."""
    problem = problem_of(task)
    return _head(task, problem) | {
        "error": error,
        "nfev": 0,
        "best": None,
        "hits": [None] * len(problem.targets),
        "curve": [],
        "figures": {},
        "stop": {},
        "seconds": 0.0,
    }


def problem_of(task: Task) -> Problem:
    """The task's problem: the one of the run before if it is the same and ``reusable``, otherwise a new one."""
    name = json.dumps([task.problem, task.problem_options], sort_keys=True)
    if name not in _KEPT:
        problem = make_problem(task.problem, task.problem_options)
        _KEPT.clear()
        if not getattr(problem, "reusable", False):
            return problem
        _KEPT[name] = problem
    return _KEPT[name]


def _head(task: Task, problem: Problem) -> dict[str, Any]:
    """What is known of a run before it begins."""
    return {
        "kind": "run",
        "key": task.key,
        "group": task.group,
        "problem": problem.name,
        "method": task.method.label,
        "use": task.method.use,
        "version": version_of(task.method.use),
        "options": task.method.options,
        "note": task.method.note,
        "seed": task.seed,
        "budget": task.budget,
        "dim": problem.dim,
        "optimum": problem.optimum,
        "curve_of": problem.curve,
        "targets": [float(target) for target in problem.targets],
        "error": None,
    }

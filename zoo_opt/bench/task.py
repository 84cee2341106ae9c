"""One run of a suite: a method on a problem from its start to its end, as a job of the engine."""

from __future__ import annotations

import hashlib
import json
import time
import traceback
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from typing import Any

from zoo_opt.bench.engine.job import Entry, ExecutorError, Job, run_job
from zoo_opt.bench.engine.record import FORMAT
from zoo_opt.bench.problems.counting import BudgetExceeded, Counted
from zoo_opt.bench.problems.protocol import Problem
from zoo_opt.bench.problems.registry import make_problem
from zoo_opt.bench.solvers import make_solver, version_of
from zoo_opt.core.errors import NotServed, Refused
from zoo_opt.support.secrets import hidden

BUDGETS = ("budget", "budget_per_dim", "simplex_gradients")  # the ways in which a group may say it
_KEPT: dict[str, Problem] = {}  # the last problem, if runs leave no trace in it


@dataclass(frozen=True)
class Competitor:
    """A method with its settings: `use` says whose, `options` its hyper-parameters, `note` how they were chosen.

    `problem_options` replaces the group's for this method alone: a slow one may run on fewer problems.
    """

    label: str
    use: str
    options: dict[str, Any] = field(default_factory=dict)
    note: str = ""
    problem_options: dict[str, Any] = field(default_factory=dict)


def evaluations(group: Mapping[str, Any], dim: int) -> int:
    """Evaluations of a run in this dimension, by what the table of a group says: one of `BUDGETS`."""
    per_dim, simplex_gradients = group.get("budget_per_dim") or 0, group.get("simplex_gradients") or 0
    return group.get("budget") or per_dim * dim + simplex_gradients * (dim + 1)


@dataclass(frozen=True)
class Task:
    """One run: everything that it depends on."""

    group: str
    problem: str
    problem_options: dict[str, Any]
    problem_name: str
    dim: int
    method: Competitor
    seed: int
    budget: int

    @cached_property
    def key(self) -> str:
        """Hash of what the result depends on: a finished run with the same key is not repeated."""
        parts = {name: getattr(self, name) for name in ("problem", "problem_options", "problem_name", "seed", "budget")}
        parts["method"] = {"use": self.method.use, "options": self.method.options}
        text = json.dumps([FORMAT, version_of(self.method.use), parts], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    @property
    def job(self) -> Job:
        """The run for the engine."""
        return Job(
            self.key,
            label=f"{self.problem_name} with {self.method.label}",
            run=partial(_run, self, self.key),
            head=self._head,
            lost=partial(_no_result, self),
            pace=(self.method.label, self.dim),
            work=self.budget,
        )

    @property
    def _head(self) -> Entry:
        """What is known of a run before it begins."""
        return {
            "group": self.group,
            "problem": self.problem_name,
            "method": self.method.label,
            "use": self.method.use,
            "version": version_of(self.method.use),
            "options": self.method.options,
            "note": self.method.note,
            "seed": self.seed,
            "budget": self.budget,
            "dim": self.dim,
        }


def run_task(task: Task) -> Entry:
    """Do one run and return its entry for the record; an exception of the method becomes the entry's ``error``.

    An outage of the problem's losses is waited for; one that is longer, or a refusal, is an `ExecutorError`.

    The run ends when the optimiser stops, the budget is spent, or the problem's last target is reached.
    """
    return run_job(task.job)


def _run(task: Task, key: str) -> Entry:
    """What the run found; `key` is the one that it was begun for, wherever it is done."""
    if replace(task).key != key:
        raise ExecutorError(f"a worker has another version of the library behind {task.method.use!r}: align them")
    try:
        problem = problem_of(task)
    except Exception as error:
        raise ExecutorError(f"{type(error).__name__}: {error}") from error
    counted = Counted(problem, task.budget, task.seed)
    stopped: dict[str, Any] = {}
    figures: dict[str, float] = {}
    failure = None
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
        figures = counted.metrics(solver.mean)
        if problem.curve == "precision":
            figures["precision"] = counted.precision
        if counted.nfev and (not counted.curve or counted.curve[-1][0] < counted.nfev):
            counted.curve.append((counted.nfev, figures[problem.curve]))
    except BudgetExceeded as error:
        failure = f"exceeded its budget: {error}"
    except (NotServed, Refused):  # it says nothing of the method: the run is not recorded
        raise
    except Exception:
        failure = hidden(traceback.format_exc(limit=-4))
    return _facts(problem) | {
        "error": failure,
        "nfev": counted.nfev,
        "best": counted.best,
        "hits": counted.hits,
        "curve": counted.curve,
        "figures": figures,
        "stop": {"solved": True} if counted.solved else stopped,
        "seconds": round(time.process_time() - start, 3),  # of CPU time
    }


def _no_result(task: Task) -> Entry:
    """What stands in the entry of a run that took its process with it."""
    problem = problem_of(task)
    hits = [None] * len(problem.targets)
    return _facts(problem) | {"nfev": 0, "best": None, "hits": hits, "curve": [], "figures": {}, "stop": {}}


def _facts(problem: Problem) -> Entry:
    return {
        "optimum": problem.optimum,
        "curve_of": problem.curve,
        "targets": [float(target) for target in problem.targets],
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


def with_problem(options: Mapping[str, Any], problem: Problem) -> dict[str, Any]:
    """A method's options with what is left to the problem filled in: ``bounds = "problem"`` takes `problem.bounds`.

    Raises
    ------
    ValueError
        If the problem has nothing of that name.
    """
    filled = dict(options)
    for name, value in options.items():
        if isinstance(value, str) and value == "problem":
            filled[name] = getattr(problem, name, None)
            if filled[name] is None:
                raise ValueError(f'option {name} = "problem", but {problem.name} has no {name}')
    return filled

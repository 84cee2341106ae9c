"""Runs a suite: its tasks are jobs of the engine."""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from pathlib import Path

from zoo_opt.bench.engine.runner import OnProgress, OnStart, run_jobs
from zoo_opt.bench.engine.session import Experiment
from zoo_opt.bench.solvers import left_out
from zoo_opt.bench.suite import Suite

PACKAGES = (
    *("zoo-opt", "numpy", "cma", "cmaes", "nevergrad", "coco-experiment", "noisyopt", "scikit-learn", "gymnasium"),
    *("scipy", "scikit-image", "optuna", "Py-BOBYQA", "statsmodels", "distributed"),
)


def run_suite(
    suite: Suite,
    record_path: Path,
    *,
    workers: int = 2,
    executor: str = "processes",
    only: Iterable[str] = (),
    again: Iterable[str] = (),
    started: OnStart | None = None,
    progress: OnProgress | None = None,
    command: list[str] | None = None,
    resume: bool = True,
) -> int:
    """Run what the record does not hold yet.

    Parameters
    ----------
    suite : Suite
    record_path : Path
        JSON lines; made if absent. Runs in it that finished are not repeated, those that ended in an error are.
    only : iterable of str
        Labels of the methods to run now; empty: all.
    again : iterable of str
        Labels of methods whose runs are repeated, because their code has changed. What the record holds of them
        counts no longer from now on (its lines stay): interrupted, go on without it.
    command : list of str or None
        For the record; None takes the command line's.
    workers, executor, started, progress, resume
        As in `zoo_opt.bench.run_jobs`.

    Warns
    -----
    UserWarning
        Of an optional method that is left out, because what it needs is not installed.

    Returns
    -------
    int
        Number of runs done now.

    Raises
    ------
    ValueError, OSError, ExecutorError
        As `zoo_opt.bench.run_jobs`; or if no method has one of the labels.
    """
    only, again = set(only), set(again)
    if unknown := (only | again).difference(suite.labels):
        raise ValueError(f"no method is labelled {sorted(unknown)[0]!r}; the suite has {', '.join(suite.labels)}")
    absent = {task.method.label: why for task in suite.tasks() if (why := left_out(task.method.use))}
    for label, why in absent.items():
        warnings.warn(f"{label} is left out: {why}", stacklevel=2)
    tasks = [task for task in suite.tasks() if task.method.label not in absent]
    return run_jobs(
        [task.job for task in tasks if not only or task.method.label in only],
        record_path,
        Experiment(suite.about, "zoo-opt", PACKAGES, command=command),
        workers=workers,
        executor=executor,
        again=lambda record: [task.key for task in tasks if task.method.label in again],
        started=started,
        progress=progress,
        resume=resume,
    )

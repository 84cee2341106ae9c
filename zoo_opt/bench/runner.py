"""Runs a suite: processes, progress, an append-only record; resumes where an earlier start was interrupted."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from pathlib import Path
from typing import Any

from .counting import BudgetExceeded, Counted
from .problems import make_problem
from .record import Recorder, read_record, session_entry
from .solvers import make_solver, version_of
from .suite import Suite, Task

THREADS = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "NUMEXPR_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
)


def run_task(task: Task) -> dict[str, Any]:
    """Do one run and return its entry for the record; an exception of the method becomes the entry's ``error``.

    The run ends when the optimiser stops, the budget is spent, or the problem's last target is reached.
    """
    problem = make_problem(task.problem, task.problem_options)
    counted = Counted(problem, task.budget, task.seed)
    entry: dict[str, Any] = {
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
        "curve_of": problem.curve,
        "targets": list(problem.targets),
        "error": None,
    }
    stopped: dict[str, Any] = {}
    figures: dict[str, float] = {}
    start = time.process_time()
    try:
        x0 = problem.x0(task.seed)
        solver = make_solver(task.method.use, task.method.options, x0, seed=task.seed, budget=task.budget)
        start = time.process_time()  # after the imports
        while not (counted.solved or (stopped := dict(solver.stop()))):
            batch = solver.ask()
            if len(batch) == 0:
                raise RuntimeError("ask() returned no candidate though stop() was empty")
            solver.tell(batch, counted(batch.X, batch.step))
            counted.check_point(solver.mean)
        figures = problem.metrics(solver.mean)
        if problem.curve == "precision":
            figures["precision"] = counted.best - (problem.optimum or 0.0)
        if counted.nfev and (not counted.curve or counted.curve[-1][0] < counted.nfev):
            counted.curve.append((counted.nfev, figures[problem.curve]))
    except BudgetExceeded as error:
        entry["error"] = f"exceeded its budget: {error}"
    except Exception:
        entry["error"] = traceback.format_exc(limit=-4)
    return entry | {
        "nfev": counted.nfev,
        "best": counted.best,
        "hits": counted.hits,
        "curve": counted.curve,
        "figures": figures,
        "stop": {"solved": True} if counted.solved else stopped,
        "seconds": round(time.process_time() - start, 3),  # of CPU time,
    }


def run_suite(
    suite: Suite,
    record_path: Path,
    *,
    workers: int = 2,
    progress: Callable[[int, int, dict[str, Any] | None], None] | None = None,
    command: list[str] | None = None,
    resume: bool = True,
) -> int:
    """Run what the record does not hold yet.

    Parameters
    ----------
    suite : Suite
    record_path : Path
        JSON lines; made if absent. Runs in it that finished are not repeated, those that ended in an error are.
    workers : int
        Processes, each with one BLAS thread. 0 runs in this process.
    progress : callable or None
        Called as ``progress(done, total, entry)`` at the start (entry None) and after each run.
    command : list of str or None
        For the record; None takes the command line's.
    resume : bool
        False puts an earlier record aside (as ``*.old``) and starts over.

    Returns
    -------
    int
        Number of runs done now.
    """
    if workers < 0:
        raise ValueError(f"workers must be 0 or more, got {workers}")
    tasks = suite.tasks()
    if not resume and record_path.exists():
        record_path.replace(record_path.with_suffix(record_path.suffix + ".old"))
    finished = read_record(record_path).finished() if record_path.exists() else set()
    todo = [task for task in tasks if task.key not in finished]
    done = len(tasks) - len(todo)
    if progress:
        progress(done, len(tasks), None)
    if not todo:
        return 0
    with Recorder(record_path) as recorder:
        recorder.write(session_entry(suite, command))
        for entry in _entries(todo, workers):
            recorder.write(entry)
            done += 1
            if progress:
                progress(done, len(tasks), entry)
    return len(todo)


def _entries(tasks: list[Task], workers: int) -> Iterator[dict[str, Any]]:
    """Entries as the runs finish. At most two runs per worker are handed out, so an interruption waits for few."""
    if workers == 0:
        yield from map(run_task, tasks)
        return
    with _one_thread_each():
        pool = ProcessPoolExecutor(workers, multiprocessing.get_context("spawn"), initializer=_start_worker)
        queue = iter(tasks)
        pending: set[Future[dict[str, Any]]] = set()
        try:
            while True:
                for task in queue:
                    pending.add(pool.submit(run_task, task))
                    if len(pending) >= 2 * workers:
                        break
                if not pending:
                    return
                ready, pending = wait(pending, return_when=FIRST_COMPLETED)
                for future in ready:
                    yield future.result()
        finally:
            pool.shutdown(wait=not pending, cancel_futures=True)


def _start_worker() -> None:
    """Leave Ctrl-C to the parent, and die with it: a pool's workers otherwise outlive a killed parent."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_die_with_parent, daemon=True).start()


def _die_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


@contextlib.contextmanager
def _one_thread_each() -> Iterator[None]:
    """Pin the BLAS threads of processes started meanwhile: they read these variables when numpy is first imported."""
    before = {name: os.environ.get(name) for name in THREADS}
    os.environ.update(dict.fromkeys(THREADS, "1"))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value

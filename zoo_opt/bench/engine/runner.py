"""Runs a suite: an append-only record that each start goes on from, whatever ended the one before."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from zoo_opt.bench.engine.executors import check_executor, entries
from zoo_opt.bench.engine.one_run import run_task
from zoo_opt.bench.engine.pace import Pace
from zoo_opt.bench.engine.record import Recorder, read_record, session_entry
from zoo_opt.bench.suite import Suite

__all__ = ["run_suite", "run_task"]

Progress = Callable[[int, int, float | None, dict[str, Any] | None], None]


def run_suite(
    suite: Suite,
    record_path: Path,
    *,
    workers: int = 2,
    executor: str = "processes",
    only: Iterable[str] = (),
    again: Iterable[str] = (),
    progress: Progress | None = None,
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
    executor : str
        ``"processes"``, ``"serial"`` (in this process), ``"dask"`` (a local cluster of so many workers) or
        ``"dask://HOST:PORT"``, a scheduler with workers of its own. What is recorded is the same, but for the seconds.
    only : iterable of str
        Labels of the methods to run now; empty: all.
    again : iterable of str
        Labels of methods whose runs are repeated, because their code has changed. What the record holds of them
        counts no longer from now on (its lines stay): interrupted, go on without it.
    progress : callable or None
        Called as ``progress(done, total, left, entry)`` at the start (entry None) and after each run; `left` is the
        expected time to the end in seconds, or None.
    command : list of str or None
        For the record; None takes the command line's.
    resume : bool
        False puts an earlier record aside (as ``*.old``, the next as ``*.old2``) and starts over.

    Returns
    -------
    int
        Number of runs done now.

    Raises
    ------
    ValueError
        If an argument is not of this form, or the record is not one.
    OSError
        If the record is in use by another bench.
    ExecutorError
        If the runs cannot be done there: no scheduler, processes that do not start.
    """
    if workers < 0:
        raise ValueError(f"workers must be 0 or more, got {workers}")
    check_executor(executor)
    only, again = set(only), set(again)
    if unknown := (only | again).difference(suite.labels):
        raise ValueError(f"no method is labelled {sorted(unknown)[0]!r}; the suite has {', '.join(suite.labels)}")
    tasks = suite.tasks()
    with Recorder(record_path, fresh=not resume) as recorder:
        record = read_record(record_path)
        if keys := [task.key for task in tasks if task.method.label in again and task.key in record.runs]:
            recorder.write({"kind": "again", "keys": keys})
            record = read_record(record_path)
        finished = record.finished()
        tasks = [task for task in tasks if not only or task.method.label in only]
        todo = [task for task in tasks if task.key not in finished]
        done = len(tasks) - len(todo)
        at_a_time = None if executor.startswith("dask://") else 1 if executor == "serial" else max(1, workers)
        pace = Pace(todo, record.runs.values(), workers=at_a_time)
        if progress:
            progress(done, len(tasks), None, None)
        if not todo:
            return 0
        recorder.write(session_entry(suite, command))
        with contextlib.closing(entries(todo, executor if workers else "serial", workers)) as arriving:
            for entry in arriving:
                recorder.write(entry)
                pace.add(entry)
                done += 1
                if progress:
                    progress(done, len(tasks), pace.left(), entry)
    return len(todo)

"""Runs jobs: an append-only record that each start goes on from, whatever ended the one before."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Collection, Iterable
from pathlib import Path

from zoo_opt.bench.engine.executors import at_a_time, check_executor, entries
from zoo_opt.bench.engine.job import Entry, Job
from zoo_opt.bench.engine.pace import Pace
from zoo_opt.bench.engine.record import Record, RecordFile, read_record
from zoo_opt.bench.engine.session import Experiment

OnStart = Callable[[Collection[Job], Record], None]
OnProgress = Callable[[int, int, float | None, Entry | None], None]


def run_jobs(
    jobs: Iterable[Job],
    path: Path,
    experiment: Experiment | None = None,
    *,
    workers: int = 2,
    executor: str = "processes",
    again: Callable[[Record], Iterable[str]] = lambda record: (),
    started: OnStart | None = None,
    progress: OnProgress | None = None,
    resume: bool = True,
) -> int:
    """Do the jobs that the record does not hold yet.

    Parameters
    ----------
    jobs : iterable of Job
        With different keys.
    path : Path
        Of the record, JSON lines; made if absent. Jobs in it that finished are not repeated, those that ended in an
        error are.
    experiment : Experiment or None
        What the record says of them.
    workers : int
        Processes, each with one BLAS thread. 0 does the jobs in this process.
    executor : str
        ``"processes"``, ``"serial"`` (in this process), ``"dask"`` (a local cluster of so many workers) or
        ``"dask://HOST:PORT"``, a scheduler with workers of its own. What is recorded is the same, but for the seconds.
    again : callable
        ``again(record)``: keys of jobs to repeat. What the record holds of them counts no longer from now on (its lines
        stay).
    started : callable or None
        Called once as ``started(jobs, record)``, with all jobs and what the record holds, before the first is done.
    progress : callable or None
        Called as ``progress(done, total, left, entry)`` at the start (entry None) and after each job; `left` is the
        expected time to the end in seconds, or None.
    resume : bool
        False puts an earlier record aside (as ``*.old``, the next as ``*.old2``) and starts over.

    Returns
    -------
    int
        Number of jobs done now.

    Raises
    ------
    ValueError
        If an argument is not of this form, or the record is not one.
    OSError
        If the record is in use by another bench.
    ExecutorError
        If the jobs cannot be done there: no scheduler, processes that do not start.
    """
    if workers < 0:
        raise ValueError(f"workers must be 0 or more, got {workers}")
    check_executor(executor)
    by_key, experiment = {job.key: job for job in jobs}, experiment or Experiment()
    with RecordFile(path, fresh=not resume) as file:
        record = read_record(path)
        if keys := [key for key in again(record) if key in record.runs]:
            file.write({"kind": "again", "keys": keys})
            record = read_record(path)
        finished = record.finished()
        todo = [job for key, job in by_key.items() if key not in finished]
        known = [(by_key[key], entry) for key, entry in record.runs.items() if key in by_key]
        pace = Pace(todo, known, workers=at_a_time(executor, workers))
        done, total = len(by_key) - len(todo), len(by_key)
        if started:
            started(by_key.values(), record)
        if progress:
            progress(done, total, None, None)
        if todo or not experiment.is_last_of(record.sessions):  # a title that was edited is recorded as well
            file.write(experiment.session())
        if not todo:
            return 0
        with contextlib.closing(entries(todo, executor if workers else "serial", workers)) as arriving:
            for entry in arriving:
                done += 1
                file.write(entry)
                pace.add(by_key[entry["key"]], entry)
                if progress:
                    progress(done, total, pace.left(), entry)
    return len(todo)

"""How long jobs still take: they are weighed by their work and its measured pace, since their lengths differ hugely."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from zoo_opt.bench.engine.job import Job

Kind = tuple[str, int]  # a job's `pace`: name and size
BUSY = 30.0  # seconds before the session for which its workers count as busy


class Pace:
    """Estimates the time left from what has been measured.

    A job to come takes its work times the seconds that a unit of work took in jobs of its pace. Where that is not known
    yet: in jobs of the same name in the nearest size that is, else the mean of all. CPU seconds become wall time by
    the ratio of the two in this session, which takes in workers and other load. Where the number of workers is known,
    half a minute with all of them busy is put before it: the first jobs to finish are few and short, and the start-up
    of the workers would be taken for the rule.

    Parameters
    ----------
    todo : iterable of Job
        To come.
    finished : iterable of (Job, dict)
        Jobs of earlier sessions with their entries, to learn from.
    workers : int or None
        How many jobs are done at a time, None where that is not known.
    clock : callable
        Seconds, increasing.
    """

    def __init__(
        self,
        todo: Iterable[Job],
        finished: Iterable[tuple[Job, Mapping[str, Any]]] = (),
        workers: int | None = None,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self._clock = clock
        self._start = clock()
        self._workers = workers
        self._seconds: defaultdict[Kind, float] = defaultdict(float)
        self._work: defaultdict[Kind, float] = defaultdict(float)
        self._done = 0.0  # CPU seconds in this session
        self._to_come: defaultdict[Kind, float] = defaultdict(float)  # work
        for job in todo:
            self._to_come[job.pace] += job.work
        for job, entry in finished:
            self._learn(job, entry)

    def _learn(self, job: Job, entry: Mapping[str, Any]) -> None:
        if not entry["error"]:
            self._seconds[job.pace] += entry["seconds"]
            self._work[job.pace] += job.work

    def add(self, job: Job, entry: Mapping[str, Any]) -> None:
        """Take note of a job that has just finished."""
        self._learn(job, entry)
        self._to_come[job.pace] -= job.work
        self._done += entry["seconds"]

    def left(self) -> float | None:
        """Expected seconds until the last job is finished; None as long as nothing has been measured."""
        known = {kind: self._seconds[kind] / work for kind, work in self._work.items() if work}
        elapsed = self._clock() - self._start
        if not known or not self._done or not elapsed:
            return None
        mean = sum(self._seconds.values()) / sum(self._work.values())
        cpu = sum(
            work * known.get(kind, _nearest(kind, known, mean)) for kind, work in self._to_come.items() if work > 0
        )
        if self._workers is None:
            return cpu * elapsed / self._done
        return cpu * (elapsed + BUSY) / (self._done + BUSY * self._workers)


def _nearest(kind: Kind, known: Mapping[Kind, float], otherwise: float) -> float:
    """The pace of the same name in the nearest size, or `otherwise`."""
    name, size = kind
    same = {abs(s - size): pace for (n, s), pace in known.items() if n == name}
    return same[min(same)] if same else otherwise

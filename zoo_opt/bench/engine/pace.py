"""How long a bench still takes: runs are weighed by budget and measured pace, since their lengths differ hugely."""

from __future__ import annotations

import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from zoo_opt.bench.suite import Task

Kind = tuple[str, int]  # (method's label, dimension)
BUSY = 30.0  # seconds before the session for which its workers count as busy


class Pace:
    """Estimates the time left from what has been measured.

    A run to come takes its budget times the seconds that its method took per evaluation of a budget in this dimension.
    Where that is not known yet: the method's in the nearest dimension that is, else the mean of all. CPU seconds
    become wall time by the ratio of the two in this session, which takes in workers and other load. Where the number
    of workers is known, half a minute with all of them busy is put before it: the first runs to finish are few and
    short, and the start-up of the workers would be taken for the rule.

    Parameters
    ----------
    todo : iterable of Task
        Runs to come.
    finished : iterable of dict
        Entries of earlier sessions, to learn from.
    workers : int or None
        How many runs are done at a time, None where that is not known.
    clock : callable
        Seconds, increasing.
    """

    def __init__(
        self,
        todo: Iterable[Task],
        finished: Iterable[Mapping[str, Any]] = (),
        workers: int | None = None,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self._clock = clock
        self._start = clock()
        self._workers = workers
        self._seconds: defaultdict[Kind, float] = defaultdict(float)
        self._budget: Counter[Kind] = Counter()
        self._done = 0.0  # CPU seconds in this session
        self._to_come: Counter[Kind] = Counter()  # evaluations
        for task in todo:
            self._to_come[task.method.label, task.dim] += task.budget
        for entry in finished:
            self._learn(entry)

    def _learn(self, entry: Mapping[str, Any]) -> Kind:
        kind = (entry["method"], entry["dim"])
        if not entry["error"]:
            self._seconds[kind] += entry["seconds"]
            self._budget[kind] += entry["budget"]
        return kind

    def add(self, entry: Mapping[str, Any]) -> None:
        """Take note of a run that has just finished."""
        self._to_come[self._learn(entry)] -= entry["budget"]
        self._done += entry["seconds"]

    def left(self) -> float | None:
        """Expected seconds until the last run is finished; None as long as nothing has been measured."""
        known = {kind: self._seconds[kind] / budget for kind, budget in self._budget.items() if budget}
        elapsed = self._clock() - self._start
        if not known or not self._done or not elapsed:
            return None
        mean = sum(self._seconds.values()) / sum(self._budget.values())
        cpu = sum(
            evaluations * known.get(kind, _nearest(kind, known, mean))
            for kind, evaluations in self._to_come.items()
            if evaluations > 0
        )
        if self._workers is None:
            return cpu * elapsed / self._done
        return cpu * (elapsed + BUSY) / (self._done + BUSY * self._workers)


def _nearest(kind: Kind, known: Mapping[Kind, float], otherwise: float) -> float:
    """The pace of the same method in the nearest dimension, or `otherwise`."""
    method, dim = kind
    same = {abs(d - dim): pace for (m, d), pace in known.items() if m == method}
    return same[min(same)] if same else otherwise

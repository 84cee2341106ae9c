"""The books: which candidates of the open steps are out, told or failed."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from zoo_opt.core.batch import Batch

if TYPE_CHECKING:
    from zoo_opt.core.method import Asked
    from zoo_opt.typing import Array

WAITING, OUT, TOLD = range(3)
FAILED = math.nan


class OpenStep:
    """A step whose candidates are placed and not all told.

    Attributes
    ----------
    number : int
        The step.
    first : int
        Id of its first candidate.
    ids : range
        Ids of all of them.
    asked : Asked
        The candidates and what the update needs.
    X : (n, d) array
        The candidates, read-only.
    status : list of int
        WAITING, OUT or TOLD for each.
    losses : list of float
        The losses told, NaN where failed or not told yet.
    sem : list of float or None
        Their standard errors, NaN where not told; None if none was told.
    times : list or tuple of float
        Seconds of the run at which each was told; empty before the first.
    failures : dict or None
        Why those that failed did, by id; None if none did.
    of : list of int or None, or None
        First ids of the points that are evaluated again; None if all are new.
    left : int
        How many are not told yet.
    """

    __slots__ = (
        *("X", "_cursor", "asked", "failures", "first", "ids", "left", "losses", "number"),
        *("of", "sem", "status", "times", "waiting"),
    )

    def __init__(self, number: int, first: int, asked: Asked, of: list[int | None] | None = None) -> None:
        X = asked.X
        X.flags.writeable = False
        n = len(X)
        self.number, self.first, self.asked, self.X = number, first, asked, X
        self.ids = range(first, first + n)
        self.status = [WAITING] * n
        self.losses = [FAILED] * n
        self.times: Any = ()
        self.failures: dict[int, str] | None = None
        self.sem: list[float] | None = None
        self.of = of
        self.left = self.waiting = n
        self._cursor = 0

    def holds(self, id_: int) -> bool:
        """Return whether the candidate is of this step."""
        return id_ in self.ids

    def hand_out(self, most: int) -> Batch:
        """Return the candidates that are not told, at most so many, and mark them as out."""
        n = len(self.ids)
        if not self.times and n <= most:
            self.status, self.waiting = [OUT] * n, 0
            return Batch(self.X, self.ids, self.number, self.of)
        return self._take([i for i, status in enumerate(self.status) if status != TOLD][:most])

    def lease(self, n: int) -> Batch:
        """Return up to ``n`` waiting candidates, and mark them as out."""
        rows: list[int] = []
        while len(rows) < n and self._cursor < len(self.status):
            if self.status[self._cursor] == WAITING:
                rows.append(self._cursor)
            self._cursor += 1  # what is passed by never waits again
        return self._take(rows)

    def _take(self, rows: list[int]) -> Batch:
        for i in rows:
            self.waiting -= self.status[i] == WAITING
            self.status[i] = OUT
        if not rows:
            return Batch(self.X[:0], [], self.number)
        contiguous = rows[-1] - rows[0] + 1 == len(rows)
        X = self.X[rows[0] : rows[-1] + 1] if contiguous else self.X[rows]
        X.flags.writeable = False
        of = self.of and [self.of[i] for i in rows]
        return Batch(X, [self.ids[i] for i in rows], self.number, of)

    def told(self) -> list[tuple[int, float]]:
        """Return the ids and losses of the candidates that are told."""
        known = zip(self.ids, self.losses, self.status, strict=True)
        return [(id_, loss) for id_, loss, status in known if status == TOLD]

    def record(
        self, ids: Sequence[int], losses: list[float], sem: Sequence[float] | None, time: float, reason: str
    ) -> None:
        """Enter the losses, and their standard errors, of candidates that have been checked to be open.

        The list ``losses`` is kept. They were told at ``time``; ``reason`` says why those that are NaN failed, and is
        "" if none did.
        """
        if sem is not None:
            self._record_sem(ids, losses, sem)
        if reason:
            failed = {id_: reason for id_, loss in zip(ids, losses, strict=True) if loss != loss}
            self.failures = {**(self.failures or {}), **failed}
        n = len(self.ids)
        if ids == self.ids:  # the whole step
            self.status, self.losses, self.times = [TOLD] * n, losses, (time,) * n
            self.left = self.waiting = 0
            return
        if not self.times:
            self.times = [0.0] * n
        for id_, loss in zip(ids, losses, strict=True):
            i = id_ - self.first
            self.waiting -= self.status[i] == WAITING
            self.status[i] = TOLD
            self.losses[i] = loss
            self.times[i] = time
        self.left -= len(ids)

    def _record_sem(self, ids: Sequence[int], losses: Sequence[float], sem: Sequence[float]) -> None:
        for id_, loss, error in zip(ids, losses, sem, strict=True):
            if loss == loss and error == error:
                self.sem = self.sem or [math.nan] * len(self.status)
                self.sem[id_ - self.first] = error

    def out(self) -> list[int]:
        """Return the ids that are out."""
        return [id_ for id_, status in zip(self.ids, self.status, strict=True) if status == OUT]


class Ledger:
    """The open steps, oldest first, and the id that the next candidate gets."""

    __slots__ = ("next_id", "open")

    def __init__(self, next_id: int = 0) -> None:
        self.open: list[OpenStep] = []
        self.next_id = next_id

    def add(self, step: OpenStep) -> None:
        """Enter a step whose candidates get the next ids."""
        self.open.append(step)
        self.next_id = step.ids.stop

    @property
    def waiting(self) -> bool:
        """Whether some candidate of an open step is neither out nor told."""
        return any(step.waiting for step in self.open)

    def untold(self, id_: int) -> OpenStep | None:
        """Return the open step of a candidate that is not told; None if it was told or is of no open step."""
        for step in self.open:
            if step.holds(id_):
                return step if step.status[id_ - step.first] != TOLD else None
        return None

    def locate(self, ids: Sequence[int]) -> list[OpenStep]:
        """Return the steps that ``ids`` belong to, or raise if one cannot be told; nothing is changed."""
        if self.open and ids == self.open[0].ids and not self.open[0].times:  # the common case: a whole step
            return [self.open[0]]
        if len(set(ids)) != len(ids):
            raise ValueError(f"each candidate can be told once, got ids {list(ids)}")
        parts: dict[int, OpenStep] = {}
        for id_ in ids:
            if not 0 <= id_ < self.next_id:
                known = f"ids so far are 0 to {self.next_id - 1}" if self.next_id else "nothing was asked for yet"
                raise KeyError(f"unknown candidate id {id_}: {known}")
            untold = self.untold(id_)
            if untold is None:
                raise ValueError(f"candidate {id_} was told before")
            parts[untold.number] = untold
        return list(parts.values())

    @staticmethod
    def check_points(parts: list[OpenStep], ids: Sequence[int], X: Array | None) -> None:
        """Raise if ``X`` (n, d) are not the points of these candidates, which another optimizer has under their ids."""
        if X is None or any(X is step.X or X.base is step.X for step in parts):  # what was handed out, or a view of it
            return
        for step in parts:
            mine = [i for i, id_ in enumerate(ids) if step.holds(id_)]
            known = step.X[[ids[i] - step.first for i in mine]]
            if not np.array_equal(X[mine], known, equal_nan=True):
                raise ValueError(
                    "candidates must be what this optimizer has asked for, got other points under the ids "
                    f"{[ids[i] for i in mine]}: a batch of another optimizer"
                )

    def record(
        self,
        parts: list[OpenStep],
        ids: Sequence[int],
        losses: list[float],
        sem: list[float] | None = None,
        time: float = 0.0,
        reason: str = "",
    ) -> None:
        """Enter losses, and their standard errors, with the steps that they belong to."""
        if len(parts) == 1:
            parts[0].record(ids, losses, sem, time, reason)
            return
        for step in parts:
            mine = [i for i, id_ in enumerate(ids) if step.holds(id_)]
            own = [ids[i] for i in mine], [losses[i] for i in mine], sem and [sem[i] for i in mine]
            step.record(*own, time, reason)

"""The books of one open step: which of its candidates are out, told or failed."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from zoo_opt.batch import Batch
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
    queries : object
        The method's recipe.
    X : (n, d) array
        The candidates, read-only.
    status : list of int
        WAITING, OUT or TOLD for each.
    losses : list of float
        The losses told, NaN where failed or not told yet.
    left : int
        How many are not told yet.
    """

    __slots__ = ("X", "first", "left", "losses", "number", "queries", "status", "waiting")

    def __init__(self, number: int, first: int, queries: Any, X: Array) -> None:
        X.flags.writeable = False
        n = len(X)
        self.number, self.first, self.queries, self.X = number, first, queries, X
        self.status = [WAITING] * n
        self.losses = [FAILED] * n
        self.left = self.waiting = n

    def hand_out(self) -> Batch:
        """Return all candidates that are not told, and mark them as out."""
        n = len(self.status)
        if self.left == n:
            self.status, self.waiting = [OUT] * n, 0
            return Batch(self.X, range(self.first, self.first + n), self.number)
        return self._take([i for i, status in enumerate(self.status) if status != TOLD])

    def lease(self, n: int) -> Batch:
        """Return up to ``n`` waiting candidates, and mark them as out."""
        return self._take([i for i, status in enumerate(self.status) if status == WAITING][:n])

    def _take(self, rows: list[int]) -> Batch:
        for i in rows:
            self.waiting -= self.status[i] == WAITING
            self.status[i] = OUT
        if not rows:
            return Batch(self.X[:0], [], self.number)
        contiguous = rows[-1] - rows[0] + 1 == len(rows)
        X = self.X[rows[0] : rows[-1] + 1] if contiguous else self.X[rows]
        X.flags.writeable = False
        return Batch(X, [self.first + i for i in rows], self.number)

    def record(self, ids: Sequence[int], losses: Sequence[float]) -> None:
        """Enter the losses of candidates that have been checked to be open."""
        for id_, loss in zip(ids, losses, strict=True):
            i = id_ - self.first
            self.waiting -= self.status[i] == WAITING
            self.status[i] = TOLD
            self.losses[i] = loss
        self.left -= len(ids)

    def out(self) -> list[int]:
        """Return the ids that are out."""
        return [self.first + i for i, status in enumerate(self.status) if status == OUT]

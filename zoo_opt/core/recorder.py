"""What a history is written to: the steps that closed, moved into arrays now and then, of bounded size."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from typing import TYPE_CHECKING, Any

import numpy as np

from zoo_opt.core.history import History
from zoo_opt.core.ledger import TOLD

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from zoo_opt.core.ledger import OpenStep
    from zoo_opt.typing import Array

# at least so many evaluations, and so many numbers of their points (16 MB); no more than twice as many. Chosen.
ROWS, NUMBERS = 2**20, 2**21
WIDEST = 2**10  # variables; the points of more are not kept, as copying them would cost
_STEPS, _BYTES = 256, 2**20  # steps, and bytes of their points, that are moved into arrays at a time
_REUSED = 2**16  # bytes; a larger matrix is moved at once, so that it can be written to again (`buffers.py`)
_SHORT = 2**10  # rows; parts of fewer, of a history that is read after every step, are joined

_Columns = list["NDArray[Any]"]  # id, loss, step, time, code of the failure, x
# first id, number, losses, times, failures, X of a step: no more, so that the garbage collector has little to look at
_Closed = tuple[int, int, list[float], Sequence[float], "dict[int, str] | None", "Array"]


class StepRecorder:
    """Records the steps of a run."""

    def __init__(self) -> None:
        self._new: list[_Closed] = []
        self._bytes = 0  # of their points
        self._parts: list[_Columns] = []
        self._since = 0  # rows since the parts were last cut
        self._codes = {"": 0}

    def add(self, step: OpenStep) -> None:
        """Record a step that has closed."""
        self._new.append((step.first, step.number, step.losses, step.times, step.failures, step.X))
        size = step.X.nbytes
        self._bytes += size
        if len(self._new) >= _STEPS or self._bytes >= _BYTES or size >= _REUSED:
            self._move()

    def _move(self) -> None:
        """Move what is new into arrays."""
        steps = self._new
        if not steps:
            return
        self._new, self._bytes = [], 0
        firsts, numbers, losses, times, failures, X = zip(*steps, strict=True)
        sizes, first = list(map(len, losses)), firsts[0]
        n = sum(sizes)
        loss = np.fromiter(chain.from_iterable(losses), np.float64, n)
        time = np.fromiter(chain.from_iterable(times), np.float64, n)
        number = np.repeat(np.array(numbers, np.int64), sizes)
        code = np.zeros(n, np.int32)
        for reasons in failures:
            for id_, reason in (reasons or {}).items():
                code[id_ - first] = self._codes.setdefault(reason, len(self._codes))
        x = np.concatenate(X) if X[0].shape[1] <= WIDEST else np.empty((0, 0))
        self._parts.append([np.arange(first, first + n), loss, number, time, code, x])
        while len(self._parts) > 1 and len(self._parts[-2][0]) <= min(len(self._parts[-1][0]), _SHORT):
            self._parts[-2:] = [_joined(self._parts[-2:])]
        self._since += n
        if self._since > min(ROWS, NUMBERS // max(1, x.shape[1])):
            self._join()

    def _join(self) -> None:
        self._parts, self._since = [_joined(self._parts)], 0

    def history(self, still_open: Sequence[OpenStep]) -> History:
        """Return all that is kept, and what is told of the open steps."""
        self._move()
        self._join()
        return self._table([self._parts[0], *self._told(still_open)])

    def last(self, n: int, still_open: Sequence[OpenStep]) -> History:
        """Return the last ``n`` evaluations."""
        self._move()
        parts = self._told(still_open)
        rows = sum(len(part[0]) for part in parts)
        for part in reversed(self._parts):
            if rows >= n:
                break
            parts.insert(0, part)
            rows += len(part[0])
        return self._table(parts)[max(0, rows - n) :]

    def _told(self, steps: Sequence[OpenStep]) -> list[_Columns]:
        """Return the columns of what is told of open steps."""
        parts = []
        for step in steps:
            rows = np.array([i for i, status in enumerate(step.status) if status == TOLD], np.int64)
            if len(rows):
                reasons = [(step.failures or {}).get(step.first + int(i), "") for i in rows]
                codes = [self._codes.setdefault(reason, len(self._codes)) for reason in reasons]
                loss, time = (np.array(column)[rows] for column in (step.losses, step.times))
                x = step.X[rows] if step.X.shape[1] <= WIDEST else np.empty((0, 0))
                number = np.full(len(rows), step.number)
                parts.append([step.first + rows, loss, number, time, np.array(codes, np.int32), x])
        return parts

    def _table(self, parts: list[_Columns]) -> History:
        return History(_joined(parts), list(self._codes))

    # -------------------------------------------------------------------------------------------- save, load
    def saved(self) -> dict[str, Any]:
        """Return all that `restored` needs."""
        self._move()
        self._join()
        return {"columns": list(self._parts[0]), "failures": list(self._codes)}

    @classmethod
    def restored(cls, data: dict[str, Any]) -> StepRecorder:
        """Return what was saved."""
        self = cls()
        self._parts = [data["columns"]]
        self._codes = {failure: code for code, failure in enumerate(data["failures"])}
        return self


def _joined(parts: list[_Columns]) -> _Columns:
    """Return parts as one, of bounded size."""
    parts = [part for part in parts if len(part[0])] or parts[:1]
    if not parts:
        kinds = (np.int64, np.float64, np.int64, np.float64, np.int32)
        return [*(np.empty(0, kind) for kind in kinds), np.empty((0, 0))]
    *columns, x = (column[0] if len(column) == 1 else np.concatenate(column) for column in zip(*parts, strict=True))
    most = NUMBERS // max(1, x.shape[1])
    return [*(column[-ROWS:] for column in columns), x[max(0, len(x) - most) :]]

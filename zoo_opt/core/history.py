"""The evaluations of a run as a table."""

from __future__ import annotations

import csv
import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from zoo_opt.core.batch import params_of
from zoo_opt.support.loading import require

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from zoo_opt.typing import Array


class History:
    """Evaluations in the order in which they were told: columns as arrays, which are read-only.

    The last million evaluations (2**20) are kept at least, and the points of the last 2**21 / d; with more than 1024
    variables no points are. `x` has the points of the last evaluations of the table, mostly all of them.

    Parameters
    ----------
    columns : sequence of array
        id, loss, step, time, the number of the failure in ``reasons``, and x; the table has views of them.
    reasons : sequence of str
        Why evaluations failed, the first "".

    Attributes
    ----------
    id : (n,) array of int
        The candidates.
    loss : (n,) array of float
        Their losses, NaN where the evaluation failed.
    step : (n,) array of int
        The steps that they belong to.
    time : (n,) array of float
        Seconds of the run at which they were told; the time between a save and a load is not counted.
    x : (m, d) array
        The points of the last m evaluations, m <= n.
    space : Space or None
        The space that the points are of, whose parameters are then `params`, and columns in the place of x0, x1, ... of
        ``to_pandas`` and ``to_csv``.
    """

    __slots__ = ("_code", "_reasons", "id", "loss", "space", "step", "time", "x")

    def __init__(self, columns: Sequence[NDArray[Any]], reasons: Sequence[str], space: Any = None) -> None:
        self.id: NDArray[np.int64]
        self.loss: NDArray[np.float64]
        self.step: NDArray[np.int64]
        self.time: NDArray[np.float64]
        self.x: Array
        views = [column.view() for column in columns]
        for view in views:
            view.flags.writeable = False
        self.id, self.loss, self.step, self.time, self._code, self.x = views
        self._reasons = tuple(reasons)
        self.space = space

    @property
    def failure(self) -> list[str]:
        """Why each evaluation failed; "" where it did not."""
        return [self._reasons[code] for code in self._code.tolist()]

    @property
    def best(self) -> NDArray[np.float64]:
        """The lowest loss up to each evaluation of the table, (n,); +inf before the first."""
        return lowest_so_far(self.loss)

    @property
    def params(self) -> list[dict[str, Any]]:
        """The parameters at each of the points ``x``, for a run in a space; else an AttributeError."""
        return [params_of(self.space, x) for x in self.x]

    def __len__(self) -> int:
        return len(self.id)

    def __getitem__(self, rows: slice) -> History:
        """Return some consecutive rows."""
        start, stop, stride = rows.indices(len(self))
        if stride != 1:
            raise ValueError(f"rows must be consecutive, got {rows!r}")
        missing = len(self) - len(self.x)
        points = self.x[max(0, start - missing) : max(0, stop - missing)]
        columns = [column[rows] for column in (self.id, self.loss, self.step, self.time, self._code)]
        return History([*columns, points], self._reasons, self.space)

    def __repr__(self) -> str:
        return f"History({len(self)} evaluations, columns id, loss, step, time, failure, x)"

    def to_pandas(self) -> Any:
        """Return a DataFrame with a row for each evaluation, as ``to_csv`` has it (needs ``pandas``)."""
        pandas = require("pandas", extra="")
        return pandas.DataFrame(self._table(missing=None if self.space else np.nan))

    def to_csv(self, path: str | os.PathLike[str]) -> None:
        """Write a line of names and a line for each evaluation; numbers as Python writes them, exact.

        The points are columns x0, x1, ..., or those of the space's parameters (``params.loss`` for a parameter that has
        the name of another column).
        """
        table = self._table(missing="")
        with open(path, "w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow(table)
            writer.writerows(zip(*table.values(), strict=True))

    def _table(self, missing: Any) -> dict[str, list[Any]]:
        """Return the columns by name, with `missing` where a point is not known."""
        names = ("id", "step", "loss", "time")
        table = {name: getattr(self, name).tolist() for name in names} | {"failure": self.failure}
        unknown = [missing] * (len(self) - len(self.x))
        if self.space is None:
            return table | {f"x{i}": unknown + column.tolist() for i, column in enumerate(self.x.T)}
        params = self.params
        for name in self.space.parameters if params else ():
            table[f"params.{name}" if name in table else name] = unknown + [row[name] for row in params]
        return table


def lowest_so_far(loss: Any) -> NDArray[np.float64]:
    """Return the lowest of the losses up to each (n,); +inf before the first that is not NaN."""
    return np.fmin.accumulate(np.where(np.isnan(loss), np.inf, loss)) if len(loss) else loss

"""What the plots take: results, optimizers and histories, alone, in lists, or by label."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from zoo_opt.core.history import History
from zoo_opt.plot.figures import LARGEST

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from zoo_opt.space import Space
    from zoo_opt.typing import Array


@dataclass(frozen=True)
class PlottedRun:
    """A history, and the space that its points are of, if any."""

    history: History
    space: Space | None = None

    @property
    def loss(self) -> Array:
        """The losses, of which those beyond what an axis can have are infinite, or at its end."""
        loss = self.history.loss
        return np.where(loss > LARGEST, np.inf, np.maximum(loss, -LARGEST))

    @property
    def numbers(self) -> NDArray[np.int64]:
        """The number of each evaluation, from 1; a table that lost its beginning starts later."""
        first = int(self.history.id.min()) + 1 if len(self.history) else 1
        return np.arange(first, first + len(self.history))


def labelled(given: Any) -> dict[str, list[PlottedRun]]:
    """Return the runs by label: those in a mapping by their key, any other by its number.

    Raises
    ------
    TypeError
        If something else than results, optimizers, histories, lists and mappings of them is given.
    ValueError
        If there is no run.
    """
    groups: dict[str, list[PlottedRun]] = {}
    for label, run in _runs(given, ""):
        groups.setdefault(label or f"run {len(groups) + 1}", []).append(run)
    if not groups:
        raise ValueError(f"results must hold a run at least, got {given!r}")
    return groups


def _runs(given: Any, label: str) -> Iterator[tuple[str, PlottedRun]]:
    """Yield each run with its label, "" for none."""
    history = given if isinstance(given, History) else getattr(given, "history", None)
    if isinstance(history, History):
        yield label, PlottedRun(history, getattr(given, "space", None))
    elif isinstance(given, Mapping) and "history" not in given:
        for key, value in given.items():
            yield from _runs(value, str(key))
    elif isinstance(given, Iterable) and not isinstance(given, str | Mapping):
        for item in given:
            yield from _runs(item, label)
    else:
        raise TypeError(f"results must be Result, Optimizer or History, or lists or dicts of them, got {given!r}")

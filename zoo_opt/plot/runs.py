"""What the plots take: results, optimizers and histories, alone, in lists, or by label."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from zoo_opt.core.history import History
from zoo_opt.plot.figures import LARGEST

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from zoo_opt.typing import Array


def labelled(given: Any) -> dict[str, list[History]]:
    """Return the histories by label: those in a mapping by their key, any other by its number.

    Raises
    ------
    TypeError
        If something else than results, optimizers, histories, lists and mappings of them is given.
    ValueError
        If there is none.
    """
    groups: dict[str, list[History]] = {}
    for label, history in _histories(given, ""):
        groups.setdefault(label or f"run {len(groups) + 1}", []).append(history)
    if not groups:
        raise ValueError(f"results must hold a run at least, got {given!r}")
    return groups


def _histories(given: Any, label: str) -> Iterator[tuple[str, History]]:
    """Yield each history with its label, "" for none."""
    history = given if isinstance(given, History) else getattr(given, "history", None)
    if isinstance(history, History):
        yield label, history
    elif isinstance(given, Mapping) and "history" not in given:
        for key, value in given.items():
            yield from _histories(value, str(key))
    elif isinstance(given, Iterable) and not isinstance(given, str | Mapping):
        for item in given:
            yield from _histories(item, label)
    else:
        raise TypeError(f"results must be Result, Optimizer or History, or lists or dicts of them, got {given!r}")


def losses_of(history: History) -> Array:
    """Return the losses, of which those beyond what an axis can have are infinite, or at its end."""
    return np.where(history.loss > LARGEST, np.inf, np.maximum(history.loss, -LARGEST))


def numbers_of(history: History) -> NDArray[np.int64]:
    """Return the number of each evaluation, from 1; a table that lost its beginning starts later."""
    first = int(history.id.min()) + 1 if len(history) else 1
    return np.arange(first, first + len(history))

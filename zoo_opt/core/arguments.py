"""What the caller may hand to `tell`, as plain ids and floats."""

from __future__ import annotations

import math
import numbers
from collections.abc import KeysView, Mapping, Sequence, Set
from typing import TYPE_CHECKING, Any

import numpy as np

from zoo_opt.core.batch import Batch, Candidate
from zoo_opt.core.errors import loss as as_loss
from zoo_opt.core.errors import non_negative

if TYPE_CHECKING:
    from zoo_opt.typing import Array


def as_told(candidates: Any, losses: Any, sem: Any, run: int) -> tuple[Sequence[int], list[float], list[float] | None]:
    """Return ids, losses (NaN for failures) and standard errors (NaN where not known; None if none is), or raise."""
    if type(candidates) is Batch and candidates._run == run:
        ids, single = candidates._ids, False
    else:
        ids = as_ids(candidates, run)
        single = not isinstance(candidates, Batch) and isinstance(candidates, (Candidate, numbers.Integral))
        one_number = losses is None or (isinstance(losses, np.ndarray) and losses.size == 1)
        if single and (one_number or np.ndim(losses) == 0):
            losses = (losses,)
    values = as_losses(losses, len(ids))
    if sem is None:
        return ids, values, None
    if single and np.ndim(sem) == 0:
        sem = (sem,)
    known = [math.nan if value is None else non_negative("sem", value) for value in _numbers("sem", sem, len(ids))]
    return ids, values, known if any(value == value for value in known) else None


def as_losses(losses: Any, n: int) -> list[float]:
    """Return ``n`` losses, NaN for failures, or raise."""
    return [
        value if type(value) is float and value > -math.inf else as_loss(value)
        for value in _numbers("losses", losses, n)
    ]


def as_ids(candidates: Any, run: int) -> Sequence[int]:
    """Return the ids that ``candidates`` names, or raise; a batch and its candidates must be of ``run``."""
    if isinstance(candidates, (Batch, Candidate)):
        if candidates._run != run:
            _of_this(candidates, run)
        return candidates._ids if isinstance(candidates, Batch) else [candidates.id]
    if _is_id(candidates):
        return [int(candidates)]
    if isinstance(candidates, (bool, str)):
        raise TypeError(f"candidates must be a Batch, a Candidate or ids, got {candidates!r}")
    _in_order("candidates", candidates, "a Batch, a Candidate or ids in the order of the losses")
    try:
        items = list(candidates)
    except TypeError:
        raise TypeError(f"candidates must be a Batch, a Candidate or ids, got {candidates!r}") from None
    for item in items:
        if isinstance(item, Candidate):
            _of_this(item, run)
        elif not _is_id(item):
            raise TypeError(f"candidates must be a Batch, a Candidate or ids, got an element {item!r}")
    return [item.id if isinstance(item, Candidate) else int(item) for item in items]


def points_of(candidates: Any) -> Array | None:
    """Return the points (n, d) that a batch or a candidate holds, to be compared; None for ids, which hold none."""
    if isinstance(candidates, Batch):
        return candidates.X
    return candidates.x[None] if isinstance(candidates, Candidate) else None


def _is_id(value: Any) -> bool:
    return isinstance(value, numbers.Integral) and not isinstance(value, (bool, np.bool_))


def _of_this(candidates: Batch | Candidate, run: int) -> None:
    if candidates._run not in (run, None):
        kind = type(candidates).__name__
        raise ValueError(f"candidates must be what this optimizer has asked for, got a {kind} of another optimizer")


def _numbers(name: str, given: Any, n: int) -> list[Any]:
    """Return what should be ``n`` numbers as a list, or raise."""
    values: list[Any]
    if type(given) is np.ndarray and given.ndim:
        values = given.tolist()
    elif type(given) is list:
        values = given
    else:
        _in_order(name, given, f"a sequence of {n} numbers in the order of the candidates")
        try:
            values = list(given)
        except TypeError:
            raise TypeError(f"{name} must be a sequence of {n} numbers, got {given!r}") from None
    if len(values) != n:
        raise ValueError(f"{name} must be {n} numbers, one for each candidate, got {len(values)}")
    return values


def _in_order(name: str, given: Any, expected: str) -> None:
    """Raise if the items of ``given`` have no order, or one of their own, so that they could be paired wrongly."""
    if type(given) in (list, np.ndarray):
        return
    unordered = isinstance(given, Set) and not isinstance(given, KeysView)
    labelled = hasattr(given, "iloc")  # pandas and what is like it: it iterates over labels, or has its own index
    if unordered or labelled or isinstance(given, (str, bytes, bytearray, Mapping, Batch, Candidate)):
        raise TypeError(f"{name} must be {expected}, got {given!r}")

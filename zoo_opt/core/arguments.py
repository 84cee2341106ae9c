"""What the caller may hand to `tell`, as plain ids and floats."""

from __future__ import annotations

import math
import numbers
from collections.abc import Mapping, Sequence, Set
from typing import Any

import numpy as np

from zoo_opt.core.batch import Batch, Candidate
from zoo_opt.core.errors import loss as as_loss
from zoo_opt.core.errors import non_negative


def as_ids(candidates: Any) -> Sequence[int]:
    """Return the ids that ``candidates`` names."""
    if isinstance(candidates, Batch):
        return candidates._ids
    if isinstance(candidates, Candidate):
        return [candidates.id]
    if isinstance(candidates, (bool, str)):
        raise TypeError(f"candidates must be a Batch, a Candidate or ids, got {candidates!r}")
    if isinstance(candidates, numbers.Integral):
        return [int(candidates)]
    try:
        items = list(candidates)
    except TypeError:
        raise TypeError(f"candidates must be a Batch, a Candidate or ids, got {candidates!r}") from None
    ids = [item.id if isinstance(item, Candidate) else item for item in items]
    for id_ in ids:
        if isinstance(id_, bool) or not isinstance(id_, numbers.Integral):
            raise TypeError(f"candidates must be a Batch, a Candidate or ids, got an element {id_!r}")
    return [int(id_) for id_ in ids]


def as_sems(sem: Any, n: int, single: bool) -> list[float] | None:
    """Return ``n`` standard errors, NaN where not known, None if none is, or raise."""
    if single and np.ndim(sem) == 0:
        sem = (sem,)
    values = _numbers("sem", sem, n)
    known = [math.nan if value is None else non_negative("sem", value) for value in values]
    return known if any(value == value for value in known) else None


def as_losses(losses: Any, n: int, single: bool) -> list[float]:
    """Return ``n`` floats, NaN for failures, or raise."""
    if single and (losses is None or np.ndim(losses) == 0):
        losses = (losses,)
    values = _numbers("losses", losses, n)
    return [value if type(value) is float and value > -math.inf else as_loss(value) for value in values]


def _numbers(name: str, given: Any, n: int) -> list[Any]:
    """Return what should be ``n`` numbers as a list, or raise."""
    if isinstance(given, (str, bytes, Mapping, Set)):
        raise TypeError(f"{name} must be a sequence of {n} numbers in the order of the candidates, got {given!r}")
    try:
        values = list(given.tolist() if isinstance(given, np.ndarray) else given)
    except TypeError:
        raise TypeError(f"{name} must be a sequence of {n} numbers, got {given!r}") from None
    if len(values) != n:
        raise ValueError(f"{name} must be {n} numbers, one for each candidate, got {len(values)}")
    return values

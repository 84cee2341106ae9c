"""What comes back for a candidate."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from zoo_opt.core.errors import loss as as_loss
from zoo_opt.core.errors import non_negative


class Outcome(NamedTuple):
    """One evaluation.

    Attributes
    ----------
    id : int
        Of the candidate.
    loss : float
        Its loss, NaN if it failed.
    reason : str
        Why it failed.
    sem : float
        The standard error of the loss, NaN where not known.
    error : Exception or None
        What was raised.
    """

    id: int
    loss: float
    reason: str = ""
    sem: float = math.nan
    error: Exception | None = None


def succeeded(id_: int, value: Any, sem: Any = None) -> Outcome:
    """Return the outcome of a call that returned the loss ``value`` and perhaps its standard error.

    An error of NaN is not known, such as that of the mean of one sample.
    """
    loss = as_loss(value)
    error = math.nan if missing(sem) or math.isnan(loss) else non_negative("sem", sem)
    return Outcome(id_, loss, "NaN or None" if math.isnan(loss) else "", error)


def failed(id_: int, error: Exception) -> Outcome:
    """Return the outcome of a call that raised ``error``."""
    return Outcome(id_, math.nan, type(error).__name__, error=error)


def missing(value: Any) -> bool:
    """Return whether ``value`` is None or NaN."""
    return value is None or (isinstance(value, (float, np.floating)) and math.isnan(value))

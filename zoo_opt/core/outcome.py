"""What comes back for a candidate."""

from __future__ import annotations

import math
import pickle
import traceback
from typing import Any, NamedTuple

import numpy as np

from zoo_opt.core.errors import loss as as_loss
from zoo_opt.core.errors import non_negative

NO_LOSS = "NaN or None"  # reasons of failures that are no exception of the objective
INVALID = "invalid loss"


class Raised:
    """An exception and its traceback; unlike an exception alone it can be sent from any process to any other.

    Attributes
    ----------
    error : Exception
        What was raised; where it cannot be pickled, a RuntimeError with its words arrives in its place.
    text : str
        Its traceback in words, which a process does not send with an exception.
    """

    def __init__(self, error: Exception, text: str | None = None) -> None:
        self.error = error
        self._text = text

    @property
    def text(self) -> str:
        """The traceback in words, from the objective's own frame on."""
        if self._text is None:
            frames = self.error.__traceback__
            self._text = "".join(traceback.format_exception(None, self.error, frames and frames.tb_next))
        return self._text

    def __reduce__(self) -> tuple[Any, tuple[Exception, str]]:
        error = self.error
        try:
            pickle.loads(pickle.dumps(error))
        except Exception:  # whatever the class of the exception does
            error = RuntimeError(f"{type(error).__name__}: {error}")
        return _arrived, (error, self.text)


def _arrived(error: Exception, text: str) -> Raised:
    """Return what another process raised, with the traceback that it had there."""
    error.add_note(text)
    return Raised(error, text)


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
    raised : Raised or None
        What was raised, by the objective or by the check of what it gave.
    time : float
        Seconds of the run at which it was told; NaN: now.
    """

    id: int
    loss: float
    reason: str = ""
    sem: float = math.nan
    raised: Raised | None = None
    time: float = math.nan


def succeeded(id_: int, value: Any, sem: Any = None) -> Outcome:
    """Return the outcome of a call that returned the loss ``value`` and perhaps its standard error.

    An error of NaN means that it is not known, as for a single sample. What is no loss, or no standard error, is a
    failed evaluation.
    """
    if sem is None and type(value) is float and value > -math.inf:  # the common case
        return Outcome(id_, value)
    try:
        loss = as_loss(value)
        error = math.nan if missing(sem) or math.isnan(loss) else non_negative("sem", sem)
    except (TypeError, ValueError) as invalid:
        return refused(id_, invalid)
    return Outcome(id_, loss, NO_LOSS if math.isnan(loss) else "", error)


def refused(id_: int, error: Exception) -> Outcome:
    """Return the outcome of a call that returned what ``error`` says is no loss."""
    return Outcome(id_, math.nan, INVALID, raised=Raised(error, "".join(traceback.format_exception_only(error))))


def failed(id_: int, error: Exception) -> Outcome:
    """Return the outcome of a call that raised ``error``."""
    return Outcome(id_, math.nan, type(error).__name__, raised=Raised(error))


def missing(value: Any) -> bool:
    """Return whether ``value`` is None or NaN."""
    return value is None or (isinstance(value, (float, np.floating)) and math.isnan(value))

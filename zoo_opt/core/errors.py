"""One-sentence errors: every check names the argument, what was expected and what came."""

from __future__ import annotations

import math
import numbers
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from zoo_opt.typing import Array


class CheckpointError(ValueError):
    """A checkpoint or journal that cannot be trusted: corrupt, truncated, too new, or of another run."""


class ObjectiveError(RuntimeError):
    """The first evaluations of an objective have all failed. The exception's cause is what the first of them raised."""


class NotServed(RuntimeError):
    """What asks for an evaluation had no answer: an outage, a timeout, a quota. It says nothing of the point.

    Such an evaluation is not charged and not told: it is asked for again. Raise it where a service may come back.

    Parameters
    ----------
    *args
        The words, as of any exception.
    retry_after : float or None
        Seconds after which the service wants to be asked again, where it says so; what is not finite, or below 0, is
        taken for None.
    """

    def __init__(self, *args: Any, retry_after: float | None = None) -> None:
        super().__init__(*args)
        sensible = retry_after is not None and 0.0 <= retry_after < math.inf
        self.retry_after = retry_after if sensible else None

    def __reduce__(self) -> tuple[Any, ...]:
        """Send it between processes as its own words, whatever a class made from it takes."""
        return NotServed, (str(self),), {"retry_after": self.retry_after}


class Refused(RuntimeError):
    """The service refuses the evaluation and would refuse it again: a wrong key, an unknown model, no credit left.

    Such an evaluation is not charged and not told, and the run ends at once.
    """

    def __reduce__(self) -> tuple[Any, ...]:
        """Send it between processes as its own words, whatever a class made from it takes."""
        return Refused, (str(self),)


def positive(name: str, value: Any) -> float:
    """Return ``value`` as a float > 0, or raise."""
    number = finite(name, value)
    if number <= 0.0:
        raise ValueError(f"{name} must be > 0, got {value!r}")
    return number


def non_negative(name: str, value: Any) -> float:
    """Return ``value`` as a float >= 0, or raise."""
    number = finite(name, value)
    if number < 0.0:
        raise ValueError(f"{name} must be >= 0, got {value!r}")
    return number


def real(name: str, value: Any) -> float:
    """Return ``value`` as a float, which may be infinite but not NaN, or raise."""
    number = _number(name, value)
    if math.isnan(number):
        raise ValueError(f"{name} must not be NaN")
    return number


def finite(name: str, value: Any) -> float:
    """Return ``value`` as a finite float, or raise."""
    number = _number(name, value)
    if not math.isfinite(number):
        raise ValueError(f"{name} must be finite, got {value!r}")
    return number


def _number(name: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        raise TypeError(f"{name} must be a real number, got {value!r} of type {type(value).__name__}")
    try:
        return float(value)
    except OverflowError:
        raise ValueError(f"{name} must be finite, got {_short(value)}") from None


def fraction(name: str, value: Any) -> float:
    """Return ``value`` as a float in [0, 1), or raise."""
    number = finite(name, value)
    if not 0.0 <= number < 1.0:
        raise ValueError(f"{name} must be in [0, 1), got {value!r}")
    return number


def integer(name: str, value: Any, minimum: int) -> int:
    """Return ``value`` as an int >= ``minimum``, or raise."""
    if isinstance(value, bool) or not isinstance(value, numbers.Integral):
        raise TypeError(f"{name} must be an integer, got {value!r} of type {type(value).__name__}")
    number = int(value)
    if number < minimum:
        raise ValueError(f"{name} must be >= {minimum}, got {value!r}")
    return number


def instance(name: str, value: Any, kind: type) -> None:
    """Raise unless ``value`` is a ``kind``."""
    if not isinstance(value, kind):
        raise TypeError(f"{name} must be a {kind.__name__}, got {value!r}")


def one_of(name: str, value: str, known: Iterable[str]) -> str:
    """Return ``value`` if it is one of the names that are known, or raise."""
    if value not in known:
        raise ValueError(f"{name} must be one of {', '.join(known)}, got {value!r}")
    return value


def vector(name: str, value: Any) -> Array:
    """Return a private 1-D float copy of ``value``: float32 stays float32, all else becomes float64."""
    try:
        array = np.asarray(value)
        if array.dtype.kind not in "fiub":
            raise TypeError
        array = np.array(array, dtype=np.float32 if array.dtype == np.float32 else np.float64)
    except (TypeError, ValueError, RuntimeError):
        raise TypeError(f"{name} must be a 1-D array of real numbers, got {_short(value)}") from None
    if array.ndim != 1 or array.size == 0:
        raise ValueError(f"{name} must be a non-empty 1-D array, got shape {array.shape}")
    if not np.isfinite(array).all():
        raise ValueError(f"{name} must be finite, got {_short(array)}")
    return array


def loss(value: Any) -> float:
    """Return a loss as a float, NaN for None, or raise. An array of one number is that number, whatever its shape.

    One that is masked is none.
    """
    if isinstance(value, np.ndarray) and value.size == 1:
        value = None if np.ma.is_masked(value) else value.item()
    if value is None:
        return math.nan
    try:
        if isinstance(value, (str, bytes, complex, np.complexfloating, list, tuple, np.ndarray)):
            raise TypeError
        number = float(value)
    except (TypeError, ValueError, OverflowError, RuntimeError):
        kind = f"shape {value.shape}" if isinstance(value, np.ndarray) else f"type {type(value).__name__}"
        raise TypeError(f"losses must be real numbers, got {_short(value)} of {kind}") from None
    if number == -math.inf:
        raise ValueError("losses must not be -inf, which no further loss could beat")
    return number


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."

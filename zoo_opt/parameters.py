"""The parameters that a space is made of: numbers on any scale, integers, choices, each as coordinates in [0, 1]."""

from __future__ import annotations

import functools
import math
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from zoo_opt.core.errors import finite, integer, positive

MOST_LEVELS = 256  # an integer of more values is searched as a number between and rounded; chosen


class Parameter(ABC):
    """One parameter of a `Space`: ``size`` coordinates in [0, 1], none where it has one value only."""

    @property
    @abstractmethod
    def size(self) -> int:
        """Number of coordinates."""

    @property
    @abstractmethod
    def middle(self) -> list[float]:
        """The coordinates of a start that was left open."""

    @abstractmethod
    def encode(self, name: str, value: Any) -> list[float]:
        """Return the coordinates of a value, or raise; ``name`` is for the message."""

    @abstractmethod
    def decode(self, u: Sequence[float]) -> Any:
        """Return the value at coordinates, of which those outside [0, 1] count as at the end."""

    @property
    def levels(self) -> tuple[float, ...]:
        """The positions of the values, if there are a few of them in order; else empty."""
        return ()


@dataclass(frozen=True)
class Float(Parameter):
    """A real number from ``low`` to ``high``, in units of its range.

    Parameters
    ----------
    low, high : float
        The ends, which are values too.
    log : bool, default False
        Whether equal ratios are equal distances; ``low`` is then above 0.

    Raises
    ------
    ValueError, TypeError
        If an argument is not of this form.
    """

    low: float
    high: float
    log: bool = False

    def __post_init__(self) -> None:
        low, high = finite("low", self.low), finite("high", self.high)
        if high < low:
            raise ValueError(f"high must be at least low, {self.low!r}, got {self.high!r}")
        if self.log:
            positive("low", self.low)
        object.__setattr__(self, "low", low)
        object.__setattr__(self, "high", high)

    @property
    def size(self) -> int:
        """1, or 0 if low == high."""
        return int(self.low < self.high)

    @property
    def middle(self) -> list[float]:
        """The middle of the range, of the logarithms if ``log``."""
        return [0.5] * self.size

    def encode(self, name: str, value: Any) -> list[float]:
        """See `Parameter.encode`."""
        number = finite(name, value)
        if not self.low <= number <= self.high:
            raise ValueError(f"{name} must be from {self.low!r} to {self.high!r}, got {value!r}")
        if not self.size:
            return []
        if self.log:
            return [(math.log(number) - math.log(self.low)) / (math.log(self.high) - math.log(self.low))]
        return [(number / 2 - self.low / 2) / (self.high / 2 - self.low / 2)]  # the range may be wider than a number

    def decode(self, u: Sequence[float]) -> float:
        """See `Parameter.decode`; 0 and 1 are the ends, exactly."""
        if not self.size or u[0] <= 0.0:
            return self.low
        if u[0] >= 1.0:
            return self.high
        if self.log:
            value = math.exp(math.log(self.low) * (1.0 - u[0]) + math.log(self.high) * u[0])
        else:
            value = self.low * (1.0 - u[0]) + self.high * u[0]
        return min(max(value, self.low), self.high)


@dataclass(frozen=True)
class Int(Parameter):
    """An integer from ``low`` to ``high``, each value with an equal part of the range, of the logarithms if ``log``.

    Parameters
    ----------
    low, high : int
        The ends, which are values too.
    log : bool, default False
        Whether equal ratios are equal distances; ``low`` is then at least 1.
    step : int, default 1
        Distance of two values, counted from ``low``; 1 if ``log``.

    Raises
    ------
    ValueError, TypeError
        If an argument is not of this form.
    """

    low: int
    high: int
    log: bool = False
    step: int = 1

    def __post_init__(self) -> None:
        most = 2**53  # beyond, floats do not tell integers apart
        low = integer("low", self.low, 1 if self.log else -most)
        high = integer("high", self.high, low)
        if high > most:
            raise ValueError(f"high must be at most 2**53, got {self.high!r}")
        if integer("step", self.step, 1) != 1 and self.log:
            raise ValueError(f"step must be 1 where log is true, got {self.step!r}")
        object.__setattr__(self, "low", low)
        object.__setattr__(self, "high", high)

    @property
    def count(self) -> int:
        """Number of values."""
        return (self.high - self.low) // self.step + 1

    @property
    def size(self) -> int:
        """1, or 0 if there is one value only."""
        return int(self.count > 1)

    @property
    def middle(self) -> list[float]:
        """The value in the middle."""
        return self._position(self._cell(0.5)) if self.size else []

    @functools.cached_property
    def levels(self) -> tuple[float, ...]:
        """See `Parameter.levels`."""
        if not 1 < self.count <= MOST_LEVELS:
            return ()
        return tuple(self._position(k)[0] for k in range(self.count))

    def encode(self, name: str, value: Any) -> list[float]:
        """See `Parameter.encode`."""
        number = integer(name, value, self.low)
        if number > self.high or (number - self.low) % self.step:
            steps = "" if self.step == 1 else f" in steps of {self.step}"
            raise ValueError(f"{name} must be from {self.low} to {self.high}{steps}, got {value!r}")
        return self._position((number - self.low) // self.step) if self.size else []

    def decode(self, u: Sequence[float]) -> int:
        """See `Parameter.decode`."""
        return self.low + self.step * (self._cell(u[0]) if self.size else 0)

    def _position(self, k: int) -> list[float]:
        """Return the middle of the part of value number ``k``."""
        if not self.log:
            return [(k + 0.5) / self.count]
        below, above = math.log(self.low - 0.5), math.log(self.high + 0.5)
        return [(math.log(self.low + k) - below) / (above - below)]

    def _cell(self, u: float) -> int:
        """Return the number of the value whose part ``u`` is in."""
        u = min(max(u, 0.0), 1.0)
        if self.log:
            below, above = math.log(self.low - 0.5), math.log(self.high + 0.5)
            k = round(math.exp(below + u * (above - below))) - self.low
        else:
            k = math.floor(u * self.count)
        return min(max(k, 0), self.count - 1)


@dataclass(frozen=True, init=False, eq=False)
class Choice(Parameter):
    """One of some values that have no order; a coordinate for each, the largest of which chooses.

    Parameters
    ----------
    *given
        Anything; numbers, strings, None and tuples of them can be saved.
    values : iterable, default ()
        More of them, or the same as one argument.

    Raises
    ------
    ValueError
        If there are none, or two are the same.
    """

    values: tuple[Any, ...]

    def __init__(self, *given: Any, values: Iterable[Any] = ()) -> None:
        object.__setattr__(self, "values", (*given, *values))
        if not self.values:
            raise ValueError("a Choice must have values, got none")
        for k, value in enumerate(self.values):
            if self._index(value) < k:
                raise ValueError(f"the values of a Choice must differ, got {value!r} twice")

    def __repr__(self) -> str:
        return f"Choice({', '.join(map(repr, self.values))})"

    @property
    def size(self) -> int:
        """Number of values, 0 if there is one only."""
        return len(self.values) if len(self.values) > 1 else 0

    @property
    def middle(self) -> list[float]:
        """All alike; the first value is taken."""
        return [1.0 / self.size] * self.size if self.size else []

    def encode(self, name: str, value: Any) -> list[float]:
        """See `Parameter.encode`."""
        k = self._index(value)
        if k < 0:
            raise ValueError(f"{name} must be one of {', '.join(map(repr, self.values))}, got {value!r}")
        return [float(i == k) for i in range(self.size)]

    def decode(self, u: Sequence[float]) -> Any:
        """See `Parameter.decode`; of equal ones the first."""
        return self.values[max(range(self.size), key=u.__getitem__) if self.size else 0]

    def _index(self, value: Any) -> int:
        """Return which of the values this is, -1 if none; 1, 1.0 and True are three values."""
        for k, mine in enumerate(self.values):
            if mine is value or (type(mine) is type(value) and _equal(mine, value)):
                return k
        plain = value.item() if isinstance(value, np.generic) else value  # 16 of np.int64(16)
        return -1 if isinstance(plain, np.generic) or plain is value else self._index(plain)

    def __eq__(self, other: object) -> bool:
        """Return whether the values are the same in their order, also where they were saved, as arrays and NaN are."""
        if not isinstance(other, Choice):
            return NotImplemented
        return len(self.values) == len(other.values) and all(map(_alike, self.values, other.values))

    def __hash__(self) -> int:
        return hash(len(self.values))


def _equal(one: Any, other: Any) -> bool:
    try:
        return bool(one == other)
    except (TypeError, ValueError):  # arrays
        return False


def _alike(one: Any, other: Any) -> bool:
    if isinstance(one, np.ndarray) and isinstance(other, np.ndarray):
        return one.dtype == other.dtype and np.array_equal(one, other)
    both_nan = not _equal(one, one) and not _equal(other, other)
    return one is other or (type(one) is type(other) and (_equal(one, other) or both_nan))


@dataclass(frozen=True)
class Bool(Parameter):
    """False or True: one coordinate, True in its upper half."""

    size: ClassVar[int] = 1
    levels: ClassVar[tuple[float, ...]] = (0.25, 0.75)
    middle: ClassVar[list[float]] = [0.25]

    def encode(self, name: str, value: Any) -> list[float]:
        """See `Parameter.encode`."""
        if not isinstance(value, (bool, np.bool_)):
            raise TypeError(f"{name} must be False or True, got {value!r}")
        return [0.75 if value else 0.25]

    def decode(self, u: Sequence[float]) -> bool:
        """See `Parameter.decode`."""
        return bool(u[0] > 0.5)

"""Box bounds: one normal form of every form they are given in."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from numpy.random import Generator

    from zoo_opt.typing import Array


Side = float | tuple[float, ...]

_FORMS = "a pair (low, high) of numbers or 1-D arrays, a list of pairs (low, high), or scipy.optimize.Bounds"


class Box(NamedTuple):
    """Bounds in their normal form: each side a float for all coordinates or a tuple of floats, -inf or inf for none.

    A class of its own, as a plain tuple of two pairs would be read as the pairs of two coordinates.
    """

    low: Side
    high: Side

    def __repr__(self) -> str:
        return f"({self.low!r}, {self.high!r})"


def check_box(name: str, box: Any) -> Box | None:
    """Return bounds in their normal form, None if they bound nothing, or raise.

    Parameters
    ----------
    name : str
        Of the argument.
    box : object
        One of these, with None, -inf or inf for a side that is not bounded; low == high fixes a coordinate.

        - ``(low, high)``, each a number for all coordinates or a 1-D array with one for each.
        - ``[(low, high), (low, high), ...]``, scipy's list, a pair for each coordinate. A sequence whose items are all
          pairs is read so, in two dimensions too, where its items could be taken for two sides: only numpy arrays are
          sides there.
        - A ``scipy.optimize.Bounds``.

    Raises
    ------
    TypeError, ValueError
        If it has none of these forms, a side is NaN, or low > high in some coordinate.
    """
    lows, highs = _sides(name, box)
    low, high = _numbers(name, lows, -np.inf, box), _numbers(name, highs, np.inf, box)
    if low.ndim and high.ndim and low.size != high.size:
        raise ValueError(f"{name} must have sides of one length, got {low.shape} and {high.shape}")
    if low.size == 0 or high.size == 0:
        raise ValueError(f"{name} must have at least one coordinate, got {box!r}")
    if np.isnan(low).any() or np.isnan(high).any():
        raise ValueError(f"{name} must be {_FORMS}, without NaN, got {box!r}")
    if (low > high).any() or (low == np.inf).any() or (high == -np.inf).any():
        raise ValueError(f"{name} must have low <= high in every coordinate, with a number between, got {box!r}")
    if (low == -np.inf).all() and (high == np.inf).all():
        return None
    return Box(_side(low), _side(high))


def check_finite_box(name: str, box: Any) -> Box:
    """Return bounds in their normal form, or raise if they are not finite on both sides."""
    checked = check_box(name, box)
    if checked is None or not np.isfinite(np.concatenate([np.ravel(side) for side in checked])).all():
        raise ValueError(f"{name} must be finite on both sides, got {box!r}")
    return checked


def check_fits(name: str, box: Box, d: int) -> None:
    """Raise if a side of ``box`` is an array of another length than ``d``."""
    for side in box:
        if isinstance(side, tuple) and len(side) != d:
            raise ValueError(f"{name} must be numbers or arrays of length {d}, got length {len(side)}")


def check_start(x0: Array, box: Box, name: str = "x0") -> None:
    """Raise unless ``box``, the bounds, fits ``x0``, the argument ``name``, and contains it."""
    check_fits("bounds", box, x0.size)
    if not contains(x0, box):
        low, high = both(box, x0.size)
        i = int(np.flatnonzero((x0 < low) | (x0 > high))[0])
        sides = [float(low[i]), float(high[i])]
        raise ValueError(f"{name} must lie inside bounds, got {name}[{i}] = {float(x0[i])!r} outside {sides}")


def both(box: Box, d: int) -> tuple[Array, Array]:
    """Return the sides as arrays (d,), read-only."""
    low, high = (np.broadcast_to(np.asarray(side, np.float64), (d,)) for side in box)
    return low, high


def sides(box: Box | None, d: int) -> tuple[Array, Array]:
    """Return the sides as arrays (d,), infinite without a box."""
    return (np.full(d, -math.inf), np.full(d, math.inf)) if box is None else both(box, d)


def contains(x: Array, box: Box | tuple[Any, Any]) -> bool:
    """Return whether ``x`` lies in ``box``."""
    low, high = (np.asarray(side) for side in box)
    return bool(((low <= x) & (x <= high)).all())


def uniform(rng: Generator, box: Box, x0: Array) -> Array:
    """Return a point (d,) drawn uniformly from ``box``; coordinates that it does not bound on both sides are x0's."""
    bounded = np.isfinite(both(box, x0.size)).all(axis=0)
    low, high = (np.where(bounded, side, 0.0) for side in both(box, x0.size))
    halved = rng.uniform(0.5 * low, 0.5 * high)  # the width of a wide box is no number
    x: Array = np.where(bounded, np.clip(2.0 * halved, low, high), x0)
    return x


# ------------------------------------------------------------------------------------------------------- forms
def _sides(name: str, box: Any) -> tuple[Any, Any]:
    """Return low and high as they were given, each for all coordinates or for each."""
    if isinstance(box, Box):
        return box.low, box.high
    if hasattr(box, "lb") and hasattr(box, "ub"):
        return tuple(side[0] if np.shape(side) == (1,) else side for side in (box.lb, box.ub))  # one is for all
    try:
        items = list(box)
    except TypeError:
        items = []
    if isinstance(box, (str, bytes, dict, set, frozenset)) or not items:
        raise TypeError(f"{name} must be {_FORMS}, got {box!r}")
    if isinstance(box, np.ndarray) and box.shape == (2, 2):
        raise ValueError(
            f"{name} must be two arrays (low, high) or a list of two pairs, got one array that may be either"
        )
    two_arrays = len(items) == 2 and isinstance(items[0], np.ndarray)
    if all(map(_is_pair, items)) and not two_arrays:
        low, high = zip(*items, strict=True)
        return low, high
    if len(items) != 2:
        raise TypeError(f"{name} must be {_FORMS}, got {box!r}")
    return items[0], items[1]


def _is_pair(item: Any) -> bool:
    """Return whether ``item`` could be the two sides of one coordinate."""
    if isinstance(item, np.ndarray):
        return bool(item.shape == (2,))
    return isinstance(item, Sequence) and not isinstance(item, (str, bytes)) and len(item) == 2


def _numbers(name: str, side: Any, absent: float, box: Any) -> Array:
    """Return a side as numbers, ``absent`` for None."""
    try:
        flat = np.ndim(side) == 0
        items = [side] if flat else list(side)
        if any(isinstance(item, (str, bytes, bool)) for item in items):
            raise TypeError
        array = np.array([absent if item is None else item for item in items], np.float64)
    except (TypeError, ValueError, OverflowError):
        raise TypeError(f"{name} must be {_FORMS}, got {box!r}") from None
    if array.ndim != 1:
        raise ValueError(f"{name} must be {_FORMS}, got {box!r}")
    return array.reshape(()) if flat else array


def _side(side: Array) -> Side:
    plain: Any = side.tolist()
    return plain if side.ndim == 0 else tuple(plain)

"""Box bounds by reflection: the search runs in all of R^d, the black box sees points inside the box."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from zoo_opt.typing import Array


Side = float | tuple[float, ...]


def check_box(name: str, box: Any) -> tuple[Side, Side]:
    """Return (low, high), each a float or a tuple of floats, or raise."""
    try:
        low, high = (np.asarray(side, dtype=np.float64) for side in box)
    except (TypeError, ValueError):
        raise TypeError(f"{name} must be a pair (low, high) of numbers or 1-D arrays, got {box!r}") from None
    if low.ndim > 1 or high.ndim > 1 or not (np.isfinite(low).all() and np.isfinite(high).all()):
        raise ValueError(f"{name} must be a pair (low, high) of finite numbers or 1-D arrays, got {box!r}")
    try:
        ordered = bool((low < high).all())
    except ValueError:
        raise ValueError(f"{name} must have sides of one length, got {low.shape} and {high.shape}") from None
    if not ordered:
        raise ValueError(f"{name} must have low < high in every coordinate, got {box!r}")
    return _side(low), _side(high)


def check_fits(name: str, box: tuple[Side, Side], d: int) -> None:
    """Raise if a side of ``box`` is an array of another length than ``d``."""
    for side in box:
        if isinstance(side, tuple) and len(side) != d:
            raise ValueError(f"{name} must be numbers or arrays of length {d}, got length {len(side)}")


def check_start(x0: Array, box: tuple[Side, Side]) -> None:
    """Raise unless ``box``, the bounds, fits ``x0`` and contains it."""
    check_fits("bounds", box, x0.size)
    if not contains(x0, box):
        raise ValueError(f"x0 must lie inside bounds {box}, got {x0}")


def fold(x: Array, box: tuple[Side, Side]) -> Array:
    """Return ``x`` reflected into ``box``: the identity inside, a mirror at each side."""
    low, high = (np.asarray(side) for side in box)
    width = high - low
    y = np.abs(np.mod(x - low + width, 2 * width) - width)  # a triangle wave: 0 at low, width at high
    inside = (low <= x) & (x <= high)
    return np.where(inside, x, np.clip(low + y, low, high))


def contains(x: Array, box: tuple[Side, Side]) -> bool:
    """Return whether ``x`` lies in ``box``."""
    low, high = (np.asarray(side) for side in box)
    return bool(((low <= x) & (x <= high)).all())


def _side(side: Any) -> Side:
    return float(side) if side.ndim == 0 else tuple(side.tolist())

"""Units: what a step of ordinary length is in each coordinate, from the bounds, a declared scale, or the start."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from zoo_opt.typing import Array

# chosen, not tuned; docs/auto-tried.md has what was tried of the first step in units
PER_BOX = 10.0  # units across the bounds
PER_SCALE = 2.0  # units in what was declared as the scale
FROM_START = 0.3  # scale, as a part of the root mean square of x0
LIMIT = 900  # |log2| of the largest and the smallest unit: a search from there stays within the floats
SPREAD = 4.0  # units on either side of x0 where nothing bounds the search


def unit_lengths(x0: Array, bounds: Any, scale: Any) -> Array:
    """Return one unit of each coordinate (d,), a power of 2, so that to change the unit rounds nothing.

    Parameters
    ----------
    x0 : (d,) array
        The start.
    bounds : None or (low, high)
        Checked box: a tenth of its width is about one unit.
    scale : None, float or 1-D array
        Half of it is about one unit where a coordinate has no two bounds, or equal ones. None: 0.3 times the root mean
        square of x0 there, or 1 where that is 0.

    Raises
    ------
    TypeError, ValueError
        If ``scale`` is not made of positive finite numbers, or has another length than ``x0``.
    """
    width = np.full(x0.shape, np.nan)
    if bounds is not None:
        low, high = (np.broadcast_to(side, x0.shape) for side in bounds)
        both = np.isfinite(low) & np.isfinite(high) & (low < high)
        width[both] = high[both] / PER_BOX - low[both] / PER_BOX
    free = np.isnan(width)
    if scale is None:
        scale = FROM_START * _root_mean_square(x0[free]) or 1.0
    length = np.where(free, _positive(scale, x0.size) / PER_SCALE, width)
    with np.errstate(divide="ignore"):  # a box too narrow for its width to be a number
        exponent = np.clip(np.round(np.log2(length)), -LIMIT, LIMIT)
    unit: Array = np.broadcast_to(2.0**exponent, x0.shape)
    return unit


def _root_mean_square(x: Array) -> float:
    """Return the root of the mean square, also where a square is beyond the numbers."""
    largest = float(np.abs(x).max(initial=0.0)) or 1.0
    return largest * float(np.sqrt(np.mean((x / largest) ** 2))) if x.size else 0.0


def _positive(scale: Any, d: int) -> Array:
    try:
        array = np.asarray(scale, dtype=np.float64)
    except (TypeError, ValueError):
        raise TypeError(f"scale must be a number or a 1-D array of numbers, got {scale!r}") from None
    if array.shape not in ((), (d,)):
        raise ValueError(f"scale must be a number or an array of length {d}, got shape {array.shape}")
    if not (np.isfinite(array).all() and (array > 0.0).all()):
        raise ValueError(f"scale must be positive and finite, got {scale!r}")
    return array

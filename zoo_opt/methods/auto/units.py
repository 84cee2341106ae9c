"""Units: what a step of ordinary length is in each coordinate, from the bounds, a declared scale, or the start."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from zoo_opt.typing import Array

# chosen, not tuned; docs/auto.md, "What did not help", has what was tried of the first step in units
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
        Half of it is about one unit, if there are no bounds. None: 0.3 times the root mean square of x0, or 1 where
        that is 0.

    Raises
    ------
    TypeError, ValueError
        If ``scale`` is not made of positive finite numbers, or has another length than ``x0``.
    """
    length: Array
    if bounds is not None:
        low, high = (np.asarray(side) / PER_BOX for side in bounds)
        length = high - low
    else:
        if scale is None:
            largest = float(np.abs(x0).max()) or 1.0
            scale = FROM_START * largest * float(np.sqrt(np.mean((x0 / largest) ** 2))) or 1.0
        length = _positive(scale, x0.size) / PER_SCALE
    with np.errstate(divide="ignore"):  # a box too narrow for its width to be a number
        exponent = np.clip(np.round(np.log2(length)), -LIMIT, LIMIT)
    unit: Array = np.broadcast_to(2.0**exponent, x0.shape)
    return unit


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

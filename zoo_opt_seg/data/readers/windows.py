"""Windowing: images of more than 8 bits, or of physical units, as 8 bits."""

from __future__ import annotations

from typing import Any

import numpy as np

from zoo_opt_seg.data.errors import DataError

Window = str | tuple[float, float]
"""What becomes black and white: "full", "percentile", or two values (low, high)."""

WINDOWS = ("full", "percentile")
PERCENTILES = (0.5, 99.5)  # those of MedSAM's and nnU-Net's preparation of MR, of all pixels here
HINT = "window='full', 'percentile' or (low, high), or --window, says what becomes black and white"


def check_window(window: Any) -> Window | None:
    """Return a window as a str or two floats, None as None.

    Raises
    ------
    ValueError
        For anything else, or low >= high.
    """
    if window is None or (isinstance(window, str) and window in WINDOWS):
        return window
    two = isinstance(window, (list, tuple)) and len(window) == 2
    if two and all(isinstance(value, (int, float, np.number)) and not isinstance(value, bool) for value in window):
        low, high = map(float, window)
        if np.isfinite([low, high]).all() and low < high:
            return low, high
    raise ValueError(f"window must be 'full', 'percentile' or (low, high) with low < high, got {window!r}")


def value_range(values: np.ndarray, window: Window, file: object) -> tuple[float, float]:
    """Return the values that become black and white.

    Parameters
    ----------
    values : ndarray of numbers
        All pixels of an image or a volume.
    window : Window
        "full": its lowest and its highest value. "percentile": those that 0.5 % and 99.5 % of the pixels do not
        exceed; as "full" where the two are one. Two numbers: these.
    file : path or the like
        For the message.

    Raises
    ------
    DataError
        For NaN or infinite values.
    """
    if values.dtype.kind == "f" and not np.isfinite(values).all():
        raise DataError(f"{file}: expected finite values, got NaN or infinite ones")
    if not isinstance(window, str):
        return window
    if window == "percentile":
        low, high = np.percentile(values, PERCENTILES)
        if low < high:
            return float(low), float(high)
    return float(values.min()), float(values.max())


def mapped(values: np.ndarray, low: float, high: float) -> np.ndarray:
    """Return values as uint8: ``low`` and below 0, ``high`` and above 255, in proportion between; 0 if they are one."""
    if low >= high:
        return np.zeros(values.shape, np.uint8)
    wide: np.ndarray[Any, np.dtype[np.floating]]
    wide = values.astype(np.float32 if values.dtype.itemsize <= 2 else np.float64)
    np.clip((wide - low) * (255 / (high - low)), 0, 255, out=wide)
    return np.rint(wide, out=wide).astype(np.uint8)


def eight_bits(values: np.ndarray, window: Window | None, file: object) -> np.ndarray:
    """Return values as uint8, by the window, or as they are where they are whole numbers from 0 to 255.

    Raises
    ------
    DataError
        For other values without a window.
    """
    if window is not None:
        return mapped(values, *value_range(values, window, file))
    if values.dtype == np.uint8:
        return values
    low, high = (values.min(), values.max()) if values.size else (0, 0)
    if low >= 0 and high <= 255:
        whole = values.astype(np.uint8)
        if np.array_equal(whole, values):
            return whole
    raise DataError(f"{file}: expected 8 bits per channel, got {values.dtype} with values {low:g} to {high:g}; {HINT}")

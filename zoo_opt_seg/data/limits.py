"""How much memory one file may ask for. More is refused before it is taken; two environment variables raise it."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable
from pathlib import Path

from zoo_opt_seg.data.errors import DataError

PIXELS = "ZOO_OPT_MAX_PIXELS"
BYTES = "ZOO_OPT_MAX_BYTES"
_DEFAULTS = {
    PIXELS: 80_000_000,  # chosen: below 89 million, where Pillow begins to warn; a mammogram has 20 million
    BYTES: 2**31,  # chosen: a CT of 1000 slices in float32 takes half of it
}


def limit(name: str) -> int:
    """Return the limit of this name: the environment variable's, or the default.

    Raises
    ------
    ValueError
        If the variable is not a whole number > 0.
    """
    given = os.environ.get(name, "")
    if not given:
        return _DEFAULTS[name]
    if not (given.isascii() and given.isdecimal()) or int(given) < 1:
        raise ValueError(f"the environment variable {name} must be a whole number > 0, got {given!r}")
    return int(given)


def check_pixels(file: object, width: int, height: int) -> None:
    """Raise a DataError if an image, mask or slice of this size has more pixels than ``ZOO_OPT_MAX_PIXELS``."""
    if width * height > limit(PIXELS):
        raise DataError(
            f"{file}: {width} x {height} pixels are more than the limit of {limit(PIXELS)}, "
            f"which the environment variable {PIXELS} raises"
        )


def check_bytes(file: object, count: int, what: str) -> None:
    """Raise a DataError if ``what`` takes more bytes of memory than ``ZOO_OPT_MAX_BYTES``."""
    if count > limit(BYTES):
        raise DataError(
            f"{file}: {what} would take {count} bytes, more than the limit of {limit(BYTES)}, "
            f"which the environment variable {BYTES} raises"
        )


def whole_file(path: Path) -> bytes:
    """Return what a file holds, if it is no more than the limit.

    Of bytes in memory a reader gets what there is; of a file it may take memory for whatever length is written in it.
    """
    check_bytes(path, path.stat().st_size, "the file")
    return path.read_bytes()


def check_array(file: object, shape: Iterable[int], itemsize: int) -> int:
    """Return the bytes of an array, or raise a DataError if they are too many, or a length is negative."""
    lengths = [int(length) for length in shape]
    if min(lengths, default=1) < 0:
        raise DataError(f"{file}: expected lengths >= 0, got the shape {tuple(lengths)}")
    count = math.prod(lengths) * itemsize
    check_bytes(file, count, f"an array of the shape {tuple(lengths)}")
    return count

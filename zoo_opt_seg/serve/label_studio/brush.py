"""Label Studio's brush masks: runs of the bytes of an RGBA picture, in bits.

A mask begins with 32 bits, the number of bytes, 4 for each pixel, row by row; 5 bits, the bits of a value less 1; and
four times 4 bits, the bits in which the length of a run is written, less 1. Each run then is 1 bit (1: one value,
repeated; 0: as many values), 2 bits for which of the four sizes its length has, its length less 1, and the values. The
mask is the fourth channel, and may be grey.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from zoo_opt_seg.data.limits import check_pixels
from zoo_opt_seg.prompts import Array

_WORD = 8  # bits of a value
_SIZES = (3, 4, 8, 16)  # bits of a run's length
_HEAD = 32 + 5 + 4 * 4
_LONGEST = 1 << _SIZES[-1]


def encoded(mask: Array) -> list[int]:
    """Return a mask as Label Studio's bytes.

    Parameters
    ----------
    mask : ndarray of uint8, shape (H, W)
        0 to 255.
    """
    if mask.dtype != np.uint8 or mask.ndim != 2 or not mask.size:
        raise ValueError(f"mask must be uint8 of the shape (H, W), got {mask.dtype} of the shape {mask.shape}")
    flat = mask.ravel()
    starts = np.flatnonzero(np.concatenate([[True], flat[1:] != flat[:-1]]))
    lengths = 4 * np.diff(np.append(starts, flat.size))
    pieces = -(-lengths // _LONGEST)  # of each run, as one may be too long
    values = np.repeat(flat[starts], pieces).astype(np.int64)
    whole = np.full(len(values), _LONGEST, np.int64)
    whole[np.cumsum(pieces) - 1] = lengths - (pieces - 1) * _LONGEST
    which = np.searchsorted(1 << np.array(_SIZES), whole)
    width = np.array(_SIZES)[which]
    head = 4 * flat.size << (_HEAD - 32) | (_WORD - 1) << 16 | int("".join(f"{size - 1:04b}" for size in _SIZES), 2)
    runs = (1 << 2 | which) << width | (whole - 1)
    bits = np.zeros(_HEAD + int((3 + width + _WORD).sum()), np.uint8)
    bits[:_HEAD] = [head >> k & 1 for k in reversed(range(_HEAD))]
    ends = _HEAD + np.cumsum(3 + width + _WORD)
    code = runs << _WORD | values
    for k in range(3 + _SIZES[-1] + _WORD):  # the last bit of every run, the one before, ...
        there = 3 + width + _WORD > k
        bits[ends[there] - 1 - k] = code[there] >> k & 1
    packed: list[int] = np.packbits(bits).tolist()
    return packed


def decoded(rle: Any, height: int, width: int) -> Array:
    """Return the mask in Label Studio's bytes, uint8 (height, width).

    Parameters
    ----------
    rle : sequence of int
        Bytes; anything, as it comes from elsewhere.
    height, width : int
        Of the mask; memory is taken for no more.

    Raises
    ------
    ValueError
        If they are no mask of this size.
    """
    check_pixels("a brush mask", width, height)
    count = 4 * height * width
    try:
        given = np.asarray(rle)
    except (ValueError, OverflowError):
        given = np.zeros(0)
    if given.dtype.kind not in "iu" or given.ndim != 1 or len(given) > count + 4 * count // 8 + 64:
        raise ValueError(f"rle must be a list of bytes, at most {count + 4 * count // 8 + 64} for this size")
    if given.size and (given.min() < 0 or given.max() > 255):
        raise ValueError(f"rle must hold whole numbers from 0 to 255, got {int(given.min())} to {int(given.max())}")
    bits = _Bits(given.astype(np.uint8))
    said, word = bits.take(32), bits.take(5) + 1
    if said != count or word != _WORD:
        raise ValueError(
            f"rle must be of {count} values of 8 bits, 4 for each of {width} x {height} pixels, "
            f"got {said} values of {word} bits"
        )
    sizes = [bits.take(4) + 1 for _ in range(4)]
    mask, at = np.zeros(height * width, np.uint8), 0
    while at < count:
        repeated, length = bits.take(1), bits.take(sizes[bits.take(2)]) + 1
        if at + length > count:
            raise ValueError(f"rle must end at {count} values, got a run that ends at {at + length}")
        first, last = at // 4, (at + length) // 4  # pixels whose fourth byte is in the run
        if repeated:
            mask[first:last] = bits.take(_WORD)
        else:
            mask[first:last] = bits.words(length)[4 * first + 3 - at :: 4]
        at += length
    return mask.reshape(height, width)


class _Bits:
    """The bits of bytes, one after the other."""

    def __init__(self, data: Array) -> None:
        self._data, self._array, self._at = data.tobytes(), data, 0

    def take(self, n: int) -> int:
        """Return the number in the next n bits."""
        end = self._advance(n)
        value = int.from_bytes(self._data[(end - n) >> 3 : (end + 7) >> 3], "big")
        return value >> (-end & 7) & ((1 << n) - 1)

    def words(self, n: int) -> Array:
        """Return the next n bytes, wherever they begin."""
        end = self._advance(n * _WORD)
        start, shift = (end - n * _WORD) >> 3, end & 7
        if not shift:
            return self._array[start : start + n]
        pair = self._array[start : start + n + 1].astype(np.uint16)
        return ((pair[:-1] << shift | pair[1:] >> (8 - shift)) & 255).astype(np.uint8)

    def _advance(self, n: int) -> int:
        self._at += n
        if self._at > 8 * len(self._data):
            raise ValueError(f"rle must hold all runs, got {len(self._data)} bytes, which end within one")
        return self._at

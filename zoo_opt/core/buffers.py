"""Reuse of memory: for large arrays, fresh memory costs more than filling it."""

from __future__ import annotations

import sys
import threading
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import DTypeLike

    from zoo_opt.typing import Array

BLOCK = 2**15  # elements that are worked on at a time, so that temporaries stay in cache
_SMALL = 2**10  # elements; so few are had faster anew
_WORTH = 2**16  # bytes; what is smaller the allocator keeps at hand itself


class Buffers:
    """The matrices of the last two closed steps; one that nobody holds any more can be written to again."""

    def __init__(self) -> None:
        self.kept: list[Array] = []

    def give(self, X: Array) -> None:
        """Keep ``X`` for later, if it is large and owns its memory."""
        if X.nbytes >= _WORTH and X.base is None:
            self.kept = [*self.kept[-1:], X]

    def take(self) -> Array | None:
        """Return a matrix that nobody else refers to, not even by a view, or None."""
        for i in reversed(range(len(self.kept))):  # the newest is still in the cache
            if _references(self.kept, i) <= _UNSHARED:
                X = self.kept.pop(i)
                X.flags.writeable = True
                return X
        return None


def empty(shape: tuple[int, int], dtype: DTypeLike, out: Array | None) -> Array:
    """Return ``out`` if it is of this form, else a new array."""
    if out is not None and out.shape == shape and out.dtype == dtype:
        return out
    return np.empty(shape, dtype)


def scratch(shape: tuple[int, int], dtype: np.dtype[Any]) -> Array:
    """Return an array to write to at once: this thread's own, which the next call hands out again, where that pays."""
    size = shape[0] * shape[1]
    if not _SMALL < size <= BLOCK:
        return np.empty(shape, dtype)
    flat: Array | None = getattr(_scratch, dtype.name, None)
    if flat is None:
        flat = np.empty(BLOCK, dtype)
        setattr(_scratch, dtype.name, flat)
    return flat[:size].reshape(shape)


_scratch = threading.local()


def _references(arrays: list[Array], i: int) -> int:
    return sys.getrefcount(arrays[i])


_UNSHARED = _references([np.empty(0)], 0)  # measured, as interpreters count differently

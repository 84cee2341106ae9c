"""Masks in the run-length encoding of COCO."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from zoo_opt_seg.data.errors import DataError
from zoo_opt_seg.data.limits import check_pixels

_BITS = 50  # of the length of a run: 10^15 pixels are beyond any limit


@dataclass(frozen=True)
class Rle:
    """A mask in the run-length encoding of COCO.

    Parameters
    ----------
    path : path or str
        The JSON file that it comes from, or what else it is read from, for messages.
    key : str
        Its place there, for messages.
    height, width : int
        Pixels.
    counts : str or tuple of int
        The runs, column by column: compressed in COCO's letters, or their lengths.
    """

    path: Path | str
    key: str
    height: int
    width: int
    counts: str | tuple[int, ...]

    def __str__(self) -> str:
        return f"{self.path}, {self.key}"

    @classmethod
    def of(cls, path: Path | str, key: str, entry: Any) -> Rle:
        """Return the mask of a JSON entry ``{"size": [height, width], "counts": "..." or [...]}``, checked."""
        match entry:
            case {"size": [int(height), int(width)], "counts": str() | list() as counts}:
                if type(height) is type(width) is int and min(height, width) > 0:
                    check_pixels(f"{path}, {key}", width, height)
                    return cls(path, key, height, width, counts if isinstance(counts, str) else tuple(counts))
        raise DataError(f"{path}, {key}: bad RLE, expected size [height, width] and counts as a string or a list")

    def runs(self) -> np.ndarray:
        """Lengths of background and object in turn, int64.

        Raises
        ------
        DataError
            For a string that is not of COCO's form, or runs that do not fill the mask (of which pycocotools would read
            on in memory that is not its own).
        """
        runs, cut = self._lengths()
        if cut or min(runs, default=0) < 0 or sum(runs) != self.height * self.width:
            raise DataError(
                f"{self}: bad RLE, its runs have {sum(runs)} pixels{' and are cut off' if cut else ''}, expected "
                f"{self.height} x {self.width} = {self.height * self.width}"
            )
        return np.array(runs, np.int64)

    def _lengths(self) -> tuple[list[int], bool]:
        """The runs as they are written, and whether the last one is cut off."""
        if not isinstance(self.counts, str):
            if wrong := [run for run in self.counts if type(run) is not int or run >> _BITS]:
                raise DataError(f"{self}: bad RLE, expected lengths of runs, got {wrong[0]!r:.40}")
            return list(self.counts), False
        runs: list[int] = []
        value = shift = 0
        for letter in self.counts:
            bits = ord(letter) - 48
            if not 0 <= bits < 64:
                raise DataError(f"{self}: bad RLE, COCO's strings have no {letter!r}")
            if len(runs) > 2 * self.height * self.width + 2:  # every other one empty
                raise DataError(f"{self}: bad RLE, more runs than {self.height} x {self.width} pixels can have")
            if shift > _BITS:
                raise DataError(f"{self}: bad RLE, a run of more than {_BITS} bits")
            value |= (bits & 31) << shift
            shift += 5
            if not bits & 32:
                value -= (1 << shift) if bits & 16 else 0  # sign extension
                runs.append(value + (runs[-2] if len(runs) > 2 else 0))  # from the fourth on, differences
                value = shift = 0
        return runs, bool(shift)

    def area(self) -> int:
        """Number of pixels of the object."""
        return int(self.runs()[1::2].sum())

    def read(self) -> np.ndarray:
        """Return uint8 (H, W), 0 and 1."""
        runs = self.runs()
        values = np.arange(len(runs), dtype=np.uint8) & 1
        return np.repeat(values, runs).reshape(self.width, self.height).T

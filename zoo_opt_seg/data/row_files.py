"""Images and masks in files, read when rows are taken: for data that do not fit in memory."""

from __future__ import annotations

import hashlib
import json
import math
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from zoo_opt.storage.atomic import write_atomically
from zoo_opt_seg.data.errors import DataError

BLOCK = 1 << 26  # bytes read at a time of what is gone through whole; chosen


class StoredRows:
    """Rows of a file of plain numbers, instead of an array: those that are taken are read, anew each time.

    ``rows[3]``, ``rows[2:5]``, ``rows[[4, 1]]`` and ``rows[bools]`` are arrays in memory, and so is
    ``np.asarray(rows)``, of all; `select` reads nothing.

    Parameters
    ----------
    path : Path
        What it holds is not to change.
    dtype : dtype
    shape : tuple of int
        That of all rows in the file.
    rows : ndarray of int, optional
        The rows of the file that are these; all without.
    """

    def __init__(self, path: Path, dtype: Any, shape: Sequence[int], rows: np.ndarray | None = None) -> None:
        self.path, self.dtype, self._whole = path, np.dtype(dtype), tuple(shape)
        self._rows = np.arange(self._whole[0]) if rows is None else rows
        self._bytes = math.prod(self._whole[1:]) * self.dtype.itemsize

    @property
    def shape(self) -> tuple[int, ...]:
        """As an array's."""
        return (len(self._rows), *self._whole[1:])

    @property
    def ndim(self) -> int:
        """As an array's."""
        return len(self._whole)

    def __len__(self) -> int:
        return len(self._rows)

    def __iter__(self) -> Iterator[np.ndarray]:
        for block in self.blocks():
            yield from block

    def __getitem__(self, rows: Any) -> np.ndarray:
        """The rows of a number, a slice, row numbers, or a bool per row, read."""
        wanted = np.asarray(self._rows[rows])
        values = np.empty((*wanted.shape, *self._whole[1:]), self.dtype)
        places = values.reshape(-1).view(np.uint8).data
        with self.path.open("rb", buffering=0) as file:
            for i, row in enumerate(wanted.ravel().tolist()):
                file.seek(row * self._bytes)
                if file.readinto(places[i * self._bytes : (i + 1) * self._bytes]) != self._bytes:
                    raise DataError(f"{self.path}: cut short, expected {self._whole[0]} rows of {self._bytes} bytes")
        return values

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        """All rows in memory."""
        if copy is False:
            raise ValueError("copy must not be False for rows that lie in a file")
        return np.asarray(self[:], dtype)

    def select(self, rows: Any) -> StoredRows:
        """Return the rows of a slice, of row numbers, or of a bool per row, without reading them."""
        return StoredRows(self.path, self.dtype, self._whole, self._rows[rows])

    def blocks(self) -> Iterator[np.ndarray]:
        """All rows in their order, some at a time."""
        some = max(1, BLOCK // max(1, self._bytes))
        for start in range(0, len(self), some):
            yield self[start : start + some]


def stored(
    folder: Path, key: str, size: int, samples: Iterable[tuple[tuple[int, ...], np.ndarray, np.ndarray]]
) -> tuple[StoredRows, StoredRows, list[tuple[int, ...]]]:
    """Return images and masks that lie in a folder, from its files or, where there are none of this key, written first.

    Parameters
    ----------
    folder : Path
        Made where it does not exist; one can serve any number of data sets and processes.
    key : str
        What the samples depend on.
    size : int
        Height and width of images and masks.
    samples : iterable of (numbers, image, mask)
        A tuple of int to be kept with the sample, uint8 (size, size, 3) and bool (size, size); gone through only if
        there are no files.

    Returns
    -------
    images, masks : StoredRows
    numbers : list of tuple of int
        Those kept with each.
    """
    place = folder / hashlib.sha256(key.encode()).hexdigest()[:32]
    if not (place / "rows.json").is_file():
        _write(folder, place, samples)
    rows = [tuple(numbers) for numbers in json.loads((place / "rows.json").read_bytes())]
    shapes = {"images": (len(rows), size, size, 3), "masks": (len(rows), size, size)}
    for name, shape in shapes.items():
        if not (place / name).is_file() or (place / name).stat().st_size != math.prod(shape):
            raise DataError(f"{place / name}: expected {math.prod(shape)} bytes; delete the folder, it is made anew")
    return (
        StoredRows(place / "images", np.uint8, shapes["images"]),
        StoredRows(place / "masks", np.bool_, shapes["masks"]),
        rows,
    )


def _write(folder: Path, place: Path, samples: Iterable[tuple[tuple[int, ...], np.ndarray, np.ndarray]]) -> None:
    """Write the files of a key, all or none."""
    folder.mkdir(parents=True, exist_ok=True)
    made = Path(tempfile.mkdtemp(prefix="unfinished-", dir=folder))
    try:
        rows = []
        with (made / "images").open("wb") as images, (made / "masks").open("wb") as masks:
            for numbers, image, mask in samples:
                rows.append(numbers)
                images.write(image.tobytes())
                masks.write(mask.tobytes())
            for file in (images, masks):
                file.flush()
                os.fsync(file.fileno())
        write_atomically(made / "rows.json", json.dumps(rows).encode())
        try:
            made.rename(place)
        except OSError:  # another process was faster
            if not (place / "rows.json").is_file():
                raise
    finally:
        shutil.rmtree(made, ignore_errors=True)

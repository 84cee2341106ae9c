"""Labelled images, in memory or in files, and their three splits."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from zoo_opt_seg.data.row_files import StoredRows

Rows = np.ndarray | StoredRows
"""Of images or masks: an array, or what is read from a file when rows are taken."""
Texts = tuple[tuple[str, ...], ...]
"""Text prompts of one image: for each kind of text (p1, p2, ... of the annotation files) its strings."""


@dataclass(frozen=True)
class Original:
    """The mask that a sample was made from, at the resolution of its file, and the way back to there.

    Parameters
    ----------
    mask : callable
        Without arguments; reads the mask, bool (H, W), from its files at each call.
    back : callable
        Maps an answer about the sample, float32 (size, size), to float32 (H, W).
    """

    mask: Callable[[], np.ndarray]
    back: Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True, eq=False)
class Samples:
    """Images with one mask each.

    Parameters
    ----------
    images : ndarray or StoredRows of uint8, shape (n, H, W, 3)
        RGB.
    masks : ndarray or StoredRows of bool, shape (n, H, W)
        True on the object.
    names : sequence of str, length n
        One name per image, for messages and records.
    texts : sequence of Texts, length n, optional
        What each image can be asked by in words.
    groups : sequence of str, length n, optional
        What each sample belongs to: the patient, video or image that it was taken from. Samples of one group are no
        independent evidence: intervals and tests resample whole groups. By default each sample's name.
    originals : sequence of Original, length n, optional
        What measures at the original resolution need; of samples that were read from files.

    Raises
    ------
    TypeError, ValueError
        For another dtype, shape or length, or an image without a text where others have one.

    Examples
    --------
    >>> import numpy as np
    >>> samples = Samples(np.zeros((3, 8, 8, 3), np.uint8), np.ones((3, 8, 8), bool), ("a", "b", "c"))
    >>> len(samples), samples[1:].names, samples[np.array([2, 0])].groups
    (3, ('b', 'c'), ('c', 'a'))
    """

    images: Rows
    masks: Rows
    names: tuple[str, ...]
    texts: tuple[Texts, ...] | None = None
    groups: tuple[str, ...] = ()
    originals: tuple[Original, ...] | None = None

    def __post_init__(self) -> None:
        images, masks = typed_rows("images", self.images, np.uint8), typed_rows("masks", self.masks, np.bool_)
        if images.ndim != 4 or images.shape[3] != 3:
            raise ValueError(f"images must have the shape (n, H, W, 3), got {images.shape}")
        if masks.shape != images.shape[:3]:
            raise ValueError(f"masks must have the shape {images.shape[:3]} of the images, got {masks.shape}")
        object.__setattr__(self, "names", _strings("names", self.names, len(images)))
        object.__setattr__(self, "groups", _strings("groups", self.groups or self.names, len(images)))
        if self.texts is not None:
            object.__setattr__(self, "texts", _texts(self.texts, len(images)))
        if self.originals is not None and len(self.originals) != len(images):
            raise ValueError(f"originals must be {len(images)}, one per image, got {len(self.originals)}")

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, rows: slice | Sequence[int] | np.ndarray) -> Samples:
        """The samples of a slice, of row numbers, or of a bool per row, in memory."""
        rows = _rows(rows)
        return self._of(rows, self.images[rows], self.masks[rows])

    def select(self, rows: slice | Sequence[int] | np.ndarray) -> Samples:
        """The same, but those in files stay there, and all of them are this object."""
        rows = _rows(rows)
        if np.array_equal(np.arange(len(self))[rows], np.arange(len(self))):
            return self
        images, masks = (part.select(rows) if isinstance(part, StoredRows) else part[rows] for part in self._parts)
        return self._of(rows, images, masks)

    @property
    def _parts(self) -> tuple[Rows, Rows]:
        return self.images, self.masks

    def _of(self, rows: Any, images: Rows, masks: Rows) -> Samples:
        index = np.arange(len(self))[rows].tolist()
        texts = None if self.texts is None else tuple(self.texts[i] for i in index)
        names, groups = (tuple(values[i] for i in index) for values in (self.names, self.groups))
        originals = None if self.originals is None else tuple(self.originals[i] for i in index)
        return Samples(images, masks, names, texts, groups, originals)

    def with_texts(self, *texts: str) -> Samples:
        """The same samples, each to be asked by one of ``texts``, whichever is drawn."""
        return replace(self, texts=((texts,),) * len(self))

    @property
    def size(self) -> tuple[int, int]:
        """Height and width in pixels."""
        return int(self.images.shape[1]), int(self.images.shape[2])

    @cached_property
    def with_object(self) -> np.ndarray:
        """Row numbers of the masks that are not empty: on the others no point can lie."""
        blocks = self.masks.blocks() if isinstance(self.masks, StoredRows) else [self.masks]
        return np.flatnonzero(np.concatenate([np.zeros(0, np.bool_), *(block.any(axis=(1, 2)) for block in blocks)]))


@dataclass(frozen=True, eq=False)
class Splits:
    """A data set: its name and the samples to train on, to choose settings by, and to report.

    Parameters
    ----------
    name : str
        Name of the data set.
    train, validation, test : Samples
        Without common images.
    """

    name: str
    train: Samples
    validation: Samples
    test: Samples

    def __post_init__(self) -> None:
        for split in ("train", "validation", "test"):
            if not isinstance(getattr(self, split), Samples):
                raise TypeError(f"{split} must be Samples, got {type(getattr(self, split)).__name__}")

    @property
    def parts(self) -> tuple[Samples, Samples, Samples]:
        """Train, validation and test."""
        return self.train, self.validation, self.test

    def with_texts(self, *texts: str) -> Splits:
        """The same data set, each image to be asked by one of ``texts``, whichever is drawn."""
        return Splits(self.name, *(part.with_texts(*texts) for part in self.parts))


def _rows(rows: Any) -> Any:
    """Return a slice, or an array of numbers or of a bool per row."""
    if isinstance(rows, slice):
        return rows
    rows = np.asarray(rows)
    if rows.ndim != 1:
        raise TypeError(f"rows must be a slice or a sequence of row numbers, got {rows!r}")
    return rows if rows.size else rows.astype(int)


def numbered(groups: Sequence[str]) -> np.ndarray:
    """Return the number of each sample's group, int64 of shape (n,): 0, 1, ... in the order of their first samples."""
    numbers = {group: i for i, group in enumerate(dict.fromkeys(groups))}
    return np.array([numbers[group] for group in groups], np.int64)


def _strings(name: str, values: Sequence[str], n: int) -> tuple[str, ...]:
    """Return one string per image, all of them such as a file can hold, or raise."""
    strings = tuple(values)
    if len(strings) != n:
        raise ValueError(f"{name} must be {n}, one per image, got {len(strings)}")
    for value in strings:
        if not isinstance(value, str):
            raise TypeError(f"{name} must be str, got {value!r}")
    return tuple(value.encode(errors="backslashreplace").decode() for value in strings)


def _texts(texts: Any, n: int) -> tuple[Texts, ...]:
    """Return texts as tuples, each with a string that is not empty, or raise."""
    if isinstance(texts, str) or len(texts) != n:
        raise ValueError(f"texts must be {n}, one per image, got {1 if isinstance(texts, str) else len(texts)}")
    found = []
    for row, kinds in enumerate(texts):
        if isinstance(kinds, str) or any(isinstance(kind, str) for kind in kinds):
            raise TypeError(f"texts must be sequences of str for each kind of text, got {kinds!r:.80} in row {row}")
        strings = tuple(tuple(kind) for kind in kinds)
        if not strings or not all(kind and all(isinstance(s, str) and s.strip() for s in kind) for kind in strings):
            raise ValueError(
                f"texts must be strings that are not empty for each image, got {strings!r:.80} in row {row}"
            )
        found.append(strings)
    return tuple(found)


def typed_rows(name: str, value: Any, dtype: type[np.generic]) -> Rows:
    """Return ``value``, or raise a TypeError unless it is an array of ``dtype``, or rows of it in a file."""
    return value if isinstance(value, StoredRows) and value.dtype == dtype else typed_array(name, value, dtype)


def typed_array(name: str, value: Any, dtype: type[np.generic]) -> np.ndarray:
    """Return ``value``, or raise a TypeError unless it is an array of ``dtype``."""
    if not isinstance(value, np.ndarray) or value.dtype != dtype:
        got = value.dtype if isinstance(value, np.ndarray) else type(value).__name__
        raise TypeError(f"{name} must be an array of {np.dtype(dtype)}, got {got}")
    return value

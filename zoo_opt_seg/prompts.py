"""Prompts: what a promptable segmentation model is told of a batch of images beside the images."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]
OBJECT, BACKGROUND, ABSENT = 1, 0, -1  # labels of points; ABSENT fills up rows that have fewer points than others


@dataclass(frozen=True, eq=False)
class Prompts:
    """Points, boxes, masks and texts for n images; each kind may be left out, or be absent in some of the rows.

    Parameters
    ----------
    points : (n, k, 2) array of float32, optional
        x (to the right) and y (down) in pixels of the image given; pixel centres are whole numbers, as in SAM.
    labels : (n, k) array of int64, optional
        1 object, 0 background, -1 no point: its coordinates are never looked at. Without labels all points are 1.
    boxes : (n, 4) array of float32, optional
        x0, y0, x1, y1 in pixels; a row of NaN is no box.
    masks : (n, h, w) array of float32, optional
        Logits of a mask over the whole image, at the size the model takes (256 x 256 for SAM's own weights); a mask of
        NaN is no mask.
    texts : tuple of str, optional
        One per image; "" is no text.

    Raises
    ------
    TypeError, ValueError
        If a kind has the wrong type, shape or values, the kinds differ in n, or none is given: a batch without any
        prompts is `Prompts.nothing(n)`.

    Notes
    -----
    Arrays of the right type are taken as they are, not copied: whoever made them leaves them as they are.
    """

    points: Array | None = None
    labels: Array | None = None
    boxes: Array | None = None
    masks: Array | None = None
    texts: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        if self.points is None and self.labels is not None:
            raise ValueError("labels need points, got labels alone")
        points = _floats("points", self.points, "(n, k, 2)", 3, last=2)
        labels = None if points is None else _labels(self.labels, points)
        if points is not None and not np.isfinite(points[labels != ABSENT]).all():
            raise ValueError("points must be finite where their label is not -1")
        boxes, masks = _floats("boxes", self.boxes, "(n, 4)", 2, last=4), _floats("masks", self.masks, "(n, h, w)", 3)
        _whole_or_absent("boxes", boxes)
        _whole_or_absent("masks", masks)
        if boxes is not None and ((boxes[:, 2:] < boxes[:, :2]).any()):
            raise ValueError("boxes must be x0, y0, x1, y1 with x0 <= x1 and y0 <= y1")
        texts = None if self.texts is None else _texts(self.texts)
        for name, value in zip(KINDS, (points, labels, boxes, masks, texts), strict=True):
            object.__setattr__(self, name, value)
        lengths = {name: len(value) for name, value in self.given()}
        if not lengths:
            raise ValueError("prompts need points, boxes, masks or texts; for none at all use Prompts.nothing(n)")
        if len(set(lengths.values())) > 1:
            raise ValueError(f"all prompts must be for the same images, got lengths {lengths}")

    @classmethod
    def nothing(cls, n: int) -> Prompts:
        """Return the prompts of ``n`` images that are given without any."""
        return cls(points=np.zeros((n, 0, 2), np.float32))

    def __len__(self) -> int:
        return len(next(value for _, value in self.given()))

    def __getitem__(self, rows: slice | int | Array | Sequence[int]) -> Prompts:
        """Return the prompts of ``rows``: a slice, an array of indices or booleans, or one index (a batch of one)."""
        if isinstance(rows, (int, np.integer)):
            if not -len(self) <= rows < len(self):
                raise IndexError(f"row {rows} of {len(self)} prompts")
            rows = slice(rows, rows + 1 or None)
        index = rows if isinstance(rows, slice) else np.asarray(rows) if len(rows) else slice(0)
        texts = None if self.texts is None else tuple(self.texts[i] for i in np.arange(len(self))[index])
        return self._like(**{n: v[index] for n, v in self.given() if n != "texts"}, texts=texts)

    def __iter__(self) -> Iterator[Prompts]:
        return (self[i] for i in range(len(self)))

    def repeat(self, m: int) -> Prompts:
        """Return the batch ``m`` times, block after block: row i of block j is row i here."""
        return self[np.tile(np.arange(len(self)), m)]

    @staticmethod
    def concatenate(batches: Sequence[Prompts]) -> Prompts:
        """Return one batch of all rows in order; what some batches lack is absent in their rows.

        Raises
        ------
        ValueError
            If there are no batches, or masks of different sizes.
        """
        batches = list(batches)
        if not batches:
            raise ValueError("batches must hold at least one Prompts, got none")
        have = {name for batch in batches for name, _ in batch.given()}
        most = max((batch.points.shape[1] for batch in batches if batch.points is not None), default=0)
        sizes = {batch.masks.shape[1:] for batch in batches if batch.masks is not None}
        if len(sizes) > 1:
            raise ValueError(f"masks must all have the same size, got {sorted(sizes)}")
        size = next(iter(sizes), (0, 0))
        parts: dict[str, list[Any]] = {name: [] for name in KINDS if name in have}
        for batch in batches:
            n, lacks = len(batch), most - (0 if batch.points is None else batch.points.shape[1])
            absent = {
                "points": np.zeros((n, 0, 2), np.float32),
                "labels": np.zeros((n, 0), np.int64),
                "boxes": np.full((n, 4), np.nan, np.float32),
                "masks": np.full((n, *size), np.nan, np.float32),
                "texts": ("",) * n,
            }
            for name, values in parts.items():
                given = getattr(batch, name)
                values.append(absent[name] if given is None else given)
            if "points" in parts:
                parts["points"][-1] = np.pad(parts["points"][-1], ((0, 0), (0, lacks), (0, 0)))
                parts["labels"][-1] = np.pad(parts["labels"][-1], ((0, 0), (0, lacks)), constant_values=ABSENT)
        texts = tuple(text for part in parts.pop("texts") for text in part) if "texts" in parts else None
        return Prompts(**{name: np.concatenate(values) for name, values in parts.items()}, texts=texts)

    def scaled(self, sx: float, sy: float) -> Prompts:
        """Return the prompts for images resized by ``sx`` and ``sy``: points and boxes multiplied, as SAM does.

        Masks stay: they cover the whole image at a size of their own.
        """
        scale = np.array([sx, sy])
        return self._moved(lambda xy: xy * scale)

    def moved(self, fn: Callable[[Array], Array]) -> Prompts:
        """Return the prompts with points and boxes carried over by ``fn``.

        Parameters
        ----------
        fn : callable
            Maps a float64 array (..., 2) of x, y to the new x, y. A box becomes the smallest upright box around its
            four corners.

        Raises
        ------
        ValueError
            If there are masks, which cannot be moved point by point.
        """
        if self.masks is not None:
            raise ValueError("prompts with masks cannot be moved, only those with points, boxes and texts")
        return self._moved(fn)

    def groups(self) -> list[tuple[Array, Prompts]]:
        """Return (rows, prompts) for every kind of row: the same number of points, box or none, mask or none.

        The prompts of a group hold nothing absent: k is the number of points of each row, and boxes or masks are None
        where the group has none. Points keep their order.
        """
        n = len(self)
        present = np.zeros((n, 0), bool) if self.labels is None else self.labels != ABSENT
        box = np.zeros(n, bool) if self.boxes is None else ~np.isnan(self.boxes[:, 0])
        mask = np.zeros(n, bool) if self.masks is None else ~np.isnan(self.masks[:, :1, :1]).any(axis=(1, 2))
        kinds, which = np.unique(np.stack([present.sum(1), box, mask], 1), axis=0, return_inverse=True)
        groups = []
        for kind, (k, has_box, has_mask) in enumerate(kinds.tolist()):
            rows = np.flatnonzero(which.reshape(-1) == kind)
            part = self[rows]
            points, labels = np.zeros((len(rows), 0, 2), np.float32), np.zeros((len(rows), 0), np.int64)
            if k and part.points is not None and part.labels is not None:
                chosen = present[rows]
                points, labels = part.points[chosen].reshape(-1, k, 2), part.labels[chosen].reshape(-1, k)
            boxes, masks = part.boxes if has_box else None, part.masks if has_mask else None
            groups.append((rows, Prompts(points, labels, boxes, masks, part.texts)))
        return groups

    def key(self, row: int) -> bytes:
        """Return bytes that tell this row's prompts from any other's; what is absent leaves no trace."""
        parts = []
        for name, value in self.given():
            if name == "labels":
                continue
            one = value[row].encode() if name == "texts" else value[row]
            if name == "points" and self.labels is not None:
                there = self.labels[row] != ABSENT
                one = np.concatenate([one[there], self.labels[row][there, None].astype(np.float32)], axis=1)
            if isinstance(one, bytes):
                parts += [b"texts %d " % len(one), one] if one else []
            elif one.size and not np.isnan(one.flat[0]):
                parts += [f"{name} {one.shape} ".encode(), np.ascontiguousarray(one).tobytes()]
        return b"".join(parts)

    def given(self) -> list[tuple[str, Any]]:
        """Return the kinds that are not None, each with its name."""
        return [(name, value) for name in KINDS if (value := getattr(self, name)) is not None]

    def _like(self, **values: Any) -> Prompts:
        """Return prompts of values that are valid already, without checking them again."""
        made = object.__new__(Prompts)
        for name in KINDS:
            object.__setattr__(made, name, values.get(name))
        return made

    def _moved(self, fn: Callable[[Array], Array]) -> Prompts:
        points, labels, boxes = self.points, self.labels, self.boxes
        if points is not None and labels is not None:
            points = np.where(np.not_equal(labels, ABSENT)[..., None], fn(points.astype(np.float64)), points)
        if boxes is not None:
            corners = fn(boxes.astype(np.float64)[:, [[0, 1], [2, 1], [0, 3], [2, 3]]])  # (n, 4, 2)
            boxes = np.concatenate([corners.min(axis=1), corners.max(axis=1)], axis=1)
        return Prompts(points, self.labels, boxes, self.masks, self.texts)


KINDS = tuple(field.name for field in fields(Prompts))


def _floats(name: str, value: Any, shape: str, ndim: int, last: int | None = None) -> Array | None:
    if value is None:
        return None
    try:
        array = np.asarray(value)
        if array.dtype.kind not in "fiub":
            raise TypeError
    except (TypeError, ValueError):
        raise TypeError(f"{name} must be an array {shape} of real numbers, got {type(value).__name__}") from None
    if array.ndim != ndim or (last is not None and array.shape[-1] != last):
        raise ValueError(f"{name} must have shape {shape}, got {array.shape}")
    return array.astype(np.float32, copy=False)


def _labels(value: Any, points: Array) -> Array:
    if value is None:
        return np.ones(points.shape[:2], np.int64)
    labels = np.asarray(value)
    if labels.shape != points.shape[:2]:
        raise ValueError(f"labels must have shape {points.shape[:2]}, one per point, got {labels.shape}")
    if not np.isin(labels, (OBJECT, BACKGROUND, ABSENT)).all():
        raise ValueError(f"labels must be 1 (object), 0 (background) or -1 (no point), got {np.unique(labels)[:5]}")
    return labels.astype(np.int64, copy=False)


def _whole_or_absent(name: str, array: Array | None) -> None:
    """Raise unless each row is finite, or NaN all through."""
    if array is None or (array.size and np.isfinite(array).all()):
        return
    rows = array.reshape(len(array), -1)
    bad = ~(np.isfinite(rows).all(1) | np.isnan(rows).all(1))
    if bad.any():
        raise ValueError(f"{name} must be finite in each row, or NaN all through, got neither in row {bad.argmax()}")


def _texts(value: Any) -> tuple[str, ...]:
    if isinstance(value, str) or not all(isinstance(text, str) for text in value):
        raise TypeError(f"texts must be a sequence of str, one per image, got {value!r:.80}")
    for text in value:
        if not is_unicode(text):
            raise ValueError(f"texts must be Unicode, got half of a character in {text!r:.80}")
    return tuple(value)


def is_unicode(text: str) -> bool:
    """Return whether a text can be written as UTF-8; half of a character, which JSON can spell, cannot."""
    return not any("\ud800" <= letter <= "\udfff" for letter in text)

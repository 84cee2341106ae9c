"""Masks as numbers: nested lists of JSON, and arrays in an npz file."""

from __future__ import annotations

import io
from typing import Any

import numpy as np

from zoo_opt_seg.blackbox.protocol import Unanswerable
from zoo_opt_seg.data.limits import check_array, check_pixels
from zoo_opt_seg.data.readers.arrays import npz_arrays
from zoo_opt_seg.prompts import Array
from zoo_opt_seg.remote.codecs.reading import shown


def list_mask(value: Any, what: str) -> Array:
    """Return nested lists of H rows of W numbers or booleans as an array (H, W): bool, or float32.

    Raises
    ------
    Unanswerable, DataError
        If it is of another form, or has more pixels than the limit.
    """
    if not (isinstance(value, list) and value and isinstance(value[0], list) and value[0]):
        raise Unanswerable(f"{what} must be a list of rows of numbers, got {shown(value)}")
    width = len(value[0])
    check_pixels(what, width, len(value))
    for number, row in enumerate(value):
        if not isinstance(row, list) or len(row) != width:
            raise Unanswerable(f"{what} must have rows of {width} numbers, got {shown(row)} as row {number}")
        for item in row:
            if type(item) not in (int, float, bool):
                raise Unanswerable(f"{what} must have rows of numbers or booleans, got {shown(item)} in row {number}")
    array = np.array(value)
    if array.dtype.kind not in "fiub":
        raise Unanswerable(f"{what} must have rows of numbers or booleans, got numbers of too many digits")
    return _floats(array)


def npz_masks(content: bytes, what: str, name: str, scores: str = "") -> tuple[list[Array], list[float] | None]:
    """Return the masks of an npz file, each (H, W), bool or float32, and their scores.

    Parameters
    ----------
    content : bytes
    what : str
        For messages.
    name : str
        The array of the masks: (H, W), or with axes before these, of one mask each.
    scores : str
        The array of their scores; "" for none.

    Raises
    ------
    Unanswerable, DataError
        If it is damaged, lacks an array, or has more bytes than the limit.
    """
    arrays = npz_arrays(_Named(content, what), [name, *([scores] if scores else [])], "npz file")
    masks = arrays[name]
    if masks.dtype.kind not in "fiub" or masks.ndim < 2 or 0 in masks.shape:
        raise Unanswerable(f"{what} must have {name} as masks of numbers, got {masks.dtype} {masks.shape}")
    masks = masks.reshape(-1, *masks.shape[-2:])
    check_array(what, masks.shape, 4)
    check_pixels(what, masks.shape[2], masks.shape[1])
    masks = _floats(masks)
    if not scores:
        return list(masks), None
    values = arrays[scores].reshape(-1)
    if values.dtype.kind not in "fiu" or len(values) != len(masks):
        raise Unanswerable(f"{what} must have {scores} as {len(masks)} numbers, got {values.dtype} {values.shape}")
    return list(masks), [float(score) for score in values]


def _floats(array: Array) -> Array:
    """The numbers as float32, or bool; those beyond its range are infinite."""
    with np.errstate(over="ignore"):
        return array if array.dtype == np.bool_ else array.astype(np.float32)


class _Named(io.BytesIO):
    """Bytes in memory as a file with a name, for messages."""

    def __init__(self, content: bytes, name: str) -> None:
        super().__init__(content)
        self._name = name

    def __str__(self) -> str:
        return self._name

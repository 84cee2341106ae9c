"""Tensors of the Open Inference Protocol: arrays to and from JSON values and bytes.

A datatype is BOOL, INT8 to INT64, UINT8 to UINT64, FP16, FP32, FP64 or BYTES. An array of BYTES has dtype object and
holds bytes. Whatever cannot be read raises a ValueError that begins with the tensor's name; no memory is taken for a
tensor before its shape was held against what came.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import chain
from typing import Any

import numpy as np

from zoo_opt_seg.prompts import Array

DTYPES = {
    "BOOL": np.dtype(np.bool_),
    **{f"{sign}INT{8 * n}": np.dtype(f"<{kind}{n}") for sign, kind in (("", "i"), ("U", "u")) for n in (1, 2, 4, 8)},
    **{f"FP{8 * n}": np.dtype(f"<f{n}") for n in (2, 4, 8)},
    "BYTES": np.dtype(object),
}
_NAMES = {dtype: name for name, dtype in DTYPES.items()}
_MOST_AXES, _LONGEST = 8, 1 << 40  # of a shape; chosen
_JSON_TYPES: dict[str, set[type]] = {"b": {bool}, "i": {int}, "u": {int}, "f": {int, float}, "O": {str}}
_JSON_WORDS = {"b": "true and false", "i": "whole numbers", "u": "whole numbers", "f": "numbers", "O": "texts"}


def datatype_of(array: Array) -> str:
    """Return the datatype of an array; one of texts or bytes is BYTES.

    Raises
    ------
    ValueError
        If the protocol has none for it.
    """
    if array.dtype.kind in "OSU":
        return "BYTES"
    name = _NAMES.get(array.dtype.newbyteorder("<"))
    if name is None:
        raise ValueError(f"a tensor must be of {', '.join(DTYPES)}, got an array of {array.dtype}")
    return name


def check_shape(name: str, shape: Any) -> tuple[int, ...]:
    """Return a tensor's shape as a tuple, or raise a ValueError."""
    if (
        not isinstance(shape, list)
        or len(shape) > _MOST_AXES
        or not all(type(side) is int and 0 <= side <= _LONGEST for side in shape)
    ):
        raise ValueError(f"{name}: shape must be a list of at most {_MOST_AXES} whole numbers >= 0, got {brief(shape)}")
    return tuple(shape)


def check_datatype(name: str, datatype: Any) -> str:
    """Return a tensor's datatype, or raise a ValueError."""
    if not isinstance(datatype, str) or datatype not in DTYPES:
        raise ValueError(f"{name}: datatype must be one of {', '.join(DTYPES)}, got {brief(datatype)}")
    return datatype


# -------------------------------------------------------------------------------------------------------------- bytes
def to_bytes(array: Array) -> bytes | memoryview:
    """Return a tensor's bytes: row by row, little-endian; of BYTES each with its length before it."""
    datatype = datatype_of(array)
    if datatype == "BYTES":
        elements = _elements(array)
        return b"".join(chain.from_iterable((len(element).to_bytes(4, "little"), element) for element in elements))
    array = np.ascontiguousarray(array, DTYPES[datatype])
    return array.reshape(-1).view(np.uint8).data


def from_bytes(name: str, datatype: str, shape: tuple[int, ...], data: memoryview) -> Array:
    """Return the tensor that bytes hold: a view of them, not to be written to, but for BYTES.

    Raises
    ------
    ValueError
        If they are more or fewer than the shape says, or none of this datatype.
    """
    count = math.prod(shape)
    if datatype == "BYTES":
        return _of_lengths(name, shape, data)
    dtype = DTYPES[datatype]
    if count * dtype.itemsize != len(data):
        raise ValueError(
            f"{name}: {datatype} of shape {list(shape)} has {count * dtype.itemsize} bytes, got {len(data)}"
        )
    if datatype == "BOOL":
        bytes_ = np.frombuffer(data, np.uint8)
        if bytes_.size and bytes_.max() > 1:
            raise ValueError(f"{name}: a BOOL must be 0 or 1, got {bytes_.max()}")
        return bytes_.view(np.bool_).reshape(shape)
    array = np.frombuffer(data, dtype).reshape(shape)
    return array if array.flags.aligned else array.copy()


def _of_lengths(name: str, shape: tuple[int, ...], data: memoryview) -> Array:
    count, elements, at = math.prod(shape), [], 0
    if 4 * count > len(data):
        raise ValueError(f"{name}: {count} BYTES have at least {4 * count} bytes, got {len(data)}")
    for _ in range(count):
        end = at + 4 + int.from_bytes(data[at : at + 4], "little")
        if at + 4 > len(data) or end > len(data):
            raise ValueError(f"{name}: its BYTES must end within its {len(data)} bytes, got one that ends at {end}")
        elements.append(bytes(data[at + 4 : end]))
        at = end
    if at != len(data):
        raise ValueError(f"{name}: {count} BYTES end at byte {at}, got {len(data)} bytes")
    return _objects(elements, shape)


# --------------------------------------------------------------------------------------------------------------- JSON
def to_json(name: str, array: Array) -> list[Any]:
    """Return a tensor's values as JSON has them, in one flat list; float32 comes back bit for bit.

    Raises
    ------
    ValueError
        If a number is not finite, or BYTES are no UTF-8: JSON has neither.
    """
    if datatype_of(array) == "BYTES":
        try:
            return [element.decode() for element in _elements(array)]
        except UnicodeDecodeError:
            raise ValueError(f"{name}: BYTES in JSON must be text in UTF-8; binary tensors take any") from None
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        raise ValueError(f"{name}: numbers in JSON must be finite; binary tensors take NaN and infinity")
    values: list[Any] = array.reshape(-1).tolist()
    return values


def from_json(name: str, datatype: str, shape: tuple[int, ...], data: Any) -> Array:
    """Return the tensor that a JSON list holds, flat or nested as its shape.

    Raises
    ------
    ValueError
        If the list has more or fewer values than the shape says, or others than the datatype has.
    """
    if type(data) is not list:
        raise ValueError(f"{name}: data must be a list, got {type(data).__name__}")
    flat = _flat(name, shape, data)
    dtype = DTYPES[datatype]
    if len(flat) != math.prod(shape):
        raise ValueError(f"{name}: shape {list(shape)} has {math.prod(shape)} values, got {len(flat)}")
    if not set(map(type, flat)) <= _JSON_TYPES[dtype.kind]:
        raise ValueError(f"{name}: data of {datatype} must be {_JSON_WORDS[dtype.kind]}, got others")
    if datatype == "BYTES":
        try:
            return _objects([text.encode() for text in flat], shape)
        except UnicodeEncodeError:
            raise ValueError(f"{name}: texts must be Unicode, got half of a character") from None
    try:
        with np.errstate(over="ignore"):
            array = np.array(flat, np.float64 if dtype.kind == "f" else dtype).astype(dtype).reshape(shape)
    except OverflowError:
        raise ValueError(f"{name}: a value does not fit into {datatype}") from None
    if dtype.kind == "f" and not np.isfinite(array).all():
        raise ValueError(f"{name}: a value does not fit into {datatype}")
    return array


def _flat(name: str, shape: tuple[int, ...], data: list[Any]) -> list[Any]:
    """Return the values of a list that may be nested."""
    if not data or type(data[0]) is not list:
        return data
    level: list[Any] = [data]
    for side in shape:
        if not all(type(part) is list and len(part) == side for part in level):
            raise ValueError(f"{name}: data must be flat, or nested as its shape {list(shape)}, got neither")
        level = list(chain.from_iterable(level))
    return level


# ----------------------------------------------------------------------------------------------------- texts and bytes
def _elements(array: Array) -> list[bytes]:
    found = []
    for element in array.reshape(-1).tolist():
        if not isinstance(element, bytes | str):
            raise ValueError(f"an array of BYTES must hold bytes or texts, got {type(element).__name__}")
        found.append(element.encode() if isinstance(element, str) else element)
    return found


def _objects(elements: Sequence[bytes], shape: tuple[int, ...]) -> Array:
    array = np.empty(len(elements), object)
    array[:] = elements
    return array.reshape(shape)


def text_of(name: str, array: Array) -> str:
    """Return the one text of a BYTES tensor.

    Raises
    ------
    ValueError
        If it holds another number of them, or no UTF-8.
    """
    if array.dtype != np.object_ or array.size != 1:
        raise ValueError(f"{name}: a text must be one element of BYTES, got {array.dtype} of shape {list(array.shape)}")
    try:
        return _elements(array)[0].decode()
    except UnicodeDecodeError:
        raise ValueError(f"{name}: a text must be UTF-8") from None


def brief(value: Any) -> str:
    """Return a value of JSON for a message: of what may be long, its kind alone."""
    return f"{value!r:.60}" if isinstance(value, str | int | float | None) else type(value).__name__

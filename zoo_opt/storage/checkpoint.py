"""Checkpoints: a tree of plain values, arrays and known dataclasses in one file, without pickle.

The file is a line ``zoo-opt checkpoint <version> <sha256 of the rest>`` and then an npz archive: the arrays, and the
tree as JSON. It is written to a temporary file, synced and renamed, so that a file at the path is always whole.

A class is named by its module and its name there, ``zoo_opt.gradient.gains:Cosine``. When a file is read, only modules
of zoo_opt are imported by name, and of these only those of methods, their states and spaces: a peer's class, say,
would start another library as it is made. Every other class must be among ``types``.
"""

from __future__ import annotations

import dataclasses
import hashlib
import importlib
import io
import json
import os
import re
import stat
import zlib
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from zoo_opt.core.errors import CheckpointError
from zoo_opt.storage.archive import StoredArrays
from zoo_opt.storage.atomic import write_atomically
from zoo_opt.storage.format2 import CHANGED, CONVERTERS, PLACES
from zoo_opt.support.memory import JSON_EXPANDS, MAX_BYTES, max_bytes

VERSION = 3
_MAGIC = b"zoo-opt checkpoint"
_TREE = "tree"
_BOX, _BOXES = "zoo_opt.methods.box:Box", ("bounds", "restart_from")  # fields that were plain tuples once
_OWN = re.compile(r"zoo_opt\.((core|gradient|methods)(\.[a-z]\w*)+|parameters|space)")  # none that does more than hold
_MOST = 2**33  # bytes; chosen: the distribution of a full CMA-ES of 10^4 variables has a third of it
_EXPANDS = 2 * JSON_EXPANDS  # what is made of the tree takes as much again
_SCRIPT = ("__main__", "__mp_main__")  # what a module is called while it is run, here and in a spawned process

_Make: TypeAlias = Callable[[str, list[Any], dict[str, Any]], Any]  # class, its items or fields -> object


def write(path: str | os.PathLike[str], tree: Any) -> None:
    """Write ``tree`` to ``path``, atomically."""
    header, payload = packed(tree)
    with payload:  # let go of even if the write fails: a buffer with a view cannot be collected
        write_atomically(path, header, payload)


def packed(tree: Any) -> tuple[bytes, memoryview]:
    """Return a checkpoint of ``tree`` as what a file of it has in it: its first line, and the rest."""
    _by_place(types_in(tree))
    arrays: dict[str, np.ndarray[Any, Any]] = {}
    text = json.dumps(_encode(tree, arrays))
    buffer = io.BytesIO()
    np.savez(buffer, **{_TREE: np.frombuffer(text.encode(), np.uint8), **arrays})  # type: ignore[arg-type]
    payload = buffer.getbuffer()
    digest = hashlib.sha256(payload).hexdigest()
    return b"%s %d %s\n" % (_MAGIC, VERSION, digest.encode()), payload


def fingerprint(tree: Any) -> int:
    """Return a checksum of ``tree`` that is the same before it is written and after it is read."""
    arrays: dict[str, np.ndarray[Any, Any]] = {}
    try:
        text = json.dumps(_encode(tree, arrays))
    except TypeError:  # it cannot be written
        text = repr(tree)
    digest = zlib.crc32(text.encode())
    for array in arrays.values():
        digest = zlib.crc32(np.ascontiguousarray(array).tobytes(), digest)
    return digest


def read(path: str | os.PathLike[str], types: Iterable[type] = ()) -> Any:
    """Return the tree at ``path``; ``types`` are the dataclasses and named tuples known beside zoo_opt's own.

    Raises
    ------
    CheckpointError
        If the file is not one of ours, corrupt, truncated, of a format that is not read any more or not yet, names a
        class that is not known, or is larger than the environment variable ``ZOO_OPT_MAX_BYTES`` allows (8 GiB).
    """
    name, most = os.fspath(path), most_bytes()
    found = os.stat(path)
    if not stat.S_ISREG(found.st_mode):
        raise CheckpointError(f"{name} must be a file, it is a folder or a device")
    _check_size(name, "it", found.st_size, most)
    return unpacked(Path(path).read_bytes(), name, types)


def unpacked(content: bytes, name: str, types: Iterable[type] = ()) -> Any:
    """Return the tree that ``content`` is a checkpoint of; ``name`` is what messages call it."""
    most = most_bytes()
    header, newline, payload = content.partition(b"\n")
    words = header.split(b" ")
    if not newline or b" ".join(words[:2]) != _MAGIC or len(words) != 4 or not words[2].isdigit() or len(words[2]) > 9:
        raise CheckpointError(f"{name} is not a zoo-opt checkpoint, or its first line is corrupt")
    version = int(words[2])
    if version not in _READERS:
        read_here = " and ".join(map(str, _READERS))
        raise CheckpointError(f"{name} has checkpoint format {version}, this zoo_opt reads formats {read_here}")
    if hashlib.sha256(payload).hexdigest().encode() != words[3]:
        raise CheckpointError(f"{name} is corrupt or truncated: its checksum does not match")
    reader = _READERS[version](name, types)
    try:
        arrays = StoredArrays(payload)
        _check_size(name, "its tree", _EXPANDS * arrays.size(_TREE), most)
        return _decode(json.loads(arrays(_TREE).tobytes()), arrays, reader.make)
    except CheckpointError:
        raise
    except Exception as error:  # whatever numpy, zip, JSON and constructors make of what `write` never wrote
        raise CheckpointError(f"{name} was not written by zoo_opt: {said(error)}") from error


def most_bytes() -> int:
    """Return how much memory a checkpoint may ask for: ``ZOO_OPT_MAX_BYTES`` of the environment, or 8 GiB."""
    return max_bytes(_MOST)


def _check_size(name: str, what: str, size: int, most: int) -> None:
    if size > most:
        raise CheckpointError(
            f"{name} is too large: {what} would take {size} bytes, the limit is {most}, which the environment variable "
            f"{MAX_BYTES} raises"
        )


def said(error: Exception) -> str:
    """Return what an error says, in one line of bounded length."""
    text = " ".join(f"{type(error).__name__}: {error}".split())
    return text if len(text) <= 300 else f"{text[:297]}..."


def types_in(tree: Any) -> set[type]:
    """Return the dataclasses and named tuples that ``tree`` is made of."""
    found: set[type] = set()
    if dataclasses.is_dataclass(tree) and not isinstance(tree, type):
        found.add(type(tree))
        children: Iterable[Any] = [getattr(tree, field.name) for field in dataclasses.fields(tree)]
    elif isinstance(tree, (list, tuple)):
        found |= {type(tree)} if hasattr(tree, "_fields") else set()
        children = tree
    else:
        children = tree.values() if isinstance(tree, dict) else ()
    return found.union(*map(types_in, children))


def _encode(value: Any, arrays: dict[str, np.ndarray[Any, Any]]) -> Any:
    """Return ``value`` as JSON; its arrays are moved to ``arrays``, each once."""
    if isinstance(value, np.generic) and not isinstance(value, float):  # its type decides how it rounds
        return {"scalar": _encode(np.asarray(value), arrays)["array"]}
    if value is None or isinstance(value, (bool, int, float, str)):
        return float(value) if isinstance(value, np.float64) else value
    if isinstance(value, np.ndarray):
        for name, array in arrays.items():
            if array is value:
                return {"array": name}
        arrays[f"a{len(arrays)}"] = value
        return {"array": f"a{len(arrays) - 1}"}
    if isinstance(value, list):
        return [_encode(item, arrays) for item in value]
    if isinstance(value, dict):
        return {"dict": [[key, _encode(item, arrays)] for key, item in value.items()]}
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        names = [field.name for field in dataclasses.fields(value)]
        return {"type": _place(type(value)), "fields": {n: _encode(getattr(value, n), arrays) for n in names}}
    if isinstance(value, tuple):
        kind = "tuple" if type(value) is tuple else _place(type(value))
        return {"type": kind, "items": [_encode(item, arrays) for item in value]}
    raise TypeError(f"a checkpoint can hold numbers, strings, arrays and dataclasses, got {value!r}")


def _decode(value: Any, array: Callable[[str], Any], make: _Make) -> Any:
    """Return what `_encode` was given."""
    if isinstance(value, list):
        return [_decode(item, array, make) for item in value]
    if not isinstance(value, dict):
        return value
    if "array" in value:
        return array(value["array"])
    if "scalar" in value:
        return array(value["scalar"])[()]
    if "dict" in value:
        return {key: _decode(item, array, make) for key, item in value["dict"]}
    if "items" in value:
        items = [_decode(item, array, make) for item in value["items"]]
        return tuple(items) if value["type"] == "tuple" else make(value["type"], items, {})
    return make(value["type"], [], {key: _decode(item, array, make) for key, item in value["fields"].items()})


class _Reader:
    """Makes the objects of a checkpoint at ``path`` from the names of their classes."""

    def __init__(self, path: str, types: Iterable[type]) -> None:
        self.path, self.types = path, _by_place(types)

    def make(self, place: str, items: list[Any], fields: dict[str, Any]) -> Any:
        """Return an object of the class at ``place``."""
        if place in CHANGED:
            fields = CHANGED[place](fields, lambda place, **parts: self.make(place, [], parts))
        if _own_class(place):
            fields |= {name: self.class_at(_BOX)(*fields[name]) for name in _BOXES if type(fields.get(name)) is tuple}
        return self.class_at(place)(*items, **fields)

    def class_at(self, place: str) -> type:
        """Return the class, of ``types`` or of zoo_opt."""
        cls = self.types.get(place) or _own_class(place) or self._of_script(place)
        if cls is None:
            given = f", got {', '.join(self.types)}" if self.types else ""
            raise CheckpointError(
                f"{self.path} holds a {place}, which is not a type of zoo_opt: pass it in types={given}"
            )
        return cls

    def _of_script(self, place: str) -> type | None:
        """Return the class of ``types`` that this is where a file was run as a script then and imported now, or so."""
        module, _, name = place.partition(":")
        same = [
            cls
            for other, cls in self.types.items()
            if other.partition(":")[2] == name and (module in _SCRIPT or other.partition(":")[0] in _SCRIPT)
        ]
        return same[0] if len(same) == 1 else None


class _Reader2(_Reader):
    """The same for format 2, which has bare names; a class of others in ``types`` comes before one of zoo_opt."""

    def make(self, name: str, items: list[Any], fields: dict[str, Any]) -> Any:
        """Return an object of the class that had this name, its fields converted."""
        mine = {cls.__name__: cls for place, cls in self.types.items() if not _own_class(place)}
        if name in mine:
            return mine[name](*items, **fields)
        if name in CONVERTERS:
            fields |= {str(i): item for i, item in enumerate(items)}
            return CONVERTERS[name](fields, lambda place, **changed: super(_Reader2, self).make(place, [], changed))
        return super().make(PLACES.get(name, name), items, fields)


_READERS = {2: _Reader2, VERSION: _Reader}


def _place(cls: type) -> str:
    """Return where ``cls`` is: its module, and its name there."""
    return f"{cls.__module__}:{cls.__qualname__}"


def _by_place(types: Iterable[type]) -> dict[str, type]:
    """Return the classes by where they are, or raise if two are at one place: they could not be told apart."""
    known: dict[str, type] = {}
    for cls in types:
        if known.setdefault(_place(cls), cls) is not cls:
            raise TypeError(f"a checkpoint names a class by its place, got two different ones at {_place(cls)}")
    return known


def _own_class(place: str) -> type | None:
    """Return the dataclass or named tuple of zoo_opt at ``place``, None if there is none there."""
    module, _, name = place.partition(":")
    if not _OWN.fullmatch(module):
        return None
    try:
        cls: Any = getattr(importlib.import_module(module), name, None)
    except ModuleNotFoundError:
        return None
    is_data = isinstance(cls, type) and (dataclasses.is_dataclass(cls) or hasattr(cls, "_fields"))
    return cls if is_data and _place(cls) == place else None

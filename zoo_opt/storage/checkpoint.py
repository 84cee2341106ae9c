"""Checkpoints: a tree of plain values, arrays and known dataclasses in one file, without pickle.

The file is a line ``zoo-opt checkpoint <version> <sha256 of the rest>`` and then an npz archive: the arrays, and the
tree as JSON. It is written to a temporary file, synced and renamed, so that a file at the path is always whole.
"""

from __future__ import annotations

import dataclasses
import hashlib
import importlib
import io
import json
import os
import pkgutil
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np

from zoo_opt.core.errors import CheckpointError

VERSION = 2
_MAGIC = b"zoo-opt checkpoint"
_TREE = "tree"


def write(path: str | os.PathLike[str], tree: Any) -> None:
    """Write ``tree`` to ``path``, atomically."""
    arrays: dict[str, np.ndarray[Any, Any]] = {}
    text = json.dumps(_encode(tree, arrays))
    buffer = io.BytesIO()
    np.savez(buffer, **{_TREE: np.frombuffer(text.encode(), np.uint8), **arrays})  # type: ignore[arg-type]
    payload = buffer.getbuffer()
    digest = hashlib.sha256(payload).hexdigest()
    header = b"%s %d %s\n" % (_MAGIC, VERSION, digest.encode())
    write_atomically(path, header, payload)


def read(path: str | os.PathLike[str], types: Iterable[type] = ()) -> Any:
    """Return the tree at ``path``; ``types`` are dataclasses known beside zoo_opt's own.

    Raises
    ------
    CheckpointError
        If the file is not one of ours, corrupt, truncated, or of a newer format.
    """
    name = os.fspath(path)
    header, newline, payload = Path(path).read_bytes().partition(b"\n")
    words = header.split(b" ")
    if not newline or b" ".join(words[:2]) != _MAGIC or len(words) != 4 or not words[2].isdigit() or len(words[2]) > 9:
        raise CheckpointError(f"{name} is not a zoo-opt checkpoint, or its first line is corrupt")
    if int(words[2]) != VERSION:
        raise CheckpointError(f"{name} has checkpoint format {int(words[2])}, this zoo_opt reads format {VERSION}")
    if hashlib.sha256(payload).hexdigest().encode() != words[3]:
        raise CheckpointError(f"{name} is corrupt or truncated: its checksum does not match")
    known = {cls.__name__: cls for cls in (*_own_types(), *types)}
    try:
        with np.load(io.BytesIO(payload), allow_pickle=False) as archive:
            tree = json.loads(archive[_TREE].tobytes())
            return _decode(tree, archive.__getitem__, known, name)
    except CheckpointError:
        raise
    except Exception as error:  # whatever numpy, zip, JSON and constructors make of what `write` never wrote
        raise CheckpointError(f"{name} was not written by zoo_opt: {error}") from error


def write_atomically(path: str | os.PathLike[str], *parts: Any) -> None:
    """Replace the file at ``path`` by ``parts``, bytes or what a callable writes into the file, whole or not at all."""
    target = Path(path)
    descriptor, temporary = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
    try:
        with os.fdopen(descriptor, "wb") as file:
            for part in parts:
                part(file) if callable(part) else file.write(part)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, target.stat().st_mode if target.exists() else 0o644)  # a temporary file is private
        os.replace(temporary, target)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    sync_folder(target.parent)


def sync_folder(folder: Path) -> None:
    """Make the names in ``folder`` durable, where the system can."""
    if hasattr(os, "O_DIRECTORY"):
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


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
        return {"type": type(value).__name__, "fields": {n: _encode(getattr(value, n), arrays) for n in names}}
    if isinstance(value, tuple):
        return {"type": type(value).__name__, "items": [_encode(item, arrays) for item in value]}
    raise TypeError(f"a checkpoint can hold numbers, strings, arrays and dataclasses, got {value!r}")


def _decode(value: Any, array: Callable[[str], Any], known: dict[str, type], path: str) -> Any:
    """Return what `_encode` was given."""
    if isinstance(value, list):
        return [_decode(item, array, known, path) for item in value]
    if not isinstance(value, dict):
        return value
    if "array" in value:
        return array(value["array"])
    if "scalar" in value:
        return array(value["scalar"])[()]
    if "dict" in value:
        return {key: _decode(item, array, known, path) for key, item in value["dict"]}
    name = value["type"]
    if "items" in value:
        items = [_decode(item, array, known, path) for item in value["items"]]
        return tuple(items) if name == "tuple" else _class(name, known, path)(*items)
    fields = {key: _decode(item, array, known, path) for key, item in value["fields"].items()}
    return _class(name, known, path)(**fields)


def _class(name: str, known: dict[str, type], path: str) -> Any:
    if name not in known:
        raise CheckpointError(f"{path} holds a {name}, which is not a type of zoo_opt: pass it in types=")
    return known[name]


def _own_types() -> Iterable[type]:
    """Return the dataclasses and named tuples that a method or its state is made of."""
    from zoo_opt import gradient, methods
    from zoo_opt.typing import Key

    own: list[type] = [Key]
    for package in (gradient, methods):
        for info in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            own += [cls for cls in vars(importlib.import_module(info.name)).values() if isinstance(cls, type)]
    return [cls for cls in own if dataclasses.is_dataclass(cls) or hasattr(cls, "_fields")]

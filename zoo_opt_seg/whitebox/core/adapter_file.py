"""Files of trained weights alone: safetensors with a format's name, the configuration, and what stayed frozen."""

from __future__ import annotations

import contextlib
import json
import os
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from zoo_opt.core.errors import CheckpointError
from zoo_opt.storage.atomic import write_atomically
from zoo_opt_seg.digests import tensors_digest
from zoo_opt_seg.whitebox.core.trainer import copy_tensors

Tensors = Mapping[str, torch.Tensor]


def write(path: str | os.PathLike[str], tensors: Tensors, frozen: Tensors, metadata: Mapping[str, Any]) -> None:
    """Write tensors, with metadata as JSON (a str and a dataclass as what they are), all or nothing.

    Of the `frozen` weights around them the digest alone is kept, for `put` to tell others.
    """
    from safetensors.torch import save

    said = {key: value if isinstance(value, str) else _json(value) for key, value in metadata.items()}
    said["frozen"] = tensors_digest(frozen)
    values = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    write_atomically(path, save(values, metadata=said))


def read(path: str | os.PathLike[str], wanted: str, what: str) -> tuple[dict[str, torch.Tensor], dict[str, str]]:
    """Return tensors and metadata of a file of the format `wanted`.

    Raises
    ------
    CheckpointError
        If it is no such file; `what` says what it should hold.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(Path(path), framework="pt") as file:
            values = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            metadata = file.metadata() or {}
    except SafetensorError as error:
        raise CheckpointError(f"{path} is not a safetensors file, or it is truncated: {error}") from error
    if metadata.get("format") != wanted:
        raise CheckpointError(f"{path} holds no {what} of ours: its format is {metadata.get('format')!r}")
    return values, metadata


@contextlib.contextmanager
def making(path: str | os.PathLike[str], what: str) -> Iterator[None]:
    """Raise as a CheckpointError whatever comes of values and metadata that `write` has never written."""
    try:
        yield
    except (CheckpointError, ImportError, OSError):
        raise
    except Exception as error:
        said = f"{type(error).__name__}: {error}"
        raise CheckpointError(f"{path} does not hold what {what} needs ({said:.200})") from error


def settings(values: Tensors, metadata: Mapping[str, str], key: str) -> dict[str, Any]:
    """Return the configuration under a key, no number of which is larger than the weights that it is to make.

    Raises
    ------
    KeyError, ValueError, RecursionError
        If there is none, or one of another size: see `making`.
    """
    said, most = json.loads(metadata[key]), sum(value.numel() for value in values.values())
    for value in said.values():
        largest = max((n for n in (value if isinstance(value, list) else [value]) if isinstance(n, int)), default=0)
        if largest > most:
            raise ValueError(f"its {key} has the number {largest:g}, its weights are {most}")
    return dict(said)


def put(values: Tensors, metadata: Mapping[str, str], into: Tensors, frozen: Tensors, path: Any, model: str) -> None:
    """Copy what was read into the tensors of the same names and shapes.

    Raises
    ------
    CheckpointError
        If they differ: the file is of another `model`.

    Warns
    -----
    UserWarning
        If the `frozen` weights around them are not those of the training.
    """
    differ = list(into.keys() ^ values.keys())
    differ += [k for k in into.keys() & values.keys() if into[k].shape != values[k].shape]
    if differ:
        raise CheckpointError(f"{path} is of another {model}: {len(differ)} tensors differ, such as {min(differ)}")
    copy_tensors(values, into)
    if "frozen" in metadata and metadata["frozen"] != tensors_digest(frozen):
        warnings.warn(f"{path} was trained on a {model} with other weights than this one's", stacklevel=3)


def check_same(path: str | os.PathLike[str], theirs: str, ours: Any, model: str) -> None:
    """Raise a CheckpointError that says what differs, if `theirs`, as `write` has put it down, is not `ours`."""
    said, known = json.loads(theirs), json.loads(_json(ours))
    differ = [f"its {key} is {said.get(key)}, this one's {known[key]}" for key in known if known[key] != said.get(key)]
    if differ:
        raise CheckpointError(f"{path} is of another {model}: {'; '.join(differ)}")


def _json(value: Any) -> str:
    return json.dumps(value if isinstance(value, dict) else asdict(value), sort_keys=True)

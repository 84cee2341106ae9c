"""What tells data and weights from others: SHA-256 over names, types, shapes and values."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from typing import Protocol

import numpy as np
import torch
from torch import Tensor, nn


def weights_digest(module: nn.Module) -> str:
    """Return the SHA-256 of a module's parameters and buffers, names and types included."""
    return tensors_digest(module.state_dict())


def tensors_digest(tensors: Mapping[str, Tensor]) -> str:
    """Return the SHA-256 of tensors, names and types included."""
    digest = hashlib.sha256()
    for key, value in sorted(tensors.items()):
        digest.update(f"{key} {value.dtype} {tuple(value.shape)} ".encode())
        digest.update(value.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


class Blocks(Protocol):
    """What takes the place of an array and is gone through in parts, as `zoo_opt_seg.data.row_files.StoredRows`."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Of all of it."""

    def blocks(self) -> Iterator[np.ndarray]:
        """All rows in their order, some at a time."""


def data_digest(*parts: np.ndarray | Blocks | str) -> str:
    """Return the first 16 digits of the SHA-256 of arrays, their shapes included, and of texts."""
    digest = hashlib.sha256()
    for part in parts:
        if isinstance(part, str):
            digest.update(part.encode())
        else:
            digest.update(repr(part.shape).encode())
            for block in [part] if isinstance(part, np.ndarray) else part.blocks():
                digest.update(np.ascontiguousarray(block).data)
    return digest.hexdigest()[:16]

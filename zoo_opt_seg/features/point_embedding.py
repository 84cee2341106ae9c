"""Sines and cosines of a point's place: how a point prompt is given to an image-prompt decoder."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from zoo_opt.core.errors import integer
from zoo_opt_seg.prompts import OBJECT, Array, Prompts


class PointEmbedding:
    """u -> (sin(2 pi u M), cos(2 pi u M)), u in [-1, 1]^2 the place of the point in the image.

    Parameters
    ----------
    dim : int
        Length of the embedding, even; a multiple of 4 for ``"sinusoidal"``.
    kind : {"fourier", "sinusoidal"}
        ``"fourier"``: M (2, dim / 2) of standard normal numbers, as in SAM and the released BAPS; it must be kept with
        what was trained on it. ``"sinusoidal"``: M fixed, half of the columns for x and half for y, in octaves from
        half a wave across the image up to 32 waves (the frequencies are spread evenly in between).
    seed : int
        Of the normal numbers.
    """

    def __init__(self, dim: int = 256, kind: str = "fourier", seed: int = 0) -> None:
        self.dim = integer("dim", dim, 4)
        if kind not in MATRICES:
            raise ValueError(f"kind must be {' or '.join(map(repr, MATRICES))}, got {kind!r}")
        self.kind, self.seed, self.matrix = kind, seed, MATRICES[kind](self.dim, seed)

    def __call__(self, points: Tensor, size: tuple[int, int]) -> Tensor:
        """Return the embeddings (..., dim).

        Parameters
        ----------
        points : Tensor, shape (..., 2)
            x, y in pixels; pixel centres are whole numbers.
        size : (int, int)
            Width and height of the image in pixels.
        """
        u = 2.0 * (points + 0.5) / torch.tensor(size, dtype=torch.float32) - 1.0
        angle = 2.0 * torch.pi * (u @ torch.from_numpy(self.matrix))
        return torch.cat([torch.sin(angle), torch.cos(angle)], dim=-1)


def _fourier(dim: int, seed: int) -> Array:
    if dim % 2:
        raise ValueError(f"dim must be even, got {dim}")
    return np.random.default_rng([seed, 0x90]).standard_normal((2, dim // 2), np.float32)


def _sinusoidal(dim: int, seed: int) -> Array:
    if dim % 4:
        raise ValueError(f"dim must be a multiple of 4 for a sinusoidal embedding, got {dim}")
    waves = np.geomspace(0.25, 16.0, dim // 4).astype(np.float32)  # cycles per unit of u; 2 units across
    return np.kron(np.eye(2, dtype=np.float32), waves)


MATRICES = {"fourier": _fourier, "sinusoidal": _sinusoidal}
"""What makes M of each kind."""


def spots(prompts: Prompts, *, corners: bool = False) -> tuple[Tensor, Tensor]:
    """Return the places that prompts point to: points on the object, and the boxes.

    Parameters
    ----------
    prompts : Prompts
        Of n images.
    corners : bool
        A box gives its two corners; otherwise its centre.

    Returns
    -------
    points : Tensor of float32, shape (n, k, 2)
        0 where there is none; k >= 1.
    present : Tensor of bool, shape (n, k)
    """
    n = len(prompts)
    points: list[Any] = [np.zeros((n, 0, 2), np.float32)]
    present: list[Any] = [np.zeros((n, 0), bool)]
    if prompts.points is not None and prompts.labels is not None:
        points.append(prompts.points)
        present.append(prompts.labels == OBJECT)
    if prompts.boxes is not None:
        boxes = prompts.boxes.reshape(n, 2, 2)
        places = boxes if corners else boxes.mean(axis=1, keepdims=True)
        points.append(places)
        present.append(np.isfinite(places).all(axis=2))
    where, there = np.concatenate(points, axis=1), np.concatenate(present, axis=1)
    if not where.shape[1]:
        where, there = np.zeros((n, 1, 2), np.float32), np.zeros((n, 1), bool)
    where = np.where(there[..., None], where, np.float32(0.0))
    return torch.from_numpy(np.ascontiguousarray(where, np.float32)), torch.from_numpy(there)

"""Random changes of training questions: image, prompt, answer and label move together, the light changes by itself."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

# Changes of one training question, all of it together; chosen.
_TURN, _ZOOM, _SHIFT = math.pi / 12, 0.15, 0.05  # radians, share of the scale, share of the image's side
_LIGHT, _CONTRAST, _SATURATION = 0.2, 0.2, 0.3


def moved_together(layers: Tensor, rng: np.random.Generator) -> Tensor:
    """Return all layers of each question moved as one, and its image, the first three, in another light.

    Parameters
    ----------
    layers : Tensor, shape (n, 3 + k, H, W)
    rng : numpy.random.Generator
    """
    n = len(layers)
    turn = rng.uniform(-_TURN, _TURN, n) + rng.integers(4, size=n) * (math.pi / 2)
    zoom = np.exp(rng.uniform(-_ZOOM, _ZOOM, n))
    flip = rng.integers(2, size=n) * 2 - 1
    cos, sin = np.cos(turn) * zoom, np.sin(turn) * zoom
    shift = rng.uniform(-2 * _SHIFT, 2 * _SHIFT, (2, n))
    theta = np.stack([flip * cos, -sin, shift[0], flip * sin, cos, shift[1]], axis=1).reshape(n, 2, 3)
    grid = F.affine_grid(torch.from_numpy(theta.astype(np.float32)), list(layers.shape), align_corners=False)
    moved = F.grid_sample(layers, grid.to(layers.device), padding_mode="reflection", align_corners=False)
    return torch.cat([_relit(moved[:, :3], rng), moved[:, 3:]], dim=1)


def _relit(images: Tensor, rng: np.random.Generator) -> Tensor:
    """Return images (n, 3, H, W) in [0, 1] with other brightness, contrast and saturation."""

    def factors(spread: float) -> Tensor:
        return torch.from_numpy(np.exp(rng.uniform(-spread, spread, len(images))).astype(np.float32)).view(-1, 1, 1, 1)

    light, contrast, saturation = factors(_LIGHT), factors(_CONTRAST), factors(_SATURATION)
    grey = images.mean(dim=1, keepdim=True)
    images = grey + saturation * (images - grey)
    middle = images.mean(dim=(1, 2, 3), keepdim=True)
    return ((middle + contrast * (images - middle)) * light).clamp(0.0, 1.0)

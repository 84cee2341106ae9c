"""A small vision transformer that turns an image of 96 pixels into one vector, its CLS token.

It is trained by ``benchmarks/pretrain_encoder.py`` as a masked autoencoder (He et al. 2022, arXiv 2111.06377) on the
source scenes, and stored as float16 in ``encoder.safetensors``.
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn

from zoo_opt_seg.embedded.size import TINY_SIZE
from zoo_opt_seg.embedded.weights import stored

PATCH = 8
WEIGHTS = Path(__file__).with_name("encoder.safetensors")


class TinyEncoder(nn.Module):
    """A vision transformer with patches of 8 pixels, 3 layers of width 96 and a CLS token; 0.26 M parameters.

    Attributes
    ----------
    dim : int
        Length of the vector.
    size : int
        Side of the images in pixels.
    """

    def __init__(self, dim: int = 96, depth: int = 3, heads: int = 4, size: int = TINY_SIZE) -> None:
        super().__init__()
        self.dim, self.size = dim, size
        tokens = (size // PATCH) ** 2
        self.patches = nn.Conv2d(3, dim, PATCH, PATCH)
        self.cls = nn.Parameter(0.02 * torch.randn(1, 1, dim))
        self.positions = nn.Parameter(0.02 * torch.randn(1, tokens, dim))
        layer = nn.TransformerEncoderLayer(dim, heads, 2 * dim, 0.0, "gelu", batch_first=True, norm_first=True)
        self.layers = nn.TransformerEncoder(layer, depth, nn.LayerNorm(dim), enable_nested_tensor=False)

    def tokens(self, images: Tensor, kept: Tensor | None = None) -> Tensor:
        """The CLS token and those of the patches, (n, 1 + k, dim).

        Parameters
        ----------
        images : Tensor of float32, shape (n, 3, size, size)
            In [0, 1].
        kept : Tensor of int64, shape (n, k), optional
            The patches to look at, row by row; all without.
        """
        tokens = self.patches((images - 0.5) / 0.25).flatten(2).transpose(1, 2) + self.positions
        if kept is not None:
            tokens = tokens.gather(1, kept[:, :, None].expand(-1, -1, self.dim))
        out: Tensor = self.layers(torch.cat([self.cls.expand(len(tokens), -1, -1), tokens], dim=1))
        return out

    def forward(self, images: Tensor) -> Tensor:
        """The CLS vectors of images.

        Parameters
        ----------
        images : Tensor of float32, shape (n, 3, size, size)
            In [0, 1].

        Returns
        -------
        Tensor of float32, shape (n, dim)
        """
        return self.tokens(images)[:, 0]


def tiny_encoder() -> TinyEncoder:
    """The trained tiny encoder, frozen, in evaluation mode and float32.

    Raises
    ------
    FileNotFoundError, ValueError
        If the weights are missing or of another model.
    """
    return stored(TinyEncoder, WEIGHTS).requires_grad_(False)

"""SAN's own parts and their sizes: a side adapter that proposes masks, and CLIP's last layers asked about each one.

References
----------
M. Xu et al., Side adapter network for open-vocabulary semantic segmentation, CVPR 2023 (arXiv 2302.12242), section 3.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from zoo_opt.core.errors import integer


@dataclass(frozen=True)
class SANConfig:
    """Sizes of what SAN adds to CLIP. The defaults are the published ones, for ViT-B/16.

    Parameters
    ----------
    size : int
        Side of the square images that the adapter takes.
    clip_size : int
        To which they are resized for CLIP.
    patch : int
        Side of the adapter's patches, and so of a pixel of the proposals.
    width, layers, heads : int
        Of the adapter.
    queries : int
        Number of proposals.
    embed : int
        Length of what proposals and biases are products of.
    fusion : tuple of (int, int)
        (l, k): the features after CLIP's layer l are added after the adapter's layer k; 0 is before the first.
    split : int
        CLIP's layers from which the adapter is fed; those after it look at the proposals.
    """

    size: int = 640
    clip_size: int = 320
    patch: int = 16
    width: int = 240
    layers: int = 8
    heads: int = 6
    queries: int = 100
    embed: int = 256
    fusion: tuple[tuple[int, int], ...] = ((0, 0), (3, 1), (6, 2), (9, 3))
    split: int = 9

    def __post_init__(self) -> None:
        for name in ("size", "clip_size", "patch", "width", "layers", "heads", "queries", "embed", "split"):
            integer(name, getattr(self, name), 1)
        if self.size % self.patch:
            raise ValueError(f"size must be a multiple of patch, got {self.size} and {self.patch}")
        if self.width % self.heads:
            raise ValueError(f"width must be a multiple of heads, got {self.width} and {self.heads}")
        for layer, after in self.fusion:
            if not (0 <= layer <= self.split and 0 <= after <= self.layers):
                raise ValueError(
                    f"fusion must be of CLIP's layers 0 to {self.split} into the adapter's 0 to {self.layers}, "
                    f"got ({layer}, {after})"
                )


class SideAdapter(nn.Module):
    """A light ViT on the image's own patches and N query tokens, fed with CLIP's features on the way.

    Its positions are added again before each layer.

    Parameters
    ----------
    config : SANConfig
    clip_width : int
        Channels of CLIP's features.
    """

    def __init__(self, config: SANConfig, clip_width: int) -> None:
        super().__init__()
        width, queries = config.width, config.queries
        self.grid, self.fusion = config.size // config.patch, {after: layer for layer, after in config.fusion}
        self.patches = nn.Conv2d(3, width, config.patch, stride=config.patch)
        self.queries = nn.Parameter(torch.randn(queries, width))
        self.places = nn.Parameter(0.02 * torch.randn(queries + self.grid**2, width))
        self.layers = nn.ModuleList(
            nn.TransformerEncoderLayer(width, config.heads, 4 * width, 0.0, "gelu", batch_first=True, norm_first=True)
            for _ in range(config.layers)
        )
        self.fused = nn.ModuleDict(
            {str(after): nn.Sequential(nn.LayerNorm(clip_width), nn.Linear(clip_width, width)) for after in self.fusion}
        )
        self.norm = nn.LayerNorm(width)

    def forward(self, pixels: Tensor, features: Mapping[int, Tensor]) -> tuple[Tensor, Tensor]:
        """Return the query tokens (n, N, width) and the patches' tokens (n, grid * grid, width).

        Parameters
        ----------
        pixels : (n, 3, h, w) tensor
        features : mapping of int to tensors (n, 1 + g * g, clip_width)
            CLIP's tokens after each of the layers that are fused.
        """
        seen = self.patches(pixels).flatten(2).transpose(1, 2)
        x = torch.cat([self.queries.expand(len(seen), -1, -1), seen], dim=1)
        x = self._fuse(0, x, features)
        for i, layer in enumerate(self.layers, 1):
            x = self._fuse(i, layer(x + self.places), features)
        x = self.norm(x)
        return x[:, : len(self.queries)], x[:, len(self.queries) :]

    def _fuse(self, after: int, x: Tensor, features: Mapping[int, Tensor]) -> Tensor:
        """Add CLIP's visual tokens, projected and resized to the adapter's grid, to the adapter's."""
        if after not in self.fusion:
            return x
        given = self.fused[str(after)](features[self.fusion[after]][:, 1:])
        side = math.isqrt(given.shape[1])
        if side != self.grid:
            places = given.transpose(1, 2).unflatten(2, (side, side))
            places = F.interpolate(places, (self.grid, self.grid), mode="bilinear", align_corners=False)
            given = places.flatten(2).transpose(1, 2)
        n = len(self.queries)
        return torch.cat([x[:, :n], x[:, n:] + given], dim=1)


class Proposals(nn.Module):
    """Mask proposals and attention biases from the adapter's tokens.

    M = V_mask Q^T, and for each of CLIP's K heads B_k = V_attn,k Q^T, each factor by a perceptron of three layers; one
    factor Q of the queries serves both, and B is scaled by a learnt number.

    Parameters
    ----------
    width, embed, heads : int
        Of the adapter's tokens; length of the factors; K.
    """

    def __init__(self, width: int, embed: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.query = perceptron(width, embed, embed)
        self.mask = perceptron(width, embed, embed)
        self.attention = perceptron(width, embed, embed * heads)
        self.scale = nn.Parameter(torch.ones(()))

    def forward(self, queries: Tensor, places: Tensor) -> tuple[Tensor, Tensor]:
        """Return mask logits (n, N, h, h) and biases (n, K, N, h, h)."""
        n, number, _ = places.shape
        side = math.isqrt(number)
        q = self.query(queries)
        m = torch.einsum("nqc,nlc->nql", q, self.mask(places))
        v = self.attention(places).reshape(n, number, self.heads, -1)
        b = self.scale * torch.einsum("nqc,nlkc->nkql", q, v)
        return m.unflatten(-1, (side, side)), b.unflatten(-1, (side, side))


def perceptron(inputs: int, hidden: int, outputs: int) -> nn.Sequential:
    """Return three linear layers with ReLU between them."""
    return nn.Sequential(
        nn.Linear(inputs, hidden), nn.ReLU(), nn.Linear(hidden, hidden), nn.ReLU(), nn.Linear(hidden, outputs)
    )


def through(block: Any, x: Tensor) -> Tensor:
    """Return what a layer of CLIP makes of tokens (n, L, c), whichever axis comes first in it."""
    if block.attn.batch_first:
        return block(x)  # type: ignore[no-any-return]
    return block(x.transpose(0, 1)).transpose(0, 1)  # type: ignore[no-any-return]


def recognised(visual: Any, x: Tensor, bias: Tensor, blocks: Sequence[Any]) -> Tensor:
    """Return CLIP's embedding of each proposal, (n, N, d), by [SLS] tokens through CLIP's last layers.

    N shadows of the [CLS] token start as its copies; in each layer their attention is
    softmax(Q_SLS K_visual^T + B) V_visual. They look at the visual tokens, and nothing looks at them, so that CLIP's
    own tokens are what they would be without.

    Parameters
    ----------
    visual : open_clip.transformer.VisionTransformer
    x : (n, 1 + g * g, c) tensor
        CLIP's tokens before the first of the layers.
    bias : (n, K, N, g, g) tensor
        B of each proposal on the visual tokens, one for each head and the same in all layers.
    blocks : sequence
        The last layers.
    """
    n, heads, number = bias.shape[:3]
    flat = bias.reshape(n * heads, number, -1)
    sls = x[:, :1].expand(-1, number, -1)
    for block in blocks:
        asked, seen = block.ln_1(sls), block.ln_1(x[:, 1:])
        if block.attn.batch_first:
            attended = block.attn(asked, seen, seen, need_weights=False, attn_mask=flat)[0]
        else:
            asked, seen = asked.transpose(0, 1), seen.transpose(0, 1)
            attended = block.attn(asked, seen, seen, need_weights=False, attn_mask=flat)[0].transpose(0, 1)
        sls = sls + block.ls_1(attended)
        sls = sls + block.ls_2(block.mlp(block.ln_2(sls)))
        x = through(block, x)
    return visual.ln_post(sls) @ visual.proj  # type: ignore[no-any-return]

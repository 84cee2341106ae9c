"""An image encoder for SAM that learns fast from few pictures: convolutions first, then a vision transformer."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from zoo_opt_seg.embedded.sam import CHANNELS, PATCH


class Residual(nn.Module):
    """Two 3 x 3 convolutions beside the identity, each after a group normalisation and a ReLU."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        layers = [_normal(channels), nn.ReLU(), nn.Conv2d(channels, channels, 3, padding=1, bias=False)]
        layers += [_normal(channels), nn.ReLU(), nn.Conv2d(channels, channels, 3, padding=1)]
        self.layers = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        """Of the shape of ``x``, (n, channels, h, w)."""
        out: Tensor = x + self.layers(x)
        return out


class HybridEncoder(nn.Module):
    """Convolutions to an eighth of the image's side, transformer blocks at a sixteenth, both joined at the eighth.

    It stands in for ``segment_anything.modeling.ImageEncoderViT``: `blocks` are SAM's own, whose ``attn.qkv`` LoRA
    adapts, `pos_embed` has one row per embedding, and `neck` ends in SAM's normalisation.

    Parameters
    ----------
    img_size : int
        Side of the images in pixels, a multiple of 16.
    widths : sequence of 3 int
        Channels at a half, a quarter and an eighth of the side.
    embed_dim, depth, num_heads : int
        Of the transformer.
    out_chans : int
        Channels of the embeddings.
    """

    def __init__(
        self,
        img_size: int,
        widths: tuple[int, int, int] = (16, 32, 64),
        embed_dim: int = 192,
        depth: int = 6,
        num_heads: int = 6,
        out_chans: int = CHANNELS,
    ) -> None:
        from segment_anything.modeling.common import LayerNorm2d
        from segment_anything.modeling.image_encoder import Block

        super().__init__()
        self.img_size = img_size
        half, quarter, eighth = widths
        self.stem = nn.Sequential(
            nn.Conv2d(3, half, 3, 2, 1), _normal(half), nn.ReLU(), nn.Conv2d(half, quarter, 3, 2, 1), Residual(quarter)
        )
        self.eighth = nn.Sequential(nn.Conv2d(quarter, eighth, 3, 2, 1), Residual(eighth))
        self.pos_embed = nn.Parameter(torch.zeros(1, img_size // PATCH, img_size // PATCH, eighth))
        self.sixteenth = nn.Conv2d(eighth, embed_dim, 3, 2, 1)
        self.blocks = nn.ModuleList([Block(embed_dim, num_heads, mlp_ratio=3.0) for _ in range(depth)])
        self.last = nn.LayerNorm(embed_dim)
        self.up = nn.Conv2d(embed_dim, eighth, 1)
        self.join = nn.Sequential(Residual(eighth), Residual(eighth))
        self.neck = nn.Sequential(nn.Conv2d(eighth, out_chans, 1, bias=False), LayerNorm2d(out_chans))

    def forward(self, x: Tensor) -> Tensor:
        """Embeddings (n, out_chans, h, w) of normalised images (n, 3, 8 h, 8 w)."""
        fine = self.eighth(self.stem(x.contiguous(memory_format=torch.channels_last)))
        tokens = self.sixteenth(fine + self.pos_embed.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)
        for block in self.blocks:
            tokens = block(tokens)
        coarse = self.up(self.last(tokens).permute(0, 3, 1, 2))
        fine = fine + F.interpolate(coarse, fine.shape[2:], mode="bilinear", align_corners=False)
        out: Tensor = self.neck(self.join(fine))
        return out


def _normal(channels: int) -> nn.GroupNorm:
    return nn.GroupNorm(8, channels)

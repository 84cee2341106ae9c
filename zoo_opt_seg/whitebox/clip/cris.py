"""CRIS [1]_, CLIP-driven referring image segmentation, on open_clip's ResNet: all of it is trained, CLIP included.

References
----------
.. [1] Z. Wang et al. CRIS: CLIP-driven referring image segmentation. CVPR 2022, arXiv 2111.15174.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from zoo_opt.core.errors import fraction, integer
from zoo_opt_seg.embedded.size import TINY_SIZE
from zoo_opt_seg.whitebox.clip.backbone import drawn, encoded, grid_positions
from zoo_opt_seg.whitebox.clip.cris_parts import Neck, Projector, VisionLanguageDecoder
from zoo_opt_seg.whitebox.clip.text_net import TextNet
from zoo_opt_seg.whitebox.core import recipes


@dataclass(frozen=True)
class CRISConfig:
    """Sizes of what CRIS adds to CLIP. The defaults are the published ones.

    Parameters
    ----------
    size : int
        Side of the square images that it takes, a multiple of 32.
    fused : tuple of int
        Channels of the neck's maps F_m2, F_m3, F_m4.
    width : int
        Channels of the neck's outcome and of the decoder.
    layers, heads, hidden : int
        Of the decoder.
    dropout : float
        Of the decoder, in [0, 1).
    """

    size: int = 416
    fused: tuple[int, int, int] = (256, 512, 1024)
    width: int = 512
    layers: int = 3
    heads: int = 8
    hidden: int = 2048
    dropout: float = 0.1

    def __post_init__(self) -> None:
        for name in ("width", "layers", "heads", "hidden"):
            integer(name, getattr(self, name), 1)
        fraction("dropout", self.dropout)
        if len(self.fused) != 3:
            raise ValueError(f"fused must be three numbers of channels, got {self.fused!r}")
        if integer("size", self.size, 32) % 32:
            raise ValueError(f"size must be a multiple of 32, got {self.size}")
        if self.width % self.heads:
            raise ValueError(f"width must be a multiple of heads, got {self.width} and {self.heads}")


class CRIS(TextNet):
    """CRIS, 416 px on CLIP ResNet-50 as published; all of it is trained. See `TextNet` for the parameters.

    Raises
    ------
    TypeError
        If the CLIP's image tower is no ResNet.
    """

    clip_name, tower = "RN50-quickgelu", "resnet"
    tiny_config = CRISConfig(size=TINY_SIZE, fused=(32, 64, 64), width=64, heads=4, hidden=128)
    left = "clip.logit_scale"  # of the contrast between whole images and texts, which is not made here
    recipe = recipes.CRIS

    def _build(self, clip: Any, seed: int) -> None:
        config, visual = self.config, clip.visual
        if not hasattr(visual, "layer4"):
            raise TypeError(f"clip must have a ResNet as its image tower for CRIS, got {type(visual).__name__}")
        self.clip = clip
        clip.logit_scale.requires_grad_(False)
        c2, c3, c4 = (layer[-1].bn3.num_features for layer in (visual.layer2, visual.layer3, visual.layer4))
        d, words = visual.output_dim, clip.ln_final.normalized_shape[0]
        device = clip.logit_scale.device
        with drawn((seed, 0xC215), device):
            self.beside = nn.Sequential(nn.Conv2d(c4, d, 1, bias=False), nn.BatchNorm2d(d))
            self.neck = Neck((c2, c3, d), d, config.fused, config.width)
            sizes = config.width, words, config.layers, config.heads, config.hidden
            self.decoder = VisionLanguageDecoder(*sizes, config.dropout)
            self.projector = Projector(config.width, d)
        self.to(device)

    def forward(self, pixels: Tensor, ids: Tensor, ends: Tensor) -> Tensor:
        """Return logits (n, size / 4, size / 4), as `TextNet` says."""
        words, sentence = encoded(self.clip, ids, ends)
        v = self.neck(*self.image(pixels), sentence)  # F_v
        return self.projector(self.decoder(v, words, ends), sentence)  # type: ignore[no-any-return]

    def image(self, pixels: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return F_v2, F_v3 and F_v4, at strides 8, 16 and 32, of pixels (n, 3, h, w).

        F_v4 is stage 4 through CLIP's attention pooling, asked at every place and not for the whole image only, so that
        it lies in the space of the sentence; a projection of stage 4 is added, since the pooling looks everywhere.
        """
        visual = self.clip.visual
        v2 = visual.layer2(visual.layer1(visual.stem(pixels)))
        v3 = visual.layer3(v2)
        v4 = visual.layer4(v3)
        return v2, v3, (pooled_places(visual.attnpool, v4) + self.beside(v4)).relu()


def pooled_places(pool: Any, x: Tensor) -> Tensor:
    """Return what CLIP's attention pooling answers at each place, (n, d, h, w), of x (n, c, h, w).

    The keys and values are CLIP's own: the mean over all places and the places themselves; its positions are resized.
    """
    n, c, h, w = x.shape
    places = x.flatten(2).transpose(1, 2)
    places = torch.cat([places.mean(dim=1, keepdim=True), places], dim=1)  # (n, 1 + hw, c)
    places = places + grid_positions(pool.positional_embedding, (h, w)).to(x.dtype)

    def heads(linear: nn.Linear, of: Tensor) -> Tensor:
        return linear(of).reshape(n, -1, pool.num_heads, c // pool.num_heads).transpose(1, 2)  # type: ignore[no-any-return]

    q, k, v = heads(pool.q_proj, places[:, 1:]), heads(pool.k_proj, places), heads(pool.v_proj, places)
    attended = F.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(n, h * w, c)
    return pool.c_proj(attended).transpose(1, 2).reshape(n, -1, h, w)  # type: ignore[no-any-return]

"""SAN [1]_, a side adapter network beside a frozen CLIP ViT of open_clip's, for one text and one mask.

References
----------
.. [1] M. Xu et al. Side adapter network for open-vocabulary semantic segmentation. CVPR 2023, arXiv 2302.12242.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from zoo_opt_seg.embedded.size import TINY_SIZE
from zoo_opt_seg.whitebox.clip.backbone import drawn, encoded, grid_positions, resized
from zoo_opt_seg.whitebox.clip.san_parts import Proposals, SANConfig, SideAdapter, recognised, through
from zoo_opt_seg.whitebox.clip.text_net import TextNet
from zoo_opt_seg.whitebox.core import recipes


class SAN(TextNet):
    """An image and a text to the logits of the mask that the text means; CLIP itself is frozen.

    The proposals M are combined by how well CLIP finds each to be what the text says: with x_q CLIP's embedding of
    proposal q, t the text's and tau CLIP's own scale, the logits are sum_q softmax_q(tau cos(x_q, t)) M_q.

    As published the CLIP is ViT-B/16 at 320 px, the adapter takes 640 px and has 100 proposals. See `TextNet` for the
    parameters: none of the CLIP's weights asks for a gradient any more, and none changes; the position table that is
    trained, as the paper does for another image size, is a copy.

    Raises
    ------
    TypeError, ValueError
        If the CLIP's image tower is no ViT of the usual kind, or has too few layers or other patches.
    """

    clip_name, tower = "ViT-B-16-quickgelu", "vit"
    tiny_config = SANConfig(
        size=TINY_SIZE,
        clip_size=TINY_SIZE,
        patch=6,
        width=48,
        layers=4,
        heads=4,
        queries=16,
        embed=64,
        fusion=((0, 0), (2, 1), (4, 2)),
        split=4,
    )
    left = "clip."
    recipe = recipes.SAN

    def _build(self, clip: Any, seed: int) -> None:
        config = self.config
        visual = clip.visual
        blocks = getattr(getattr(visual, "transformer", None), "resblocks", None)
        if blocks is None or not isinstance(getattr(blocks[0], "attn", None), nn.MultiheadAttention):
            raise TypeError(f"clip must have a ViT as its image tower for SAN, got {type(visual).__name__}")
        if len(blocks) <= config.split:
            raise ValueError(f"split must leave layers of CLIP's {len(blocks)} for the proposals, got {config.split}")
        if config.clip_size % (patch := int(visual.conv1.kernel_size[0])):
            raise ValueError(f"clip_size must be a multiple of CLIP's patches of {patch}, got {config.clip_size}")
        self.clip = clip.requires_grad_(False)
        self.positions = nn.Parameter(visual.positional_embedding.detach().clone())
        self.heads = int(blocks[0].attn.num_heads)
        device = clip.logit_scale.device
        with drawn((seed, 0x5A2), device):
            self.adapter = SideAdapter(config, visual.conv1.out_channels)
            self.proposals = Proposals(config.width, config.embed, self.heads)
        self.to(device)

    def forward(self, pixels: Tensor, ids: Tensor, ends: Tensor) -> Tensor:
        """Return logits (n, size / patch, size / patch), as `TextNet` says."""
        masks, classes = self.propose(pixels)
        with torch.no_grad():
            sentence = encoded(self.clip, ids, ends)[1]
        alike = torch.einsum("nqd,nd->nq", F.normalize(classes, dim=-1), F.normalize(sentence, dim=-1))
        weight = (self.clip.logit_scale.exp() * alike).softmax(dim=1)
        return torch.einsum("nq,nqhw->nhw", weight, masks)

    def propose(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """Return the proposals' logits (n, N, h, w), and CLIP's embedding of each (n, N, d)."""
        features = self.image(pixels)
        masks, bias = self.proposals(*self.adapter(pixels, features))
        x = features[self.config.split]
        side = self.config.clip_size // self.clip.visual.conv1.kernel_size[0]
        bias = F.adaptive_max_pool2d(bias.flatten(0, 1), (side, side)).unflatten(0, bias.shape[:2])
        last = self.clip.visual.transformer.resblocks[self.config.split :]
        return masks, recognised(self.clip.visual, x, bias, last)

    def image(self, pixels: Tensor) -> dict[int, Tensor]:
        """Return CLIP's tokens (n, 1 + g * g, c) after each of its layers up to `SANConfig.split`; 0 is before all."""
        visual = self.clip.visual
        x = visual.conv1(resized(pixels, self.config.clip_size))
        grid = (x.shape[2], x.shape[3])
        x = x.flatten(2).transpose(1, 2)
        x = torch.cat([visual.class_embedding.expand(len(x), 1, -1).to(x.dtype), x], dim=1)
        x = visual.ln_pre(x + grid_positions(self.positions, grid).to(x.dtype))
        features = {0: x}
        for i, block in enumerate(visual.transformer.resblocks[: self.config.split], 1):
            features[i] = x = through(block, x)
        return features

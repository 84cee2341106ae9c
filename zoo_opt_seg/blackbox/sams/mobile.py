"""MobileSAM [1]_: SAM with timm's TinyViT [2]_ as its image encoder, and the names of the official weights.

References
----------
.. [1] Zhang et al. Faster Segment Anything: towards lightweight SAM for mobile applications. arXiv 2306.14289.
.. [2] Wu et al. TinyViT: fast pretraining distillation for small vision transformers. ECCV 2022.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from torch import Tensor, nn

if TYPE_CHECKING:
    from segment_anything.modeling import Sam

PATCH, CHANNELS = 16, 256  # pixels per side of an embedding, and its length
UNUSED = ("image_encoder.norm_head.", "image_encoder.head.")  # a classifier of ImageNet's classes
RENAMED: tuple[tuple[str, Any], ...] = (  # from the official names to those of `TinyVitEncoder`
    (r"^layers\.(\d)\.downsample\.", lambda found: f"stages.{int(found[1]) + 1}.downsample."),  # timm begins with it
    (r"^layers\.", "stages."),
    (r"^patch_embed\.seq\.0\.", "patch_embed.conv1."),
    (r"^patch_embed\.seq\.2\.", "patch_embed.conv2."),
    (r"\.c\.weight$", ".conv.weight"),
    (r"^(?!neck\.)", "body."),
)


class TinyVitEncoder(nn.Module):
    """MobileSAM's image encoder with random weights: TinyViT-5M, whose last stage does not halve the size, and a neck.

    Parameters
    ----------
    size : int
        Side in pixels of the images, a multiple of 16.
    """

    def __init__(self, size: int = 1024) -> None:
        from segment_anything.modeling.common import LayerNorm2d
        from timm.models.tiny_vit import TinyVit

        super().__init__()
        self.img_size = size
        shape: dict[str, Any] = {"embed_dims": (64, 128, 160, 320), "depths": (2, 2, 6, 2), "num_heads": (2, 4, 5, 10)}
        body: Any = TinyVit(**shape, window_sizes=(7, 7, 14, 7), drop_path_rate=0.0)
        body.head = nn.Identity()
        body.stages[-1].downsample.conv2.conv.stride = (1, 1)
        self.body = body
        self.neck = nn.Sequential(
            nn.Conv2d(320, CHANNELS, 1, bias=False),
            LayerNorm2d(CHANNELS),
            nn.Conv2d(CHANNELS, CHANNELS, 3, padding=1, bias=False),
            LayerNorm2d(CHANNELS),
        )

    def forward(self, pixels: Tensor) -> Tensor:
        """Return embeddings (n, 256, size / 16, size / 16) of images (n, 3, size, size)."""
        features: Tensor = self.neck(self.body.forward_features(pixels))
        for module in self.body.modules():  # what timm keeps here has no gradient, and is stale once weights change
            if isinstance(kept := getattr(module, "attention_bias_cache", None), dict):
                kept.clear()
        return features


def build_mobile_sam(size: int = 1024) -> Sam:
    """MobileSAM with random weights, drawn from torch's global generator; in training mode.

    Parameters
    ----------
    size : int
        Side in pixels of the images; the official weights are of 1,024.
    """
    from segment_anything.modeling import MaskDecoder, PromptEncoder, Sam, TwoWayTransformer

    grid = (size // PATCH, size // PATCH)
    return Sam(
        image_encoder=TinyVitEncoder(size),
        prompt_encoder=PromptEncoder(CHANNELS, grid, (size, size), mask_in_chans=16),
        mask_decoder=MaskDecoder(
            transformer_dim=CHANNELS,
            transformer=TwoWayTransformer(depth=2, embedding_dim=CHANNELS, num_heads=8, mlp_dim=2048),
        ),
    )


def from_official(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return weights with the names of the official ``mobile_sam.pt`` under those of `build_mobile_sam`."""
    return {_renamed(name): value for name, value in state.items() if not name.startswith(UNUSED)}


def _renamed(name: str) -> str:
    part, _, rest = name.partition(".")
    if part != "image_encoder":
        return name
    for pattern, ours in RENAMED:
        rest = re.sub(pattern, ours, rest)
    return f"{part}.{rest}"

"""How images go into a SAM and its logits come back to their size: as SAM's own predictor does it, or as MedSAM's."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from zoo_opt.core.errors import one_of
from zoo_opt_seg.blackbox.protocol import Array


class SamInput:
    """As `SamPredictor`: the longer side as long as the model's, SAM's mean and standard deviation, padded with zeros.

    Parameters
    ----------
    sam : segment_anything.modeling.Sam
    """

    def __init__(self, sam: Any) -> None:
        self.sam, self.side = sam, int(sam.image_encoder.img_size)

    def size(self, size: tuple[int, ...]) -> tuple[int, int]:
        """Return the height and width that an image of this size is resized to, rounded as SAM does."""
        return longest_side(size, self.side)

    def resized_bytes(self, images: Array) -> Array:
        """Return images, uint8 (n, H, W, 3), resized by Pillow."""
        height, width = self.size(images.shape[1:3])
        if (height, width) == images.shape[1:3]:
            return images
        from PIL import Image

        whole, how = map(Image.fromarray, images), Image.Resampling.BILINEAR
        return np.stack([np.asarray(image.resize((width, height), how)) for image in whole])

    def resized(self, pixels: Tensor) -> Tensor:
        """Return images (n, 3, H, W), floats in 0..255, resized in floating point."""
        target = self.size(tuple(pixels.shape[2:]))
        if target == tuple(pixels.shape[2:]):
            return pixels
        return F.interpolate(pixels, target, mode="bilinear", align_corners=False, antialias=True)

    def normalised(self, pixels: Tensor) -> Tensor:
        """Return what the image encoder takes, (n, 3, side, side), of resized images in 0..255."""
        if self.sam.image_format != "RGB":
            pixels = pixels.flip(1)
        prepared: Tensor = self.sam.preprocess(pixels)
        return prepared

    def upscaled(self, low: Tensor, size: tuple[int, ...]) -> Tensor:
        """Return logits (n, h, w) of the decoder at the image's size, (n, H, W)."""
        if tuple(size) == (self.side, self.side):  # nothing was padded or resized
            return F.interpolate(low[:, None], size, mode="bilinear", align_corners=False)[:, 0]
        large: Tensor = self.sam.postprocess_masks(low[:, None], self.size(size), tuple(size))
        return large[:, 0]


class MedSamInput(SamInput):
    """As the inference of MedSAM [1]_: stretched to a square, each image's own range to [0, 1], probabilities resized.

    References
    ----------
    .. [1] Ma et al. Segment anything in medical images. Nature Communications 15, 2024. Its MedSAM_Inference.py.
    """

    def size(self, size: tuple[int, ...]) -> tuple[int, int]:
        """Return the model's square."""
        return self.side, self.side

    def resized_bytes(self, images: Array) -> Array:
        """Return images, uint8 (n, H, W, 3), resized bicubically and cut off, not rounded, as the release does."""
        pixels = torch.from_numpy(np.ascontiguousarray(np.moveaxis(images, 3, 1))).float()
        return np.moveaxis(self.resized(pixels).numpy().astype(np.uint8), 1, 3)

    def resized(self, pixels: Tensor) -> Tensor:
        """Return images (n, 3, H, W) resized bicubically, no brighter or darker than before."""
        if tuple(pixels.shape[2:]) == (self.side, self.side):
            return pixels
        low, high = pixels.amin((1, 2, 3), keepdim=True), pixels.amax((1, 2, 3), keepdim=True)
        large = F.interpolate(pixels, self.size(()), mode="bicubic", align_corners=False, antialias=True)
        return torch.minimum(torch.maximum(large, low), high)

    def normalised(self, pixels: Tensor) -> Tensor:
        """Return images (n, 3, side, side) in [0, 1], the darkest value of each 0 and the brightest 1."""
        low, high = pixels.amin((1, 2, 3), keepdim=True), pixels.amax((1, 2, 3), keepdim=True)
        return (pixels - low) / (high - low).clamp(min=1e-8)

    def upscaled(self, low: Tensor, size: tuple[int, ...]) -> Tensor:
        """Return the logits of the resized probabilities."""
        large = F.interpolate(low.sigmoid()[:, None], tuple(size), mode="bilinear", align_corners=False)[:, 0]
        return large.logit(eps=1e-6)


INPUTS = {"sam": SamInput, "medsam": MedSamInput}


def input_of(kind: str, sam: Any) -> SamInput:
    """Return the preparation of a kind, ``"sam"`` or ``"medsam"``, for a model.

    Raises
    ------
    ValueError
        If there is no such kind.
    """
    return INPUTS[one_of("prepared", kind, INPUTS)](sam)


def longest_side(size: tuple[int, ...], longest: int) -> tuple[int, int]:
    """Return height and width with the longer side ``longest``, rounded as SAM does, but never to nothing."""
    scale = longest * 1.0 / max(size[0], size[1])
    return max(1, int(size[0] * scale + 0.5)), max(1, int(size[1] * scale + 0.5))

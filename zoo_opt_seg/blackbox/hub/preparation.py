"""What the image processors of transformers do to an image: resized, normalised, padded where its shape is kept."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from zoo_opt_seg.blackbox.protocol import Array
from zoo_opt_seg.blackbox.sams.inputs import longest_side
from zoo_opt_seg.blackbox.wrappers import to_bytes
from zoo_opt_seg.embedded.clipseg import MEAN, STD


class Preparation(NamedTuple):
    """What is done to an image before a model sees it.

    Parameters
    ----------
    size : (int, int)
        Height and width in pixels of what the model takes.
    mean, std : tuple of 3 floats
        Of R, G, B in [0, 1].
    kept : bool
        Whether an image keeps its shape: the longer side as long as the model's, zeros below or to the right; else it
        is stretched.
    """

    size: tuple[int, int]
    mean: tuple[float, ...] = MEAN
    std: tuple[float, ...] = STD
    kept: bool = False

    def fitted(self, size: tuple[int, ...]) -> tuple[int, int]:
        """Return the height and width that an image of this size is resized to."""
        return longest_side(size, max(self.size)) if self.kept else self.size

    def inputs(self, images: Array, quantize: bool, device: torch.device) -> Tensor:
        """Return what the model takes, (n, 3, h, w), of images (n, H, W, 3); floats are resized in 8 bits if told."""
        if quantize:
            images = to_bytes(images)
        pixels = torch.from_numpy(np.ascontiguousarray(np.moveaxis(images, 3, 1)))
        if images.dtype != np.uint8:
            return self.normalised(self.resized(pixels.to(device) * 255.0))
        return self.normalised(self.resized(pixels).to(device, torch.float32))  # resized in 8 bits, on the CPU

    def resized(self, pixels: Tensor) -> Tensor:
        """Return images (n, 3, H, W), bytes or floats in 0..255, resized bilinearly with antialiasing."""
        size = self.fitted(tuple(pixels.shape[2:]))
        if tuple(pixels.shape[2:]) == size:
            return pixels
        from torchvision.transforms.v2 import functional as transforms

        resized: Tensor = transforms.resize(pixels, list(size), antialias=True)
        return resized

    def normalised(self, pixels: Tensor) -> Tensor:
        """Return resized images in 0..255 normalised, and padded to the model's size."""
        mean, std = (255.0 * torch.tensor(v, device=pixels.device).view(3, 1, 1) for v in (self.mean, self.std))
        (height, width), (h, w) = self.size, pixels.shape[2:]
        return F.pad((pixels - mean) / std, (0, width - w, 0, height - h))

    def upscaled(self, low: Tensor, size: tuple[int, ...]) -> Tensor:
        """Return logits (n, h, w) of the model's square at the size (H, W) of the images."""
        large = low[:, None]
        if self.kept:
            height, width = self.fitted(size)
            large = F.interpolate(large, self.size, mode="bilinear", align_corners=False)[..., :height, :width]
        if tuple(large.shape[2:]) != tuple(size):
            large = F.interpolate(large, tuple(size), mode="bilinear", align_corners=False)
        return large[:, 0]

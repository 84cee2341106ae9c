"""The network of a refiner: image, prompt and answer in, the logit of the object out."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from zoo_opt.core.errors import integer, positive
from zoo_opt_seg.prompts import BACKGROUND, OBJECT, Array, Prompts

REACH = 4.0  # of a logit or a signed distance, beyond which the answer's certainty says no more; chosen
ROWS = 32  # images whose layers are held at full size at a time


@dataclass(frozen=True, kw_only=True)
class RefinerConfig:
    """What a refiner's network is made of.

    Parameters
    ----------
    channels : tuple of int
        Of the U-Net's levels, each half as large as the one before.
    sigma : float
        Width of a point's bump, in shares of the image's side.
    hard : bool
        Whether the answers are masks, not probabilities.
    side : int
        Pixels of the longer side at which the network works, at most. Larger images are shrunk for it, and its
        correction is enlarged; what takes a second at 128 takes 16 at 512.
    """

    channels: tuple[int, ...] = (16, 24, 32, 48)
    sigma: float = 0.04
    hard: bool = False
    side: int = 128

    def __post_init__(self) -> None:
        object.__setattr__(self, "channels", tuple(integer("channels", c, 4) for c in self.channels))
        positive("sigma", self.sigma)
        integer("side", self.side, 16)


class RefinerNet(nn.Module):
    """A U-Net (MONAI's) over image, prompt and answer; what it gives is added to the answer's own logit.

    The added part is 0 at the start: an untrained refiner changes nothing.
    """

    def __init__(self, config: RefinerConfig) -> None:
        from monai.networks.nets.unet import UNet

        super().__init__()
        self.config = config
        self.unet = UNet(
            spatial_dims=2,
            in_channels=3 + 3 + 1,
            out_channels=config.channels[0],
            channels=config.channels,
            strides=(2,) * (len(config.channels) - 1),
            num_res_units=2,
            act="GELU",
            norm=("GROUP", {"num_groups": 4}),
        )
        self.head = nn.Conv2d(config.channels[0], 1, 1)
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)  # type: ignore[arg-type]
        self.trust = nn.Parameter(torch.ones(()))  # in the answer's logit

    def forward(self, images: Tensor, guides: Tensor, evidence: Tensor) -> Tensor:
        """Return logits (n, H, W).

        Parameters
        ----------
        images : Tensor, shape (n, 3, H, W)
            In [0, 1].
        guides : Tensor, shape (n, 3, H, W)
            See `guides_of`.
        evidence : Tensor, shape (n, 1, H, W)
            See `evidence_of`.
        """
        height, width = images.shape[-2:]
        whole = 2 ** (len(self.config.channels) - 1)  # pixels for one of the lowest level
        layers = torch.cat([2 * images - 1, guides, evidence / REACH], dim=1)
        layers = F.pad(layers, (0, -width % whole, 0, -height % whole), mode="replicate")
        change: Tensor = self.head(self.unet(layers))[..., :height, :width]
        return (change + self.trust * evidence)[:, 0]


def shrunk(layers: Tensor, side: int) -> Tensor:
    """Return images (n, c, H, W) whose longer side is ``side`` at most, a pixel the mean of those that it covers."""
    longer = max(layers.shape[-2:])
    if longer <= side:
        return layers
    size = [max(1, round(pixels * side / longer)) for pixels in layers.shape[-2:]]
    return F.interpolate(layers, size, mode="area")


def guides_of(prompts: Prompts, size: tuple[int, int], sigma: float) -> Array:
    """Return prompts as images, float32 (n, 3, H, W): bumps at the object's points and at the background's, and boxes.

    Parameters
    ----------
    prompts : Prompts
    size : (int, int)
        Height and width.
    sigma : float
        Of a bump, in shares of the longer side.
    """
    n, (height, width) = len(prompts), size
    guides = np.zeros((n, 3, height, width), np.float32)
    if prompts.points is not None and prompts.labels is not None:
        for row, (points, labels) in enumerate(zip(prompts.points, prompts.labels, strict=True)):
            for (px, py), label in zip(points, labels, strict=True):
                for channel, kind in enumerate((OBJECT, BACKGROUND)):
                    if label == kind:
                        np.maximum(guides[row, channel], bump(px, py, size, sigma), out=guides[row, channel])
    y, x = np.arange(height, dtype=np.float32)[:, None], np.arange(width, dtype=np.float32)
    if prompts.boxes is not None:
        for row, (x0, y0, x1, y1) in enumerate(prompts.boxes):  # NaN, no box, is nowhere
            guides[row, 2] = ((x >= x0) & (x <= x1)) * ((y >= y0) & (y <= y1))
    return guides


def bump(px: float, py: float, size: tuple[int, int], sigma: float) -> Array:
    """Return the image of one point, float32 (H, W); see `guides_of`."""
    y, x = np.arange(size[0], dtype=np.float32)[:, None], np.arange(size[1], dtype=np.float32)
    scale = np.float32(-0.5 / (sigma * max(size)) ** 2)
    made: Array = np.exp(scale * (y - np.float32(py)) ** 2) * np.exp(scale * (x - np.float32(px)) ** 2)
    return made


def evidence_of(answers: Array) -> Array:
    """Return answers as logits, float32 (n, 1, H, W) in [-4, 4].

    Of a hard mask, which has none, it is the distance to its border in 1/64 of the longer side, positive inside: near
    the border a mask is least certain.
    """
    if answers.dtype != np.bool_:
        p = answers.astype(np.float32)
        with np.errstate(divide="ignore"):
            return np.clip(np.log(p) - np.log1p(-p), -REACH, REACH)[:, None]
    from scipy.ndimage import distance_transform_edt

    unit = max(answers.shape[1:]) / 64
    evidence = np.empty((len(answers), 1, *answers.shape[1:]), np.float32)
    for mask, distance in zip(answers, evidence[:, 0], strict=True):
        if mask.any() and not mask.all():
            distance[:] = np.clip((distance_transform_edt(mask) - distance_transform_edt(~mask)) / unit, -REACH, REACH)
        else:  # there is no border
            distance[:] = REACH if mask.all() else -REACH
    return evidence

"""Filter prompt: every pixel's new colour is a linear map of the image, its blurs, and further maps."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from zoo_opt_seg.prompts import Array, Prompts
from zoo_opt_seg.visual_prompts import maps
from zoo_opt_seg.visual_prompts.adjustments import ADJUSTMENTS
from zoo_opt_seg.visual_prompts.base import Context, VisualPrompt

CLASSIC = ("image", "blur", "constant")
BLURS = (2.0, 6.0)


class FilterPrompt(VisualPrompt):
    """x' = clip(x + A f(x, point)), A in R^(3 x F) from zero, the same for all images.

    With the standard groups f = [x - .5, blur2(x) - .5, blur6(x) - .5, .5] and there are 30 parameters: a colour
    matrix, a sharpening or softening at two scales, and a brightness. More groups of feature maps make it follow the
    point, the contrast or the place in the image; ``"all"`` has 147 parameters.

    Parameters
    ----------
    size : int
        Side of the images in pixels.
    groups : sequence of str, or "all"
        Keys of `zoo_opt_seg.visual_prompts.maps.GROUPS`, in the order of A's columns.
    blurs : sequence of float
        Standard deviations of the group ``"blur"``, in pixels at a size of 96 (they grow with the size).
    """

    name = "filter"

    def __init__(self, size: int, *, groups: Sequence[str] | str = CLASSIC, blurs: Sequence[float] = BLURS) -> None:
        super().__init__(size)
        self.groups = maps.checked_groups(groups if isinstance(groups, str) else tuple(groups))
        self.blurs = maps.checked_blurs(tuple(blurs))
        self.features = maps.count(self.groups, self.blurs)

    @property
    def dim(self) -> int:
        """3 F."""
        return 3 * self.features

    def starts(self, seed: int = 0) -> Array:
        """With the standard groups and blurs, the common `ADJUSTMENTS` of an image."""
        if (self.groups, self.blurs) != (CLASSIC, BLURS):
            return super().starts(seed)
        return np.stack([A.ravel() for A in ADJUSTMENTS.values()]).astype(np.float32)

    def forward(self, x: Tensor, context: Context) -> Tensor:
        """Return clip(x + A f, 0, 1)."""
        A = x.view(3, self.features)
        change = torch.matmul(A, context.features["maps"])  # (n, 3, pixels)
        return (context.images + change.view_as(context.images)).clamp(0.0, 1.0)

    def _context(self, pixels: Tensor, images: Array, prompts: Prompts) -> Context:
        f = maps.feature_maps(self.groups, pixels, prompts, self.blurs)
        return Context(pixels, {"maps": f.flatten(2).contiguous()})

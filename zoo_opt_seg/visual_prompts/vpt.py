"""Visual prompt: one change of the pixels, the same for every image."""

from __future__ import annotations

import torch
from torch import Tensor

from zoo_opt.core.errors import integer
from zoo_opt_seg.visual_prompts.base import Context, VisualPrompt


class VPT(VisualPrompt):
    """x' = clip(x + v): v added to all images alike, over the full image or in a frame along its border.

    The full image is what BAPS compares with as VPT, 3 H W numbers from zero; the padded frame is that of Bahng et al.,
    30 of 224 pixels wide there.

    Parameters
    ----------
    size : int
        Side of the images in pixels.
    kind : {"full", "frame"}
    frame : int, optional
        Width of the frame in pixels; by default 30 / 224 of the size.

    References
    ----------
    Paranjape, Sikder, Vedula, Patel. Black-box adaptation of SAM for medical image segmentation. MICCAI 2024.
    Bahng, Jahanian, Sankaranarayanan, Isola. Exploring visual prompts for adapting large-scale models. 2022.
    """

    name = "vpt"

    def __init__(self, size: int, *, kind: str = "full", frame: int | None = None) -> None:
        super().__init__(size)
        if kind not in ("full", "frame"):
            raise ValueError(f"kind must be 'full' or 'frame', got {kind!r}")
        if kind == "full" and frame is not None:
            raise ValueError(f"frame needs kind='frame', got {frame!r} with kind='full'")
        self.kind, self.frame = kind, None
        inside = torch.zeros(self.size, self.size, dtype=torch.bool)
        if kind == "frame":
            width = max(1, round(self.size * 30 / 224)) if frame is None else integer("frame", frame, 1)
            if 2 * width >= self.size:
                raise ValueError(f"frame must be less than half of size {self.size}, got {width}")
            self.frame = width
            inside[width : self.size - width, width : self.size - width] = True
        self._where = (~inside).flatten().nonzero().squeeze(1)

    @property
    def dim(self) -> int:
        """3 values for each pixel of the image or frame."""
        return 3 * len(self._where)

    def forward(self, x: Tensor, context: Context) -> Tensor:
        """Return clip(x + v, 0, 1)."""
        v = x.view(3, -1)
        if self.kind == "frame":
            whole = v.new_zeros(3, self.size * self.size)
            v = whole.index_copy(1, self._where.to(x.device), v)
        return (context.images + v.view(3, self.size, self.size)).clamp(0.0, 1.0)

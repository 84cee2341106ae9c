"""Black-box adversarial reprogramming: the image in the middle of a frame of free colours."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from zoo_opt.core.errors import integer
from zoo_opt_seg.prompts import Array, Prompts
from zoo_opt_seg.visual_prompts.base import Context, Masks, VisualPrompt


class BAR(VisualPrompt):
    """x' = the image shrunk into the middle of the frame + sigmoid(W) * M, M = 1 around it (Tsai et al. 2020).

    W ~ N(0, 1) has an entry for every value of the frame, those under the image included; all are searched. Points
    and boxes are moved along with the image, and the mask is cut out and enlarged again. The start is not the
    zero-shot model: the image is smaller and its surroundings are random.

    Parameters
    ----------
    size : int
        Side of the frame in pixels, which is also that of the images given.
    inner : int, optional
        Side of the shrunk image; by default three quarters of the size. (The released configuration of BlackVIP puts
        64 pixels into 224, for classification; too few to segment.)

    References
    ----------
    Tsai, Chen, Ho. Transfer learning without knowing: reprogramming black-box machine learning models with
    scarce data and limited resources. ICML 2020.
    """

    name = "bar"

    def __init__(self, size: int, *, inner: int | None = None) -> None:
        super().__init__(size)
        self.inner = 3 * self.size // 4 if inner is None else integer("inner", inner, 4)
        if self.inner >= self.size:
            raise ValueError(f"inner must be less than size {self.size}, got {self.inner}")
        self._start = (self.size - self.inner) // 2
        self._place = slice(self._start, self._start + self.inner)
        self._mask = torch.ones(3, self.size, self.size)
        self._mask[:, self._place, self._place] = 0.0

    @property
    def dim(self) -> int:
        """3 size^2."""
        return 3 * self.size**2

    def x0(self, seed: int = 0) -> Array:
        """Return W ~ N(0, 1)."""
        return np.random.default_rng([seed, 0xBA]).standard_normal(self.dim, np.float32)

    def forward(self, x: Tensor, context: Context) -> Tensor:
        """Return X + sigmoid(W) * M."""
        W = x.view(3, self.size, self.size)
        return context.images + torch.sigmoid(W) * self._mask.to(x.device)

    def prompts(self, prompts: Prompts) -> Prompts:
        """Return the prompts moved into the frame; pixel centres stay on their spot of the image.

        Raises
        ------
        ValueError
            For mask prompts.
        """
        scale = self.inner / self.size
        return prompts.moved(lambda xy: (xy + 0.5) * scale + self._start - 0.5)

    def restore(self, probabilities: Masks, x: Array | Tensor, context: Context) -> Masks:
        """Return the part under the image, enlarged to the image's size; bool masks stay bool."""
        if isinstance(probabilities, np.ndarray):
            return self.restore(torch.from_numpy(np.ascontiguousarray(probabilities)), x, context).numpy()
        inner = probabilities[:, None, self._place, self._place]
        hard = inner.dtype == torch.bool
        side = (self.size, self.size)
        whole = F.interpolate(inner.float() if hard else inner, side, mode="bilinear", align_corners=False)[:, 0]
        return whole >= 0.5 if hard else whole.clamp(0.0, 1.0)

    def _context(self, pixels: Tensor, images: Array, prompts: Prompts) -> Context:
        side = (self.inner, self.inner)
        framed = torch.zeros_like(pixels)
        framed[:, :, self._place, self._place] = F.interpolate(
            pixels, side, mode="bilinear", align_corners=False, antialias=True
        ).clamp_(0.0, 1.0)
        return Context(framed)

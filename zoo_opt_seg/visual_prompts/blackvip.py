"""BlackVIP's coordinator: an image's features and one trained vector, decoded into a residual image."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from zoo_opt.core.errors import integer, positive
from zoo_opt_seg.features.encoders import Encoder, make_encoder
from zoo_opt_seg.features.fixed_random import uniform
from zoo_opt_seg.prompts import Array, Prompts
from zoo_opt_seg.visual_prompts.base import Context, VisualPrompt
from zoo_opt_seg.visual_prompts.decoder import Decoder, Layout, checked_grid


class BlackVIP(VisualPrompt):
    """x' = clip(x + p_eps * decoder(CLS(x), trigger)), the coordinator of BlackVIP.

    The CLS vector of a frozen encoder and a trained vector, the trigger, are laid end to end and read as channels of a
    grid of side size / 32. At 224 px with a CLS vector of 768 the trigger has 800 numbers, the grid is 32 x 7 x 7, and
    there are 9,920 parameters. The point has no influence on the prompt.

    The released decoder has batch normalisation, by which an image's prompt depends on the rest of its batch. Here it
    is layer normalisation over the channels, with as many parameters.

    Parameters
    ----------
    size : int
        Side of the images in pixels, a multiple of 32.
    encoder : Encoder or str or mapping
        Frozen; a name, or what `make_encoder` takes.
    channels : int, optional
        Of the grid; by default the smallest multiple of 32 that leaves the trigger a number.
    p_eps : float
        Pixel values, of [0, 1], that an output of 1 adds; released: 1.
    zero_output : bool
        Start from a last layer of zeros, which is the zero-shot image. Released: False, torch's default start.

    References
    ----------
    Oh, Hwang, Lee, et al. BlackVIP: black-box visual prompting for robust transfer learning. CVPR 2023.
    """

    name = "blackvip"

    def __init__(
        self,
        size: int,
        *,
        encoder: Encoder | str | Mapping[str, Any] = "tiny",
        channels: int | None = None,
        p_eps: float = 1.0,
        zero_output: bool = False,
    ) -> None:
        super().__init__(size)
        self.encoder = make_encoder(encoder)
        self.p_eps, self.zero_output = positive("p_eps", p_eps), bool(zero_output)
        self.grid = checked_grid(self.size)
        cells = self.grid**2
        if channels is None:
            channels = 32 * math.ceil((self.encoder.dim + 1) / (32 * cells))
        self.channels = integer("channels", channels, 1)
        trigger = self.channels * cells - self.encoder.dim
        if trigger < 1:
            raise ValueError(
                f"channels * {cells} at {self.size} px must be more than {self.encoder.dim} of the encoder, "
                f"got channels {self.channels}"
            )
        self.decoder = Decoder(self.channels, depthwise=True)
        self._layout = Layout({"trigger": (trigger,), **self.decoder.shapes})

    @property
    def dim(self) -> int:
        """Number of trained parameters."""
        return self._layout.dim

    def x0(self, seed: int = 0) -> Array:
        """Return torch's default start and a trigger uniform in [0, 0.1], of ``seed``."""
        values = self.decoder.start(seed)
        values["trigger"] = uniform(seed, 100, self._layout.shapes["trigger"], 0.0, 0.1)
        if self.zero_output:
            values["last.weight"] = np.zeros_like(values["last.weight"])
        return self._layout.join(values)

    def forward(self, x: Tensor, context: Context) -> Tensor:
        """Return clip(x + p_eps * h, 0, 1)."""
        p = self._layout.split(x)
        cls = context.features["cls"]
        z = torch.cat([cls, p["trigger"].expand(len(cls), -1)], dim=1)
        h = self.decoder.last(self.decoder.hidden(z.reshape(len(z), -1, self.grid, self.grid), p), p)
        return torch.add(context.images, h, alpha=self.p_eps).clamp(0.0, 1.0)

    def _context(self, pixels: Tensor, images: Array, prompts: Prompts) -> Context:
        return Context(pixels, {"cls": torch.from_numpy(self.encoder(images))})

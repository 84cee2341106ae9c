"""BAPS: the image-prompt decoder, an image and a point or a text to a residual image."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from zoo_opt.core.errors import integer, positive
from zoo_opt_seg.features.encoders import Encoder, make_encoder
from zoo_opt_seg.features.fixed_random import uniform
from zoo_opt_seg.features.point_embedding import PointEmbedding, spots
from zoo_opt_seg.features.text_encoders import TextEncoder, make_text_encoder, text_features
from zoo_opt_seg.prompts import Array, Prompts
from zoo_opt_seg.visual_prompts.base import Context, VisualPrompt
from zoo_opt_seg.visual_prompts.decoder import WIDTHS, Decoder, Layout, checked_grid

_LAST = ("last.weight", "last.bias")


class IPDecoder(VisualPrompt):
    """x' = clip(x + scale * decoder(CLS(x), point)), the image-prompt generator of BAPS.

    The CLS vector of a frozen encoder, and GELU(LayerNorm(Linear(point embedding))), are laid end to end and read as
    channels of a grid of side size / 32, which five deconvolutions of stride 2 turn into a residual image. With several
    points, or the corners of a box, it is the mean of the residual images; without any, the embedding is zero, which
    leaves the point's branch a trained constant. With ``text``, for a black box that is prompted by text, the embedding
    is that of the text, normalised to mean 0 and variance 1.

    At 512 px with a CLS vector of 768, ``prompt_in=256`` and ``prompt_out=256`` there are 4 channels on a 16 x 16 grid
    and 100,403 parameters: 66,304 of the point's branch and 34,099 of the decoder.

    Parameters
    ----------
    size : int
        Side of the images in pixels, a multiple of 32.
    encoder : Encoder or str or mapping
        Frozen; a name, or what `make_encoder` takes.
    trained : {"all", "last"}
        All parameters, or the last deconvolution alone (195 parameters; ``widths[3][1] * 12 + 3``). The rest is then
        frozen at random values, a function of ``seed``, and what comes before the last layer is part of the context.
    prompt_in : int
        Length of the point embedding; that of a text is its encoder's.
    prompt_out : int, optional
        Of the point's branch. By default the largest number up to 256 that fits the grid: CLS and this together must
        be a multiple of (size / 32)^2.
    widths : sequence of 4 pairs of int
        Channels after each deconvolution but the last, and after its 1x1.
    zero_output : bool
        Start from a last layer of zeros, which is the zero-shot image.
    scale : float
        Pixel values, of [0, 1], that an output of 1 adds. The released code adds to normalised images, which is about
        0.226.
    points : {"fourier", "sinusoidal"}
        Point embedding; see `PointEmbedding`.
    seed : int
        Of the embedding's matrix and of frozen parameters.
    text : TextEncoder or str or mapping, optional
        Frozen; a name, or what `make_text_encoder` takes. Instead of points.

    References
    ----------
    Paranjape, Sikder, Vedula, Patel. Black-box adaptation of SAM for medical image segmentation. MICCAI 2024.
    """

    name, optional = "baps", ("text",)

    def __init__(
        self,
        size: int,
        *,
        encoder: Encoder | str | Mapping[str, Any] = "tiny",
        trained: str = "all",
        prompt_in: int = 256,
        prompt_out: int | None = None,
        widths: Sequence[Sequence[int]] = WIDTHS,
        zero_output: bool = True,
        scale: float = 1.0,
        points: str = "fourier",
        seed: int = 0,
        text: TextEncoder | str | Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(size)
        if trained not in ("all", "last"):
            raise ValueError(f"trained must be 'all' or 'last', got {trained!r}")
        self.encoder = make_encoder(encoder)
        self.trained, self.zero_output = trained, bool(zero_output)
        self.scale, self.seed = positive("scale", scale), integer("seed", seed, 0)
        self.grid = checked_grid(self.size)
        cells = self.grid**2
        if prompt_out is None:
            prompt_out = 256 - (self.encoder.dim + 256) % cells
            prompt_out += cells if prompt_out < 1 else 0
        self.prompt_out = integer("prompt_out", prompt_out, 1)
        if (self.encoder.dim + self.prompt_out) % cells:
            raise ValueError(
                f"prompt_out + {self.encoder.dim} of the encoder must be a multiple of {cells} at {self.size} px, "
                f"got prompt_out {self.prompt_out}"
            )
        self.embedding = PointEmbedding(prompt_in, points, self.seed)
        self.prompt_in, self.points = self.embedding.dim, self.embedding.kind
        self.text = None if text is None else make_text_encoder(text)
        self._condition = self.embedding.dim if self.text is None else self.text.dim
        self.decoder = Decoder((self.encoder.dim + self.prompt_out) // cells, widths)
        self.widths = self.decoder.widths
        shapes = {
            "point.weight": (self.prompt_out, self._condition),
            "point.bias": (self.prompt_out,),
            "point_norm.weight": (self.prompt_out,),
            "point_norm.bias": (self.prompt_out,),
            **self.decoder.shapes,
        }
        if trained == "last":
            shapes = {name: shapes[name] for name in _LAST}
            self._frozen = {name: torch.from_numpy(value) for name, value in self._start(self.seed).items()}
        self._layout = Layout(shapes)

    @property
    def dim(self) -> int:
        """Number of trained parameters."""
        return self._layout.dim

    def x0(self, seed: int = 0) -> Array:
        """Return torch's default start, of ``seed``, and zeros in the last layer."""
        values = self._start(seed) if self.trained == "all" else self._start(self.seed)
        if self.zero_output:
            values |= {name: np.zeros_like(values[name]) for name in _LAST}
        return self._layout.join(values)

    def forward(self, x: Tensor, context: Context) -> Tensor:
        """Return clip(x + scale * residual, 0, 1)."""
        p = self._layout.split(x)
        hidden = context.features["hidden"] if self.trained == "last" else self._hidden(context.features, p)
        return torch.add(context.images, self.decoder.last(hidden, p), alpha=self.scale).clamp(0.0, 1.0)

    def arrays(self) -> dict[str, Array]:
        """Return the matrix of the point embedding."""
        return {"points": self.embedding.matrix} if self.text is None else {}

    def set_arrays(self, arrays: Mapping[str, Array]) -> None:
        """Take the matrix of the point embedding."""
        super().set_arrays(arrays)
        if self.text is None:
            self.embedding.matrix = np.asarray(arrays["points"], np.float32)

    def _context(self, pixels: Tensor, images: Array, prompts: Prompts) -> Context:
        if self.text is None:
            points, present = spots(prompts, corners=True)
            embedded = self.embedding(points, (self.size, self.size)) * present[..., None]
        else:
            embedded = text_features(self.text, prompts)[:, None]
            present = torch.ones(len(prompts), 1, dtype=torch.bool)
        features = {"cls": torch.from_numpy(self.encoder(images)), "points": embedded, "share": shares(present)}
        if self.trained == "last":
            features = {"hidden": self._hidden(features, self._frozen)}
        return Context(pixels, features)

    def _hidden(self, features: Mapping[str, Tensor], p: Mapping[str, Tensor]) -> Tensor:
        """Return the input of the last layer, averaged over the points; the layer is linear, so the image is too."""
        e = F.linear(features["points"], p["point.weight"], p["point.bias"])  # (n, k, prompt_out)
        e = F.gelu(F.layer_norm(e, (self.prompt_out,), p["point_norm.weight"], p["point_norm.bias"]))
        n, k = e.shape[:2]
        cls = features["cls"][:, None].expand(n, k, -1)
        z = torch.cat([cls, e], dim=2).reshape(n * k, -1, self.grid, self.grid)
        hidden = self.decoder.hidden(z, p)
        if k == 1:
            return hidden
        return torch.einsum("nkpc,nk->npc", hidden.reshape(n, k, *hidden.shape[1:]), features["share"])

    def _start(self, seed: int) -> dict[str, Array]:
        bound = 1.0 / math.sqrt(self._condition)
        ones = np.ones(self.prompt_out, np.float32)
        return {
            "point.weight": uniform(seed, 100, (self.prompt_out, self._condition), -bound, bound),
            "point.bias": uniform(seed, 101, (self.prompt_out,), -bound, bound),
            "point_norm.weight": ones,
            "point_norm.bias": 0.0 * ones,
            **self.decoder.start(seed),
        }


def shares(present: Tensor) -> Tensor:
    """Return each point's share (n, k) of the mean over the points there are; of all k where there are none."""
    there = present | ~present.any(dim=1, keepdim=True)
    return there / there.sum(dim=1, keepdim=True)

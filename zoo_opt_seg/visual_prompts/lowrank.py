"""Low-rank decoder: a few smooth images, weighted by linear functions of what is known of image and point or text."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from zoo_opt.core.errors import integer
from zoo_opt_seg.features.encoders import Encoder, make_encoder
from zoo_opt_seg.features.fixed_random import uniform
from zoo_opt_seg.features.text_encoders import TextEncoder, make_text_encoder, text_features
from zoo_opt_seg.prompts import Array, Prompts
from zoo_opt_seg.visual_prompts.base import Context, VisualPrompt
from zoo_opt_seg.visual_prompts.maps import FAR, MIDDLE, NEAR, MapInputs


class LowRank(VisualPrompt):
    """x' = clip(x + sum_b (W phi)_b B_b), a decoder with K basis images and P inputs, 3 K P parameters from zero.

    The basis images are the lowest cosine waves, ``waves`` in each direction, and, with ``bumps``, three Gaussians
    around the point. The inputs phi are what ``inputs`` names: 1, the point's place (2 numbers), the means and standard
    deviations of the three colours (6), ``rank`` fixed random projections of the encoder's vector, or of the text's.

    Parameters
    ----------
    size : int
        Side of the images in pixels.
    waves : int
        Cosine waves in each direction; waves^2 basis images.
    bumps : bool, optional
        Three more basis images, around the point; by default unless there is a text.
    inputs : sequence of {"constant", "point", "colour", "encoder", "text"}, optional
        By default constant and point, or constant and text where there is one.
    encoder : Encoder or str or mapping
        For the input ``"encoder"``; not loaded without it.
    rank : int
        Numbers of the inputs ``"encoder"`` and ``"text"``.
    seed : int
        Of the projections.
    text : TextEncoder or str or mapping, optional
        For a black box that is prompted by text; a name, or what `make_text_encoder` takes.
    """

    name, optional = "lowrank", ("text",)

    def __init__(
        self,
        size: int,
        *,
        waves: int = 3,
        bumps: bool | None = None,
        inputs: Sequence[str] | None = None,
        encoder: Encoder | str | Mapping[str, Any] | None = "tiny",
        rank: int = 4,
        seed: int = 0,
        text: TextEncoder | str | Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(size)
        self.waves, self.bumps = integer("waves", waves, 1), text is None if bumps is None else bool(bumps)
        if inputs is None:
            inputs = ("constant", "point" if text is None else "text")
        self.inputs = tuple(inputs)
        if isinstance(inputs, str) or not self.inputs or set(self.inputs) - set(INPUTS):
            raise ValueError(f"inputs must be some of {', '.join(INPUTS)}, got {inputs!r}")
        self.rank, self.seed = integer("rank", rank, 1), integer("seed", seed, 0)
        self.encoder = self._made("encoder", encoder, make_encoder)
        self.text = self._made("text", text, make_text_encoder)
        u = (torch.arange(self.size, dtype=torch.float64) + 0.5) / self.size
        wave = torch.cos(torch.pi * torch.arange(self.waves)[:, None] * u)
        self._basis = 0.5 * torch.einsum("iy,jx->ijyx", wave, wave).flatten(0, 1).flatten(1).float()
        counts = (INPUTS[name].numbers or self.rank for name in self.inputs)
        self._shape = (3, len(self._basis) + 3 * self.bumps, sum(counts))

    @property
    def dim(self) -> int:
        """3 K P."""
        channels, basis, inputs = self._shape
        return channels * basis * inputs

    def forward(self, x: Tensor, context: Context) -> Tensor:
        """Return clip(x + sum_b (W phi)_b B_b, 0, 1)."""
        W = x.view(self._shape)
        weight = torch.einsum("ckp,np->nck", W, context.features["phi"])
        fixed = len(self._basis)
        change = torch.matmul(weight[:, :, :fixed], self._basis.to(x.device))
        if self.bumps:
            change = change + torch.matmul(weight[:, :, fixed:], context.features["bumps"])
        return (context.images + change.view_as(context.images)).clamp(0.0, 1.0)

    def projection(self, name: str) -> Tensor:
        """The fixed random projection of the vectors that the encoder of an input gives, (encoder.dim, rank)."""
        dim = getattr(self, name).dim
        bound = (3.0 / dim) ** 0.5  # variance 1 of a projected vector of unit variance
        return torch.from_numpy(uniform(self.seed, _STREAMS[name], (dim, self.rank), -bound, bound))

    def _made(self, name: str, encoder: Any, make: Callable[[Any], Any]) -> Any:
        """The encoder of an input, None where this input is not asked for."""
        if name in self.inputs and encoder is None:
            raise ValueError(f"{name} must be given for the input {name!r}, got None")
        return make(encoder) if name in self.inputs else None

    def _context(self, pixels: Tensor, images: Array, prompts: Prompts) -> Context:
        views = MapInputs(pixels, prompts, ())
        phi = torch.cat([INPUTS[name].make(self, views, images, prompts) for name in self.inputs], dim=1)
        features = {"phi": phi}
        if self.bumps:
            features["bumps"] = 0.5 * torch.cat([views.around(s) for s in (NEAR, MIDDLE, FAR)], dim=1).flatten(2)
        return Context(pixels, features)


class Input(NamedTuple):
    """One kind of input: how many numbers (None: the rank of the prompt), and what makes them, shape (n, numbers)."""

    numbers: int | None
    make: Callable[[LowRank, MapInputs, Array, Prompts], Tensor]


def _constant(prompt: LowRank, views: MapInputs, images: Array, prompts: Prompts) -> Tensor:
    return torch.ones(len(images), 1)


def _point(prompt: LowRank, views: MapInputs, images: Array, prompts: Prompts) -> Tensor:
    points, present = views.points
    mean = (points * present[..., None]).sum(dim=1) / present.sum(dim=1, keepdim=True)
    return 2.0 * (mean + 0.5) / prompt.size - 1.0


def _colour(prompt: LowRank, views: MapInputs, images: Array, prompts: Prompts) -> Tensor:
    x = views.images.flatten(2)
    return torch.cat([x.mean(dim=2) - 0.5, x.std(dim=2) - 0.2], dim=1) * 4.0


def _encoder(prompt: LowRank, views: MapInputs, images: Array, prompts: Prompts) -> Tensor:
    cls = torch.from_numpy(prompt.encoder(images))
    return F.layer_norm(cls, cls.shape[1:]) @ prompt.projection("encoder")


def _text(prompt: LowRank, views: MapInputs, images: Array, prompts: Prompts) -> Tensor:
    return text_features(prompt.text, prompts) @ prompt.projection("text")


INPUTS = {
    "constant": Input(1, _constant),
    "point": Input(2, _point),
    "colour": Input(6, _colour),
    "encoder": Input(None, _encoder),
    "text": Input(None, _text),
}
_STREAMS = {"encoder": 102, "text": 103}  # of the seed

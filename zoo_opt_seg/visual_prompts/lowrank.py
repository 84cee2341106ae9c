"""Low-rank decoder: a few smooth images, weighted by linear functions of what is known of image and point or text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from zoo_opt.core.errors import integer
from zoo_opt_seg.features.encoders import Encoder, encoder_config, make_encoder
from zoo_opt_seg.features.fixed_random import uniform
from zoo_opt_seg.features.text_encoders import TextEncoder, make_text_encoder, text_features
from zoo_opt_seg.prompts import Array, Prompts
from zoo_opt_seg.visual_prompts.base import Context, VisualPrompt
from zoo_opt_seg.visual_prompts.maps import FAR, MIDDLE, NEAR, MapInputs

INPUTS = ("constant", "point", "colour", "encoder", "text")


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

    name = "lowrank"

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
        self.encoder: Encoder | None = None
        if "encoder" in self.inputs:
            if encoder is None:
                raise ValueError("encoder must be given for the input 'encoder', got None")
            self.encoder = make_encoder(encoder)
            self._matrix = self._projection(self.encoder.dim, 102)
        self.text: TextEncoder | None = None
        if "text" in self.inputs:
            if text is None:
                raise ValueError("text must be given for the input 'text', got None")
            self.text = make_text_encoder(text)
            self._text_matrix = self._projection(self.text.dim, 103)
        u = (torch.arange(self.size, dtype=torch.float64) + 0.5) / self.size
        wave = torch.cos(torch.pi * torch.arange(self.waves)[:, None] * u)
        self._basis = 0.5 * torch.einsum("iy,jx->ijyx", wave, wave).flatten(0, 1).flatten(1).float()
        self._shape = (3, len(self._basis) + 3 * self.bumps, sum(self._count(name) for name in self.inputs))

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

    def config(self) -> dict[str, Any]:
        """Return all settings; the encoder by its own, None where it is not used."""
        return {
            "size": self.size,
            "waves": self.waves,
            "bumps": self.bumps,
            "inputs": list(self.inputs),
            "encoder": None if self.encoder is None else encoder_config(self.encoder),
            "rank": self.rank,
            "seed": self.seed,
            **({} if self.text is None else {"text": encoder_config(self.text)}),
        }

    def _count(self, name: str) -> int:
        return {"constant": 1, "point": 2, "colour": 6, "encoder": self.rank, "text": self.rank}[name]

    def _projection(self, dim: int, stream: int) -> Tensor:
        bound = (3.0 / dim) ** 0.5  # variance 1 of a projected vector of unit variance
        return torch.from_numpy(uniform(self.seed, stream, (dim, self.rank), -bound, bound))

    def _context(self, pixels: Tensor, images: Array, prompts: Prompts) -> Context:
        views = MapInputs(pixels, prompts, ())
        phi = torch.cat([self._input(name, views, images, prompts) for name in self.inputs], dim=1)
        features = {"phi": phi}
        if self.bumps:
            features["bumps"] = 0.5 * torch.cat([views.around(s) for s in (NEAR, MIDDLE, FAR)], dim=1).flatten(2)
        return Context(pixels, features)

    def _input(self, name: str, views: MapInputs, images: Array, prompts: Prompts) -> Tensor:
        """Return an input (n, count)."""
        if name == "constant":
            return torch.ones(len(images), 1)
        if name == "point":
            points, present = views.points
            mean = (points * present[..., None]).sum(dim=1) / present.sum(dim=1, keepdim=True)
            return 2.0 * (mean + 0.5) / self.size - 1.0
        if name == "colour":
            x = views.images.flatten(2)
            return torch.cat([x.mean(dim=2) - 0.5, x.std(dim=2) - 0.2], dim=1) * 4.0
        if self.text is not None and name == "text":
            return text_features(self.text, prompts) @ self._text_matrix
        assert self.encoder is not None
        cls = torch.from_numpy(self.encoder(images))
        return F.layer_norm(cls, cls.shape[1:]) @ self._matrix

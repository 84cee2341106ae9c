"""Frozen text encoders: a text to the one vector that a visual prompt is conditioned on."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from zoo_opt.core.errors import one_of
from zoo_opt_seg.features.encoders import SOURCES, loading, open_clip_model, own
from zoo_opt_seg.prompts import Array, Prompts

TEXT_ENCODERS = ("tiny", "clip")
Tokenizer = Callable[[Sequence[str]], tuple[Tensor, Tensor]]
"""Texts to input_ids and attention_mask, both int64 (n, tokens)."""


@runtime_checkable
class TextEncoder(Protocol):
    """A text to a vector. Anything with these three will do.

    One that `make_text_encoder` cannot make again is to be handed to `load_prompt` as it was to the prompt.

    Attributes
    ----------
    name : str
    dim : int
        Length of the vector.
    """

    name: str
    dim: int

    def __call__(self, texts: Sequence[str]) -> Array:
        """Return vectors, float32 (n, dim), of n texts; each depends on its text alone."""


@dataclass
class EncodedTexts:
    """A differentiable embedding of texts behind `TextEncoder`.

    Parameters
    ----------
    name : str
    dim : int
    embed : callable
        Maps texts to a Tensor (n, dim).
    settings : mapping, optional
        Arguments by which `make_text_encoder` makes the encoder again.
    """

    name: str
    dim: int
    embed: Callable[[Sequence[str]], Tensor]
    settings: Mapping[str, Any] | None = None

    def __call__(self, texts: Sequence[str]) -> Array:
        """Return vectors, float32 (n, dim)."""
        with torch.no_grad():
            return np.asarray(self.embed(texts).float().cpu().numpy())

    def config(self) -> dict[str, Any]:
        """Return the arguments of `make_text_encoder`, or name and dim of an encoder of the caller's own."""
        return {"own": self.name, "dim": self.dim} if self.settings is None else dict(self.settings)


def make_text_encoder(
    text: TextEncoder | str | Mapping[str, Any], weights: str | Path | None = None, *, device: str = "cpu"
) -> TextEncoder:
    """Return a frozen text encoder by name; an encoder is returned as it is.

    Parameters
    ----------
    text : {"tiny", "clip"}, mapping, or TextEncoder
        ``"tiny"`` is that of the embedded CLIPSeg; ``"clip"`` that of CLIP ViT-B/32 by open_clip. A mapping holds these
        arguments by name.
    weights : path-like, optional
        File of weights of ``"clip"``; by default loaded over the network.
    device : str

    Raises
    ------
    ValueError
        For an unknown name.
    WeightsError
        If the weights cannot be loaded.
    """
    if isinstance(text, Mapping):
        return make_text_encoder(**text)
    if not isinstance(text, str):
        return own("text", text, TextEncoder)
    if one_of("text", text, TEXT_ENCODERS) == "clip":
        return _open_clip(weights, device)
    if weights is not None:
        raise ValueError(f"weights must not be given for 'tiny', which has its own, got {weights!r}")
    from zoo_opt_seg.embedded import tiny_clipseg, tiny_tokenizer

    clip: Any = tiny_clipseg().clip
    clip.requires_grad_(False).to(device)
    tokenizer = tiny_tokenizer()
    dim = clip.text_projection.out_features
    return EncodedTexts("tiny", dim, lambda texts: embed_texts(clip, tokenizer, texts), {"text": "tiny"})


def text_encoder_of(model: Any) -> TextEncoder | None:
    """Return the ``text_encoder`` of a black box, or of the one that it is wrapped around; None if it has none."""
    while model is not None:
        encoder: TextEncoder | None = getattr(model, "text_encoder", None)
        if encoder is not None:
            return encoder
        model = getattr(model, "model", None) or getattr(model, "fn", None)
    return None


def text_features(text: TextEncoder, prompts: Prompts) -> Tensor:
    """Return the vectors (n, dim) of prompts' texts, each normalised to mean 0 and variance 1.

    Raises
    ------
    ValueError
        If a row has no text.
    """
    texts = prompts.texts
    if texts is None or not all(texts):
        row = 0 if texts is None else texts.index("")
        raise ValueError(f"prompts must hold texts for a visual prompt with a text encoder, none in row {row}")
    return F.layer_norm(torch.from_numpy(np.asarray(text(texts), np.float32)), (text.dim,))


def embed_texts(clip: Any, tokenizer: Tokenizer, texts: Sequence[str]) -> Tensor:
    """Return the projected embeddings (n, d) of texts by transformers' CLIP or CLIPSeg, each text encoded once.

    Parameters
    ----------
    clip : CLIPModel or CLIPSegModel
    tokenizer : callable
        See `Tokenizer`.
    texts : sequence of str

    Returns
    -------
    Tensor
        Differentiable in the weights.
    """
    each = list(dict.fromkeys(texts))
    device = clip.text_projection.weight.device
    ids, attention = (tokens.to(device) for tokens in tokenizer(each))
    pooled = clip.text_model(input_ids=ids, attention_mask=attention, return_dict=True).pooler_output
    embeddings: Tensor = clip.text_projection(pooled)
    return embeddings[[each.index(text) for text in texts]]


def _open_clip(weights: str | Path | None, device: str) -> EncodedTexts:
    import open_clip

    source = SOURCES["clip"]
    with loading("text encoder 'clip'", weights):
        model = open_clip_model(source, None if weights is None else Path(weights), device=device)
    model.eval().requires_grad_(False)
    tokenizer = open_clip.get_tokenizer(source.arch)
    settings = {"text": "clip", "weights": None if weights is None else str(weights)}
    return EncodedTexts("clip", source.dim, lambda t: model.encode_text(tokenizer(list(t)).to(device)), settings)

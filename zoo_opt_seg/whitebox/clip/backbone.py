"""open_clip's CLIP as a backbone: weights from a local file or drawn, words and sentence of a text, position tables."""

from __future__ import annotations

import math
import os
import warnings
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any
from zipfile import ZipFile, is_zipfile

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from zoo_opt.core.errors import CheckpointError
from zoo_opt.support.loading import require
from zoo_opt_seg.whitebox.core.trainer import seeded

Colour = tuple[float, float, float]
PIXELS: tuple[Colour, Colour] = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
"""Mean and standard deviation of the pixels that CLIP was trained on, in [0, 1]."""

Tokenizer = Callable[[Sequence[str]], Any]
"""Texts to ids (n, L), whose end-of-text id is the highest of all, as open_clip's; or to (ids, attention mask)."""


def open_clip_model(
    name: str | dict[str, Any],
    pretrained: str | os.PathLike[str] | None = None,
    *,
    seed: int = 0,
    device: str | torch.device = "cpu",
) -> nn.Module:
    """Return a CLIP of open_clip's, never from the network.

    Parameters
    ----------
    name : str or dict
        A name of open_clip's, such as "RN50-quickgelu" (OpenAI's weights were trained with quick GELU), or the
        arguments of `open_clip.model.CLIP`.
    pretrained : path, optional
        A local file of weights that fit. None: drawn weights.
    seed : int
        Of drawn weights.
    device : str or torch.device
        Where it is made; "meta" gives shapes without memory.

    Raises
    ------
    FileNotFoundError
        If there is no such file of weights.
    CheckpointError
        If the weights do not fit or cannot be read.
    ValueError
        If open_clip has no model of this name, or the model has a text tower of another package.
    """
    open_clip = require("open_clip", "open_clip_torch", extra="seg")
    if isinstance(name, str):
        config = open_clip.get_model_config(name)
        if config is None:
            known = ", ".join(n for n in open_clip.list_models() if n.split("-")[0] == name.split("-")[0]) or "none"
            raise ValueError(f"name must be a model of open_clip, got {name!r}; of its kind there are: {known}")
    else:
        config = dict(name)
    if "hf_model_name" in config["text_cfg"] or config.pop("custom_text", False):
        raise ValueError(f"name must be a CLIP with open_clip's own text tower, got {name!r}")
    path = None if pretrained is None else Path(pretrained)
    if path is not None and not path.is_file():
        raise FileNotFoundError(f"pretrained {path} is not a file; weights are never downloaded, save them there first")
    with drawn((seed, 0xC11B), device):
        clip: nn.Module = open_clip.model.CLIP(**config)
    if path is not None:
        _load(open_clip, clip, path)
    return clip.to(device).eval()


def drawn(seed: Sequence[int], device: str | torch.device) -> AbstractContextManager[Any]:
    """Make modules whose weights are a function of ``seed``: drawn on the CPU for any device, none on "meta"."""
    return torch.device("meta") if torch.device(device).type == "meta" else seeded(seed)


def open_clip_tokenizer(name: str) -> Tokenizer:
    """Return the tokenizer of a model of open_clip's."""
    tokenizer: Tokenizer = require("open_clip", "open_clip_torch", extra="seg").get_tokenizer(name)
    return tokenizer


def _load(open_clip: Any, clip: nn.Module, path: Path) -> None:
    try:
        if is_zipfile(path) and any("/code/" in name for name in ZipFile(path).namelist()):
            clip.load_state_dict(_scripted(path))
        else:
            open_clip.load_checkpoint(clip, str(path), strict=True)
    except Exception as error:  # open_clip and torch raise whatever their readers come across
        said = " ".join(str(error).split())[:200]
        raise CheckpointError(f"pretrained {path} cannot be read or does not fit the model: {said}") from error


def _scripted(path: Path) -> dict[str, Tensor]:
    """Return the weights in a TorchScript archive, the form in which OpenAI gave its CLIPs away."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch reads them still, and says that it will not for ever
        state = torch.jit.load(str(path), map_location="cpu").state_dict()
    beside = {"input_resolution", "context_length", "vocab_size", "attn_mask"}
    return {name: tensor.float() for name, tensor in state.items() if name not in beside}


def normalised(images: Tensor, pixels: tuple[Colour, Colour] = PIXELS) -> Tensor:
    """Return images (n, 3, H, W) in [0, 1] as a CLIP takes them, whose pixels had this mean and standard deviation."""
    mean, std = (torch.tensor(values, dtype=images.dtype, device=images.device).view(3, 1, 1) for values in pixels)
    return (images - mean) / std


def resized(images: Tensor, size: int) -> Tensor:
    """Return images (n, 3, H, W) at ``size`` x ``size``, whatever their sides were."""
    if tuple(images.shape[2:]) == (size, size):
        return images
    return F.interpolate(images, (size, size), mode="bilinear", align_corners=False, antialias=True)


def tokens(tokenizer: Tokenizer, texts: Sequence[str]) -> tuple[Tensor, Tensor]:
    """Return the ids (n, L) of texts, and the place (n,) of each one's end-of-text token."""
    answer = tokenizer(list(texts))
    if isinstance(answer, Tensor):
        return answer, answer.argmax(dim=1)
    ids, attended = answer
    return ids, attended.long().sum(dim=1) - 1


def encoded(clip: Any, ids: Tensor, ends: Tensor) -> tuple[Tensor, Tensor]:
    """Return what CLIP's text transformer makes of tokens: the words and the sentence.

    Each text is encoded once, however many images of the batch have it.

    Parameters
    ----------
    clip : open_clip.model.CLIP
    ids : (n, L) tensor of int64
    ends : (n,) tensor of int64
        Place of the end-of-text token.

    Returns
    -------
    words : (n, L, width) tensor
        After the last layer norm; what comes after the end of a text means nothing.
    sentence : (n, d) tensor
        The end-of-text token, projected into the space that texts and images share.

    Raises
    ------
    ValueError
        If the texts are longer than the CLIP takes.
    """
    length = ids.shape[1]
    if length > clip.context_length:
        raise ValueError(f"texts must have at most {clip.context_length} tokens for this CLIP, got {length}")
    rows, which = torch.cat([ids, ends[:, None]], dim=1).unique(dim=0, return_inverse=True)
    ids, ends = rows[:, :-1], rows[:, -1]
    x = clip.token_embedding(ids) + clip.positional_embedding[:length]
    x = clip.ln_final(clip.transformer(x, attn_mask=clip.attn_mask[:length, :length]))
    sentence = x[torch.arange(len(x), device=x.device), ends]
    projection = clip.text_projection
    sentence = projection(sentence) if isinstance(projection, nn.Module) else sentence @ projection
    return x[which], sentence[which]


def grid_positions(table: Tensor, grid: tuple[int, int]) -> Tensor:
    """Return CLIP's learnt positions, (1 + g * g, c) with the class token's first, for a grid of other sides.

    Bicubic interpolation; a table that fits is returned as it is.
    """
    side = math.isqrt(len(table) - 1)
    if (side, side) == tuple(grid):
        return table
    places = table[1:].reshape(1, side, side, -1).permute(0, 3, 1, 2)
    places = F.interpolate(places, grid, mode="bicubic", align_corners=False)
    return torch.cat([table[:1], places[0].flatten(1).T])

"""Drawing the prompts of labelled images: points on their masks, or their texts; a function of (seed, row)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from zoo_opt_seg.data.points import centre_points, random_points, row_generator
from zoo_opt_seg.data.samples import Samples, Texts
from zoo_opt_seg.prompts import Prompts

Draw = Callable[[np.ndarray, Any], Prompts]
"""One's own drawing: masks and a seed (a sequence of int) to prompts."""


def draw_prompts(
    kind: str | Draw,
    samples: Samples,
    seed: int | Sequence[int],
    rows: Sequence[int] | np.ndarray | None = None,
    *,
    k: int = 1,
) -> Prompts:
    """Return prompts for labelled images; those of a row are a function of (seed, its row number) alone.

    Parameters
    ----------
    kind : {"random", "centre", "text"} or callable
        Points at random on each mask, the point farthest from its border, or a text of each image: one of its kinds of
        text at random, and of that one string. A callable is given the masks and the seed.
    samples : Samples
        No empty masks for points; with texts for "text".
    seed : int or sequence of int
        Non-negative. A sequence such as (seed, repeat) is one seed.
    rows : sequence of int, length n, optional
        Row numbers to draw for; 0 to n - 1 without. A callable is not told them.
    k : int
        Random points per mask; 1 for the other kinds.

    Raises
    ------
    ValueError
        For another kind, more than one point of a kind that is not random, an empty mask, or samples without texts.
    """
    if k != 1 and kind != "random":
        raise ValueError(f"points must be 1 per mask where they are not random, got {k}")
    if callable(kind):
        return kind(samples.masks, seed)
    return KINDS[str(checked_kind(kind))](samples, seed, rows, k)


def _random_text(
    samples: Samples, seed: int | Sequence[int], rows: Sequence[int] | np.ndarray | None, k: int
) -> Prompts:
    drawn = []
    for row, kinds in zip(range(len(samples)) if rows is None else rows, need_texts(samples), strict=True):
        rng = row_generator(seed, row)
        strings = kinds[rng.integers(len(kinds))]
        drawn.append(strings[rng.integers(len(strings))])
    return Prompts(texts=tuple(drawn))


KINDS: dict[str, Callable[..., Prompts]] = {
    "random": lambda samples, seed, rows, k: random_points(samples.masks, seed, k, rows),
    "centre": lambda samples, *how: centre_points(samples.masks),
    "text": _random_text,
}


def need_texts(samples: Samples) -> tuple[Texts, ...]:
    """Return the texts of samples, or raise a ValueError that says how to give them some."""
    if samples.texts is None:
        raise ValueError(
            'samples must have texts to ask by: give them some with splits.with_texts("a polyp"), or --text'
        )
    return samples.texts


def checked_kind(kind: str | Draw, name: str = "points") -> str | Draw:
    """Return the kind of prompts, or raise a ValueError that names the argument."""
    if not callable(kind) and kind not in KINDS:
        raise ValueError(f"{name} must be {', '.join(map(repr, KINDS))} or a callable, got {kind!r}")
    return kind


def kind_for(model: Any, kind: str | Draw | None = None) -> str | Draw:
    """Return the kind of prompts to draw for a black box: the one told, or what the box's ``prompted_by`` asks for.

    Raises
    ------
    ValueError
        For another kind, or one that the black box cannot be asked by.
    """
    by = getattr(model, "prompted_by", None)
    if kind is None:
        return "text" if by == "text" else "random"
    if not callable(checked_kind(kind)) and by not in (None, "text" if kind == "text" else "points"):
        raise ValueError(f"points must not be {kind!r} for a black box that is prompted by {by}")
    return kind

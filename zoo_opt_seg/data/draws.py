"""Drawing the prompts of labelled images, points, boxes or texts, as a function of (seed, row)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from zoo_opt_seg.data.boxes import mask_boxes, moved_boxes
from zoo_opt_seg.data.points import centre_points, random_points, row_generator, row_numbers
from zoo_opt_seg.data.row_files import StoredRows
from zoo_opt_seg.data.samples import Samples, Texts
from zoo_opt_seg.prompts import Prompts

Draw = Callable[[np.ndarray, Any], Prompts]
"""One's own drawing: masks and a seed (a sequence of int) to prompts."""

Kind = int | str | Draw
"""By what labelled images are asked about: so many points, a name of `KINDS`, or one's own drawing."""

Rows = Sequence[int] | np.ndarray | None
PART = 64  # of samples in files, so many are drawn for at a time; chosen, and it changes nothing


def draw_prompts(
    kind: Kind, samples: Samples, seed: int | Sequence[int], rows: Rows = None, *, exact: bool = False
) -> Prompts:
    """Return prompts for labelled images; those of a row are a function of (seed, its row number) alone.

    Parameters
    ----------
    kind : int, {"random", "centre", "box", "box+point", "text"} or callable
        So many points at random on each mask, all of them on the object; "random" is 1. "centre" is the point farthest
        from the mask's border, "box" the mask's bounding box, "box+point" both box and random point, "text" a text of
        each image: one of its kinds of text at random, and of that one string. A callable is given the masks and the
        seed.
    samples : Samples
        No empty masks for points and boxes; with texts for "text".
    seed : int or sequence of int
        Non-negative. A sequence such as (seed, repeat) is one seed.
    rows : sequence of int, length n, optional
        Row numbers to draw for; 0 to n - 1 without. A callable is not told them.
    exact : bool
        Whether boxes are those of the masks, as in tests; without, their sides are moved at random, as in training: see
        `zoo_opt_seg.data.boxes.moved_boxes`. A callable is not told.

    Raises
    ------
    ValueError
        For another kind, an empty mask, or samples without texts.
    """
    kind = checked_kind(kind)
    if callable(kind):
        return kind(np.asarray(samples.masks), seed)
    if isinstance(samples.masks, StoredRows) and kind != "text" and len(samples):
        numbers = row_numbers(rows, len(samples))
        parts = [slice(start, start + PART) for start in range(0, len(samples), PART)]
        drawn = [draw_prompts(kind, samples[part], seed, numbers[part], exact=exact) for part in parts]
        return Prompts.concatenate(drawn)
    masks = np.asarray(samples.masks)
    if isinstance(kind, int):
        return random_points(masks, seed, kind, rows)
    return KINDS[kind](samples, seed, rows, exact)


def _box(samples: Samples, seed: int | Sequence[int], rows: Rows, exact: bool) -> Prompts:
    masks = np.asarray(samples.masks)
    return mask_boxes(masks) if exact else moved_boxes(masks, seed, rows)


def _box_and_point(samples: Samples, seed: int | Sequence[int], rows: Rows, exact: bool) -> Prompts:
    point = random_points(np.asarray(samples.masks), seed, 1, rows)
    return Prompts(point.points, point.labels, _box(samples, seed, rows, exact).boxes)


def _random_text(samples: Samples, seed: int | Sequence[int], rows: Rows, exact: bool) -> Prompts:
    drawn = []
    for row, kinds in zip(range(len(samples)) if rows is None else rows, need_texts(samples), strict=True):
        rng = row_generator(seed, row)
        strings = kinds[rng.integers(len(kinds))]
        drawn.append(strings[rng.integers(len(strings))])
    return Prompts(texts=tuple(drawn))


KINDS: dict[str, Callable[[Samples, int | Sequence[int], Rows, bool], Prompts]] = {
    "random": lambda samples, seed, rows, exact: random_points(np.asarray(samples.masks), seed, 1, rows),
    "centre": lambda samples, *how: centre_points(np.asarray(samples.masks)),
    "box": _box,
    "box+point": _box_and_point,
    "text": _random_text,
}
ALONE = {"text": "text", "boxes": "box"}  # the one kind that a black box takes, by its ``prompted_by``
FIXED = ("centre", "box")  # of which an image has one alone when it is tested: to ask again would teach nothing


def need_texts(samples: Samples) -> tuple[Texts, ...]:
    """Return the texts of samples, or raise a ValueError that says how to give them some."""
    if samples.texts is None:
        raise ValueError(
            'samples must have texts to ask by: give them some with splits.with_texts("a polyp"), or --text'
        )
    return samples.texts


def checked_kind(kind: Kind, name: str = "points") -> Kind:
    """Return the kind of prompts, 1 as "random", or raise a ValueError that names the argument."""
    if callable(kind) or (isinstance(kind, str) and kind in KINDS):
        return kind
    if isinstance(kind, (int, np.integer)) and not isinstance(kind, bool) and kind >= 1:
        return "random" if kind == 1 else int(kind)
    known = ", ".join(map(repr, KINDS))
    raise ValueError(f"{name} must be a number of points >= 1, {known} or a callable, got {kind!r}")


def kind_for(model: Any, kind: Kind | None = None) -> Kind:
    """Return the kind of prompts to draw for a black box: the one told, or what the box's ``prompted_by`` asks for.

    Raises
    ------
    ValueError
        For another kind, or one that the black box cannot be asked by.
    """
    by = getattr(model, "prompted_by", None)
    if kind is None:
        return ALONE.get(str(by), "random")
    kind = checked_kind(kind)
    if not callable(kind) and not _answers(by, kind):
        raise ValueError(f"points must not be {kind!r} for a black box that is prompted by {by}")
    return kind


def _answers(by: str | None, kind: int | str) -> bool:
    """Return whether a black box that is prompted by this can be asked so; SAM, by points, takes boxes too."""
    if by == "points":
        return kind != "text"
    return by is None or kind == ALONE.get(by)


def asked_by(kind: Any, repeats: int) -> str:
    """Return in words what each image is asked by, as "3 random points each" or "their boxes".

    Parameters
    ----------
    kind : int, str or callable
        As in `draw_prompts`; any other str is the name of a callable.
    repeats : int
        How often each is asked about.
    """
    if isinstance(kind, int):
        return f"{kind} random points each" + (f", {repeats} times" if repeats > 1 else "")
    one, s = f"{repeats} random ", "s" * (repeats > 1)
    words = {
        "random": f"{one}point{s} each",
        "centre": "their innermost points",
        "box": "their boxes",
        "box+point": f"their boxes and {one}point{s} each",
        "text": f"{one}text{s} each",
    }
    return words.get(str(kind), f"{repeats} prompt{s} each")

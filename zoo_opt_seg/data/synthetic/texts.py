"""Text prompts of the drawn domains, in the manner of the annotation files of medical sets: several kinds for an image.

| kind | what it says | for a skin lesion |
|---|---|---|
| p1 | the word of medicine | "a skin lesion" |
| p2 | the look that all objects of the domain share | "the dark round spot" |
| p3 | and the colour, where it has a name | "the dark brown spot" |
| p4 | and the size, where it is small or large | "the small dark spot" |
| p5 | and the place | "the dark spot in the upper left" |
| p6 | size, colour and place | "the small dark brown spot in the upper left" |

Colour, size and place are taken from the image and its mask. All words occur in the grammar of `describing`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from zoo_opt_seg.data.samples import Texts
from zoo_opt_seg.data.synthetic.attributes import Described, measured
from zoo_opt_seg.data.synthetic.describing import describe
from zoo_opt_seg.data.synthetic.textures import Rng


class Manner(NamedTuple):
    """How a domain's objects are called."""

    words: tuple[str, ...]  # p1
    looks: tuple[str, ...]  # p2
    light: str  # an adjective, or ""
    nouns: tuple[str, ...]


MANNERS = {
    "skin": Manner(
        ("a skin lesion", "the lesion", "a mole", "a photo of a nevus"),
        ("the dark spot", "a dark patch", "the darker region", "a dark irregular patch"),
        "dark",
        ("spot", "patch", "mark"),
    ),
    "disc": Manner(
        ("the optic disc", "an optic disk", "the optic nerve head"),
        ("the bright disc", "a pale round spot", "the bright round object", "a light rounded region"),
        "bright",
        ("disc", "spot", "round spot"),
    ),
    "tool": Manner(
        ("the instrument", "a surgical instrument", "a tool", "the shaft"),
        ("the metal rod", "a long object", "the bar", "a long thin object"),
        "",
        ("bar", "rod", "long object"),
    ),
    "polyp": Manner(
        ("a polyp", "the polyp", "a growth", "the tumour"),
        ("a bump", "the rounded region", "the spot", "a blob"),
        "",
        ("spot", "bump", "rounded region"),
    ),
}
NUMBER = 3  # texts of an object in a scene with several


def domain_texts(name: str, image: np.ndarray, mask: np.ndarray) -> Texts:
    """The texts p1 to p6 of an image of a shifted domain.

    Parameters
    ----------
    name : {"skin", "disc", "tool", "polyp"}
    image : ndarray of uint8, shape (size, size, 3)
    mask : ndarray of bool, shape (size, size)
        Neither empty nor everything.
    """
    manner = MANNERS[name]
    thing = measured(image, mask, ~mask)
    colour, size, place = thing.colour or "", thing.size or "", _place(thing.place)

    def said(*parts: str) -> tuple[str, ...]:
        return tuple(" ".join(["the", *filter(None, (*parts[:-1], noun, parts[-1]))]) for noun in manner.nouns)

    return (
        manner.words,
        manner.looks,
        said(manner.light, colour, ""),
        said(size, manner.light, ""),
        said(manner.light, place),
        said(size, manner.light, colour, place),
    )


def scene_texts(rng: Rng, objects: Sequence[Described], wanted: int) -> Texts | None:
    """Some texts that pick the object with the index ``wanted``, all of one kind; None if none was found."""
    found = [text for _ in range(NUMBER) if (text := describe(rng, objects, wanted)) is not None]
    return (tuple(dict.fromkeys(found)),) if found else None


def source_texts(rng: Rng, image: np.ndarray, labels: np.ndarray, number: int) -> Texts:
    """Texts for the object with a label, by what is measured: its colour, light, size and place, not its shape.

    Where they do not tell it from the others, all that can be said is said.
    """
    objects = [measured(image, labels == i, labels == 0) for i in range(1, int(labels.max()) + 1)]
    thing = objects[number - 1]
    all_of_it = ["the", thing.size, thing.light, thing.colour, "object", _place(thing.place)]
    return scene_texts(rng, objects, number - 1) or ((" ".join(filter(None, all_of_it)),),)


def _place(place: str | None) -> str:
    if place in ("upper", "lower"):
        return f"at the {'top' if place == 'upper' else 'bottom'}"
    return f"{'on' if place in ('left', 'right') else 'in'} the {place}" if place else ""

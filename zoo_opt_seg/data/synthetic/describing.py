"""Words for objects: the small grammar that the embedded CLIPSeg knows, and texts that pick one object of several.

A text is a noun with adjectives and a place, as "the small dark red circle on the left". What it says of an object is
true, false, or cannot be said; it picks an object if it is true of that one and false of all others.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from zoo_opt_seg.data.synthetic.attributes import COLOURS, LIKE, NOT_LARGE, NOT_SMALL, Described
from zoo_opt_seg.data.synthetic.textures import Rng

ANY = ("object", "thing", "region", "area", "structure", "shape", "one")
ROUND = ("circle", "oval", "blob")
_NOUNS = {  # shapes: the nouns that are true of them
    ("circle",): ("circle", "disc", "disk", "dot", "round object", "round spot", "round region"),
    ("oval",): ("oval", "ellipse", "oval spot", "oval object"),
    ("square",): ("square",),
    ("rectangle",): ("rectangle",),
    ("square", "rectangle"): ("box",),
    ("triangle",): ("triangle",),
    ("star",): ("star",),
    ("blob",): ("blob", "irregular patch", "irregular region", "stain"),
    ROUND: ("spot", "patch", "mark", "rounded region"),
    ("bar",): ("bar", "rod", "stick", "strip", "long object", "long thin object"),
}
SHAPE_NOUNS = {noun: shapes for shapes, nouns in _NOUNS.items() for noun in nouns}
CONFUSED = {  # shapes that a second observer might have seen
    "circle": ("oval", "blob"),
    "oval": ("circle", "blob", "bar"),
    "square": ("rectangle",),
    "rectangle": ("square", "bar"),
    "triangle": (),
    "star": ("blob",),
    "blob": ("circle", "oval", "star"),
    "bar": ("rectangle", "oval"),
}
_DARK, _PALE, _FLESH = "brown black grey", "yellow white orange pink", "red pink orange brown"
_LOOKS = (  # words of medicine, by what such a thing looks like: shapes, colours, light ("" for any)
    (("lesion", "skin lesion", "mole"), ROUND, _DARK, "dark"),
    (("melanoma",), ("blob",), _DARK, "dark"),
    (("nevus",), ROUND, _DARK, "dark"),
    (("optic disc", "optic disk", "optic nerve head"), ("circle", "oval"), _PALE, "bright"),
    (("polyp", "growth", "bump", "tumour"), ROUND, _FLESH, ""),
    (("instrument", "surgical instrument", "tool", "shaft"), ("bar",), "grey black white", ""),
    (("metal rod",), ("bar",), "grey white", ""),
    (("cell",), ("circle", "oval"), "blue purple pink grey", ""),
    (("nucleus",), ("circle", "oval"), "blue purple black", "dark"),
)
CONCEPTS = {noun: (shapes, colours.split(), light) for nouns, shapes, colours, light in _LOOKS for noun in nouns}
COLOUR_WORDS = {name: (name,) for name in COLOURS} | {"grey": ("grey", "gray"), "purple": ("purple", "violet")}
LIGHT_WORDS = {"dark": ("dark", "darker"), "bright": ("bright", "light", "pale", "lighter")}
SIZE_WORDS = {"small": ("small", "little", "tiny"), "large": ("large", "big")}
TEXTURE_WORDS = {"plain": ("plain", "smooth"), "striped": ("striped",), "spotted": ("spotted", "mottled")}
PREFIXES = (*3 * ("the",), "a", "", "a photo of the", "a photo of a", "an image of the", "segment the", "find the")

Term = Callable[[Described], bool | None]


def describe(rng: Rng, objects: Sequence[Described], wanted: int, tries: int = 10) -> str | None:
    """A random text that picks the object with the index ``wanted`` among ``objects``; None if none was found."""
    target = objects[wanted]
    others = [other for i, other in enumerate(objects) if i != wanted]
    for attempt in range(tries):
        keep = 0.3 + 0.5 * attempt / tries if others else 0.3
        said = _sayable(rng, target, others, keep)
        if all(any(term(other) is False for _, _, term in said) for other in others):
            return _sentence(rng, [(kind, word) for kind, word, _ in said])
    return None


def _sayable(rng: Rng, target: Described, others: Sequence[Described], keep: float) -> list[tuple[str, str, Term]]:
    """Some true things about the target: what kind each is, the word, and its truth for other objects."""
    said: list[tuple[str, str, Term]] = [("noun", *_noun(rng, target))]
    light, colour, size, texture, place = target.light, target.colour, target.size, target.texture, target.place
    if light and rng.random() < keep:
        said.append(("light", _one(rng, LIGHT_WORDS[light]), lambda o: _light(o, light)))
    if colour and rng.random() < keep + 0.15:
        said.append(("colour", _one(rng, COLOUR_WORDS[colour]), lambda o: _colour(o, (colour,))))
    if texture and rng.random() < 0.6 * keep:
        said.append(("texture", _one(rng, TEXTURE_WORDS[texture]), lambda o: _same(o.texture, texture)))
    ratio = [other.area / target.area for other in others]
    if ratio and rng.random() < keep and (min(ratio) > 1.6 or max(ratio) < 1 / 1.6):
        word = _one(rng, ("smallest", "smaller") if min(ratio) > 1.6 else ("largest", "biggest", "larger"))
        said.append(("size", word, lambda o: False))
    elif size and rng.random() < keep:
        said.append(("size", _one(rng, SIZE_WORDS[size]), lambda o: _size(o, size)))
    if place and rng.random() < keep:
        said.append(("place", place, lambda o: _place(o, place)))
    return said


def _noun(rng: Rng, target: Described) -> tuple[str, Term]:
    fitting = [n for n in CONCEPTS if concept(target, n)]
    if fitting and rng.random() < 0.3:
        noun = _one(rng, fitting)
        return noun, lambda o: concept(o, noun)
    if target.shape and rng.random() < 0.7:
        noun = _one(rng, [n for n, true in SHAPE_NOUNS.items() if target.shape in true])
        return noun, lambda o: _shape(o, SHAPE_NOUNS[noun])
    return _one(rng, ANY), lambda o: True


def concept(thing: Described, noun: str) -> bool | None:
    """Whether an object looks like what a noun of :data:`CONCEPTS` means."""
    wanted, colours, light = CONCEPTS[noun]
    parts = [_shape(thing, wanted), _colour(thing, colours), _light(thing, light) if light else True]
    return False if False in parts else None if None in parts else True


def _shape(thing: Described, true: Sequence[str]) -> bool | None:
    return _among(thing.shape, true, CONFUSED)


def _colour(thing: Described, true: Sequence[str]) -> bool | None:
    return _among(thing.colour, true, LIKE)


def _among(value: str | None, true: Sequence[str], alike: Mapping[str, Sequence[str]]) -> bool | None:
    """Whether a value is one of some; None where it is not known, or another observer might have said one of them."""
    if value in true:
        return True
    return None if value is None or any(value in alike[name] for name in true) else False


def _light(thing: Described, light: str) -> bool | None:
    if thing.light == light:
        return True
    against = thing.contrast if light == "dark" else -thing.contrast
    return False if against > 0.03 else None


def _same(value: str | None, wanted: str) -> bool | None:
    return None if value is None else value == wanted


def _size(thing: Described, size: str) -> bool | None:
    if thing.size == size:
        return True
    return False if (thing.area > NOT_SMALL if size == "small" else thing.area < NOT_LARGE) else None


def _place(thing: Described, place: str) -> bool | None:
    x, y = thing.centre
    beyond = {"left": x > 0.52, "right": x < 0.48, "upper": y > 0.52, "lower": y < 0.48}
    beyond["middle"] = max(abs(x - 0.5), abs(y - 0.5)) > 0.18
    return False if any(beyond[part] for part in place.split()) else None


def place_phrase(rng: Rng, place: str) -> str:
    """Where, after the noun: "on the left", "in the upper left corner", ..."""
    if place == "middle":
        return _one(rng, ("in the middle", "in the center", "in the centre"))
    if " " in place:
        return f"in the {place}{_one(rng, ('', ' corner', ' part'))}"
    if place in ("left", "right"):
        return _one(rng, (f"on the {place}", f"in the {place} part", f"on the {place} side"))
    at = "at the top" if place == "upper" else "at the bottom"
    return _one(rng, (at, f"in the {place} part"))


def _sentence(rng: Rng, said: Sequence[tuple[str, str]]) -> str:
    words = dict(said)
    order = ["size", "light", "texture", "colour"] if rng.random() < 0.7 else ["texture", "size", "light", "colour"]
    front = [words[kind] for kind in order if kind in words]
    place, after = words.get("place"), []
    if place and place != "middle" and rng.random() < 0.35:
        front.insert(0, place)
    elif place:
        after.append(place_phrase(rng, place))
    prefix = _one(rng, PREFIXES)
    if words["noun"] == "one" or words.get("size", "").endswith("st"):  # the smallest
        prefix = {"a": "the", "a photo of a": "a photo of the"}.get(prefix, prefix)
    if prefix.split()[-1:] == ["a"] and (front or [words["noun"]])[0][0] in "aeiou":
        prefix += "n"
    return " ".join([prefix, *front, words["noun"], *after]).strip()


def _one(rng: Rng, words: Sequence[str]) -> str:
    return words[int(rng.integers(len(words)))]


def vocabulary() -> tuple[str, ...]:
    """Every word of the grammar, sorted."""
    rest = ("an upper lower left right middle smallest smaller largest biggest larger",)
    where = ("on in at the center centre top bottom corner part side",)
    adjectives = [*COLOUR_WORDS.values(), *LIGHT_WORDS.values(), *SIZE_WORDS.values(), *TEXTURE_WORDS.values()]
    groups = [ANY, SHAPE_NOUNS, CONCEPTS, PREFIXES, rest, where, *adjectives]
    return tuple(sorted({word for group in groups for text in group for word in text.split()}))

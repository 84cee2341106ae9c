"""Source scenes for models that are asked by text: objects of named shapes, colours and textures.

The embedded CLIPSeg is trained on these scenes. As in :mod:`zoo_opt_seg.data.synthetic.source`, none of the shifted
domains' features is in them: no hair, vessels, highlights, folds or instruments.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np

from zoo_opt_seg.data.synthetic import shapes
from zoo_opt_seg.data.synthetic.attributes import Described, measured
from zoo_opt_seg.data.synthetic.source import ground_colour, object_colour, painted, photographed, visible
from zoo_opt_seg.data.synthetic.textures import Rng, fractal_field, smooth_field, stripes

Outline = Callable[[Rng, float], np.ndarray]

MIN_AREA = 0.015  # of the image: what is smaller is not asked for
MAX_OVERLAP = 0.15  # with what is there already, of the object's area
PALETTE = {  # hue in degrees, saturation, value: typical, and as wide as the name
    "red": ((-8, 10), (0.6, 0.95), (0.5, 0.95)),
    "orange": ((22, 38), (0.6, 0.95), (0.78, 0.98)),
    "yellow": ((50, 62), (0.5, 0.9), (0.7, 0.98)),
    "green": ((90, 150), (0.35, 0.9), (0.3, 0.85)),
    "blue": ((200, 245), (0.4, 0.9), (0.35, 0.95)),
    "purple": ((265, 295), (0.35, 0.8), (0.35, 0.85)),
    "pink": ((320, 368), (0.25, 0.45), (0.75, 0.98)),
    "brown": ((18, 36), (0.4, 0.75), (0.25, 0.58)),
    "white": ((0, 360), (0.0, 0.06), (0.85, 0.98)),
    "grey": ((0, 360), (0.0, 0.1), (0.36, 0.68)),
    "black": ((0, 360), (0.0, 0.2), (0.03, 0.18)),
}


def scene(rng: Rng, size: int) -> tuple[np.ndarray, np.ndarray, tuple[Described, ...]]:
    """Draw a scene.

    Returns
    -------
    image : ndarray of uint8, shape (size, size, 3)
    labels : ndarray of uint8, shape (size, size)
        0 is background or an object too small or too hidden to be asked for; 1 to m are the visible parts of m >= 1
        objects.
    objects : tuple of Described, length m
        Object i has the label i + 1.
    """
    while True:
        image, labels, looks = _draw(rng, size)
        if looks:
            break
    ground = labels == 0
    objects = [
        measured(image, labels == number, ground, shape=shape, texture=texture)
        for number, (shape, texture) in enumerate(looks, start=1)
    ]
    return image, labels, tuple(objects)


def _draw(rng: Rng, size: int) -> tuple[np.ndarray, np.ndarray, list[tuple[str, str | None]]]:
    ground = ground_colour(rng) if rng.random() < 0.75 else _named_colour(rng)
    image = _surface(rng, size, ground, str(rng.choice(list(TEXTURES), p=[0.35, 0.45, 0.1, 0.1])))
    labels = np.zeros((size, size), np.uint8)
    areas: list[int] = []
    looks: list[tuple[str, str | None]] = []
    soften = rng.uniform(0.0, 0.9) if rng.random() < 0.8 else rng.uniform(0.9, 3.0)
    one_colour, one_shape = rng.random() < 0.12, rng.random() < 0.25
    shared_colour, shared_shape = _object_colour(rng, ground), str(rng.choice(SHAPES))
    for number in range(1, int(rng.choice(4, p=[0.3, 0.33, 0.24, 0.13])) + 2):
        shape = shared_shape if one_shape else str(rng.choice(SHAPES))
        for _ in range(8):
            cover = shapes.filled(_outline(rng, shape), size)
            if np.count_nonzero(labels[cover]) <= MAX_OVERLAP * np.count_nonzero(cover):
                break
        colour = shared_colour if one_colour else _object_colour(rng, ground)
        texture = str(rng.choice(list(TEXTURES), p=[0.4, 0.3, 0.15, 0.15]))
        surface = _surface(rng, size, colour, texture)
        image = painted(rng, image, cover, surface, soften)
        labels[cover] = number
        areas.append(int(np.count_nonzero(cover)))
        certain = texture == "plain" or (texture != "rough" and areas[-1] > 0.035 * size**2 and soften < 1.5)
        looks.append((shape, texture if certain else None))
    labels, kept = visible(labels, areas, MIN_AREA)
    return photographed(rng, image), labels, [look for look, keep in zip(looks, kept, strict=True) if keep]


def _oval(least: float, most: float) -> Outline:
    return lambda rng, radius: shapes.ellipse(rng, radius, rng.uniform(least, most))


def _box(least: float, most: float) -> Outline:
    def outline(rng: Rng, radius: float) -> np.ndarray:
        half = np.sqrt(rng.uniform(least, most))
        corner = radius * np.array([0.88 / half, 0.88 * half])
        return shapes.turned(corner * np.array([[1, 1], [-1, 1], [-1, -1], [1, -1]]), rng.uniform(0, 2 * np.pi))

    return outline


def _triangle(rng: Rng, radius: float) -> np.ndarray:
    angle = np.arange(3) * 2 * np.pi / 3 + rng.uniform(-0.2, 0.2, 3)
    return shapes.turned(shapes.polar(angle, 1.25 * radius), rng.uniform(0, 2 * np.pi))


def _star(rng: Rng, radius: float) -> np.ndarray:
    tips = int(rng.integers(4, 7))
    distance = max(radius, 0.13) * np.where(np.arange(2 * tips) % 2, rng.uniform(0.4, 0.55), 1.25)
    return shapes.turned(shapes.polar(np.arange(2 * tips) * np.pi / tips, distance), rng.uniform(0, 2 * np.pi))


def _bar(rng: Rng, radius: float) -> np.ndarray:
    length, width = rng.uniform(0.35, 1.0), rng.uniform(0.06, 0.2)
    path = shapes.curve(rng, np.zeros(2), rng.uniform(0, 2 * np.pi), length, rng.choice([0.0, 0.0, 0.9]))
    return shapes.band(path - path.mean(axis=0), min(width, length / 3.2))


OUTLINES: dict[str, Outline] = {
    "circle": _oval(0.85, 1.0),
    "oval": _oval(0.35, 0.68),
    "square": _box(0.88, 1.0),
    "rectangle": _box(0.32, 0.6),
    "triangle": _triangle,
    "star": _star,
    "blob": lambda rng, radius: shapes.blob(rng, radius, rng.uniform(0.13, 0.38)),
    "bar": _bar,
}
SHAPES = tuple(OUTLINES)
"""Kinds of objects."""


def _outline(rng: Rng, shape: str) -> np.ndarray:
    """A closed outline, its corners (n, 2), in units of the image's side."""
    radius = float(np.exp(rng.uniform(np.log(0.09), np.log(0.36))))
    return OUTLINES[shape](rng, radius) + rng.uniform(0.12, 0.88, 2)


def _object_colour(rng: Rng, ground: np.ndarray) -> np.ndarray:
    """A colour of a name, or one that differs from the ground's by a chosen contrast, slight ones included."""
    if rng.random() < 0.5:
        for _ in range(10):
            colour = _named_colour(rng)
            if np.linalg.norm(colour - ground) > 0.2:
                return colour
    return object_colour(rng, ground)


def _named_colour(rng: Rng) -> np.ndarray:
    hue, saturation, value = (rng.uniform(*limits) for limits in PALETTE[str(rng.choice(list(PALETTE)))])
    around = (np.array([0.0, 240.0, 120.0]) + hue) % 360 / 60  # red, green and blue on the circle of hues
    full = np.clip(np.abs(around - 3) - 1, 0, 1)
    return (value * (1 - saturation + saturation * full)).astype(np.float32)


def _surface(rng: Rng, size: int, colour: np.ndarray, texture: str) -> np.ndarray:
    """A surface about a colour, (size, size, 3)."""
    tint = rng.standard_normal(3) * 0.4 + rng.choice([-1.0, 1.0])
    tint = (tint / np.abs(tint).max()).astype(np.float32)
    return colour + TEXTURES[texture](rng, size)[..., None] * tint


def _rough(rng: Rng, size: int, least: float = 0.03, most: float = 0.1) -> np.ndarray:
    strength, cells = np.float32(rng.uniform(least, most)), rng.choice([1.0, 2.0, 4.0, 8.0])
    return strength * fractal_field(rng, size, cells, 4, rng.uniform(0.4, 0.9))


def _striped(rng: Rng, size: int) -> np.ndarray:
    return np.float32(rng.uniform(0.09, 0.2)) * np.tanh(2 * stripes(rng, size, rng.uniform(5, 14)))


def _spotted(rng: Rng, size: int) -> np.ndarray:
    return np.float32(rng.uniform(0.1, 0.2)) * np.tanh(4 * smooth_field(rng, size, rng.uniform(10, 22)) - 2)


TEXTURES: dict[str, Callable[[Rng, int], np.ndarray]] = {
    "plain": partial(_rough, least=0.0, most=0.03),
    "rough": _rough,
    "striped": _striped,
    "spotted": _spotted,
}

"""The source domain: textured ellipses, blobs, polygons and bars on textured backgrounds.

The embedded models are trained on these scenes. None of the shifted domains' features is in them: no hair, vessels,
highlights, folds or instruments.
"""

from __future__ import annotations

import numpy as np

from zoo_opt_seg.data.synthetic import shapes
from zoo_opt_seg.data.synthetic.textures import Rng, blur, fractal_field, gradient, smooth_field, stripes, to_uint8

MIN_AREA = 0.02  # of the image: what is smaller is not asked for
MIN_VISIBLE = 0.75  # of the object: what is hidden further is not asked for


def scene(rng: Rng, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Draw a scene.

    Returns
    -------
    image : ndarray of uint8, shape (size, size, 3)
    labels : ndarray of uint8, shape (size, size)
        0 is background or an object too small or too hidden to be asked for; 1 to m are the visible parts of m >= 1
        objects.
    """
    while True:
        image, labels = _draw(rng, size)
        if labels.any():
            return image, labels


def _draw(rng: Rng, size: int) -> tuple[np.ndarray, np.ndarray]:
    ground = ground_colour(rng)
    image = _surface(rng, size, ground)
    labels = np.zeros((size, size), np.uint8)
    areas: list[int] = []
    soften = rng.uniform(0.0, 0.9)
    common = rng.random() < 0.15  # all objects of one colour
    shared = object_colour(rng, ground)
    for number in range(1, int(rng.choice(4, p=[0.4, 0.35, 0.2, 0.05])) + 2):
        cover = shapes.filled(_outline(rng), size)
        colour = shared if common else object_colour(rng, ground)
        surface = _surface(rng, size, colour)
        image = painted(rng, image, cover, surface, soften)
        labels[cover] = number
        areas.append(int(np.count_nonzero(cover)))
    labels, _ = visible(labels, areas, MIN_AREA)
    return photographed(rng, image), labels


def painted(rng: Rng, image: np.ndarray, cover: np.ndarray, surface: np.ndarray, soften: float) -> np.ndarray:
    """The image with an object on it, in some of the draws shaded towards its edge, as a body is."""
    if rng.random() < 0.3:
        depth = blur(cover.astype(np.float32), len(image) * rng.uniform(0.02, 0.08))
        surface = surface + ((depth - np.float32(0.75)) * np.float32(rng.uniform(-0.4, 0.6)))[..., None]
    return shapes.painted(image, cover, surface, soften)


def photographed(rng: Rng, image: np.ndarray) -> np.ndarray:
    """The image under light that may be uneven, a little out of focus, and noisy; uint8."""
    size = len(image)
    if rng.random() < 0.5:
        image = image * (1 + float(rng.uniform(0.05, 0.35)) * gradient(rng, size))[..., None]
    image = blur(image, max(0.0, rng.uniform(-0.5, 0.8)))
    image = image + np.float32(rng.uniform(0.0, 0.03)) * rng.standard_normal((size, size, 3), dtype=np.float32)
    return to_uint8(image)


def visible(labels: np.ndarray, areas: list[int], least: float) -> tuple[np.ndarray, np.ndarray]:
    """Labels of the objects that may be asked for, numbered anew, and which of all these are, bool.

    Parameters
    ----------
    labels : ndarray of uint8, shape (size, size)
    areas : list of int
        Of each object in pixels, before others hid some of it.
    least : float
        Share of the image that must be seen of an object, beside `MIN_VISIBLE` of its own.
    """
    seen = np.bincount(labels.ravel(), minlength=len(areas) + 1)[1:]
    kept = (seen >= least * labels.size) & (seen >= MIN_VISIBLE * np.asarray(areas))
    return np.concatenate([[0], np.cumsum(kept) * kept]).astype(np.uint8)[labels], kept


def _outline(rng: Rng) -> np.ndarray:
    radius = np.exp(rng.uniform(np.log(0.11), np.log(0.36)))
    kind = rng.choice(4, p=[0.35, 0.35, 0.2, 0.1])
    if kind == 0:
        outline = shapes.ellipse(rng, radius, rng.uniform(0.3, 1.0), rng.choice([2.0, 2.0, 3.0, 6.0]))
    elif kind == 1:
        outline = shapes.blob(rng, radius, rng.uniform(0.05, 0.3))
    elif kind == 2:
        outline = shapes.polygon(rng, radius, int(rng.integers(3, 9)))
    else:
        length = rng.uniform(0.3, 0.8)
        path = shapes.curve(rng, np.zeros(2), rng.uniform(0, 2 * np.pi), length, rng.choice([0.0, 0.0, 1.0]))
        outline = shapes.band(path - path.mean(axis=0), rng.uniform(0.1, 0.22))
    return outline + rng.uniform(0.12, 0.88, 2)


def ground_colour(rng: Rng) -> np.ndarray:
    """A colour from grey to vivid."""
    grey = rng.uniform(0.08, 0.92)
    return np.clip(grey + rng.uniform(0.0, 0.45) * rng.uniform(-1, 1, 3), 0.02, 0.98).astype(np.float32)


def object_colour(rng: Rng, ground: np.ndarray) -> np.ndarray:
    """A colour that differs from the ground's by a chosen contrast, slight ones included."""
    contrast = np.exp(rng.uniform(np.log(0.25), np.log(0.9)))
    for _ in range(20):
        direction = rng.standard_normal(3) * rng.choice([0.3, 1.0]) + rng.standard_normal()
        colour = ground + contrast * direction / np.linalg.norm(direction)
        if (colour > 0).all() and (colour < 1).all():
            return colour.astype(np.float32)
    return np.clip(colour, 0, 1).astype(np.float32)


def _surface(rng: Rng, size: int, colour: np.ndarray) -> np.ndarray:
    """A textured surface about a colour, (size, size, 3)."""
    strength = rng.uniform(0.0, 0.09) * rng.choice([0.4, 1.0])
    tint = rng.standard_normal(3) * 0.5 + rng.choice([-1.0, 1.0])
    tint = (strength / np.abs(tint).max() * tint).astype(np.float32)
    kind = rng.random()
    if kind < 0.2:
        field = stripes(rng, size, rng.uniform(3, 18)) * np.float32(0.8)
    elif kind < 0.35:  # patches
        field = np.tanh(4 * smooth_field(rng, size, rng.uniform(4, 24)))
    else:
        field = fractal_field(rng, size, rng.choice([1.0, 2.0, 4.0, 8.0]), 4, rng.uniform(0.4, 0.9))
    return colour + field[..., None] * tint

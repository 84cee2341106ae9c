"""Optic discs in fundus photographs: a pale yellow disc with a brighter cup, crossed by vessels.

Shifted from the source by vessels that cut the object up, a second edge inside it (the cup), an orange cast, and the
round field of view.
"""

from __future__ import annotations

import numpy as np

from zoo_opt_seg.data.synthetic import shapes
from zoo_opt_seg.data.synthetic.textures import Rng, blur, fractal_field, gradient, grid, smooth_field, tint, to_uint8


def scene(rng: Rng, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Draw a disc: image (size, size, 3) uint8 and its mask (size, size) bool."""
    x, y = grid(size)
    radius = float(np.exp(rng.uniform(np.log(0.1), np.log(0.33))))  # from the whole eye to a crop about the disc
    centre = 0.5 + rng.uniform(-1, 1, 2) * (0.38 - 0.6 * radius)
    retina = np.array([0.66, 0.29, 0.14]) * rng.uniform(0.65, 1.1) + rng.normal(0, 0.04, 3)
    image: np.ndarray = np.broadcast_to(retina.astype(np.float32), (size, size, 3))
    image = image + float(rng.uniform(0.02, 0.06)) * fractal_field(rng, size, 3, 4, 0.7)[..., None] * tint(1, 0.7, 0.4)
    if rng.random() < 0.4:  # the choroid shows through
        net = np.abs(smooth_field(rng, size, rng.uniform(6, 12)))
        image = image - float(rng.uniform(0.03, 0.08)) * np.exp(-((net / 0.3) ** 2))[..., None] * tint(0.8, 1, 0.6)
    away = rng.uniform(0, 2 * np.pi)
    macula = centre + radius * rng.uniform(4.0, 5.0) * np.array([np.cos(away), np.sin(away)])
    fovea = np.exp(-((x - macula[0]) ** 2 + (y - macula[1]) ** 2) / (1.6 * radius) ** 2 / 2)
    image = image * (1 - 0.45 * fovea.astype(np.float32))[..., None]
    for _ in range(int(rng.choice([0, 0, 2, 6]))):  # exudates
        spot = shapes.filled(shapes.blob(rng, rng.uniform(0.01, 0.035), 0.3) + rng.uniform(0, 1, 2), size)
        image = shapes.painted(image, spot, tint(0.93, 0.78, 0.42), 0.8)

    aspect = rng.uniform(0.68, 1.0)
    outline = shapes.ellipse(rng, radius, aspect)
    outline = outline * (1 + rng.normal(0, 0.02, (len(outline), 1)))
    mask = shapes.filled(outline + centre, size)
    image = _disc(rng, size, image, mask, outline, centre, radius)
    for shade in (0.95, 0.65):  # arteries, veins
        cover = np.zeros((size, size), np.float32)
        for _ in range(int(rng.integers(2, 4))):
            _add_vessel(rng, cover, centre, radius, rng.uniform(0, 2 * np.pi), radius * rng.uniform(0.06, 0.17), 2)
        darkness = np.array([0.55, 0.30, 0.28]) * shade * rng.uniform(0.85, 1.15)
        image = shapes.painted(image, cover, image * darkness.astype(np.float32))
    image = image * (1 + float(rng.uniform(0.0, 0.4)) * gradient(rng, size))[..., None]
    if radius < 0.18:  # the field of view
        edge = np.hypot(x - 0.5, y - 0.5) - float(rng.uniform(0.47, 0.55))
        image = image / (1 + np.exp(edge * 90))[..., None] + 0.02
    image = blur(image, rng.uniform(0.2, 0.9)) + 0.012 * rng.standard_normal((size, size, 3), dtype=np.float32)
    return to_uint8(image), mask


def _disc(
    rng: Rng, size: int, image: np.ndarray, mask: np.ndarray, outline: np.ndarray, centre: np.ndarray, radius: float
) -> np.ndarray:
    if rng.random() < 0.25:  # atrophy beside the disc
        beside = shapes.filled(outline * rng.uniform(1.15, 1.4) + centre + radius * rng.normal(0, 0.15, 2), size)
        image = shapes.painted(image, beside, image * 1.12 + 0.06, 1.0 + 6 * radius)
    rim = np.array([0.93, 0.68, 0.38]) + rng.normal(0, 0.05, 3)
    strength = float(rng.uniform(0.6, 1.0))  # how far the disc stands out
    surface = rim.astype(np.float32) + 0.03 * fractal_field(rng, size, 6, 3)[..., None]
    image = shapes.painted(image, strength * mask, surface, rng.uniform(0.5, 0.8 + 3 * radius))
    cup = outline * rng.uniform(0.3, 0.75) + centre + radius * rng.normal(0, 0.1, 2)
    pale = np.array([0.98, 0.86, 0.62]) + rng.normal(0, 0.03, 3)
    strength = float(rng.uniform(0.3, 0.8))
    return shapes.painted(image, strength * shapes.filled(cup, size), pale.astype(np.float32), 0.5 + 5 * radius)


def _add_vessel(
    rng: Rng, cover: np.ndarray, start: np.ndarray, radius: float, angle: float, width: float, forks: int
) -> None:
    """A vessel that leaves the disc and forks."""
    length = rng.uniform(1.5, 3.0) * radius if forks else 1.0
    path = shapes.curve(rng, start, angle, length, 0.7)
    shapes.add_stroke(cover, path, max(width, 0.008), rng.uniform(0.7, 1.0))
    for side in (-1, 1) if forks else ():
        turn = angle + side * rng.uniform(0.25, 0.7)
        _add_vessel(rng, cover, path[-1], radius, turn, width * rng.uniform(0.6, 0.8), forks - 1)

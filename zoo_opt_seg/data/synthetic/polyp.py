"""Polyps on the mucosa of the bowel: flat, round, lobed or stalked, from specks to half the image.

Shifted from the source by colours close to the background's, shading as the only edge in places, folds, vessels,
highlights, and the dark lumen.
"""

from __future__ import annotations

import numpy as np

from zoo_opt_seg.data.synthetic import shapes
from zoo_opt_seg.data.synthetic.textures import Rng, blur, fractal_field, grid, smooth_field, tint, to_uint8


def scene(rng: Rng, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Draw a polyp: image (size, size, 3) uint8 and its mask (size, size) bool."""
    while True:
        outline = _outline(rng)
        mask = shapes.filled(outline, size)
        if 0.015 < mask.mean() < 0.45:
            break
    colour = np.array([0.78, 0.44, 0.36]) * rng.uniform(0.75, 1.15) + rng.normal(0, 0.04, 3)
    image = _mucosa(rng, size, colour)
    image = _polyp(rng, size, image, mask, colour)
    highlights = shapes.flecks(rng, size, int(rng.integers(2, 16)), 0.06)
    image = shapes.painted(image, highlights, tint(1.0, 0.99, 0.97), 0.3)
    x, y = grid(size)
    light = rng.uniform(0.3, 0.7, 2)
    falling = (x - float(light[0])) ** 2 + (y - float(light[1])) ** 2
    image = image * (1.1 - float(rng.uniform(0.1, 1.0)) * falling)[..., None]
    image = blur(image, rng.uniform(0.0, 0.8)) + 0.015 * rng.standard_normal((size, size, 3), dtype=np.float32)
    return to_uint8(image), mask


def _outline(rng: Rng) -> np.ndarray:
    radius = float(np.exp(rng.uniform(np.log(0.08), np.log(0.36))))
    kind = rng.choice(4, p=[0.3, 0.25, 0.2, 0.25])
    if kind == 0:  # sessile: a cap, long or round
        outline = shapes.ellipse(rng, radius, rng.uniform(0.35, 1.0))
    elif kind == 1:  # lobed
        outline = shapes.blob(rng, radius, rng.uniform(0.15, 0.4))
    elif kind == 2:  # stalked: a head at the end of a band
        path = shapes.curve(rng, np.zeros(2), rng.uniform(0, 2 * np.pi), radius * rng.uniform(2.5, 4.0), 0.8)
        swell = 1 / (1 + np.exp(-(np.linspace(0, 1, len(path)) - rng.uniform(0.4, 0.6)) * 14))
        taper = np.sqrt(np.clip(1 - np.linspace(-0.9, 1, len(path)) ** 8, 0, 1))
        outline = shapes.band(path - path.mean(axis=0), radius * (0.5 + 0.9 * swell) * taper)
    else:  # a flat ridge, lying along a fold
        path = shapes.curve(rng, np.zeros(2), rng.uniform(0, 2 * np.pi), radius * rng.uniform(2.5, 4.5), 1.8)
        taper = np.sqrt(np.clip(1 - np.linspace(-1, 1, len(path)) ** 4, 0, 1))
        outline = shapes.band(path - path.mean(axis=0), radius * rng.uniform(0.6, 1.1) * taper)
    return outline + 0.5 + rng.uniform(-0.3, 0.3, 2)


def _mucosa(rng: Rng, size: int, colour: np.ndarray) -> np.ndarray:
    image = colour.astype(np.float32) + 0.05 * fractal_field(rng, size, 2, 4, 0.6)[..., None] * tint(1, 0.8, 0.7)
    x, y = grid(size)
    if rng.random() < 0.5:  # the lumen
        place = rng.uniform(-0.1, 1.1, 2)
        far = np.hypot(x - float(place[0]), y - float(place[1])) + 0.03 * smooth_field(rng, size, 3)
        image = image * (1 - 0.8 / (1 + np.exp((far - float(rng.uniform(0.08, 0.22))) * 25)))[..., None]
    centre = rng.uniform(-0.6, 1.6, 2)
    away = np.hypot(x - float(centre[0]), y - float(centre[1])) + 0.05 * smooth_field(rng, size, 2)
    for _ in range(int(rng.integers(0, 4))):  # folds: a bright ridge with its shadow
        offset = (away - float(rng.uniform(away.min(), away.max()))) / float(rng.uniform(0.03, 0.08))
        ridge = np.exp(-(offset**2)) - 1.3 * np.exp(-((offset - 1.4) ** 2))
        image = image * (1 + float(rng.uniform(0.1, 0.35)) * ridge)[..., None]
    vessels = np.zeros((size, size), np.float32)
    for _ in range(int(rng.integers(2, 12))):
        path = shapes.curve(rng, rng.uniform(0, 1, 2), rng.uniform(0, 6.3), rng.uniform(0.2, 0.7), 1.5)
        shapes.add_stroke(vessels, path, rng.uniform(0.006, 0.014), rng.uniform(0.2, 0.7))
    return shapes.painted(image, vessels, image * tint(0.75, 0.4, 0.4))


def _polyp(rng: Rng, size: int, image: np.ndarray, mask: np.ndarray, colour: np.ndarray) -> np.ndarray:
    """A raised body: lit from one side, darker towards its edge, with a shadow on the wall."""
    cover = mask.astype(np.float32)
    extent = float(np.sqrt(mask.mean()))
    height = blur(cover, size * extent * 0.18)
    angle = rng.uniform(0, 2 * np.pi)
    slope_y, slope_x = np.gradient(blur(height, 1.0))
    lit = (slope_x * np.cos(angle) + slope_y * np.sin(angle)) * size * extent * 0.5
    redder = rng.choice([-1.0, 1.0], p=[0.35, 0.65]) * rng.uniform(0.07, 0.19)
    body = colour + np.array([-0.2, -1.0, -0.8]) * redder + rng.normal(0, 0.03, 3)
    body = body + rng.choice([-1.0, 1.0]) * rng.uniform(0.0, 0.09)
    surface = body.astype(np.float32) + 0.04 * fractal_field(rng, size, 5, 4, 0.8)[..., None] * tint(1, 0.9, 0.8)
    if rng.random() < 0.4:  # pits
        surface = surface + 0.05 * np.tanh(3 * smooth_field(rng, size, rng.uniform(14, 26)))[..., None]
    surface = surface * (0.72 + 0.35 * height + 0.3 * np.tanh(lit).astype(np.float32))[..., None]
    right, down = round(-np.cos(angle) * size / 32), round(-np.sin(angle) * size / 32)
    shadow = shapes.shifted(blur(cover, size * 0.02), right, down)
    image = image * (1 - float(rng.uniform(0.1, 0.4)) * shadow)[..., None]
    return shapes.painted(image, cover, surface, rng.uniform(0.4, 1.5))

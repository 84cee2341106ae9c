"""Skin lesions under hair: brown irregular patches with soft borders and pigment structure, as under a dermatoscope.

Shifted from the source by low and uneven contrast inside the object, soft borders, hair, gel reflections, a dark frame.
"""

from __future__ import annotations

import numpy as np

from zoo_opt_seg.data.synthetic import shapes
from zoo_opt_seg.data.synthetic.textures import Rng, blur, fractal_field, gradient, grid, smooth_field, tint, to_uint8


def scene(rng: Rng, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Draw a lesion: image (size, size, 3) uint8 and its mask (size, size) bool."""
    tone = rng.uniform(0.0, 1.0)  # pale to brown
    skin = np.array([0.90, 0.71, 0.64]) * (1 - tone) + np.array([0.66, 0.44, 0.32]) * tone + rng.normal(0, 0.03, 3)
    image: np.ndarray = np.broadcast_to(skin.astype(np.float32), (size, size, 3))
    image = image + float(rng.uniform(0.01, 0.035)) * fractal_field(rng, size, 6, 4, 0.8)[..., None]
    image = image + float(rng.uniform(0.0, 0.04)) * smooth_field(rng, size, 3)[..., None] * tint(0.4, -0.6, -0.5)

    radius = np.exp(rng.uniform(np.log(0.09), np.log(0.38)))
    centre = 0.5 + rng.uniform(-1, 1, 2) * (0.42 - 0.5 * radius)
    mask = shapes.filled(shapes.blob(rng, radius, rng.uniform(0.08, 0.4), 8) + centre, size)
    for _ in range(int(rng.integers(0, 5))):  # other marks, smaller
        mark = shapes.blob(rng, rng.uniform(0.01, 0.04), 0.2) + rng.uniform(0, 1, 2)
        image = shapes.painted(image, shapes.filled(mark, size), image * tint(0.72, 0.62, 0.6), 0.7)
    image = _lesion(rng, size, image, mask, radius)
    image = _hair(rng, size, image)
    bubbles = shapes.flecks(rng, size, int(rng.integers(0, 5)), 0.05)
    image = shapes.painted(image, bubbles, tint(0.97, 0.97, 0.98), 0.4)
    image = image * (1 + float(rng.uniform(0.0, 0.3)) * gradient(rng, size))[..., None]
    if rng.random() < 0.3:  # the instrument's round frame
        x, y = grid(size)
        distance = np.hypot(x - 0.5, y - 0.5) - float(rng.uniform(0.52, 0.62))
        image = image * (1 / (1 + np.exp(distance * 60)))[..., None] + 0.03
    image = blur(image, rng.uniform(0.0, 0.6)) + 0.015 * rng.standard_normal((size, size, 3), dtype=np.float32)
    return to_uint8(image), mask


def _lesion(rng: Rng, size: int, image: np.ndarray, mask: np.ndarray, radius: float) -> np.ndarray:
    """Pigment that absorbs light: darkest in patches, with a border as soft as the lesion is large."""
    dark = np.array([0.55, 0.38, 0.32]) + rng.normal(0, 0.07, 3) + (rng.random() < 0.25) * np.array([0.3, 0.0, 0.02])
    depth = np.exp(rng.uniform(np.log(0.22), np.log(0.9)))  # optical thickness
    pattern = 1 + float(rng.uniform(0.1, 0.45)) * fractal_field(rng, size, 3 / max(radius, 0.15), 3, 0.7)
    if rng.random() < 0.4:  # pigment network
        pattern = pattern + 0.3 * np.tanh(3 * smooth_field(rng, size, rng.uniform(20, 30)))
    if rng.random() < 0.3:  # regression: a paler centre
        pattern = pattern - 0.6 * blur(mask.astype(np.float32), size * radius / 2)
    amount = blur(mask.astype(np.float32), rng.uniform(0.6, 1.0 + 8 * radius))
    thickness = float(depth) * amount * np.clip(pattern, 0.15, 2.0)
    return image * np.exp(np.log(np.clip(dark, 0.1, 0.95)).astype(np.float32) * thickness[..., None])


def _hair(rng: Rng, size: int, image: np.ndarray) -> np.ndarray:
    colour = np.array([0.13, 0.09, 0.07]) if rng.random() < 0.8 else np.array([0.85, 0.78, 0.62])
    along = rng.uniform(0, 2 * np.pi)
    count = int(rng.choice([0, 4, 10, 20, 35], p=[0.1, 0.2, 0.3, 0.25, 0.15]))
    cover = np.zeros((size, size), np.float32)
    for _ in range(count):
        path = shapes.curve(rng, rng.uniform(-0.1, 1.1, 2), along + rng.normal(0, 0.6), rng.uniform(0.3, 1.1), 0.8)
        shapes.add_stroke(cover, path, rng.uniform(0.006, 0.016), rng.uniform(0.6, 1.0))
    return shapes.painted(image, cover, colour.astype(np.float32))

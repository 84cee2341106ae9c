"""Instrument shafts in an endoscopic view: metal or dark plastic rods with glare along them, a joint and a tip.

Shifted from the source by glare and rings that cut the object into strips, a second instrument of the same look, smoke,
and wet tissue with highlights.
"""

from __future__ import annotations

import numpy as np

from zoo_opt_seg.data.synthetic import shapes
from zoo_opt_seg.data.synthetic.textures import Rng, blur, fractal_field, gradient, grid, smooth_field, tint, to_uint8


def scene(rng: Rng, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Draw one or two instruments: image (size, size, 3) uint8 and the mask (size, size) bool of the upper one."""
    while True:
        image = _tissue(rng, size)
        mask = np.zeros((size, size), bool)
        for _ in range(int(rng.choice([1, 2], p=[0.55, 0.45]))):
            image, mask = _instrument(rng, size, image)
        if 0.03 < mask.mean() < 0.5:
            break
    if rng.random() < 0.4:  # smoke
        smoke = 1 / (1 + np.exp(-1.5 * fractal_field(rng, size, 2, 3, 0.5)))
        image = shapes.painted(image, float(rng.uniform(0.1, 0.5)) * smoke, tint(0.78, 0.76, 0.76))
    x, y = grid(size)
    vignette = 1 - float(rng.uniform(0.2, 1.0)) * ((x - 0.5) ** 2 + (y - 0.5) ** 2)
    image = image * vignette[..., None] * (1 + float(rng.uniform(0.0, 0.3)) * gradient(rng, size))[..., None]
    image = blur(image, rng.uniform(0.0, 0.7)) + 0.015 * rng.standard_normal((size, size, 3), dtype=np.float32)
    return to_uint8(image), mask


def _tissue(rng: Rng, size: int) -> np.ndarray:
    colour = np.array([0.66, 0.30, 0.26]) * rng.uniform(0.6, 1.2) + rng.normal(0, 0.05, 3)
    image = colour.astype(np.float32) + 0.08 * fractal_field(rng, size, 2, 4, 0.6)[..., None] * tint(1, 0.7, 0.6)
    fat = 1 / (1 + np.exp(-6 * (smooth_field(rng, size, 4) - float(rng.uniform(0.3, 1.5)))))
    image = shapes.painted(image, fat, tint(0.85, 0.68, 0.42) + 0.05 * smooth_field(rng, size, 12)[..., None])
    vessels = np.zeros((size, size), np.float32)
    for _ in range(int(rng.integers(0, 7))):
        path = shapes.curve(rng, rng.uniform(0, 1, 2), rng.uniform(0, 6.3), rng.uniform(0.2, 0.8), 1.2)
        shapes.add_stroke(vessels, path, rng.uniform(0.008, 0.02), 0.7)
    image = shapes.painted(image, vessels, image * 0.5)
    return shapes.painted(image, shapes.flecks(rng, size, int(rng.integers(0, 12)), 0.08), tint(1.0, 0.97, 0.95), 0.4)


def _instrument(rng: Rng, size: int, image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A rod that enters from the image's border, and its mask."""
    side = rng.uniform(0, 2 * np.pi)
    entry = 0.5 + 0.75 * np.array([np.cos(side), np.sin(side)])
    tip = 0.5 + rng.uniform(-0.3, 0.3, 2)
    axis = tip - entry
    reach = float(np.linalg.norm(axis))
    axis = axis / reach
    width = float(np.exp(rng.uniform(np.log(0.07), np.log(0.26))))
    shaft = shapes.filled(shapes.band(np.array([entry, tip]), width), size)
    jaws, mask = _jaws(rng, size, tip, axis, width), shaft
    x, y = grid(size)
    along = (x - float(entry[0])) * float(axis[0]) + (y - float(entry[1])) * float(axis[1])
    across = ((x - float(entry[0])) * float(-axis[1]) + (y - float(entry[1])) * float(axis[0])) / (width / 2)

    base = float(rng.choice([rng.uniform(0.1, 0.25), rng.uniform(0.4, 0.75)]))  # dark plastic, metal
    colour = (base + rng.normal(0, 0.02, 3)).astype(np.float32)
    round_shade = 0.45 + 0.75 * np.sqrt(np.clip(1 - (across - float(rng.uniform(-0.4, 0.4))) ** 2, 0, 1))
    glare = float(rng.uniform(0.2, 0.9)) * np.exp(-(((across - float(rng.uniform(-0.5, 0.5))) / 0.14) ** 2))
    surface = colour * round_shade[..., None] + glare[..., None] * (0.6 + 0.4 * smooth_field(rng, size, 3)[..., None])
    for _ in range(int(rng.integers(0, 4))):  # rings and markings
        place = float(rng.uniform(0.4, 1.0)) * reach
        ring = np.abs(along - place) < float(rng.uniform(0.008, 0.04))
        surface = np.where(ring[..., None], surface * float(rng.choice([0.35, 1.6])) + 0.04, surface)
    if rng.random() < 0.4:  # an insulated end of another colour
        end = along > reach - float(rng.uniform(0.1, 0.3))
        other = np.float32(rng.uniform(0.1, 0.8)) + rng.normal(0, 0.08, 3).astype(np.float32)
        surface = np.where(end[..., None], other * round_shade[..., None] + 0.5 * glare[..., None], surface)
    reach = size // 24
    right, down = rng.integers(-reach, reach + 1, 2)
    shadow = shapes.shifted(blur(shaft.astype(np.float32), size / 48), int(right), int(down))
    image = image * (1 - 0.5 * shadow)[..., None]
    for jaw in jaws:
        metal = np.float32(rng.uniform(0.35, 0.8)) + 0.12 * smooth_field(rng, size, 8)[..., None] * tint(1, 1, 1)
        image = shapes.painted(image, jaw, metal, 0.4)
        mask = mask | jaw
    return shapes.painted(image, shaft, surface, 0.4), mask


def _jaws(rng: Rng, size: int, tip: np.ndarray, axis: np.ndarray, width: float) -> list[np.ndarray]:
    """None, one or two tapered jaws at the end of the shaft."""
    jaws = []
    opening = rng.uniform(0.05, 0.6)
    for sign in ((), (0,), (-1, 1))[int(rng.integers(0, 3))]:
        angle = np.arctan2(axis[1], axis[0]) + sign * opening
        start = tip - 0.3 * width * axis
        path = shapes.curve(rng, start, angle, rng.uniform(0.9, 2.0) * width, 0.4, 12)
        jaws.append(shapes.filled(shapes.band(path, width * np.linspace(0.6, 0.25, 12)), size))
    return jaws

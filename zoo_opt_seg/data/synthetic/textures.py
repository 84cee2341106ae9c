"""Smooth random fields, colours and blurs, from which all scenes are painted.

Everything is separable and done by small matrix products, which makes a field of 96 x 96 cost about 0.1 ms.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

Rng = np.random.Generator


@lru_cache(maxsize=64)
def _spread(cells: int, size: int) -> np.ndarray:
    """Cubic B-spline interpolation from ``cells + 3`` knots to ``size`` pixels, as a matrix; rows have unit norm.

    Unit rows make a field of white knots have unit variance everywhere.
    """
    position = (np.arange(size) + 0.5) * cells / size
    left = np.floor(position).astype(int)
    t = position - left
    weights = np.stack([(1 - t) ** 3, 3 * t**3 - 6 * t**2 + 4, -3 * t**3 + 3 * t**2 + 3 * t + 1, t**3], axis=1)
    matrix = np.zeros((size, cells + 3))
    np.put_along_axis(matrix, left[:, None] + np.arange(4), weights, axis=1)
    return (matrix / np.linalg.norm(matrix, axis=1, keepdims=True)).astype(np.float32)


def smooth_field(rng: Rng, size: int, cells: float, channels: int | None = None) -> np.ndarray:
    """White noise smoothed to ``cells`` cells across the image: zero mean, unit variance.

    Returns
    -------
    ndarray of float32, shape (size, size) or (size, size, channels)
    """
    spread = _spread(max(1, round(cells)), size)
    knots = rng.standard_normal((channels or 1, spread.shape[1], spread.shape[1]), dtype=np.float32)
    field = spread @ knots @ spread.T
    return np.ascontiguousarray(field.transpose(1, 2, 0)) if channels else field[0]


def fractal_field(rng: Rng, size: int, cells: float = 2.0, octaves: int = 5, roughness: float = 0.6) -> np.ndarray:
    """A sum of smooth fields, each with twice the cells and ``roughness`` times the height of the one before.

    Returns
    -------
    ndarray of float32, shape (size, size)
        About zero mean and unit variance.
    """
    heights = roughness ** np.arange(octaves)
    heights /= np.sqrt((heights**2).sum())
    total = np.zeros((size, size), np.float32)
    for octave, height in enumerate(heights):
        total += np.float32(height) * smooth_field(rng, size, cells * 2**octave)
    return total


@lru_cache(maxsize=256)
def _blur_matrix(sigma: float, size: int) -> np.ndarray:
    offset = np.arange(size)[:, None] - np.arange(size)
    matrix = np.exp(-0.5 * (offset / sigma) ** 2)
    return (matrix / matrix.sum(axis=1, keepdims=True)).astype(np.float32)


def blur(image: np.ndarray, sigma: float) -> np.ndarray:
    """Gaussian blur of ``sigma`` pixels (rounded to a twentieth), normalised at the border; (H, H) or (H, H, c)."""
    sigma = round(20 * sigma) / 20
    if sigma < 0.2:
        return image
    matrix = _blur_matrix(sigma, image.shape[0])
    if image.ndim == 2:
        return matrix @ image @ matrix.T
    return np.ascontiguousarray((matrix @ image.transpose(2, 0, 1) @ matrix.T).transpose(1, 2, 0))


@lru_cache(maxsize=8)
def grid(size: int) -> tuple[np.ndarray, np.ndarray]:
    """Pixel centres (x, y) in units of the image's side, each (size, size) float32."""
    axis = ((np.arange(size) + 0.5) / size).astype(np.float32)
    x, y = np.meshgrid(axis, axis)
    return x, y


def gradient(rng: Rng, size: int) -> np.ndarray:
    """A ramp across the image in a random direction, from about -1 to 1, (size, size)."""
    x, y = grid(size)
    angle = rng.uniform(0, 2 * np.pi)
    return 1.6 * ((x - 0.5) * float(np.cos(angle)) + (y - 0.5) * float(np.sin(angle)))


def stripes(rng: Rng, size: int, waves: float) -> np.ndarray:
    """Bent stripes, ``waves`` of them across the image, in [-1, 1], (size, size)."""
    x, y = grid(size)
    angle = rng.uniform(0, np.pi)
    along = x * float(np.cos(angle)) + y * float(np.sin(angle))
    phase = float(waves) * along + float(rng.uniform(0, 0.5)) * smooth_field(rng, size, 3) + float(rng.uniform())
    return np.sin(2 * float(np.pi) * phase)


def to_uint8(image: np.ndarray) -> np.ndarray:
    """Values in [0, 1] as bytes, clipped."""
    return (np.clip(image, 0.0, 1.0) * 255 + 0.5).astype(np.uint8)


def tint(red: float, green: float, blue: float) -> np.ndarray:
    """A colour, or a factor of each channel, (3,) float32."""
    return np.array([red, green, blue], np.float32)

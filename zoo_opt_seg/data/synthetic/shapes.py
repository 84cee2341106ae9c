"""Outlines and strokes, and how they become coverage of pixels. All lengths in units of the image's side."""

from __future__ import annotations

import numpy as np

from zoo_opt_seg.data.synthetic.textures import Rng, blur


def ellipse(rng: Rng, radius: float, aspect: float, corners: float = 2.0, points: int = 40) -> np.ndarray:
    """A superellipse about the origin: ``corners`` 2 is an ellipse, larger is boxier; (points, 2)."""
    angle = np.linspace(0, 2 * np.pi, points, endpoint=False)
    cos, sin = np.cos(angle), np.sin(angle)
    x = np.sign(cos) * np.abs(cos) ** (2 / corners) * radius / np.sqrt(aspect)
    y = np.sign(sin) * np.abs(sin) ** (2 / corners) * radius * np.sqrt(aspect)
    return turned(np.stack([x, y], axis=1), rng.uniform(0, 2 * np.pi))


def blob(rng: Rng, radius: float, wobble: float, harmonics: int = 6, points: int = 48) -> np.ndarray:
    """A star-shaped outline whose log radius is a random Fourier series, (points, 2).

    ``wobble`` is about the standard deviation of the log radius.
    """
    angle = np.linspace(0, 2 * np.pi, points, endpoint=False)
    order = np.arange(2, harmonics + 2)
    height = rng.standard_normal((2, harmonics)) / order
    height *= wobble / np.sqrt(0.5 * (1 / order**2).sum()) / np.sqrt(2)
    series = height[0] @ np.cos(order[:, None] * angle) + height[1] @ np.sin(order[:, None] * angle)
    distance = radius * np.exp(series)
    stretch = np.exp(rng.uniform(-0.35, 0.35))
    outline = np.stack([distance * np.cos(angle) * stretch, distance * np.sin(angle) / stretch], axis=1)
    return turned(outline, rng.uniform(0, 2 * np.pi))


def polar(angle: np.ndarray, distance: float | np.ndarray) -> np.ndarray:
    """Points (n, 2) at angles and distances from the origin."""
    return np.stack([distance * np.cos(angle), distance * np.sin(angle)], axis=1)


def polygon(rng: Rng, radius: float, corners: int) -> np.ndarray:
    """A star-shaped polygon with random corners, (corners, 2)."""
    angle = (np.arange(corners) + rng.uniform(-0.35, 0.35, corners)) * 2 * np.pi / corners + rng.uniform(0, 2 * np.pi)
    distance = radius * rng.uniform(0.7, 1.3, corners)
    return polar(angle, distance)


def curve(rng: Rng, start: np.ndarray, angle: float, length: float, bend: float, points: int = 24) -> np.ndarray:
    """A smooth path from ``start`` in the direction ``angle`` whose direction drifts by about ``bend`` radians."""
    drift = np.cumsum(rng.standard_normal(points)) / np.sqrt(points) * bend
    drift = np.convolve(np.pad(drift, 2, mode="edge"), np.ones(5) / 5, mode="valid")
    direction = angle + drift - drift[0]
    step = length / points * np.stack([np.cos(direction), np.sin(direction)], axis=1)
    return start + np.cumsum(np.vstack([np.zeros(2), step[:-1]]), axis=0)


def band(path: np.ndarray, width: float | np.ndarray) -> np.ndarray:
    """The outline of a stroke of ``width`` (constant or per point) along a path, (2 * points, 2)."""
    tangent = np.gradient(path, axis=0)
    tangent /= np.maximum(np.linalg.norm(tangent, axis=1, keepdims=True), 1e-9)
    normal = np.stack([-tangent[:, 1], tangent[:, 0]], axis=1) * (np.broadcast_to(width, len(path))[:, None] / 2)
    return np.vstack([path + normal, (path - normal)[::-1]])


def turned(outline: np.ndarray, angle: float) -> np.ndarray:
    """The outline turned about the origin."""
    cos, sin = np.cos(angle), np.sin(angle)
    return outline @ np.array([[cos, sin], [-sin, cos]])


def filled(outline: np.ndarray, size: int) -> np.ndarray:
    """Pixels of a size x size image whose centres the outline winds around, (size, size) bool."""
    return _inside(outline * size - 0.5, size, size)


def _inside(corners: np.ndarray, height: int, width: int) -> np.ndarray:
    """Points of a grid of whole numbers that a closed polygon (x, y) winds around, (height, width) bool.

    Every row is cut with every edge; right of a cut the winding number is another by the edge's sign.
    """
    x0, y0 = corners.T
    x1, y1 = np.roll(x0, -1), np.roll(y0, -1)
    rows = np.arange(height)[:, None]
    row, edge = np.nonzero((y0 <= rows) != (y1 <= rows))
    x = x0[edge] + (row - y0[edge]) * (x1[edge] - x0[edge]) / (y1[edge] - y0[edge])
    column = np.clip(np.ceil(x), 0, width).astype(int)
    sign = np.where(y1[edge] > y0[edge], 1.0, -1.0)
    turns = np.bincount(row * (width + 1) + column, sign, height * (width + 1)).reshape(height, width + 1)
    return np.asarray(np.cumsum(turns, axis=1, dtype=np.float32)[:, :width] != 0)


def add_stroke(cover: np.ndarray, path: np.ndarray, width: float, strength: float = 1.0) -> None:
    """Draw a thin line of ``width`` along a path into ``cover`` (size, size), the larger value of the two remaining.

    It is drawn at three times the size, within its bounding box.
    """
    size = len(cover)
    outline = band(path, max(width, 0.3 / size)) * size
    x0, y0 = np.clip(np.floor(outline.min(axis=0)), 0, size).astype(int)
    x1, y1 = np.clip(np.ceil(outline.max(axis=0)), 0, size).astype(int)
    if x0 < x1 and y0 < y1:
        fine = _inside((outline - (x0, y0)) * 3 - 0.5, 3 * (y1 - y0), 3 * (x1 - x0))
        part = fine.reshape(y1 - y0, 3, x1 - x0, 3).mean(axis=(1, 3), dtype=np.float32)
        np.maximum(cover[y0:y1, x0:x1], np.float32(strength) * part, out=cover[y0:y1, x0:x1])


def flecks(rng: Rng, size: int, count: int, longest: float) -> np.ndarray:
    """Coverage of ``count`` short bent strokes anywhere, such as reflections on something wet, (size, size)."""
    cover = np.zeros((size, size), np.float32)
    for _ in range(count):
        start, angle, length = rng.uniform(0, 1, 2), rng.uniform(0, 2 * np.pi), rng.uniform(0.005, longest)
        add_stroke(cover, curve(rng, start, angle, length, 1.5, 8), rng.uniform(0.01, 0.03))
    return cover


def painted(image: np.ndarray, cover: np.ndarray, paint: np.ndarray, soften: float = 0.0) -> np.ndarray:
    """``paint`` (a colour or an image) over ``image`` where ``cover`` (H, W), its edge softened by some pixels."""
    alpha = blur(cover.astype(np.float32), soften)[..., None]
    return image + alpha * (paint - image)


def shifted(image: np.ndarray, right: int, down: int) -> np.ndarray:
    """The image (H, W) moved by whole pixels, zeros coming in from outside."""
    reach = max(abs(right), abs(down))
    padded = np.pad(image, reach)
    height, width = image.shape
    return padded[reach - down : reach - down + height, reach - right : reach - right + width]

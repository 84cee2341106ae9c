"""Space of a drawn CT case, warped and scaled, and the solids in it: ellipsoids and tubes, in millimetres."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Space:
    """The voxels of a case.

    Parameters
    ----------
    x, y, z : ndarray of float32, shape (D, H, W)
        Where each voxel lies in the average body, in mm.
    spacing : (float, float, float)
        Of the voxels in the case's own body, in mm, to a thousandth.
    """

    x: np.ndarray
    y: np.ndarray
    z: np.ndarray
    spacing: tuple[float, float, float]

    @property
    def shape(self) -> tuple[int, ...]:
        """Slices, rows, columns."""
        return self.x.shape

    @classmethod
    def drawn(cls, rng: np.random.Generator, size: int, half: tuple[float, float]) -> Space:
        """Draw a body's size, the field of view, the slices, and a smooth warp of 5 mm or so."""
        scale = np.exp(0.07 * rng.standard_normal()) * np.exp(0.04 * rng.standard_normal(3))  # z, y, x of the body
        pixel = round(float(2 * half[0] * scale[2] * rng.uniform(1.04, 1.18) / size), 3)
        thick = round(float(rng.uniform(6.0, 8.5)), 3)
        low, high = rng.uniform(-118, -92) * scale[0], rng.uniform(84, 104) * scale[0]
        depth = int((high - low) / thick) + 1
        axes = [
            (low + thick * np.arange(depth)) / scale[0],
            (pixel * (np.arange(size) - (size - 1) / 2) + rng.uniform(-8, 8)) / scale[1],
            (pixel * (np.arange(size) - (size - 1) / 2) + rng.uniform(-8, 8)) / scale[2],
        ]
        z, y, x = np.meshgrid(*(axis.astype(np.float32) for axis in axes), indexing="ij")
        plain = cls(x, y, z, (thick, pixel, pixel))
        warp = [5.0 * smooth_noise(rng, plain, 65.0) + 1.2 * smooth_noise(rng, plain, 24.0) for _ in range(3)]
        return cls(x + warp[2], y + warp[1], z + warp[0], plain.spacing)


def smooth_noise(rng: np.random.Generator, space: Space, length: float) -> np.ndarray:
    """White noise on knots ``length`` mm apart, interpolated: float32 (D, H, W), mean 0, standard deviation near 1."""
    from scipy.interpolate import make_interp_spline

    edges = [np.array([axis.min(), axis.max()]) for axis in (space.z, space.y, space.x)]
    counts = [max(4, int((high - low) / length) + 2) for low, high in edges]
    noise = rng.standard_normal(counts)
    for axis, count, voxels in zip(range(3), counts, space.shape, strict=True):
        spread = make_interp_spline(np.linspace(0, 1, count), np.eye(count))(np.linspace(0, 1, voxels))
        noise = np.moveaxis(np.tensordot(spread, noise, (1, axis)), 0, axis)
    return np.asarray(noise / noise.std(), np.float32)


def ellipsoid(
    space: Space, centre: Sequence[float] | np.ndarray, radii: Sequence[float] | np.ndarray, turn: float = 0.0
) -> np.ndarray:
    """Voxels of an ellipsoid, bool (D, H, W); ``turn`` radians about the body's long axis, ``centre`` as (x, y, z)."""
    x, y, z = (axis - np.float32(c) for axis, c in zip((space.x, space.y, space.z), centre, strict=True))
    if turn:
        cos, sin = np.float32(np.cos(turn)), np.float32(np.sin(turn))
        x, y = cos * x + sin * y, cos * y - sin * x
    a, b, c = (np.float32(max(radius, 1.0)) for radius in radii)
    return np.asarray((x / a) ** 2 + (y / b) ** 2 + (z / c) ** 2 < 1)


def tube(space: Space, points: Sequence[np.ndarray], radii: Sequence[float] | np.ndarray) -> np.ndarray:
    """Voxels of a bent tube through ``points`` (x, y, z), whose radius changes evenly between them, bool (D, H, W)."""
    found = np.zeros(space.shape, bool)
    radii = np.asarray(radii, np.float32)
    for k in range(len(points) - 1):
        start, way = points[k].astype(np.float32), (points[k + 1] - points[k]).astype(np.float32)
        x, y, z = space.x - start[0], space.y - start[1], space.z - start[2]
        t = ((x * way[0] + y * way[1] + z * way[2]) / (way @ way)).clip(0, 1)
        squared = (x - t * way[0]) ** 2 + (y - t * way[1]) ** 2 + (z - t * way[2]) ** 2
        found |= squared < (radii[k] + t * (radii[k + 1] - radii[k])) ** 2
    return found

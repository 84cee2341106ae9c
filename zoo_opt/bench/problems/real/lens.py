"""A lens of three elements: rays are traced through six surfaces, and some do not come through."""

from __future__ import annotations

import numpy as np

from zoo_opt.bench.problems.real.base import Float64, Quantity, RealTask

GLASS = {"crown": (1.6199, 1.6169, 1.6268), "flint": (1.6169, 1.6117, 1.6290)}  # at 588, 656 and 486 nm
ELEMENTS = ("crown", "flint", "crown")
THICK = (3.3, 1.0, 2.9)  # mm
FIELDS = (0.0, 7.0, 14.0)  # degrees
PUPIL, FOCAL = 5.0, 50.0  # mm
LOST = 4.0  # mm: what a ray counts that does not come through


class Lens(RealTask):
    """A Cooke triplet of 50 mm at f/5: six curvatures, two air gaps and the place of the film.

    The loss is the root mean square distance of rays from where an ideal lens of 50 mm brings their field, in
    millimetres, over three fields, three colours and 21 rays of the pupil each, traced by Snell's law in space. A ray
    that misses a surface or is totally reflected counts 4 mm.
    """

    task = "lens"
    quantities = (
        *(
            Quantity(f"c_{i}", low, high)
            for i, (low, high) in enumerate(
                ((0.01, 0.08), (-0.03, 0.03), (-0.08, 0.0), (0.0, 0.08), (-0.03, 0.04), (-0.08, 0.0)), 1
            )
        ),
        Quantity("gap_1", 1, 9),
        Quantity("gap_2", 1, 9),
        Quantity("film", 30, 52),
    )
    optimum, spread = 0.00905299, 3.42

    def __init__(self) -> None:
        super().__init__()
        rings = [(0.0, 1), (0.5, 8), (1.0, 12)]
        pupil = [(r * np.sin(a), r * np.cos(a)) for r, n in rings for a in 2 * np.pi * (np.arange(n) + 0.25) / n]
        angles = np.radians(FIELDS)
        points = np.array(pupil) * PUPIL
        shape = (len(FIELDS), 3, len(points))
        self._at = np.zeros((*shape, 3))
        self._at[..., :2] = points
        self._way = np.zeros((*shape, 3))
        self._way[..., 1], self._way[..., 2] = np.sin(angles)[:, None, None], np.cos(angles)[:, None, None]
        self._ideal = FOCAL * np.tan(angles)[:, None, None]

    def traced(self, p: Float64) -> Float64:
        """Where the rays meet the film, shape (fields, colours, rays, 2), in mm; NaN for those that are lost."""
        curvatures, gap_1, gap_2, film = p[:6], p[6], p[7], p[8]
        steps = (THICK[0], gap_1, THICK[1], gap_2, THICK[2], film)
        at, way = self._at.copy(), self._way
        before = np.ones(3)
        for k, (c, step) in enumerate(zip(curvatures, steps, strict=True)):
            after = np.array(GLASS[ELEMENTS[k // 2]]) if k % 2 == 0 else np.ones(3)
            # The sphere c |q|^2 = 2 q_z through the vertex, met at q = at + t way: c t^2 - 2 b t + g = 0.
            b = way[..., 2] - c * np.sum(way * at, axis=-1)
            g = c * np.sum(at * at, axis=-1) - 2 * at[..., 2]
            t = g / (b + np.sqrt(b * b - c * g))
            at = at + t[..., None] * way
            normal = np.array([0.0, 0.0, 1.0]) - c * at
            cosine = np.sum(way * normal, axis=-1)
            ratio = (before / after)[None, :, None]
            bent = np.sqrt(1 - ratio**2 * (1 - cosine**2))
            way = ratio[..., None] * way + (bent - ratio * cosine)[..., None] * normal
            at = at - np.array([0.0, 0.0, step])
            before = after
        return np.asarray((at - way * (at[..., 2:] / way[..., 2:]))[..., :2])

    def loss(self, p: Float64) -> float:
        """Root mean square distance from the ideal image, in mm."""
        gaps = self.traced(p)
        gaps[..., 1] -= self._ideal
        squares = np.square(gaps).sum(axis=-1)
        return float(np.sqrt(np.where(np.isfinite(squares), np.minimum(squares, LOST**2), LOST**2).mean()))

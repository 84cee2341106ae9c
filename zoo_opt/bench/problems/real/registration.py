"""Where one picture lies on another: scikit-image warps, and squares of differences are what is left."""

from __future__ import annotations

from typing import Any

import numpy as np

from zoo_opt.bench.problems.real.base import Float64, Quantity, RealTask
from zoo_opt.support.loading import require

SIZE = 64  # pixels


class Registration(RealTask):
    """An affine map, a brightness and a contrast that lay one photograph over another, taken of the same scene.

    The scene is scikit-image's photographer, made small; the second picture is the first after a known map, with noise
    and another exposure. The loss is the mean of squares of differences over the pixels that both have, with bilinear
    interpolation, whose kinks at whole pixels it shows.
    """

    task = "registration"
    quantities = (
        Quantity("shift right", -12, 12),
        Quantity("shift down", -12, 12),
        Quantity("rotation", -0.6, 0.6),
        Quantity("scale", 0.7, 1.4, True),
        Quantity("shear", -0.3, 0.3),
        Quantity("contrast", 0.5, 2.0, True),
        Quantity("brightness", -0.3, 0.3),
    )
    truth = (5.3, -3.7, 0.22, 1.12, 0.06, 1.25, -0.08)
    optimum, spread = 9.9909e-05, 0.158

    def __init__(self) -> None:
        super().__init__()
        self._transform: Any = require("skimage.transform", "scikit-image")
        scene = require("skimage.data", "scikit-image").camera() / 255.0
        self.fixed = self._transform.resize(scene, (SIZE, SIZE), anti_aliasing=True)
        clean = self._exposed(self._warped(np.array(self.truth)), np.array(self.truth))
        self.moved = clean + 0.01 * np.random.default_rng(6).standard_normal(clean.shape)

    def _warped(self, p: Float64) -> Float64:
        """The first picture after the map, NaN where it has nothing."""
        right, down, turn, scale, shear, _, _ = p
        middle = (SIZE - 1) / 2
        to_middle = self._transform.AffineTransform(translation=(-middle, -middle))
        about = self._transform.AffineTransform(scale=scale, rotation=turn, shear=shear)
        back = self._transform.AffineTransform(translation=(middle + right, middle + down))
        warped = self._transform.warp(self.fixed, (to_middle + about + back).inverse, order=1, cval=np.nan)
        return np.asarray(warped)

    def _exposed(self, picture: Float64, p: Float64) -> Float64:
        return np.asarray(p[5] * picture + p[6])

    def loss(self, p: Float64) -> float:
        """Mean square of the differences; 1 for each pixel that is missing of half of them."""
        gaps = np.square(self._exposed(self._warped(p), p) - self.moved)
        seen = np.isfinite(gaps)
        count = int(seen.sum())
        missing = max(0, SIZE * SIZE // 2 - count)
        return float((gaps[seen].sum() + missing) / (count + missing))

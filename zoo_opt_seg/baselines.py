"""Trivial segmentation of an image and its point, without any model: the lines that a model has to be above.

They are black boxes like others, so :func:`zoo_opt_seg.evaluation.evaluate` measures them. The first positive point of
each prompt is used.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from zoo_opt_seg.data.points import random_points
from zoo_opt_seg.data.samples import Samples, Splits
from zoo_opt_seg.prompts import Prompts


@dataclass(frozen=True)
class Disk:
    """A disk of fixed radius around the point.

    Parameters
    ----------
    radius : float
        In pixels; a pixel belongs to the disk if its centre lies at most that far from the point.
    """

    radius: float

    def __call__(self, images: np.ndarray, prompts: Prompts) -> np.ndarray:
        """Return bool masks (n, H, W)."""
        return _distance(images.shape[1:3], _first_points(prompts)) <= self.radius


@dataclass(frozen=True)
class WholeImage:
    """Everything is object."""

    def __call__(self, images: np.ndarray, prompts: Prompts) -> np.ndarray:
        """Return bool masks (n, H, W)."""
        return np.ones(images.shape[:3], np.bool_)


@dataclass(frozen=True)
class RegionGrowing:
    """What is connected with the point and of its colour, by Otsu's threshold, holes filled.

    The colour is the median of the 3 x 3 pixels around the point in CIELAB; the threshold divides the distances of all
    pixels from that colour.
    """

    def __call__(self, images: np.ndarray, prompts: Prompts) -> np.ndarray:
        """Return bool masks (n, H, W)."""
        from scipy.ndimage import binary_fill_holes
        from skimage.color import rgb2lab
        from skimage.filters import threshold_otsu
        from skimage.measure import label

        masks = np.zeros(images.shape[:3], np.bool_)
        height, width = images.shape[1:3]
        for i, (image, (px, py)) in enumerate(zip(images, _first_points(prompts), strict=True)):
            x, y = min(max(round(float(px)), 0), width - 1), min(max(round(float(py)), 0), height - 1)
            lab = rgb2lab(image)
            seed = np.median(lab[max(y - 1, 0) : y + 2, max(x - 1, 0) : x + 2], axis=(0, 1))
            distance = np.linalg.norm(lab - seed, axis=2)
            near = distance <= threshold_otsu(distance)
            near[y, x] = True
            parts = label(near, connectivity=1)
            masks[i] = binary_fill_holes(parts == parts[y, x])
        return masks


def best_disk(samples: Samples, *, repeats: int = 3, seed: int | Sequence[int] = 0) -> Disk:
    """Return the disk whose radius, in whole pixels, has the largest mean Dice on ``samples``.

    Parameters
    ----------
    samples : Samples
        The training split: the radius is a setting like others. Empty masks, on which no point can lie, are left out.
    repeats, seed : int
        Random points per image and their seed.
    """
    samples = samples[samples.with_object]
    height, width = samples.size
    largest = int(np.ceil(np.hypot(height, width)))
    entropy = tuple(int(value) for value in np.atleast_1d(np.asarray(seed)))
    total = np.zeros(largest + 1)
    for repeat in range(repeats):
        points = _first_points(random_points(samples.masks, (*entropy, repeat)))
        for mask, point in zip(samples.masks, points, strict=True):
            radius = np.ceil(_distance((height, width), point[None])[0]).astype(np.int64)
            inside = np.cumsum(np.bincount(radius.ravel(), minlength=largest + 1))  # |disk| of each radius
            both = np.cumsum(np.bincount(radius[mask], minlength=largest + 1))
            total += 2.0 * both / (inside + mask.sum())
    return Disk(float(np.argmax(total)))


def baselines(splits: Splits, *, seed: int | Sequence[int] = 0) -> dict[str, Disk | WholeImage | RegionGrowing]:
    """Return the trivial black boxes for a data set by name: disk (best on train), whole image, region growing."""
    return {
        "disk": best_disk(splits.train, seed=seed),
        "whole image": WholeImage(),
        "region growing": RegionGrowing(),
    }


def _first_points(prompts: Prompts) -> np.ndarray:
    """Return the first positive point of each prompt, (n, 2)."""
    if prompts.points is None or prompts.labels is None:
        raise ValueError("prompts: expected points, which a trivial baseline starts from")
    positive = np.asarray(prompts.labels) == 1
    if not positive.any(axis=1).all():
        raise ValueError("prompts: expected a point with the label 1 in each")
    points: np.ndarray = np.asarray(prompts.points)[np.arange(len(positive)), positive.argmax(axis=1)]
    return points


def _distance(size: tuple[int, ...], points: np.ndarray) -> np.ndarray:
    """Return the distance of each pixel from the point of its image, float64 (n, H, W)."""
    x, y = points[:, 0, None, None].astype(np.float64), points[:, 1, None, None].astype(np.float64)
    distance: np.ndarray = np.hypot(np.arange(size[1])[None, None] - x, np.arange(size[0])[None, :, None] - y)
    return distance

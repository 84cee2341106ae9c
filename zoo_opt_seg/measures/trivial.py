"""Trivial segmentation without any model: the lines that a model has to be above.

Of an image and its point they are black boxes like others, so :func:`zoo_opt_seg.measures.evaluation.evaluate` measures
them. The first positive point of each prompt is used, and where an image is asked for by text the middle of the image.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from zoo_opt_seg.data.draws import Draw, draw_prompts
from zoo_opt_seg.data.samples import Samples, Splits
from zoo_opt_seg.data.volumes import LabelledSlices, resized
from zoo_opt_seg.prompts import Prompts

THRESHOLDS = (0.02, 0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5)
"""Of the organs' share of the training slices, at a pixel, for it to be labelled at all."""


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
        size = images.shape[1:3]
        return _distance(size, _first_points(prompts, size)) <= self.radius


@dataclass(frozen=True)
class EllipseInBox:
    """The ellipse that touches the sides of the box; of a prompt without one, the sides of the image."""

    def __call__(self, images: np.ndarray, prompts: Prompts) -> np.ndarray:
        """Return bool masks (n, H, W)."""
        height, width = images.shape[1:3]
        boxes = np.tile(np.array([0, 0, width - 1, height - 1], np.float32), (len(images), 1))
        if prompts.boxes is not None:
            boxes = np.where(np.isnan(prompts.boxes), boxes, prompts.boxes)
        x0, y0, x1, y1 = (side[:, None, None] for side in boxes.T)
        half = np.maximum(np.stack([x1 - x0, y1 - y0]) / 2, 0.5)  # a box of one pixel holds that pixel
        y, x = np.mgrid[:height, :width]
        inside: np.ndarray = ((2 * x - x0 - x1) / (2 * half[0])) ** 2 + ((2 * y - y0 - y1) / (2 * half[1])) ** 2 <= 1
        return inside


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
        for i, (image, (px, py)) in enumerate(zip(images, _first_points(prompts, (height, width)), strict=True)):
            x, y = min(max(round(float(px)), 0), width - 1), min(max(round(float(py)), 0), height - 1)
            lab = rgb2lab(image)
            seed = np.median(lab[max(y - 1, 0) : y + 2, max(x - 1, 0) : x + 2], axis=(0, 1))
            distance = np.linalg.norm(lab - seed, axis=2)
            near = distance <= threshold_otsu(distance)
            near[y, x] = True
            parts = label(near, connectivity=1)
            masks[i] = binary_fill_holes(parts == parts[y, x])
        return masks


def best_disk(
    samples: Samples, *, repeats: int = 3, seed: int | Sequence[int] = 0, points: str | Draw = "random"
) -> Disk:
    """Return the disk whose radius, in whole pixels, has the largest mean Dice on ``samples``.

    Parameters
    ----------
    samples : Samples
        The training split: the radius is a setting like others. Empty masks, on which no point can lie, are left out.
    repeats, seed : int
        Random points per image and their seed.
    points : str or callable
        Kind of prompts, see `zoo_opt_seg.data.draws.draw_prompts`.
    """
    samples = samples[samples.with_object]
    height, width = samples.size
    largest = int(np.ceil(np.hypot(height, width)))
    entropy = tuple(int(value) for value in np.atleast_1d(np.asarray(seed)))
    total = np.zeros(largest + 1)
    for repeat in range(repeats):
        places = _first_points(draw_prompts(points, samples, (*entropy, repeat)), (height, width))
        for mask, point in zip(samples.masks, places, strict=True):
            radius = np.ceil(_distance((height, width), point[None])[0]).astype(np.int64)
            inside = np.cumsum(np.bincount(radius.ravel(), minlength=largest + 1))  # |disk| of each radius
            both = np.cumsum(np.bincount(radius[mask], minlength=largest + 1))
            total += 2.0 * both / (inside + mask.sum())
    return Disk(float(np.argmax(total)))


def baselines(
    splits: Splits, *, seed: int | Sequence[int] = 0, points: str | Draw = "random"
) -> dict[str, Disk | WholeImage | RegionGrowing]:
    """Return the trivial black boxes for a data set by name: disk (best on train), whole image, region growing."""
    disk = best_disk(splits.train, seed=seed, points=points)
    return {"disk": disk, "whole image": WholeImage(), "region growing": RegionGrowing()}


@dataclass(frozen=True, eq=False)
class Atlas:
    """The same labels for every slice.

    Parameters
    ----------
    labels : ndarray of uint8, shape (H, W)
    threshold : float
        What they were made with.
    """

    labels: np.ndarray
    threshold: float

    def __call__(self, images: np.ndarray) -> np.ndarray:
        """Return labels, uint8 (n, H, W), of slices (n, H, W) of any square size."""
        labels = self.labels
        if labels.shape != images.shape[1:]:
            _, (labels,) = resized(np.zeros((1, *labels.shape), np.float32), labels[None], images.shape[1])
        return np.repeat(labels[None], len(images), axis=0)


def best_atlas(slices: LabelledSlices) -> Atlas:
    """Return the atlas of the organ that each pixel has most often, its threshold that of the best Dice on `slices`.

    Parameters
    ----------
    slices : LabelledSlices
        The training split. Dice is the mean over classes, each over all pixels of all slices.

    Examples
    --------
    >>> import numpy as np
    >>> labels = np.zeros((4, 8, 8), np.uint8)
    >>> labels[:, 2:5, 2:5] = 1
    >>> slices = LabelledSlices(np.zeros((4, 8, 8), np.float32), labels, "abcd", ("liver",))
    >>> bool((best_atlas(slices)(slices.images) == labels).all())
    True
    """
    classes = range(1, len(slices.classes) + 1)
    share = np.stack([(slices.labels == k).mean(axis=0) for k in classes])  # (classes, H, W)
    sizes = share.sum(axis=(1, 2))
    candidates = []
    for threshold in THRESHOLDS:
        labels = np.where(share.sum(axis=0) >= threshold, share.argmax(axis=0) + 1, 0).astype(np.uint8)
        masks = np.stack([labels == k for k in classes])
        both = 2 * (share * masks).sum(axis=(1, 2)) / np.maximum(sizes + masks.sum(axis=(1, 2)), 1e-12)
        candidates.append((float(both.mean()), -threshold, labels))
    _, threshold, labels = max(candidates, key=lambda item: item[:2])
    return Atlas(labels, -threshold)


def _first_points(prompts: Prompts, size: tuple[int, ...]) -> np.ndarray:
    """Return the first positive point of each prompt, (n, 2); the image's middle where there are texts alone."""
    if prompts.points is None or prompts.labels is None:
        if prompts.texts is None:
            raise ValueError("prompts must hold points, which a trivial baseline starts from, or texts, got neither")
        return np.tile(np.array([size[1] - 1, size[0] - 1], np.float32) / 2, (len(prompts), 1))
    positive = np.asarray(prompts.labels) == 1
    some = positive.any(axis=1)
    if not some.all():
        raise ValueError(f"prompts must hold a point with the label 1 in each row, got none in row {some.argmin()}")
    points: np.ndarray = np.asarray(prompts.points)[np.arange(len(positive)), positive.argmax(axis=1)]
    return points


def _distance(size: tuple[int, ...], points: np.ndarray) -> np.ndarray:
    """Return the distance of each pixel from the point of its image, float64 (n, H, W)."""
    x, y = points[:, 0, None, None].astype(np.float64), points[:, 1, None, None].astype(np.float64)
    distance: np.ndarray = np.hypot(np.arange(size[1])[None, None] - x, np.arange(size[0])[None, :, None] - y)
    return distance

"""Trivial segmentation without any model: the lines that a model has to be above.

Of an image and its prompt they are black boxes like others, so :func:`zoo_opt_seg.measures.evaluation.evaluate`
measures them. Of several points the first on the object is used; where there is none the middle of the box, and without
a box, as for texts, the middle of the image.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from zoo_opt_seg.data.draws import Kind, draw_prompts
from zoo_opt_seg.data.samples import Samples, Splits
from zoo_opt_seg.data.volumes import LabelledSlices, resized
from zoo_opt_seg.prompts import OBJECT, Prompts

THRESHOLDS = (0.02, 0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5)
"""Of the organs' share of the training slices, at a pixel, for it to be labelled at all."""


@dataclass(frozen=True)
class Disk:
    """A disk of fixed radius around the point, or what stands for it (see above).

    Parameters
    ----------
    radius : float
        In pixels; a pixel belongs to the disk if its centre lies at most that far from the point.
    """

    radius: float

    def __call__(self, images: np.ndarray, prompts: Prompts) -> np.ndarray:
        """Return bool masks (n, H, W)."""
        size = images.shape[1:3]
        return _distance(size, _places(prompts, size)) <= self.radius


@dataclass(frozen=True)
class EllipseInBox:
    """The ellipse that fills the box, its first and last pixels too; of a prompt without a box, the image."""

    def __call__(self, images: np.ndarray, prompts: Prompts) -> np.ndarray:
        """Return bool masks (n, H, W)."""
        height, width = images.shape[1:3]
        x0, y0, x1, y1 = (side[:, None, None] for side in _boxes(prompts, (height, width)).T)
        y, x = np.mgrid[:height, :width]
        inside: np.ndarray = ((2 * x - x0 - x1) / (x1 - x0 + 1)) ** 2 + ((2 * y - y0 - y1) / (y1 - y0 + 1)) ** 2 <= 1
        return inside


@dataclass(frozen=True)
class WholeImage:
    """Everything is object."""

    def __call__(self, images: np.ndarray, prompts: Prompts) -> np.ndarray:
        """Return bool masks (n, H, W)."""
        return np.ones(images.shape[:3], np.bool_)


@dataclass(frozen=True)
class RegionGrowing:
    """What is connected with the point and of its colour, by Otsu's threshold, holes filled; within the box, if any.

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
        for i, (image, (px, py)) in enumerate(zip(images, _places(prompts, (height, width)), strict=True)):
            x, y = min(max(round(float(px)), 0), width - 1), min(max(round(float(py)), 0), height - 1)
            lab = rgb2lab(image)
            seed = np.median(lab[max(y - 1, 0) : y + 2, max(x - 1, 0) : x + 2], axis=(0, 1))
            distance = np.linalg.norm(lab - seed, axis=2)
            near = distance <= threshold_otsu(distance)
            near[y, x] = True
            parts = label(near, connectivity=1)
            masks[i] = binary_fill_holes(parts == parts[y, x])
        return masks if prompts.boxes is None else masks & _within(_boxes(prompts, (height, width)), (height, width))


Trivial = Disk | EllipseInBox | WholeImage | RegionGrowing


def best_disk(samples: Samples, *, repeats: int = 3, seed: int | Sequence[int] = 0, points: Kind = "random") -> Disk:
    """Return the disk whose radius, in whole pixels, has the largest mean Dice on ``samples``.

    Parameters
    ----------
    samples : Samples
        The training split: the radius is a setting like others. Empty masks, on which no point can lie, are left out.
    repeats, seed : int
        Random points per image and their seed.
    points : int, str or callable
        Kind of prompts, see `zoo_opt_seg.data.draws.draw_prompts`.
    """
    samples = samples.select(samples.with_object)
    height, width = samples.size
    largest = int(np.ceil(np.hypot(height, width)))
    entropy = tuple(int(value) for value in np.atleast_1d(np.asarray(seed)))
    total = np.zeros(largest + 1)
    for repeat in range(repeats):
        places = _places(draw_prompts(points, samples, (*entropy, repeat), exact=True), (height, width))
        for mask, point in zip(samples.masks, places, strict=True):
            radius = np.ceil(_distance((height, width), point[None])[0]).astype(np.int64)
            inside = np.cumsum(np.bincount(radius.ravel(), minlength=largest + 1))  # |disk| of each radius
            both = np.cumsum(np.bincount(radius[mask], minlength=largest + 1))
            total += 2.0 * both / (inside + mask.sum())
    return Disk(float(np.argmax(total)))


def baselines(splits: Splits, *, seed: int | Sequence[int] = 0, points: Kind = "random") -> dict[str, Trivial]:
    """Return the trivial black boxes for a data set by name.

    They are the disk of the best radius on the training split, in whose place, or beside which where there are points
    too, stands the ellipse where images are asked about by boxes; the whole image; and region growing.

    Parameters
    ----------
    splits : Splits
    seed : int
        Of the prompts that the radius is chosen by.
    points : int, str or callable
        Kind of prompts, see `zoo_opt_seg.data.draws.draw_prompts`.
    """
    train = splits.train.select(splits.train.with_object)
    told = draw_prompts(points, train, (*np.atleast_1d(np.asarray(seed)).tolist(), 0), exact=True)
    found: dict[str, Trivial] = {}
    if told.boxes is None or told.points is not None:
        found["disk"] = best_disk(train, seed=seed, points=points)
    if told.boxes is not None:
        found["ellipse"] = EllipseInBox()
    return {**found, "whole image": WholeImage(), "region growing": RegionGrowing()}


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


def _places(prompts: Prompts, size: tuple[int, ...]) -> np.ndarray:
    """Return the place that each prompt tells of, (n, 2): its first point on the object, or the middle of its box."""
    corners = _boxes(prompts, size).reshape(-1, 2, 2)
    places: np.ndarray = corners.mean(axis=1, dtype=np.float32)
    if prompts.points is not None and prompts.labels is not None and prompts.points.shape[1]:
        on = prompts.labels == OBJECT
        first = prompts.points[np.arange(len(on)), on.argmax(axis=1)]
        places = np.where(on.any(axis=1)[:, None], first, places)
    return places


def _boxes(prompts: Prompts, size: tuple[int, ...]) -> np.ndarray:
    """Return the box of each prompt, (n, 4); that of the image where there is none."""
    whole = np.array([0, 0, size[1] - 1, size[0] - 1], np.float32)
    given = np.full((len(prompts), 4), np.nan, np.float32) if prompts.boxes is None else prompts.boxes
    return np.where(np.isnan(given), whole, given)


def _within(boxes: np.ndarray, size: tuple[int, ...]) -> np.ndarray:
    """Return the pixels of each box, bool (n, H, W)."""
    y, x = np.mgrid[: size[0], : size[1]]
    x0, y0, x1, y1 = (side[:, None, None] for side in boxes.T)
    inside: np.ndarray = (x >= x0) & (x <= x1) & (y >= y0) & (y <= y1)
    return inside


def _distance(size: tuple[int, ...], points: np.ndarray) -> np.ndarray:
    """Return the distance of each pixel from the point of its image, float64 (n, H, W)."""
    x, y = points[:, 0, None, None].astype(np.float64), points[:, 1, None, None].astype(np.float64)
    distance: np.ndarray = np.hypot(np.arange(size[1])[None, None] - x, np.arange(size[0])[None, :, None] - y)
    return distance

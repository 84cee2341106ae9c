"""Trivial labelling of slices without any model or look at them: the line that a ladder has to be above."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from zoo_opt_seg.data.volumes import LabelledSlices, resized

THRESHOLDS = (0.02, 0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5)
"""Of the organs' share of the training slices, at a pixel, for it to be labelled at all."""


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
    found = []
    for threshold in THRESHOLDS:
        labels = np.where(share.sum(axis=0) >= threshold, share.argmax(axis=0) + 1, 0).astype(np.uint8)
        masks = np.stack([labels == k for k in classes])
        both = 2 * (share * masks).sum(axis=(1, 2)) / np.maximum(sizes + masks.sum(axis=(1, 2)), 1e-12)
        found.append((float(both.mean()), -threshold, labels))
    _, threshold, labels = max(found, key=lambda item: item[:2])
    return Atlas(labels, -threshold)

"""Dice, IoU and the 95th-percentile Hausdorff distance per image, by MONAI, with stated values for empty masks."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from zoo_opt_seg.data.samples import typed_array

if TYPE_CHECKING:
    import torch


def dice(predicted: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Dice coefficient 2 |P and T| / (|P| + |T|) of each image.

    Both masks empty: 1. One of them empty: 0.

    Parameters
    ----------
    predicted, truth : ndarray of bool, shape (n, H, W)

    Returns
    -------
    ndarray of float64, shape (n,)
        In [0, 1].

    Raises
    ------
    TypeError, ValueError
        For arrays that are not bool, or of different shapes.

    Examples
    --------
    >>> import numpy as np
    >>> square = np.zeros((1, 8, 8), bool)
    >>> square[:, 2:6, 2:6] = True
    >>> dice(square, np.roll(square, 2, axis=2)).tolist(), iou(square, square).tolist()
    ([0.5], [1.0])
    """
    from monai.metrics.meandice import compute_dice

    check_pair(predicted, truth, np.bool_, "(n, H, W)")
    return overlap(compute_dice, predicted, truth)


def iou(predicted: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Intersection over union |P and T| / |P or T| of each image; empty masks as in :func:`dice`.

    Parameters
    ----------
    predicted, truth : ndarray of bool, shape (n, H, W)

    Returns
    -------
    ndarray of float64, shape (n,)
        In [0, 1].
    """
    from monai.metrics.meaniou import compute_iou

    check_pair(predicted, truth, np.bool_, "(n, H, W)")
    return overlap(compute_iou, predicted, truth)


def hd95(predicted: np.ndarray, truth: np.ndarray, *, spacing: float | Sequence[float] | None = None) -> np.ndarray:
    """95th-percentile Hausdorff distance of each image.

    Distances go from each border pixel of one mask to the nearest border pixel of the other; a border pixel is one
    that erosion by the 4-neighbourhood removes, and outside the image counts as background. The result is the larger
    of the 95th percentiles of the two directions (MONAI; some libraries take the percentile of both directions
    together, which is never larger).

    Both masks empty: 0. One of them empty: the diagonal of the image, sqrt(H^2 + W^2) in the units of ``spacing``,
    which no distance exceeds.

    Parameters
    ----------
    predicted, truth : ndarray of bool, shape (n, H, W)
    spacing : float or (float, float), optional
        Distance between pixels, down and across, in mm say. Without: pixels.

    Returns
    -------
    ndarray of float64, shape (n,)
        In the units of ``spacing``.

    Raises
    ------
    TypeError, ValueError
        For arrays that are not bool or of different shapes, or a spacing that is not positive.

    Examples
    --------
    >>> import numpy as np
    >>> square = np.zeros((1, 8, 8), bool)
    >>> square[:, 2:6, 2:6] = True
    >>> hd95(square, np.roll(square, 2, axis=2)).tolist(), hd95(square, square & False).round(2).tolist()
    ([2.0], [11.31])
    """
    check_pair(predicted, truth, np.bool_, "(n, H, W)")
    down, across = _spacing(spacing)
    diagonal = math.hypot(predicted.shape[1] * down, predicted.shape[2] * across)
    return hausdorff95(predicted, truth, (down, across), diagonal)


def hausdorff95(predicted: np.ndarray, truth: np.ndarray, spacing: Sequence[float], one_empty: float) -> np.ndarray:
    """Return MONAI's distance of masks (n, ...), float64 (n,); 0 where both are empty, ``one_empty`` where one is."""
    from monai.metrics.hausdorff_distance import compute_hausdorff_distance

    axes = tuple(range(1, predicted.ndim))
    some_p, some_t = predicted.any(axis=axes), truth.any(axis=axes)
    distances = np.where(some_p != some_t, one_empty, 0.0)
    if (both := some_p & some_t).any():
        with warnings.catch_warnings():
            # MONAI 1.6 passes its own deprecated argument.
            warnings.filterwarnings("ignore", ".*always_return_as_numpy.*", FutureWarning)
            p, t, apart = _tensor(predicted[both]), _tensor(truth[both]), list(spacing)
            values = compute_hausdorff_distance(p, t, percentile=95, spacing=apart)
            distances[both] = _column(values)
    return distances


def overlap(compute: Callable[..., Any], predicted: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Return a measure of MONAI's of masks (n, ...), float64 (n,): 1 where both are empty, 0 where one is."""
    if not len(predicted):
        return np.zeros(0)
    return _column(compute(_tensor(predicted), _tensor(truth), ignore_empty=False))


def check_pair(predicted: np.ndarray, truth: np.ndarray, kind: type[np.generic], shape: str) -> None:
    """Raise unless both are arrays of this type, with three axes and the same shape."""
    for name, array in (("predicted", predicted), ("truth", truth)):
        if typed_array(name, array, kind).ndim != 3:
            raise ValueError(f"{name} must have shape {shape}, got {array.shape}")
    if predicted.shape != truth.shape:
        raise ValueError(f"predicted must have the shape {truth.shape} of truth, got {predicted.shape}")


def _tensor(masks: np.ndarray) -> torch.Tensor:
    """Masks (n, 1, ...), copied: torch takes no negative strides, and warns of arrays that are read-only."""
    import torch

    return torch.from_numpy(masks.copy())[:, None]


def _column(values: Any) -> np.ndarray:
    return np.asarray(values.numpy(), np.float64).ravel()


def _spacing(spacing: float | Sequence[float] | None) -> tuple[float, float]:
    given = np.asarray(1.0 if spacing is None else spacing, np.float64)
    if given.shape not in ((), (2,)) or not (np.isfinite(given) & (given > 0)).all():
        raise ValueError(f"spacing must be one number > 0 or two (down, across), got {spacing!r}")
    down, across = np.broadcast_to(given, 2).tolist()
    return down, across

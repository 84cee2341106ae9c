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

    return _overlap(compute_dice, predicted, truth)


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

    return _overlap(compute_iou, predicted, truth)


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
    p, t = _tensors(predicted, truth)
    down, across = _spacing(spacing)
    some_p, some_t = predicted.any(axis=(1, 2)), truth.any(axis=(1, 2))
    distances = np.zeros(len(predicted))
    distances[some_p != some_t] = math.hypot(predicted.shape[1] * down, predicted.shape[2] * across)
    rows = np.flatnonzero(some_p & some_t)
    if rows.size:
        distances[rows] = hausdorff95(p[rows], t[rows], (down, across))
    return distances


def hausdorff95(predicted: torch.Tensor, truth: torch.Tensor, spacing: Sequence[float]) -> np.ndarray:
    """Return MONAI's distance of masks that are not empty, (n, 1, ...), as float64 (n,) in the units of ``spacing``."""
    from monai.metrics.hausdorff_distance import compute_hausdorff_distance

    with warnings.catch_warnings():
        # MONAI 1.6 passes its own deprecated argument.
        warnings.filterwarnings("ignore", ".*always_return_as_numpy.*", FutureWarning)
        return _column(
            compute_hausdorff_distance(predicted, truth, include_background=True, percentile=95, spacing=list(spacing))
        )


def _overlap(compute: Callable[..., Any], predicted: np.ndarray, truth: np.ndarray) -> np.ndarray:
    p, t = _tensors(predicted, truth)
    return np.zeros(0) if not len(p) else _column(compute(p, t, include_background=True, ignore_empty=False))


def _tensors(predicted: np.ndarray, truth: np.ndarray) -> tuple[torch.Tensor, torch.Tensor]:
    import torch

    for name, masks in (("predicted", predicted), ("truth", truth)):
        if typed_array(name, masks, np.bool_).ndim != 3:
            raise ValueError(f"{name}: expected the shape (n, H, W), got {masks.shape}")
    if predicted.shape != truth.shape:
        raise ValueError(f"predicted: expected the shape {truth.shape} of truth, got {predicted.shape}")
    # Copies: torch takes no negative strides, and warns of arrays that are read-only.
    return torch.from_numpy(predicted.copy())[:, None], torch.from_numpy(truth.copy())[:, None]


def _column(values: Any) -> np.ndarray:
    return np.asarray(values.numpy(), np.float64)[:, 0]


def _spacing(spacing: float | Sequence[float] | None) -> tuple[float, float]:
    if spacing is None:
        return 1.0, 1.0
    pair = (
        np.broadcast_to(np.asarray(spacing, np.float64), (2,)) if np.ndim(spacing) == 0 else np.asarray(spacing, float)
    )
    if pair.shape != (2,) or not np.isfinite(pair).all() or not (pair > 0).all():
        raise ValueError(f"spacing: expected one number > 0 or two (down, across), got {spacing!r}")
    return float(pair[0]), float(pair[1])

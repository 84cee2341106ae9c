"""Dice and 95 % Hausdorff distance of each class of a volume, by MONAI, with stated values for absent ones."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from zoo_opt.core.errors import integer, one_of
from zoo_opt_seg.data.volumes import check_spacing
from zoo_opt_seg.measures.metrics import check_pair, hausdorff95, overlap

EMPTY = ("stated", "released")
"""Conventions for a class that one of the volumes, or both, have nothing of."""


def volume_dice(predicted: np.ndarray, truth: np.ndarray, classes: int, *, empty: str = "stated") -> np.ndarray:
    """Dice coefficient ``2 |P and T| / (|P| + |T|)`` of each class.

    Parameters
    ----------
    predicted, truth : ndarray of uint8, shape (D, H, W)
        Labels, 0 the background.
    classes : int
        Classes are 1 to this.
    empty : {"stated", "released"}
        "stated", as `zoo_opt_seg.measures.metrics`: 1 where neither volume has the class, 0 where one has it.
        "released", as the code of TransUNet and SAM-LST: 1 where the prediction alone has it, 0 where the truth alone
        or neither has it.

    Returns
    -------
    ndarray of float64, shape (classes,)

    Raises
    ------
    TypeError, ValueError
        For arrays that are not uint8, of different shapes, or with labels beyond the classes.

    Examples
    --------
    >>> import numpy as np
    >>> cube = np.zeros((6, 6, 6), np.uint8)
    >>> cube[1:5, 1:5, 1:5] = 1
    >>> volume_dice(np.roll(cube, 1, axis=1), cube, 2).tolist()
    [0.75, 1.0]
    >>> volume_hd95(np.roll(cube, 1, axis=1), cube, 2, spacing=(3.0, 0.8, 0.8)).tolist()
    [0.8, 0.0]
    """
    from monai.metrics.meandice import compute_dice

    _check(predicted, truth, classes, empty)
    values = np.empty(classes)
    for k in range(1, classes + 1):
        p, t = _part(predicted, truth, k)
        stated = empty == "stated" or (p.any() and t.any())
        values[k - 1] = overlap(compute_dice, p[None], t[None])[0] if stated else p.any()
    return values


def volume_hd95(
    predicted: np.ndarray,
    truth: np.ndarray,
    classes: int,
    *,
    spacing: Sequence[float] | None = None,
    empty: str = "stated",
) -> np.ndarray:
    """95th-percentile Hausdorff distance of each class, in three dimensions.

    Between border voxels, those that erosion by the 6-neighbourhood removes (outside the volume counts as background);
    the larger of the 95th percentiles of the two directions (MONAI). medpy, which the published figures come from,
    takes one percentile over both directions together, which is never larger.

    Parameters
    ----------
    predicted, truth : ndarray of uint8, shape (D, H, W)
    classes : int
    spacing : three floats, optional
        Distance of voxels between slices, rows and columns, in mm. Without: in voxels, as released.
    empty : {"stated", "released"}
        "stated": 0 where neither volume has the class; where one has it, the diagonal of the volume, which no distance
        exceeds. "released": 0 in all of these cases.

    Returns
    -------
    ndarray of float64, shape (classes,)
        In the units of ``spacing``.

    Raises
    ------
    TypeError, ValueError
        As :func:`volume_dice`, or for a spacing that is not positive.
    """
    _check(predicted, truth, classes, empty)
    apart = check_spacing(spacing) if spacing is not None else (1.0, 1.0, 1.0)
    diagonal = math.sqrt(sum((n * step) ** 2 for n, step in zip(truth.shape, apart, strict=True)))
    one_empty = diagonal if empty == "stated" else 0.0
    parts = (_part(predicted, truth, k) for k in range(1, classes + 1))
    return np.array([hausdorff95(p[None], t[None], apart, one_empty)[0] for p, t in parts])


def _check(predicted: np.ndarray, truth: np.ndarray, classes: int, empty: str) -> None:
    integer("classes", classes, 1)
    one_of("empty", empty, EMPTY)
    check_pair(predicted, truth, np.uint8, "(D, H, W)")
    for name, labels in (("predicted", predicted), ("truth", truth)):
        if labels.max(initial=0) > classes:
            raise ValueError(f"{name} must have labels up to {classes}, got {labels.max()}")


def _part(predicted: np.ndarray, truth: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """Masks of class k, cut to the box that holds both: the measures do not change, and cost less."""
    p, t = predicted == k, truth == k
    for axis in range(3):
        rest = tuple(other for other in range(3) if other != axis)
        used = np.flatnonzero(p.any(axis=rest) | t.any(axis=rest))
        cut = [slice(None)] * 3
        cut[axis] = slice(used[0], used[-1] + 1) if used.size else slice(0, 1)
        p, t = p[tuple(cut)], t[tuple(cut)]
    return p, t

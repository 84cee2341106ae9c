"""How good are the labels of volumes, predicted slice by slice: Dice and HD95 per case and class."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from zoo_opt.core.errors import integer
from zoo_opt_seg.data.volumes import Volume
from zoo_opt_seg.measures.evaluation import Evaluation
from zoo_opt_seg.measures.metrics_volumes import volume_dice, volume_hd95

Predictor = Callable[[np.ndarray], np.ndarray]
"""Slices, float32 (n, H, W) in [0, 1], to labels, uint8 (n, H, W)."""


@dataclass(frozen=True, eq=False)
class VolumeEvaluation(Evaluation):
    """Measures per volume and class; a volume counts as an image, and its figures are means over the classes.

    Parameters
    ----------
    dice, iou, hd95 : ndarray of float64, shape (volumes, classes)
    names, groups : tuple of str
        Names of the volumes, and their groups: each volume is a group of its own.
    calls : None
    classes : tuple of str
    unit : str
        Of HD95: "mm" or "voxel".
    """

    classes: tuple[str, ...] = ()
    unit: str = "mm"
    averaged: ClassVar[int] = 1
    repeats: ClassVar[int] = 1  # type: ignore[assignment]

    def per_class(self) -> dict[str, tuple[float, float]]:
        """Return Dice and HD95 of each class, means over volumes."""
        means = zip(self.dice.mean(axis=0), self.hd95.mean(axis=0), strict=True)
        return {name: (float(d), float(h)) for name, (d, h) in zip(self.classes, means, strict=True)}


def evaluate_volumes(
    predict: Predictor,
    volumes: Sequence[Volume],
    classes: Sequence[str],
    *,
    unit: str = "mm",
    empty: str = "stated",
    batch: int = 16,
) -> VolumeEvaluation:
    """Label each volume slice by slice, and measure it in three dimensions.

    Parameters
    ----------
    predict : callable
        Slices, float32 (n, H, W) in [0, 1], to labels, uint8 (n, H, W): a `LadderSam`, say.
    volumes : sequence of Volume
    classes : sequence of str
        Of the labels 1, 2, ...
    unit : {"mm", "voxel"}
        Of HD95. The published figures of SAM-LST are in voxels.
    empty : {"stated", "released"}
        What a class counts that one volume or both have nothing of: `zoo_opt_seg.measures.metrics_volumes`.
    batch : int
        Slices per call of `predict`.

    Returns
    -------
    VolumeEvaluation

    Raises
    ------
    DataError
        If a volume has no spacing and `unit` is "mm": found before anything is predicted, and naming its file.
    TypeError, ValueError
        If there are no volumes, or `predict` returns something else than labels.
    """
    if unit not in ("mm", "voxel"):
        raise ValueError(f"unit must be 'mm' or 'voxel', got {unit!r}")
    if not volumes:
        raise ValueError("volumes must be at least one, got none")
    integer("batch", batch, 1)
    spacings = [volume.millimetres() if unit == "mm" else None for volume in volumes]
    dice, hd95 = np.empty((2, len(volumes), len(classes)))
    for row, (volume, spacing) in enumerate(zip(volumes, spacings, strict=True)):
        labels = predict_volume(predict, volume, batch)
        dice[row] = volume_dice(labels, volume.label, len(classes), empty=empty)
        hd95[row] = volume_hd95(labels, volume.label, len(classes), spacing=spacing, empty=empty)
    names, iou = tuple(volume.name for volume in volumes), dice / (2 - dice)
    return VolumeEvaluation(dice, iou, hd95, names, names, classes=tuple(classes), unit=unit)


def predict_volume(predict: Predictor, volume: Volume, batch: int = 16) -> np.ndarray:
    """Return the labels of a volume, uint8 (D, H, W), predicted ``batch`` slices at a time."""
    labels = np.empty(volume.label.shape, np.uint8)
    for start in range(0, len(labels), batch):
        rows = slice(start, start + batch)
        answer = predict(volume.image[rows])
        if not isinstance(answer, np.ndarray) or answer.dtype != np.uint8 or answer.shape != labels[rows].shape:
            got = f"{answer.dtype} {answer.shape}" if isinstance(answer, np.ndarray) else type(answer).__name__
            raise TypeError(f"predict must return labels, uint8 {labels[rows].shape}, got {got}")
        labels[rows] = answer
    return labels

"""How good are the labels of volumes, predicted slice by slice: Dice and HD95 per case and class."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from zoo_opt.core.errors import integer
from zoo_opt_seg.data.volumes import Volume
from zoo_opt_seg.measures.metrics_volumes import volume_dice, volume_hd95

_MEASURES = ("dice", "iou", "hd95")
Predictor = Callable[[np.ndarray], np.ndarray]
"""Slices, float32 (n, H, W) in [0, 1], to labels, uint8 (n, H, W)."""


@dataclass(frozen=True, eq=False)
class VolumeEvaluation:
    """Measures per volume and class.

    Parameters
    ----------
    dice, hd95 : ndarray of float64, shape (volumes, classes)
    names : tuple of str
        Of the volumes.
    classes : tuple of str
    unit : str
        Of HD95: "mm" or "voxel".
    """

    dice: np.ndarray
    hd95: np.ndarray
    names: tuple[str, ...]
    classes: tuple[str, ...]
    unit: str

    @property
    def groups(self) -> tuple[str, ...]:
        """What each volume belongs to: itself."""
        return self.names

    @property
    def iou(self) -> np.ndarray:
        """Intersection over union of each volume and class: Dice / (2 - Dice)."""
        return self.dice / (2 - self.dice)

    def per_image(self, measure: str = "dice") -> np.ndarray:
        """Return the mean over classes of each volume, float64 (volumes,), for paired tests.

        Parameters
        ----------
        measure : {"dice", "iou", "hd95"}
        """
        if measure not in _MEASURES:
            raise ValueError(f"measure: expected dice, iou or hd95, got {measure!r}")
        values: np.ndarray = getattr(self, measure)
        return values.mean(axis=1)

    def per_class(self) -> dict[str, tuple[float, float]]:
        """Return Dice and HD95 of each class, means over volumes."""
        means = zip(self.dice.mean(axis=0), self.hd95.mean(axis=0), strict=True)
        return {name: (float(d), float(h)) for name, (d, h) in zip(self.classes, means, strict=True)}

    def summary(self) -> dict[str, float]:
        """Return means over volumes and classes, and standard deviations over volumes of their means.

        Keys, those of `zoo_opt_seg.measures.evaluation.Evaluation.summary`, a volume counting as an image: dice,
        dice_sd, iou, iou_sd, hd95, hd95_sd, images, repeats, failed.
        """
        result: dict[str, float] = {}
        for name in _MEASURES:
            of_volumes = self.per_image(name)
            result[name] = float(of_volumes.mean())
            result[f"{name}_sd"] = float(of_volumes.std(ddof=1)) if len(of_volumes) > 1 else 0.0
        return {**result, "images": float(len(self.names)), "repeats": 1.0, "failed": 0.0}


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
        raise ValueError("volumes: expected at least one, got none")
    integer("batch", batch, 1)
    spacings = [volume.millimetres() if unit == "mm" else None for volume in volumes]
    dice, hd95 = np.empty((2, len(volumes), len(classes)))
    for row, (volume, spacing) in enumerate(zip(volumes, spacings, strict=True)):
        labels = predict_volume(predict, volume, batch)
        dice[row] = volume_dice(labels, volume.label, len(classes), empty=empty)
        hd95[row] = volume_hd95(labels, volume.label, len(classes), spacing=spacing, empty=empty)
    return VolumeEvaluation(dice, hd95, tuple(volume.name for volume in volumes), tuple(classes), unit)


def predict_volume(predict: Predictor, volume: Volume, batch: int = 16) -> np.ndarray:
    """Return the labels of a volume, uint8 (D, H, W), predicted ``batch`` slices at a time."""
    labels = np.empty(volume.label.shape, np.uint8)
    for start in range(0, len(labels), batch):
        rows = slice(start, start + batch)
        found = predict(volume.image[rows])
        if not isinstance(found, np.ndarray) or found.dtype != np.uint8 or found.shape != labels[rows].shape:
            got = f"{found.dtype} {found.shape}" if isinstance(found, np.ndarray) else type(found).__name__
            raise TypeError(f"predict must return labels, uint8 {labels[rows].shape}, got {got}")
        labels[rows] = found
    return labels

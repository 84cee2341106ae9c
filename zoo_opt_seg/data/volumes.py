"""Labelled slices and volumes with several classes, as CT: in memory, and read or drawn by name."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from zoo_opt.core.errors import integer
from zoo_opt_seg.data.errors import DataError
from zoo_opt_seg.data.registry import VOLUMES
from zoo_opt_seg.data.samples import typed_array
from zoo_opt_seg.data.sets import known_options


@dataclass(frozen=True, eq=False)
class LabelledSlices:
    """Grey images with a class per pixel, to train on.

    Parameters
    ----------
    images : ndarray of float32, shape (n, H, W)
        In [0, 1].
    labels : ndarray of uint8, shape (n, H, W)
        0 background, k the k-th of ``classes``, counted from 1.
    names : sequence of str, length n
    classes : sequence of str
        Without background.

    Raises
    ------
    TypeError, ValueError
        For another dtype, shape or length, or a label that no class has.

    Examples
    --------
    >>> import numpy as np
    >>> slices = LabelledSlices(np.zeros((3, 8, 8), np.float32), np.ones((3, 8, 8), np.uint8), "abc", ("liver",))
    >>> len(slices), slices[1:].names, slices.present().tolist()
    (3, ('b', 'c'), [[True], [True], [True]])
    """

    images: np.ndarray
    labels: np.ndarray
    names: tuple[str, ...]
    classes: tuple[str, ...]

    def __post_init__(self) -> None:
        _check_pair(self.images, self.labels, "(n, H, W)", "images", "labels")
        names, classes = tuple(self.names), _classes(self.classes)
        if len(names) != len(self.images):
            raise ValueError(f"names must be {len(self.images)}, one per image, got {len(names)}")
        top = int(self.labels.max(initial=0))
        if top > len(classes):
            raise ValueError(f"labels must be at most {len(classes)}, the number of classes, got {top}")
        object.__setattr__(self, "names", names)
        object.__setattr__(self, "classes", classes)

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, rows: slice | Sequence[int] | np.ndarray) -> LabelledSlices:
        """The slices of a slice, of row numbers, or of a bool per row."""
        chosen = rows if isinstance(rows, slice) or len(rows) else slice(0)
        index = np.arange(len(self))[chosen if isinstance(chosen, slice) else np.asarray(chosen)]
        return LabelledSlices(self.images[index], self.labels[index], tuple(self.names[i] for i in index), self.classes)

    def present(self) -> np.ndarray:
        """Which classes each slice has, bool (n, classes)."""
        return np.stack([(self.labels == k + 1).any(axis=(1, 2)) for k in range(len(self.classes))], axis=1)


@dataclass(frozen=True, eq=False)
class Volume:
    """A labelled volume, to evaluate on slice by slice.

    Parameters
    ----------
    name : str
    image : ndarray of float32, shape (D, H, W)
        In [0, 1]; the first axis goes from slice to slice.
    label : ndarray of uint8, shape (D, H, W)
    spacing : tuple of 3 floats, or None
        Distance of voxels along the three axes, in mm; None: not known.
    file : str
        Where it was read from, for messages; "": it was not.

    Raises
    ------
    TypeError, ValueError
        For another dtype or shape, or a spacing that is not positive.
    """

    name: str
    image: np.ndarray
    label: np.ndarray
    spacing: tuple[float, float, float] | None = None
    file: str = ""

    def __post_init__(self) -> None:
        _check_pair(self.image, self.label, "(D, H, W)", "image", "label")
        if self.spacing is not None:
            object.__setattr__(self, "spacing", check_spacing(self.spacing))

    def millimetres(self) -> tuple[float, float, float]:
        """Return the spacing.

        Raises
        ------
        DataError
            If it is not known.
        """
        if self.spacing is None:
            raise DataError(f"{self.file or self.name}: the volume has no spacing, so nothing in it is measured in mm")
        return self.spacing


@dataclass(frozen=True, eq=False)
class VolumeSplits:
    """A set of volumes: slices to train on and to choose by, whole volumes to report.

    Parameters
    ----------
    name : str
    classes : tuple of str
        Without background.
    train, validation : LabelledSlices
        Of these classes; no case is in two splits. The validation may be empty.
    test : tuple of Volume
    """

    name: str
    classes: tuple[str, ...]
    train: LabelledSlices
    validation: LabelledSlices
    test: tuple[Volume, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "classes", _classes(self.classes))
        object.__setattr__(self, "test", tuple(self.test))
        for split in ("train", "validation"):
            part = getattr(self, split)
            if not isinstance(part, LabelledSlices):
                raise TypeError(f"{split} must be LabelledSlices, got {type(part).__name__}")
            if part.classes != self.classes:
                raise ValueError(f"{split} must have the classes {self.classes}, got {part.classes}")
        for volume in self.test:
            if not isinstance(volume, Volume):
                raise TypeError(f"test must be Volumes, got {type(volume).__name__}")
            if int(volume.label.max(initial=0)) > len(self.classes):
                got = f"{volume.label.max()} in {volume.file or volume.name}"
                raise ValueError(f"test must have labels up to {len(self.classes)}, got {got}")


def slices_of(volumes: Sequence[Volume], classes: Sequence[str]) -> LabelledSlices:
    """Return all slices of volumes of one height and width, named ``<volume>_slice<number>``."""
    images, labels = (np.concatenate([getattr(volume, part) for volume in volumes]) for part in ("image", "label"))
    names = tuple(f"{volume.name}_slice{i:03d}" for volume in volumes for i in range(len(volume.image)))
    return LabelledSlices(images, labels, names, tuple(classes))


def resized(images: np.ndarray, labels: np.ndarray, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Return slices (n, H, W) as (n, size, size): images bilinearly, antialiased where they shrink, labels nearest.

    Parameters
    ----------
    images : ndarray of float32, shape (n, H, W)
    labels : ndarray of uint8, shape (n, H, W)
    size : int
    """
    from PIL import Image

    integer("size", size, 1)
    if images.shape[1:] == (size, size):
        return images, labels
    new_images, new_labels = (np.empty((len(array), size, size), array.dtype) for array in (images, labels))
    for row, (image, label) in enumerate(zip(images, labels, strict=True)):
        new_images[row] = Image.fromarray(image).resize((size, size), Image.Resampling.BILINEAR)
        new_labels[row] = Image.fromarray(label).resize((size, size), Image.Resampling.NEAREST)
    return new_images.clip(0, 1), new_labels


def load_volumes(
    name: str, root: str | Path | None = None, size: int | None = None, seed: int = 0, **options: Any
) -> VolumeSplits:
    """Read or draw a set of volumes.

    Parameters
    ----------
    name : str
        A name of :data:`zoo_opt_seg.data.registry.VOLUMES`, such as "ct" or "synapse".
    root : path, optional
        The folder of the set; not for the drawn one.
    size : int, optional
        Height and width of the slices to train on, in pixels; for "ct", of the test volumes too, whose natural size
        this is. Without: as they lie on disk, 96 for "ct".
    seed : int
        Of what is drawn, or of the cases held out for validation.
    **options
        Further options of the module, such as ``validation=3`` cases.

    Returns
    -------
    VolumeSplits

    Raises
    ------
    ValueError
        For an unknown name or option, or a missing root.
    DataError
        For a file that is missing, unpaired, unreadable or of a wrong size; a ValueError that names the file.
    """
    entry = VOLUMES.find(name)
    entry.check_folder(root)
    if size is not None:
        options["size"] = size
    with known_options(name):
        splits: VolumeSplits = entry.load()(*([] if root is None else [root]), seed=seed, **options)
    return splits


def check_spacing(spacing: Sequence[float]) -> tuple[float, float, float]:
    """Return three positive numbers as a tuple of floats, or raise a ValueError."""
    try:
        given = tuple(spacing)
        numbers = all(isinstance(value, (int, float, np.number)) and not isinstance(value, bool) for value in given)
        values = tuple(map(float, given)) if numbers else ()
    except (TypeError, OverflowError):  # nothing with a length, and whole numbers that no float holds
        values = ()
    if len(values) != 3 or not np.isfinite(values).all() or min(values) <= 0:
        raise ValueError(f"spacing must be three numbers > 0 (between slices, rows, columns), got {spacing!r}")
    return values[0], values[1], values[2]


def _check_pair(image: Any, label: Any, shape: str, image_name: str, label_name: str) -> None:
    typed_array(image_name, image, np.float32)
    typed_array(label_name, label, np.uint8)
    if image.ndim != 3:
        raise ValueError(f"{image_name} must have the shape {shape}, got {image.shape}")
    if label.shape != image.shape:
        raise ValueError(f"{label_name} must have the shape {image.shape} of {image_name}, got {label.shape}")
    if image.size and not (image.min() >= 0 and image.max() <= 1):
        raise ValueError(f"{image_name} must have values in [0, 1], got {image.min():.6g} to {image.max():.6g}")


def _classes(classes: Sequence[str]) -> tuple[str, ...]:
    names = tuple(classes)
    if isinstance(classes, str) or not names or len(set(names)) < len(names) or len(names) > 255:
        raise ValueError(f"classes must be 1 to 255 different names, got {classes!r}")
    return names

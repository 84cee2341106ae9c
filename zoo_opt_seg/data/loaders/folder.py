"""A plain folder of images and masks."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from zoo_opt_seg.data.files import DataError, Record
from zoo_opt_seg.data.loaders.layout import FRACTIONS, SPLITS, SUFFIXES, divide, folder, images_in, pair
from zoo_opt_seg.data.readers.dicom import DICOM
from zoo_opt_seg.data.readers.scans import NIFTI, Slice, stored

ENDINGS = ("_mask", "_segmentation", "_Segmentation", "_gt", "_label", "-mask")
ALL = (*SUFFIXES, *DICOM, *NIFTI)
NAMED = f"; a mask has the name of its image, or that and {', '.join(ENDINGS)}; files may end in {', '.join(ALL)}"
_NAMES = {"train": ("train",), "validation": ("validation", "val", "valid"), "test": ("test",)}


def files(
    root: str | Path,
    *,
    seed: int = 0,
    fractions: Sequence[float] = FRACTIONS,
    group: str | None = None,
    values: tuple[int, int] | None = None,
    images: str = "images",
    masks: str = "masks",
) -> dict[str, list[Record]]:
    """Return the records of ``images/<name>.<ext>`` and ``masks/<name>[_mask].<ext>``.

    <ext> is that of an image file (``SUFFIXES``), ``.dcm`` or ``.dicom``, ``.nii`` or ``.nii.gz``. A three-dimensional
    NIfTI file gives a sample ``<name>-slice<k>`` for each slice along its last axis, all in one group; those without
    the object are left out unless ``empty`` says otherwise.

    Three folders ``train``, ``validation`` (or ``val``, ``valid``) and ``test``, each with ``images`` and ``masks``,
    are taken as the split; otherwise one pair of folders is divided at random. The mask has the name of its image, or
    that name and one of ``ENDINGS``; the two may differ in their formats.

    Parameters
    ----------
    root : path
        The folder.
    seed : int
        Of the division.
    fractions : sequence of 3 floats
        Train, validation, test.
    group : str, optional
        Regular expression, searched in the names: what its first group (or all of it) matches is the patient or
        video, which is not divided between splits, unless the folders are the split.
    values : 2 int (low, high), optional
        Mask values of the object, for masks with several labels. Without, 1 is the object where the values are 0 and
        1, and otherwise all above 127.
    images, masks : str
        Names of the two folders.

    Raises
    ------
    ValueError
        For ``group`` or ``values`` of another form.
    DataError
        For unpaired, missing or damaged files, or a name that ``group`` does not match.
    """
    try:
        re.compile(group or "")
    except re.error as error:
        raise ValueError(f"group must be a regular expression, got {group!r} ({error})") from None
    if values is not None:
        values = _range(values)
    for argument, called in (("images", images), ("masks", masks)):
        if not isinstance(called, str) or not called:
            raise ValueError(f"{argument} must be the name of a folder, got {called!r}")
    named = (images, masks)
    base = folder(root, "")
    parts = {split: next((base / n for n in names if (base / n).is_dir()), None) for split, names in _NAMES.items()}
    if any(parts.values()) and not (base / images).is_dir():
        found = {}
        for split in SPLITS:
            place = parts[split] or folder(base, *_NAMES[split])
            part = _records(place, named, values, group)
            found[split] = [replace(record, name=f"{split}-{record.name}") for record in part]
        return found
    return divide(_records(base, named, values, group), fractions, seed, str(base))


def _records(base: Path, named: tuple[str, str], values: tuple[int, int] | None, group: str | None) -> list[Record]:
    places = [folder(base, name) for name in named]
    images = images_in(places[0], ALL)
    masks: dict[str, Path] = {}
    for stem, path in images_in(places[1], ALL).items():
        plain = stem if stem in images else next((stem.removesuffix(e) for e in ENDINGS if stem.endswith(e)), stem)
        if plain in masks:
            raise DataError(f"{path}: a second mask for {plain!r} beside {masks[plain]}")
        masks[plain] = path
    records = pair(images, masks, str(places[0]), values=values, named=NAMED)
    if group is not None:
        records = [replace(record, group=_group(group, record)) for record in records]
    return [sample for record in records for sample in _slices(record)]


def _slices(record: Record) -> list[Record]:
    """A record for each slice of a three-dimensional NIfTI file, or the record of anything else."""
    image, mask = record.image, record.masks[0]
    if not (isinstance(image, Path) and isinstance(mask, Path) and image.name.lower().endswith(NIFTI)):
        return [record]
    found = stored(image, "image", values=False)
    other = stored(mask, "mask", values=False) if mask.name.lower().endswith(NIFTI) else None
    shape, several = found.shape, len(found.shape) == 3 and found.shape[0] > 1
    if other is None:
        if several:
            raise DataError(f"{mask}: expected the mask of a NIfTI file of {shape[0]} slices as a NIfTI file")
        return [record]
    if several and other.shape != shape:
        raise DataError(f"{mask}: the mask has the size {other.shape[::-1]}, its image {image} has {shape[::-1]}")
    axes = [about.axes[: 3 if several else 2] for about in (found, other)]
    if all(axes) and axes[0] != axes[1]:
        raise DataError(
            f"{mask}: the axes of the mask point to {axes[1]}, those of its image {image} to {axes[0]}: one is turned "
            "against the other; save the mask with the header of its image"
        )
    if not several:
        return [record]
    return [
        replace(
            record,
            name=f"{record.name}-slice{k:03d}",
            image=Slice(image, k),
            masks=(Slice(mask, k, "mask"),),
            group=record.group or record.name,
            empty="skip",
        )
        for k in range(shape[0])
    ]


def _range(values: Any) -> tuple[int, int]:
    two = isinstance(values, (list, tuple)) and len(values) == 2
    if not two or any(isinstance(value, bool) or not isinstance(value, (int, np.integer)) for value in values):
        raise ValueError(f"values must be the lowest and highest mask value of the object, as [2,2], got {values!r}")
    low, high = map(int, values)
    if low > high:
        raise ValueError(f"values must be the lowest and highest mask value of the object, got {low} above {high}")
    return low, high


def _group(pattern: str, record: Record) -> str:
    match = re.search(pattern, record.name)
    if match is None:
        raise DataError(f"{record.image}: the pattern of group, {pattern!r}, does not match its name")
    return match[1] if match.re.groups else match[0]

"""A plain folder of images and masks."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from zoo_opt_seg.data.files import DataError, Record
from zoo_opt_seg.data.loaders.layout import FRACTIONS, SPLITS, divide, folder, images_in, pair

ENDINGS = ("_mask", "_segmentation", "_Segmentation", "_gt", "_label", "-mask")
_NAMES = {"train": ("train",), "validation": ("validation", "val", "valid"), "test": ("test",)}


def files(
    root: str | Path,
    *,
    seed: int = 0,
    fractions: Sequence[float] = FRACTIONS,
    group: str | None = None,
    values: tuple[int, int] | None = None,
) -> dict[str, list[Record]]:
    """Return the records of ``images/<name>.<ext>`` and ``masks/<name>[_mask].<ext>``.

    Three folders ``train``, ``validation`` (or ``val``, ``valid``) and ``test``, each with ``images`` and ``masks``,
    are taken as the split; otherwise one pair of folders is divided at random. The mask has the name of its image, or
    that name and ``_mask``, ``_segmentation``, ``_gt`` or ``_label``; the two may differ in their formats.

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
        Mask values of the object, for masks with several labels. Without, values 0 and 1 are taken as they are, and
        otherwise all above 127 is the object.

    Raises
    ------
    ValueError
        For ``group`` or ``values`` of another form.
    DataError
        For unpaired or missing files, or a name that ``group`` does not match.
    """
    try:
        re.compile(group or "")
    except re.error as error:
        raise ValueError(f"group must be a regular expression, got {group!r} ({error})") from None
    if values is not None:
        values = _range(values)
    base = folder(root, "")
    parts = {split: next((base / n for n in names if (base / n).is_dir()), None) for split, names in _NAMES.items()}
    if any(parts.values()) and not (base / "images").is_dir():
        found = {}
        for split in SPLITS:
            place = parts[split] or folder(base, *_NAMES[split])
            part = _records(place, values, group)
            found[split] = [replace(record, name=f"{split}-{record.name}") for record in part]
        return found
    return divide(_records(base, values, group), fractions, seed, str(base))


def _records(base: Path, values: tuple[int, int] | None, group: str | None) -> list[Record]:
    images = images_in(folder(base, "images"))
    masks: dict[str, Path] = {}
    for stem, path in images_in(folder(base, "masks")).items():
        plain = stem if stem in images else next((stem.removesuffix(e) for e in ENDINGS if stem.endswith(e)), stem)
        if plain in masks:
            raise DataError(f"{path}: a second mask for {plain!r} beside {masks[plain]}")
        masks[plain] = path
    records = pair(images, masks, str(base / "images"), values=values)
    return records if group is None else [replace(record, group=_group(group, record)) for record in records]


def _range(values: Any) -> tuple[int, int]:
    two = isinstance(values, (list, tuple)) and len(values) == 2
    if not two or any(isinstance(value, bool) or not isinstance(value, (int, np.integer)) for value in values):
        raise ValueError(f"values must be the lowest and highest mask value of the object, as [2,2], got {values!r}")
    low, high = map(int, values)
    return low, high


def _group(pattern: str, record: Record) -> str:
    match = re.search(pattern, record.name)
    if match is None:
        raise DataError(f"{record.image}: the pattern of group, {pattern!r}, does not match its name")
    return match[1] if match.re.groups else match[0]

"""CHASE_DB1: retinal images of both eyes of 14 children with the vessels, by two annotators (Fraz et al. 2012)."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

from zoo_opt_seg.data.files import DataError, Record
from zoo_opt_seg.data.loaders.layout import folder, images_in, pair


def files(root: str | Path, *, seed: int = 0, annotator: int = 1) -> dict[str, list[Record]]:
    """Return the records of ``Image_##{L,R}.jpg`` and ``Image_##{L,R}_1stHO.png`` (or ``_2ndHO.png``).

    There is no official split. As usual the first 20 images are for training and the last 8 (children 11 to 14) for
    test; of the training images those of children 9 and 10 are for validation.

    Parameters
    ----------
    root : path
        The folder of the files, or the one that holds it as ``CHASE_DB1`` or ``CHASEDB1``.
    seed : int
        Not used: the split is fixed.
    annotator : {1, 2}
        Whose masks.
    """
    if annotator not in (1, 2):
        raise ValueError(f"annotator must be 1 or 2, got {annotator!r}")
    base = folder(root, "CHASE_DB1", "CHASEDB1", "")
    ending = ("_1stHO", "_2ndHO")[annotator - 1]
    images = {s: p for s, p in images_in(base, (".jpg",)).items() if re.fullmatch(r"Image_\d\d[LR]", s)}
    masks = {s.removesuffix(ending): p for s, p in images_in(base, (".png",)).items() if s.endswith(ending)}
    splits: dict[str, list[Record]] = {"train": [], "validation": [], "test": []}
    for record in pair(images, masks, str(base)):
        child = int(record.name[6:8])
        split = "train" if child <= 8 else "validation" if child <= 10 else "test"
        splits[split].append(replace(record, group=record.name[:8]))
    for split, records in splits.items():
        if not records:
            raise DataError(f"{base}: expected the images of 14 children, found none for {split}")
    return splits

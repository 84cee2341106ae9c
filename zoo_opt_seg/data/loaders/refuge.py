"""REFUGE: fundus photographs with optic disc and cup (Orlando et al. 2020)."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

from zoo_opt.core.errors import one_of
from zoo_opt_seg.data.files import DataError, Record
from zoo_opt_seg.data.loaders.layout import SPLITS, folder, images_below, pair

# Masks are inverted: 0 cup, 128 the rim of the disc, 255 background; the cup is part of the disc.
VALUES = {"disc": (0, 128), "cup": (0, 0), "rim": (128, 128)}
BOTH = ("disc", "cup")
_STEMS = {"train": r"[gn]\d{4}", "validation": r"V\d{4}", "test": r"T\d{4}"}
_PLACES = {
    "train": ("Training400/{Glaucoma,Non-Glaucoma}/*.jpg", "Annotation-Training400/Disc_Cup_Masks/*/*.bmp"),
    "validation": ("REFUGE-Validation400/V####.jpg", "REFUGE-Validation400-GT/Disc_Cup_Masks/V####.bmp"),
    "test": ("REFUGE-Test400/T####.jpg", "REFUGE-Test-GT/Disc_Cup_Masks/{G,N}/T####.bmp"),
}


def files(root: str | Path, *, seed: int = 0, label: str = "both") -> dict[str, list[Record]]:
    """Return the records of the official split, 400/400/400 images.

    Files are found by their names (g####, n####; V####; T####) wherever they lie below the root, since the archives
    unpack into folders that differ, some of them doubled.

    Parameters
    ----------
    root : path
        The folder that holds ``Training400``, ``Annotation-Training400`` and so on.
    seed : int
        Not used: the split is official.
    label : {"both", "disc", "cup", "rim"}
        The object. "both" gives each image twice, once with the disc and once with the cup, which makes the
        800/800/800 of BAPS. "rim" is the disc without the cup, what its released code calls the disc.
    """
    one_of("label", label, ("both", *VALUES))
    base = folder(root, "")
    images, masks = images_below(base, (".jpg",)), images_below(base, (".bmp",))
    found: dict[str, list[Record]] = {}
    for split in SPLITS:
        ours = {stem: path for stem, path in images.items() if re.fullmatch(_STEMS[split], stem)}
        labels = {stem: path for stem, path in masks.items() if re.fullmatch(_STEMS[split], stem)}
        if not ours:
            raise DataError(f"{base}: expected {split} images as in {_PLACES[split][0]}, found none")
        if not labels:
            raise DataError(f"{base}: expected {split} masks as in {_PLACES[split][1]}, found none")
        records = pair(ours, labels, str(base))
        found[split] = [
            replace(record, name=f"{record.name}-{which}", values=VALUES[which], group=record.name)
            for record in records
            for which in (BOTH if label == "both" else (label,))
        ]
    return found

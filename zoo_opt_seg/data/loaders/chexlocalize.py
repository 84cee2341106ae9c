"""CheXlocalize: chest X-rays of CheXpert with masks of ten pathologies (Saporta et al. 2022)."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from zoo_opt.core.errors import one_of
from zoo_opt_seg.data.files import DataError, Record
from zoo_opt_seg.data.loaders.layout import divide, folder
from zoo_opt_seg.data.readers.lists import read_json
from zoo_opt_seg.data.readers.rle import Rle

TEXTS = "chexlocalize"
SHARES = (0.6, 0.2, 0.2)  # patients; 1279/446/452 masks of Poudel et al.
PATHOLOGIES = (
    "Enlarged Cardiomediastinum",
    "Cardiomegaly",
    "Lung Lesion",
    "Airspace Opacity",
    "Edema",
    "Consolidation",
    "Atelectasis",
    "Pneumothorax",
    "Pleural Effusion",
    "Support Devices",
)
_ID = re.compile(r"(patient\d+)_(study\d+)_(view\d+_(?:frontal|lateral))")


def files(
    root: str | Path,
    *,
    seed: int = 0,
    split: str = "poudel",
    fractions: Sequence[float] = SHARES,
    pathologies: Sequence[str] = PATHOLOGIES,
) -> dict[str, list[Record]]:
    """Return the records of ``CheXpert/{val,test}/patient#####/study#/view#_{frontal,lateral}.jpg``.

    The masks are in ``CheXlocalize/gt_segmentations_{val,test}.json``: for each image (its path joined by ``_``) and
    pathology a COCO run-length encoding, of zeros where the pathology is absent. A sample is an image with one
    pathology that is present.

    Parameters
    ----------
    root : path
        The folder that holds ``CheXpert`` and ``CheXlocalize``.
    seed : int
        Of the division.
    split : {"poudel", "owners"}
        The images of both official parts, of which 60/20/20 % of the patients as Poudel et al. (1279/446/452 samples).
        Or the official test part for test, with the official validation part divided by ``fractions``.
    fractions : sequence of 3 floats
        Shares of train, validation, test, in patients; for "owners" of train and validation, the third is not used.
    pathologies : sequence of str
        Which to take.
    """
    one_of("split", split, ("poudel", "owners"))
    unknown = [name for name in pathologies if name not in PATHOLOGIES]
    if unknown or isinstance(pathologies, str) or not pathologies:
        raise ValueError(f"pathologies must be some of {', '.join(PATHOLOGIES)}, got {pathologies!r}")
    base = folder(root, "")
    val, test = (_part(base, part, pathologies) for part in ("val", "test"))
    if split == "poudel":
        return divide([*val, *test], fractions, seed, str(base))
    return {**divide(val, (*fractions[:2], 0), seed, str(base)), "test": test}


def annotated(image: str, mask: str, split: str) -> tuple[str, ...]:
    """Return the name of the record that an annotation means: that of its mask, ``<image>_pleural_effusion``."""
    return (Path(mask).stem,)


def _part(base: Path, part: str, pathologies: Sequence[str]) -> list[Record]:
    file = folder(base, "CheXlocalize") / f"gt_segmentations_{part}.json"
    images = folder(base, f"CheXpert/{part}", f"CheXpert/CheXpert/{part}")
    records = []
    for identity, masks in _read(file).items():
        match = _ID.fullmatch(identity)
        if match is None or not isinstance(masks, dict):
            raise DataError(f"{file}, {identity}: expected patient#####_study#_view#_frontal and its pathologies")
        image = images.joinpath(*match.groups()).with_suffix(".jpg")
        if not image.is_file():
            raise DataError(f"{image}: the image file is missing ({file} has its masks)")
        for pathology in pathologies:
            if pathology not in masks:
                raise DataError(f"{file}, {identity}: {pathology} is missing, expected all ten pathologies")
            mask = Rle.of(file, f"{identity}, {pathology}", masks[pathology])
            if mask.area():
                name = f"{identity}_{pathology.lower().replace(' ', '_')}"
                records.append(Record(name, image, (mask,), (1, 1), match[1]))
    if not records:
        raise DataError(f"{file}: expected masks of images, found none")
    return records


def _read(file: Path) -> dict[str, Any]:
    content = read_json(file, "masks")
    if not isinstance(content, dict):
        raise DataError(f"{file}: expected an object with an entry per image, got {type(content).__name__}")
    return dict(content)

"""PolypGen / EndoCV2021: colonoscopy frames from six centres with polyp masks (Ali et al. 2023)."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from zoo_opt_seg.data.files import Record
from zoo_opt_seg.data.loaders.layout import FRACTIONS, divide, folder, paired

EMPTY = "skip"  # negative frames have empty masks
BLOCK = 25  # consecutive frame numbers that stay together where a name tells no patient


def files(root: str | Path, *, seed: int = 0, fractions: Sequence[float] = FRACTIONS) -> dict[str, list[Record]]:
    """Return the records of ``images/<name>.jpg`` and ``masks/<name>_mask.{jpg,png}``.

    The owners' archive, with ``data_C<k>/images_C<k>`` and ``data_C<k>/masks_C<k>`` for its six centres, is read as
    well. There is no split in the papers. The division here keeps together what a name shows to belong together: the
    patient (``177OLCV1_...``), the sequence (``23_endocv2021_...``), else 25 consecutive frame numbers of a centre,
    since neighbours often show one polyp.

    Parameters
    ----------
    root : path
        The folder of ``images`` and ``masks``, or of ``data_C1`` and so on.
    seed : int
        Of the division.
    fractions : sequence of 3 floats
        Train, validation, test.
    """
    base = folder(root, "PolypGen2021_MultiCenterData_v3", "")
    records: list[Record] = []
    if centres := sorted(path for path in base.glob("data_C[1-6]") if path.is_dir()):
        for centre in centres:
            end = centre.name.removeprefix("data_")
            for record in _records(folder(centre, f"images_{end}"), folder(centre, f"masks_{end}")):
                name = f"{end}-{record.name}"
                records.append(replace(record, name=name, group=f"{end}-{record.group}"))
    else:
        records = _records(folder(base, "images"), folder(base, "masks"))
    return divide(records, fractions, seed, str(base))


def group(name: str) -> str:
    """Return what a frame belongs to: its patient, its sequence, or a block of frame numbers of its centre."""
    if match := re.match(r"(\d+)OLCV1_", name):
        return f"patient-{match[1]}"
    if match := re.match(r"(\d+)_endocv2021_", name):
        return f"sequence-{match[1]}"
    if match := re.fullmatch(r"(.*?)(\d+)", name):
        return f"{match[1]}{int(match[2]) // BLOCK}"
    return name


def _records(images: Path, masks: Path) -> list[Record]:
    return [replace(record, group=group(record.name)) for record in paired(images, masks, "_mask")]

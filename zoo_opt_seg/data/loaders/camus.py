"""CAMUS: echocardiograms of 500 patients with three structures of the heart (Leclerc et al. 2019)."""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence
from pathlib import Path

from zoo_opt.core.errors import one_of
from zoo_opt_seg.data.files import DataError, Record
from zoo_opt_seg.data.loaders.layout import POUDEL, divide, folder
from zoo_opt_seg.data.readers.lists import read_names
from zoo_opt_seg.data.readers.scans import Scan

TEXTS = "camus"
STRUCTURES = {"left-ventricle": 1, "myocardium": 2, "left-atrium": 3}
FRAMES = tuple(itertools.product(("2CH", "4CH"), ("ED", "ES")))  # views, ends of diastole and systole
_OWNERS = {"train": "subgroup_training", "validation": "subgroup_validation", "test": "subgroup_testing"}


def files(
    root: str | Path,
    *,
    seed: int = 0,
    structure: str = "all",
    split: str = "owners",
    fractions: Sequence[float] = POUDEL,
) -> dict[str, list[Record]]:
    """Return the records of ``database_nifti/patient####/patient####_{2CH,4CH}_{ED,ES}.nii.gz`` and ``..._gt.nii.gz``.

    The older release, ``training/patient####/patient####_2CH_ED.mhd`` with ``.raw`` files, is read as well; of its
    ``testing`` folder those patients who have masks. A record's image is a
    :class:`~zoo_opt_seg.data.readers.scans.Scan`, whose ``spacing()`` is that of the file; see
    :func:`~zoo_opt_seg.data.loaders.camus.spacing`.

    Parameters
    ----------
    root : path
        The folder that holds ``database_nifti`` and ``database_split``, or ``training``.
    seed : int
        Of the division.
    structure : {"all", "left-ventricle", "myocardium", "left-atrium"}
        The object. "all" gives each frame three times, once with each: 12 samples of a patient.
    split : {"owners", "poudel"}
        The owners' lists, ``database_split/subgroup_{training,validation,testing}.txt``: 400/50/50 patients. Or as
        many drawn by the seed, for copies without these lists.
    fractions : sequence of 3 floats
        Shares of train, validation, test, in patients, for "poudel".
    """
    one_of("split", split, ("owners", "poudel"))
    one_of("structure", structure, ("all", *STRUCTURES))
    base = folder(root, "database_nifti", "training", "CAMUS_public/database_nifti")
    older = base.name == "training"
    patients = {path.name: path for path in sorted(base.glob("patient*")) if path.is_dir()}
    if older:  # test patients are numbered anew; the owners kept their masks to themselves at first
        tested = sorted(base.with_name("testing").glob("patient*"))
        patients |= {f"testing-{path.name}": path for path in tested if any(path.glob("*_gt.mhd"))}
    if not patients:
        raise DataError(f"{base}: expected folders patient#### in it")
    kinds = STRUCTURES if structure == "all" else {structure: STRUCTURES[structure]}
    records = {name: _records(name, path, ".mhd" if older else ".nii.gz", kinds) for name, path in patients.items()}
    if split == "poudel":
        return divide([record for name in sorted(records) for record in records[name]], fractions, seed, str(base))
    lists = base.with_name("database_split")
    if not lists.is_dir():
        raise DataError(f"{lists}: the folder is missing; split='poudel' divides the patients without it")
    found: dict[str, list[Record]] = {}
    first: dict[str, Path] = {}  # the list that has a patient
    for part, file in _OWNERS.items():
        source = lists / f"{file}.txt"
        found[part] = []
        for name in _listed(source, records):
            if name in first:
                raise DataError(f"{source}: {name} is there a second time, {first[name].name} has this patient already")
            first[name] = source
            found[part] += records[name]
    return found


def annotated(image: str, mask: str, split: str) -> tuple[str, ...]:
    """Return the name of the record that an annotation means, by its mask: "<frame>_gt_1", or "mask_1/<frame>_gt".

    The published files number the test patients anew, as the older release does.
    """
    found = re.search(r"_gt_([123])\b", mask) or re.search(r"mask_([123])/", mask)
    kind = next((kind for kind, value in STRUCTURES.items() if found and int(found[1]) == value), mask)
    name = f"{Path(image).stem}-{kind}"
    return (f"testing-{name}", name) if split == "test" else (name,)


def spacing(record: Record, size: int) -> tuple[float, float]:
    """Distance between pixels of a sample, down and across, in mm: of the file's, stretched to ``size`` pixels.

    For :func:`zoo_opt_seg.measures.metrics.hd95` of that sample.
    """
    if not isinstance(record.image, Scan):
        raise TypeError(f"record must be one of CAMUS, got {record.name}")
    width, height = record.image.size()
    down, across = record.image.spacing()
    return down * height / size, across * width / size


def _records(name: str, patient: Path, ending: str, kinds: dict[str, int]) -> list[Record]:
    records = []
    for view, instant in FRAMES:
        frame = f"{patient.name}_{view}_{instant}"
        image, mask = patient / f"{frame}{ending}", patient / f"{frame}_gt{ending}"
        for path, what in ((image, "image"), (mask, "mask")):
            if not path.is_file():
                raise DataError(f"{path}: the {what} file is missing")
        for kind, value in kinds.items():
            title = f"{name}_{view}_{instant}-{kind}"
            records.append(Record(title, Scan(image), (Scan(mask, "mask"),), (value, value), name))
    return records


def _listed(file: Path, patients: dict[str, list[Record]]) -> list[str]:
    names = read_names(file, "list of patients")
    unknown = [name for name in names if name not in patients]
    if unknown or not names:
        raise DataError(f"{file}: expected names of patients in the data, got {unknown[0] if names else 'none'}")
    return names

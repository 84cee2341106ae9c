"""Real pictures with masks of single objects, ``../shared/data/{medical,photos}``, divided before anything is trained.

The rule of division: what shows one patient, volume, slide, photograph or place is a group, and a group belongs to the
design part if the CRC-32 of its name leaves no remainder by ten. Settings are chosen on the design part; the rest is
for training.
"""

import csv
import re
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from zoo_opt_seg.data.files import mask_array, sample_image
from zoo_opt_seg.data.fitting import Fit

COLLECTIONS = ("medical", "photos")
SAME_AS_MEDICAL = ("heartmri", "spleenct", "hepaticct")  # sets of photos that are no photographs
BLOCK = 25  # frame numbers of PolypGen that stay together where a name tells no patient


@dataclass(frozen=True, eq=False)
class Pictures:
    """Pictures in memory, stretched to squares as `zoo_opt_seg.data.load_data` does it.

    Parameters
    ----------
    images : ndarray of uint8, shape (n, S, S, 3)
    objects : list of ndarray of bool, shape (m, S, S)
        One mask for each object of a picture that has one, m >= 1.
    sets, groups : ndarray of str, shape (n,)
    """

    images: np.ndarray
    objects: list[np.ndarray]
    sets: np.ndarray
    groups: np.ndarray

    def __getitem__(self, rows: np.ndarray) -> "Pictures":
        return Pictures(self.images[rows], [self.objects[i] for i in rows], self.sets[rows], self.groups[rows])


def read_pictures(root: Path, size: int) -> dict[str, tuple[Pictures, Pictures]]:
    """The training and the design part of each collection.

    Raises
    ------
    SystemExit
        If a collection is not there.
    """
    if absent := [name for name in COLLECTIONS if not (root / name / "manifest.csv").is_file()]:
        raise SystemExit(
            f"{root} must hold the pictures to train on, with {' and '.join(absent)}/manifest.csv, which is not there"
        )
    return {name: divided(_read(root / name, size)) for name in COLLECTIONS}


def divided(pictures: Pictures) -> tuple[Pictures, Pictures]:
    """The training and the design part."""
    design = np.array([in_design(s, g) for s, g in zip(pictures.sets, pictures.groups, strict=True)])
    return pictures[np.flatnonzero(~design)], pictures[np.flatnonzero(design)]


def in_design(name: str, group: str) -> bool:
    """Whether a group of a set belongs to the design part."""
    return zlib.crc32(f"{name}/{group}".encode()) % 10 == 0


def group_of(row: dict[str, str]) -> str:
    """The group of a row of a manifest.

    Photographs have none there: crops of a photograph belong to it, tiles to their scene. Neighbouring frames of
    PolypGen whose names tell no patient, C2, C3, C5 and C6, are kept together by 25 frame numbers, as its loader does.
    """
    if "group" in row:
        frame = re.fullmatch(r"(C[2356])-(\d+)", row["group"])
        return f"{frame[1]}-{int(frame[2]) // BLOCK}" if frame else row["group"]
    source = row["source path"].split(" crop ")[0]
    if row["set"] == "dubai":
        return source.rsplit("/", 2)[0]
    return re.sub(r"(_\d+){4}\.png$", "", source) if row["set"] == "nasamicro" else source


def _read(folder: Path, size: int) -> Pictures:
    with (folder / "manifest.csv").open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["set"] not in SAME_AS_MEDICAL]
    images, objects = np.empty((len(rows), size, size, 3), np.uint8), []
    for i, row in enumerate(rows):
        images[i] = sample_image(folder / row["file"], size)[0]
        objects.append(np.stack([_resized(mask_array(path, None), size) for path in _masks(folder, row["file"])]))
    names = np.array([{"cococrop": "coco"}.get(row["set"], row["set"]) for row in rows])  # of one photograph
    return Pictures(images, objects, names, np.array([group_of(row) for row in rows]))


def _resized(mask: np.ndarray, size: int) -> np.ndarray:
    return Fit(size, mask.shape[::-1]).mask(mask)


def _masks(folder: Path, file: str) -> Iterator[Path]:
    stem, k = Path(file).stem, 0
    while (path := folder / "masks" / f"{stem}_{k}.png").is_file():
        yield path
        k += 1

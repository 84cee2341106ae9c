"""What all layouts share: finding folders, listing images, pairing them with masks, and dividing records."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np

from zoo_opt_seg.data.files import DataError, Record

SPLITS = ("train", "validation", "test")
SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp")
FRACTIONS = (0.5, 0.2, 0.3)  # train, validation, test, where neither the set nor a paper has a split
POUDEL = (0.8, 0.1, 0.1)  # of Poudel et al. 2023 and VLSM-Adapter, for the sets without an official split


def folder(root: str | Path, *names: str) -> Path:
    """Return the first of the folders ``names`` below ``root`` ("" is root itself) that exists, or raise."""
    base = Path(root)
    if not base.is_dir():
        raise DataError(f"{base}: the root folder is missing")
    for name in names:
        if (base / name).is_dir():
            return base / name
    raise DataError(f"{base}: expected a folder {' or '.join(repr(name) for name in names if name)} in it")


def images_in(path: Path, suffixes: Sequence[str] = SUFFIXES) -> dict[str, Path]:
    """Return the image files of one folder by their stems, sorted; hidden and other files are passed over."""
    return by_stem(file for file in path.iterdir() if file.name.lower().endswith(tuple(suffixes)))


def images_below(path: Path, suffixes: Sequence[str] = SUFFIXES) -> dict[str, Path]:
    """The same of a folder and all folders in it, less those that an archiver left behind."""
    return by_stem(file for file in path.rglob("*") if file.suffix.lower() in suffixes and "__MACOSX" not in file.parts)


def by_stem(paths: Iterable[Path]) -> dict[str, Path]:
    """Return files by stem, sorted; two of one stem raise."""
    found: dict[str, Path] = {}
    for path in sorted(paths):
        if path.name.startswith(".") or not path.is_file():
            continue
        stem = Path(path.stem).stem if path.name.lower().endswith(".nii.gz") else path.stem
        if stem in found:
            raise DataError(f"{path}: a second file for {stem!r} beside {found[stem]}")
        found[stem] = path
    return found


def pair(
    images: Mapping[str, Path],
    masks: Mapping[str, Path],
    where: str,
    *,
    values: tuple[int, int] | None = (128, 255),
    named: str = "",
) -> list[Record]:
    """Return a record per image and its mask of the same key; raise if there are none, or one lacks the other.

    In messages ``where`` says where files were looked for, and ``named`` what the mask of an image may be called.
    """
    if not images:
        raise DataError(f"{where}: expected images there, found none")
    check_pairs(images, masks, named=named)
    return [Record(stem, images[stem], (masks[stem],), values) for stem in sorted(images)]


def paired(images: Path, masks: Path, ending: str = "") -> list[Record]:
    """Return a record per image of a folder and its mask in another, whose name has this ``ending`` in addition."""
    labels: dict[str, Path] = {}
    for stem, path in images_in(masks).items():
        if not stem.endswith(ending):
            raise DataError(f"{path}: expected a name that ends in {ending}")
        labels[stem.removesuffix(ending)] = path
    return pair(images_in(images), labels, str(images))


def check_pairs(images: Mapping[str, Path], masks: Mapping[str, Path], where: str = "", named: str = "") -> None:
    """Raise if an image has no mask of its name, or the other way round.

    In messages ``where`` says where masks are, and ``named`` what the mask of an image may be called.
    """
    _unpaired(images, masks, "image", "mask" + where, named)
    _unpaired(masks, images, "mask", "image", named)


def _unpaired(these: Mapping[str, Path], others: Mapping[str, Path], kind: str, missing: str, named: str) -> None:
    alone = sorted(set(these) - set(others))
    if alone:
        more = f" (nor have {len(alone) - 1} others)" if len(alone) > 1 else ""
        raise DataError(f"{these[alone[0]]}: the {kind} has no {missing}{more}{named}")


def divide(records: Sequence[Record], fractions: Sequence[float], seed: int, where: str) -> dict[str, list[Record]]:
    """Divide records at random into train, validation and test, whole groups at a time.

    The groups are shuffled by ``seed`` and laid end to end; each goes where its middle falls, so that the shares are
    met within half a group. Within a split the records keep their order.

    Parameters
    ----------
    records : sequence of Record
    fractions : sequence of 3 floats
        Shares of train, validation and test; they are scaled to a sum of 1.
    seed : int
    where : str
        Where the records come from, for messages.

    Raises
    ------
    ValueError
        For other than three shares >= 0, or a split that stays empty though its share is not 0.
    """
    shares = np.asarray(fractions, np.float64)
    if shares.shape != (3,) or not np.isfinite(shares).all() or (shares < 0).any() or not shares.sum():
        raise ValueError(f"fractions must be three shares >= 0 of train, validation, test, got {fractions!r}")
    ends = np.cumsum(shares) / shares.sum()
    members: dict[str, list[int]] = {}
    for i, record in enumerate(records):
        members.setdefault(record.group or record.name, []).append(i)
    groups = sorted(members)
    rows: list[list[int]] = [[], [], []]
    done = 0
    for k in np.random.default_rng(seed).permutation(len(groups)):
        group = members[groups[k]]
        middle = (done + len(group) / 2) / len(records)
        rows[min(int(np.searchsorted(ends + 1e-9, middle)), 2)].extend(group)  # a tie goes to the earlier split
        done += len(group)
    for name, share, chosen in zip(SPLITS, shares, rows, strict=True):
        if share > 0 and not chosen:
            raise DataError(
                f"{where}: {len(groups)} images or groups of images are too few for the shares {tuple(fractions)}, "
                f"{name} stays empty"
            )
    return {name: [records[i] for i in sorted(chosen)] for name, chosen in zip(SPLITS, rows, strict=True)}

"""Synapse multi-organ CT (BTCV, Landman et al. 2015) in the form that TransUNet (Chen et al. 2021) gave it.

Slices to train on are ``.npz`` files, test volumes HDF5 files, both with ``image`` (clipped to [-125, 275] HU, scaled
to [0, 1]) and ``label`` (0 to 8). They have no spacing: it comes from the original NIfTI files, or from a JSON file.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from zoo_opt.core.errors import integer
from zoo_opt_seg.data.files import DataError
from zoo_opt_seg.data.loaders.layout import folder
from zoo_opt_seg.data.readers.arrays import hdf5_arrays, hdf5_attribute, hdf5_file, npz_arrays
from zoo_opt_seg.data.readers.lists import read_json, read_names
from zoo_opt_seg.data.readers.scans import stored
from zoo_opt_seg.data.synthetic.ct import CLASSES
from zoo_opt_seg.data.volumes import LabelledSlices, Volume, VolumeSplits, check_spacing, resized

"""The eight organs that are reported, in the order of their labels."""

PAIR = ("image", "label")  # the arrays of a slice's or a volume's file
CASE = re.compile(r"case\d{4}")
SLICE = re.compile(r"(case\d{4})_slice\d{3}")
Spacings = Mapping[str, Sequence[float]] | str | Path | None


def splits(
    root: str | Path,
    *,
    seed: int = 0,
    size: int | None = None,
    validation: int = 2,
    lists: str | Path | None = None,
    spacing: Spacings = None,
) -> VolumeSplits:
    """Read the set.

    Parameters
    ----------
    root : path
        With ``train_npz/case####_slice###.npz`` and ``test_vol_h5/case####.npy.h5``.
    seed : int
        Of the cases that are held out for validation.
    size : int or None
        Height and width to bring the slices to train on to; None: as they are, which must be one size. Test volumes
        keep theirs: measures are taken there.
    validation : int
        Training cases held out to choose by. The papers have none of this and report the last epoch: 0.
    lists : path, optional
        Folder with ``train.txt`` and ``test_vol.txt``; without, ``lists/lists_Synapse`` or ``lists_Synapse`` below the
        root or, where there is none, all files.
    spacing : mapping, path or None
        Of the test volumes in mm (between slices, rows, columns), by case; a JSON file of this; or the folder with the
        original ``img####.nii.gz`` of the same numbers. None: the HDF5 file's attribute ``spacing``, if it has one.

    Returns
    -------
    VolumeSplits

    Raises
    ------
    DataError
        For a file that is missing, unreadable, incomplete, of a wrong size or with wrong values.
    ImportError
        If h5py is not installed, or nibabel where NIfTI files are to be read.
    """
    base = Path(root)
    slices, volumes = folder(base, "train_npz"), folder(base, "test_vol_h5")
    integer("validation", validation, 0)
    if size is not None:
        integer("size", size, 1)
    listed = _lists(base, lists)
    train = _chosen(slices, ".npz", SLICE, listed, "train.txt")
    test = _chosen(volumes, ".npy.h5", CASE, listed, "test_vol.txt")
    cases = sorted({name[:8] for name in train})
    if both := sorted(set(cases) & set(test)):
        raise DataError(f"{slices}: {both[0]} is a test case too ({test[both[0]]})")
    if validation >= len(cases):
        raise DataError(f"{slices}: {validation} of {len(cases)} cases cannot be held out for validation")
    held = set(np.random.default_rng(seed).permutation(cases)[:validation])
    spacings = _spacings(spacing)
    return VolumeSplits(
        "synapse",
        CLASSES,
        _slices({name: file for name, file in train.items() if name[:8] not in held}, size),
        _slices({name: file for name, file in train.items() if name[:8] in held}, size),
        tuple(_volume(name, file, spacings) for name, file in test.items()),
    )


def _lists(base: Path, lists: str | Path | None) -> Path | None:
    if lists is not None:
        if not Path(lists).is_dir():
            raise DataError(f"{lists}: the folder of lists is missing")
        return Path(lists)
    places = (base / "lists" / "lists_Synapse", base / "lists_Synapse")
    return next((place for place in places if place.is_dir()), None)


def _chosen(where: Path, suffix: str, form: re.Pattern[str], lists: Path | None, name: str) -> dict[str, Path]:
    """Files by name, sorted: those listed, or all of the folder."""
    found = {path.name.removesuffix(suffix): path for path in sorted(where.glob(f"*{suffix}")) if path.name[0] != "."}
    if lists is not None:
        source = lists / name
        named = sorted(set(read_names(source, "list")))
        if lost := [stem for stem in named if stem not in found]:
            more = f" (nor are {len(lost) - 1} others)" if len(lost) > 1 else ""
            raise DataError(f"{where / (lost[0] + suffix)}: the file is missing{more}, which {source} lists")
        found = {stem: found[stem] for stem in named}
    if not found:
        raise DataError(f"{lists / name if lists else where}: expected names of {form.pattern}{suffix}, found none")
    for stem, path in found.items():
        if not form.fullmatch(stem):
            raise DataError(f"{path}: expected a name of the form {form.pattern}{suffix}")
    return found


def _slices(files: Mapping[str, Path], size: int | None) -> LabelledSlices:
    shape = (size, size) if size else None
    images, labels = np.empty((0, *(shape or (0, 0))), np.float32), np.empty((0, *(shape or (0, 0))), np.uint8)
    for row, path in enumerate(files.values()):
        image, label = _checked(path, *_npz(path), 2)
        if size:
            image, label = (array[0] for array in resized(image[None], label[None], size))
        if not row:
            shape = image.shape[0], image.shape[1]
            images, labels = np.empty((len(files), *shape), np.float32), np.empty((len(files), *shape), np.uint8)
        if image.shape != shape:
            raise DataError(
                f"{path}: the slice has {image.shape[1]} x {image.shape[0]} pixels, those before it "
                f"{images.shape[2]} x {images.shape[1]}; size= brings all to one"
            )
        images[row], labels[row] = image, label
    return LabelledSlices(images, labels, tuple(files), CLASSES)


def _npz(path: Path) -> tuple[np.ndarray, np.ndarray]:
    arrays = npz_arrays(path, PAIR, "slice")
    return arrays["image"], arrays["label"]


def _volume(name: str, path: Path, spacings: Mapping[str, Any] | Path | None) -> Volume:
    with hdf5_file(path, "volume") as file:
        arrays = hdf5_arrays(path, file, PAIR)
        own = None if spacings is not None else hdf5_attribute(path, file, "spacing")
    image, label = _checked(path, arrays["image"], arrays["label"], 3)
    where = ""
    if isinstance(spacings, Path):
        where, own = _nifti(spacings, name, len(image))
    elif spacings is not None:
        if name not in spacings:
            raise DataError(f"{path}: the volume has no spacing, there is one for {', '.join(sorted(spacings))}")
        where, own = "spacing", spacings[name]
    try:
        return Volume(name, image, label, None if own is None else check_spacing(own), str(path))
    except ValueError as error:
        raise DataError(f"{path}: {error}{' in ' + where if where else ''}") from None


def _checked(path: Path, image: np.ndarray, label: np.ndarray, ndim: int) -> tuple[np.ndarray, np.ndarray]:
    """Image and label as float32 and uint8, if they are what the form says."""
    if image.ndim != ndim or not image.size:
        raise DataError(f"{path}: expected an image of {ndim} dimensions, got the shape {image.shape}")
    if label.shape != image.shape:
        raise DataError(f"{path}: the label has the shape {label.shape}, its image {image.shape}")
    for name, array in (("image", image), ("label", label)):
        if array.dtype.kind not in "fiub" or not np.isfinite(array).all():
            raise DataError(f"{path}: expected finite numbers in its {name}, got {array.dtype} or NaN")
    if image.min() < -1e-3 or image.max() > 1 + 1e-3:
        raise DataError(
            f"{path}: expected an image clipped to [-125, 275] HU and scaled to [0, 1], got values from "
            f"{image.min():.6g} to {image.max():.6g}"
        )
    with np.errstate(invalid="ignore"):  # of numbers that no int64 can hold
        whole = label.astype(np.int64)
    if (whole != label).any() or whole.min() < 0 or whole.max() > len(CLASSES):
        raise DataError(f"{path}: expected labels 0 to {len(CLASSES)}, got {label.min():.6g} to {label.max():.6g}")
    return image.astype(np.float32).clip(0, 1), whole.astype(np.uint8)


def _spacings(spacing: Spacings) -> Mapping[str, Any] | Path | None:
    if spacing is None or isinstance(spacing, Mapping):
        return spacing
    if not isinstance(spacing, (str, Path)):
        raise TypeError(f"spacing must be a mapping of cases, or a path, got {spacing!r}")
    path = Path(spacing)
    if path.is_dir():
        return path
    read = read_json(path, "spacings", "file or folder of spacings")
    if not isinstance(read, dict) or not read:
        raise DataError(f"{path}: expected spacings by case, such as {{'case0001': [3.0, 0.75, 0.75]}}")
    return read


def _nifti(where: Path, name: str, slices: int) -> tuple[str, tuple[float, ...]]:
    """Spacing (between slices, rows, columns) in the header of ``img####.nii.gz``, whose axes are x, y, z."""
    candidates = [where / f"img{name[4:]}{suffix}" for suffix in (".nii.gz", ".nii")]
    path = next((candidate for candidate in candidates if candidate.is_file()), None)
    if path is None:
        raise DataError(f"{candidates[0]}: the file is missing, so {name} has no spacing")
    found = stored(path, "volume", values=False)
    if len(found.shape) != 3 or found.shape[0] != slices:
        raise DataError(f"{path}: expected {slices} slices, those of {name}, got the size {found.shape[::-1]}")
    return str(path), (found.thickness, *found.spacing)

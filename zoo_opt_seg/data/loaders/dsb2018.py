"""2018 Data Science Bowl, stage 1: microscopy images with one mask file per nucleus (Caicedo et al. 2019)."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from zoo_opt_seg.data.files import DataError, Record, mask_array
from zoo_opt_seg.data.loaders.layout import FRACTIONS, divide, folder, images_in

SMALLEST = 48  # pixels of the file that a window has at least, so that 96 px enlarge at most twice


def files(
    root: str | Path,
    *,
    seed: int = 0,
    fractions: Sequence[float] = FRACTIONS,
    nuclei: bool = True,
    per_image: int = 8,
    diameters: float = 3.0,
) -> dict[str, list[Record]]:
    """Return the records of ``stage1_train/<id>/images/<id>.png`` and ``stage1_train/<id>/masks/*.png``.

    With ``nuclei`` a sample is one nucleus in a square window of several times its diameter (the longer side of its
    bounding box), at least 48 pixels; the other nuclei in the window are background. The window is placed at random
    such that it holds the nucleus, which therefore is not always in the middle. The samples of one image stay in one
    split.

    Parameters
    ----------
    root : path
        The folder ``stage1_train``, or the one that holds it.
    seed : int
        Of the division, of the nuclei chosen, and of their windows.
    fractions : sequence of 3 floats
        Train, validation, test, in images.
    nuclei : bool
        One sample per nucleus, or (False) one per image with the union of its nuclei.
    per_image : int
        Nuclei of one image at most; images have 5 to 400 of them.
    diameters : float
        Side of the window over the diameter of the nucleus.
    """
    if per_image < 1:
        raise ValueError(f"per_image must be at least 1, got {per_image!r}")
    if not diameters >= 1:
        raise ValueError(f"diameters must be at least 1, got {diameters!r}")
    base = folder(root, "stage1_train", "")
    whole = []
    for path in sorted(path for path in base.iterdir() if path.is_dir() and not path.name.startswith(".")):
        images = images_in(folder(path, "images"), (".png",))
        if path.name not in images:
            raise DataError(f"{path / 'images' / path.name}.png: the image file is missing")
        masks = tuple(images_in(folder(path, "masks"), (".png",)).values())
        if not masks:
            raise DataError(f"{images[path.name]}: the image has no mask in {path / 'masks'}")
        whole.append(Record(path.name, images[path.name], masks))
    if not whole:
        raise DataError(f"{base}: expected folders <id>/images and <id>/masks there, found none")
    splits = divide(whole, fractions, seed, str(base))
    if not nuclei:
        return splits
    return {
        split: [sample for record in records for sample in _nuclei(record, seed, per_image, diameters)]
        for split, records in splits.items()
    }


def _nuclei(record: Record, seed: int, per_image: int, diameters: float) -> list[Record]:
    rng = np.random.default_rng([seed, zlib.crc32(record.name.encode())])
    chosen = sorted(rng.permutation(len(record.masks))[:per_image])
    samples = []
    for k in chosen:
        mask = mask_array(record.masks[k], record.values)
        box = _window(mask, diameters, rng) if mask.any() else None
        samples.append(Record(f"{record.name}-{k}", record.image, (record.masks[k],), record.values, record.name, box))
    return samples


def _window(mask: np.ndarray, diameters: float, rng: np.random.Generator) -> tuple[int, int, int, int]:
    """Return a window (x0, y0, x1, y1) around the object, square unless the image is too small for that."""
    spans = []
    for axis in (1, 0):  # x, y
        inside = np.flatnonzero(mask.any(axis=1 - axis))
        spans.append((int(inside[0]), int(inside[-1]) + 1, mask.shape[axis]))
    diameter = max(high - low for low, high, _ in spans)
    side = min(max(round(diameters * diameter), SMALLEST), *mask.shape)
    starts, sides = [], []
    for low, high, length in spans:
        wide = max(side, high - low)
        starts.append(int(rng.integers(max(0, high - wide), min(low, length - wide) + 1)))
        sides.append(wide)
    return starts[0], starts[1], starts[0] + sides[0], starts[1] + sides[1]

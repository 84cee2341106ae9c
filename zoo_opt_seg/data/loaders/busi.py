"""BUSI: breast ultrasound images with masks of benign and malignant lesions (Al-Dhabyani et al. 2020)."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from zoo_opt.core.errors import one_of
from zoo_opt_seg.data.files import DataError, Record
from zoo_opt_seg.data.loaders.layout import POUDEL, check_pairs, divide, folder, images_in

TEXTS = "busi"
CLASSES = ("benign", "malignant", "normal")
_NAME = r"{} \(\d+\)"


def files(
    root: str | Path, *, seed: int = 0, normal: bool = True, split: str = "poudel", fractions: Sequence[float] = POUDEL
) -> dict[str, list[Record]]:
    """Return the records of ``Dataset_BUSI_with_GT/<class>/<class> (N).png`` and ``<class> (N)_mask.png``.

    <class> is benign (437), malignant (210) or normal (133). Further lesions of an image are in ``<class>
    (N)_mask_1.png`` and so on; the object is their union. The masks are of several modes: above 0 counts. There is no
    official split.

    Parameters
    ----------
    root : path
        The folder ``Dataset_BUSI_with_GT``, or the one that holds it.
    seed : int
        Of the division.
    normal : bool
        Whether to take the normal images, whose masks are empty.
    split : {"poudel"}
        624/78/78 images as Poudel et al., normal ones included.
    fractions : sequence of 3 floats
        Shares of train, validation, test.
    """
    one_of("split", split, ("poudel",))
    base = folder(root, "Dataset_BUSI_with_GT", "")
    records = [r for kind in CLASSES if normal or kind != "normal" for r in _records(folder(base, kind), kind)]
    return divide(records, fractions, seed, str(base))


def annotated(image: str, mask: str, split: str) -> tuple[str, ...]:
    """Return the name of the record that an annotation means: "100_benign.png" is "benign (100)"."""
    number, _, kind = Path(image).stem.partition("_")
    return (f"{kind} ({number})",)


def _records(place: Path, kind: str) -> list[Record]:
    images: dict[str, Path] = {}
    masks: dict[str, list[Path]] = {}
    for stem, path in images_in(place, (".png",)).items():
        if match := re.fullmatch(rf"({_NAME.format(kind)})_mask(_\d+)?", stem):
            masks.setdefault(match[1], []).append(path)
        elif re.fullmatch(_NAME.format(kind), stem):
            images[stem] = path
        else:
            raise DataError(f"{path}: expected a name as '{kind} (1).png' or '{kind} (1)_mask.png'")
    if not images:
        raise DataError(f"{place}: expected images there, found none")
    check_pairs(images, {name: paths[0] for name, paths in masks.items()})
    empty = "keep" if kind == "normal" else None
    return [Record(name, path, tuple(masks[name]), (1, 255), empty=empty) for name, path in images.items()]

"""BKAI-IGH NeoPolyp: colonoscopy images with masks of neoplastic and other polyps (Ngoc Lan et al. 2021)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from zoo_opt.core.errors import one_of
from zoo_opt_seg.data.files import Record
from zoo_opt_seg.data.loaders.layout import POUDEL, divide, folder, paired
from zoo_opt_seg.data.readers.pictures import Channels

TEXTS = "bkai_polyp"
CHANNELS = {"polyp": (0, 1), "neoplastic": (0,), "non-neoplastic": (1,)}  # red, green


def files(
    root: str | Path, *, seed: int = 0, label: str = "polyp", split: str = "poudel", fractions: Sequence[float] = POUDEL
) -> dict[str, list[Record]]:
    """Return the records of ``train/train/<hash>.jpeg`` and ``train_gt/train_gt/<hash>.jpeg``.

    Folders that are not doubled are found too. The masks are JPEG files, red where a polyp is neoplastic and green
    where it is not: 128 and above in a channel counts. The official test images have no masks and are not read.

    Parameters
    ----------
    root : path
        The folder that holds ``train`` and ``train_gt``, or one with a folder ``bkai-igh-neopolyp`` that does.
    seed : int
        Of the division.
    label : {"polyp", "neoplastic", "non-neoplastic"}
        The object. Images without it are left out for the last two, for "polyp" they are an error.
    split : {"poudel"}
        800/100/100 images as Poudel et al.
    fractions : sequence of 3 floats
        Shares of train, validation, test.
    """
    one_of("split", split, ("poudel",))
    one_of("label", label, CHANNELS)
    base = folder(root, "bkai-igh-neopolyp", "")
    images, masks = folder(base, "train/train", "train"), folder(base, "train_gt/train_gt", "train_gt")
    records = [
        replace(
            record,
            masks=tuple(Channels(path, CHANNELS[label]) for path in record.masks if isinstance(path, Path)),
            empty=None if label == "polyp" else "skip",
        )
        for record in paired(images, masks)
    ]
    return divide(records, fractions, seed, str(images))

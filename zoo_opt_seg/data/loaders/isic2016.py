"""ISIC 2016 task 1: dermoscopic images with masks of the lesion (Gutman et al. 2016)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from zoo_opt.core.errors import one_of
from zoo_opt_seg.data.files import Record
from zoo_opt_seg.data.loaders.layout import divide, folder, paired

TEXTS = "isic"
SHARES = (0.9, 0.1, 0.0)


def files(
    root: str | Path, *, seed: int = 0, split: str = "poudel", fractions: Sequence[float] = SHARES
) -> dict[str, list[Record]]:
    """Return the records of ``ISBI2016_ISIC_Part1_<Split>_Data/ISIC_#######.jpg`` and their masks.

    The masks are ``ISBI2016_ISIC_Part1_<Split>_GroundTruth/ISIC_#######_Segmentation.png``; <Split> is Training (900)
    and Test (379).

    Parameters
    ----------
    root : path
        The folder that holds the four folders.
    seed : int
        Of the choice of validation images.
    split : {"poudel"}
        The official test images; of the training images a tenth for validation: 810/90/379 as Poudel et al.
    fractions : sequence of 3 floats
        Shares of train and validation of the training images; the third is not used.
    """
    one_of("split", split, ("poudel",))
    found = divide(_records(Path(root), "Training"), (*fractions[:2], 0), seed, str(root))
    return {**found, "test": _records(Path(root), "Test")}


def _records(root: Path, official: str) -> list[Record]:
    images = folder(root, f"ISBI2016_ISIC_Part1_{official}_Data")
    masks = folder(root, f"ISBI2016_ISIC_Part1_{official}_GroundTruth")
    return paired(images, masks, "_Segmentation")

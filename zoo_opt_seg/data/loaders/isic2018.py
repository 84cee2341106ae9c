"""ISIC 2018 task 1: dermoscopic images with masks of the lesion (Codella et al. 2019)."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from zoo_opt_seg.data.files import Record
from zoo_opt_seg.data.loaders.layout import SPLITS, folder, paired


def files(root: str | Path, *, seed: int = 0, test: int | None = 100) -> dict[str, list[Record]]:
    """Return the records of ``ISIC2018_Task1-2_<Split>_Input/ISIC_#######.jpg`` and their masks.

    The masks are ``ISIC2018_Task1_<Split>_GroundTruth/ISIC_#######_segmentation.png``; <Split> is Training (2594),
    Validation (100) and Test (1000). BAPS reports on 100 of the test images, without saying which.

    Parameters
    ----------
    root : path
        The folder that holds the six folders.
    seed : int
        Of the choice of test images.
    test : int or None
        How many test images to take; None for all.
    """
    found: dict[str, list[Record]] = {}
    for split, official in zip(SPLITS, ("Training", "Validation", "Test"), strict=True):
        images = folder(root, f"ISIC2018_Task1-2_{official}_Input")
        masks = folder(root, f"ISIC2018_Task1_{official}_GroundTruth")
        found[split] = paired(images, masks, "_segmentation")
    if test is not None and test < len(found["test"]):
        rows = np.random.default_rng(seed).choice(len(found["test"]), test, replace=False)
        found["test"] = [found["test"][i] for i in sorted(rows)]
    return found

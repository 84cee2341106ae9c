"""Kvasir-SEG: 1000 colonoscopy frames with polyp masks (Jha et al. 2020)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from zoo_opt_seg.data.files import Record
from zoo_opt_seg.data.loaders.layout import divide, folder, images_in, pair

EMPTY = "raise"
BAPS = (0.6, 0.1, 0.3)  # 600/100/300 of 1000


def files(root: str | Path, *, seed: int = 0, fractions: Sequence[float] = BAPS) -> dict[str, list[Record]]:
    """Return the records of ``Kvasir-SEG/images/<id>.jpg`` and ``Kvasir-SEG/masks/<id>.jpg``.

    The masks are JPEG files, noisy at their borders: above 127 counts. There is no official split; BAPS has
    600/100/300.

    Parameters
    ----------
    root : path
        The folder ``Kvasir-SEG``, or the one that holds it.
    seed : int
        Of the division.
    fractions : sequence of 3 floats
        Train, validation, test; (0.8, 0.1, 0.1) is that of Poudel et al. and VLSM-Adapter.
    """
    base = folder(root, "Kvasir-SEG", "")
    images, masks = folder(base, "images"), folder(base, "masks")
    return divide(pair(images_in(images), images_in(masks), str(images)), fractions, seed, str(images))

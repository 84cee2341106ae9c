"""Kvasir-SEG: 1000 colonoscopy frames with polyp masks (Jha et al. 2020)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from zoo_opt.core.errors import one_of
from zoo_opt_seg.data.files import Record
from zoo_opt_seg.data.loaders.layout import POUDEL, divide, folder, paired

TEXTS = "kvasir_polyp"
BAPS = (0.6, 0.1, 0.3)  # 600/100/300 of 1000


def files(
    root: str | Path, *, seed: int = 0, split: str = "baps", fractions: Sequence[float] | None = None
) -> dict[str, list[Record]]:
    """Return the records of ``Kvasir-SEG/images/<id>.jpg`` and ``Kvasir-SEG/masks/<id>.jpg``.

    The masks are JPEG files, noisy at their borders: above 127 counts. There is no official split.

    Parameters
    ----------
    root : path
        The folder ``Kvasir-SEG``, or the one that holds it.
    seed : int
        Of the division.
    split : {"baps", "poudel"}
        600/100/300 images as BAPS, or 800/100/100 as Poudel et al. and VLSM-Adapter.
    fractions : sequence of 3 floats, optional
        Shares of train, validation, test, in place of those.
    """
    shares = fractions or {"baps": BAPS, "poudel": POUDEL}[one_of("split", split, ("baps", "poudel"))]
    base = folder(root, "Kvasir-SEG", "")
    images, masks = folder(base, "images"), folder(base, "masks")
    return divide(paired(images, masks), shares, seed, str(images))

"""DFUC 2022: photographs of diabetic foot ulcers with masks (Kendrick et al. 2022)."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from zoo_opt.core.errors import one_of
from zoo_opt_seg.data.files import DataError, Record
from zoo_opt_seg.data.loaders.layout import POUDEL, divide, folder, images_below, pair

TEXTS = "dfu"


def files(
    root: str | Path, *, seed: int = 0, split: str = "poudel", fractions: Sequence[float] = POUDEL
) -> dict[str, list[Record]]:
    """Return the records of ``######.jpg`` and their masks ``######.png``, wherever these lie below the root.

    Each image in a folder that holds a masked image must have a mask; a folder with none of them has the validation
    or test images, whose masks are not published, and is not read.

    Parameters
    ----------
    root : path
        The folder of the unpacked archives.
    seed : int
        Of the division.
    split : {"poudel"}
        1600/200/200 images as Poudel et al.
    fractions : sequence of 3 floats
        Shares of train, validation, test.
    """
    one_of("split", split, ("poudel",))
    base = folder(root, "")
    images, masks = (
        {stem: path for stem, path in images_below(base, (suffix,)).items() if re.fullmatch(r"\d{6}", stem)}
        for suffix in (".jpg", ".png")
    )
    if not masks:
        raise DataError(f"{base}: expected masks as ######.png there, found none")
    places = {images[stem].parent for stem in masks if stem in images}
    ours = {stem: path for stem, path in images.items() if path.parent in places}
    return divide(pair(ours or images, masks, str(base)), fractions, seed, str(base))

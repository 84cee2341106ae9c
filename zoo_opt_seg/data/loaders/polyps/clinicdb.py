"""CVC-ClinicDB: 612 frames of 29 colonoscopy sequences with polyp masks (Bernal et al. 2015)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from zoo_opt.core.errors import one_of
from zoo_opt_seg.data.files import DataError, Record
from zoo_opt_seg.data.loaders.layout import POUDEL, divide, folder, paired

TEXTS = "clinicdb_polyp"
BLOCK = 25  # consecutive frames that stay together with split="blocks"; a sequence has about 21
_PLACES = ("PNG/Original", "Original", "TIF/Original")


def files(
    root: str | Path, *, seed: int = 0, split: str = "poudel", fractions: Sequence[float] = POUDEL
) -> dict[str, list[Record]]:
    """Return the records of ``PNG/Original/<N>.png`` and ``PNG/Ground Truth/<N>.png``, N = 1 to 612.

    The owners' archive, ``Original/<N>.tif`` and ``Ground Truth/<N>.tif``, is read as well (by tifffile). There is no
    official split.

    Parameters
    ----------
    root : path
        The folder that holds ``PNG``, ``Original`` or ``TIF``, or one with a folder ``CVC-ClinicDB`` that does.
    seed : int
        Of the division.
    split : {"poudel", "blocks"}
        490/61/61 frames as Poudel et al., drawn one by one; frames of one sequence show one polyp, so such a test is
        easier than new patients would be. Or 25 consecutive frames together, which divides few sequences. These blocks
        are the ``Samples.groups`` of both.
    fractions : sequence of 3 floats
        Shares of train, validation, test.
    """
    one_of("split", split, ("poudel", "blocks"))
    images = folder(root, *(f"{base}{place}" for base in ("", "CVC-ClinicDB/") for place in _PLACES))
    masks = folder(images.parent, "Ground Truth")
    records = paired(images, masks)
    if split == "poudel":
        parts = divide(records, fractions, seed, str(images))
        return {name: [replace(record, group=_block(record.name)) for record in part] for name, part in parts.items()}
    for record in records:
        if not record.name.isdecimal():
            raise DataError(f"{record.image}: expected a number for a name")
    return divide([replace(record, group=_block(record.name)) for record in records], fractions, seed, str(images))


def _block(name: str) -> str:
    return f"block-{(int(name) - 1) // BLOCK}" if name.isdecimal() else name

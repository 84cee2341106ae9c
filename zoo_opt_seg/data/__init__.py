"""Labelled images: data sets on disk, synthetic domains, point prompts.

Conventions: images are uint8 RGB (n, H, W, 3), masks bool (n, H, W), points (x, y) in pixels.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from zoo_opt_seg.data.files import DataError, Record, load
from zoo_opt_seg.data.points import centre_points, random_points
from zoo_opt_seg.data.samples import Samples, Splits

__all__ = [
    "DATASETS",
    "SYNTHETIC",
    "DataError",
    "DataSet",
    "Record",
    "Samples",
    "Splits",
    "centre_points",
    "load",
    "load_data",
    "random_points",
]

SYNTHETIC = ("skin", "disc", "tool", "polyp", "source")  # drawn, not read: no root


@dataclass(frozen=True)
class DataSet:
    """A data set that can be read.

    Parameters
    ----------
    loader : str
        Module of ``zoo_opt_seg.data.loaders`` that knows the layout.
    about : str
        One line.
    options : mapping
        What this name sets of the module's options.
    """

    loader: str
    about: str
    options: Mapping[str, Any] = field(default_factory=dict)


DATASETS: dict[str, DataSet] = {
    "kvasir": DataSet("kvasir", "Kvasir-SEG: polyps, 1000 images, 600/100/300 as BAPS"),
    "isic2018": DataSet("isic2018", "ISIC 2018 task 1: skin lesions, 2594/100/100 as BAPS"),
    "refuge": DataSet("refuge", "REFUGE: optic disc and cup, 800/800/800 as BAPS"),
    "refuge-disc": DataSet("refuge", "REFUGE: optic disc, 400/400/400", {"label": "disc"}),
    "refuge-cup": DataSet("refuge", "REFUGE: optic cup, 400/400/400", {"label": "cup"}),
    "endovis2017": DataSet("endovis2017", "EndoVis 2017: one surgical instrument per sample, official test sequences"),
    "endovis2017-all": DataSet("endovis2017", "EndoVis 2017: all instruments of a frame together", {"objects": "all"}),
    "polypgen": DataSet("polypgen", "PolypGen: polyps of six centres, 50/20/30 % by patient or sequence"),
    "dsb2018": DataSet("dsb2018", "Data Science Bowl 2018: one nucleus per sample, 50/20/30 % by image"),
    "dsb2018-union": DataSet("dsb2018", "Data Science Bowl 2018: all nuclei of an image together", {"nuclei": False}),
    "chase_db1": DataSet("chase_db1", "CHASE_DB1: retinal vessels, 16/4/8 images by child"),
    "folder": DataSet("folder", "a plain folder with images and masks, 50/20/30 %"),
}


def load_data(
    name: str,
    root: str | Path | None = None,
    size: int = 96,
    seed: int = 0,
    *,
    empty: str | None = None,
    **options: Any,
) -> Splits:
    """Read or draw a data set, resized into memory and divided into train, validation and test.

    Parameters
    ----------
    name : str
        A name in :data:`DATASETS` or :data:`SYNTHETIC`.
    root : path, optional
        The folder of the data set; not for a synthetic domain.
    size : int
        Height and width of the samples in pixels; images are stretched to the square.
    seed : int
        Of the division, where there is no official one, and of what a synthetic domain draws.
    empty : {"raise", "skip", "keep"}, optional
        What to do about an empty mask. Without: "skip" for PolypGen and EndoVis 2017, where such masks are meant,
        "raise" elsewhere.
    **options
        Further options of the loader, as ``fractions=(0.8, 0.1, 0.1)``; see ``files`` in its module. A synthetic
        domain takes ``sizes``.

    Returns
    -------
    Splits

    Raises
    ------
    ValueError
        For an unknown name or a bad option.
    DataError
        For a file that is missing, unpaired, corrupt, wrongly sized or empty; a ValueError that names the file.

    Examples
    --------
    >>> load_data("kvasir")
    Traceback (most recent call last):
    ...
    ValueError: root: 'kvasir' is read from disk and needs its folder
    """
    if name in SYNTHETIC:
        if root is not None or empty is not None:
            raise ValueError(f"root: {name!r} is a synthetic domain, which takes no folder and has no empty masks")
        from zoo_opt_seg.data.synthetic import domain

        return domain(name, size=size, seed=seed, **options)
    if name not in DATASETS:
        raise ValueError(f"name: expected one of {', '.join([*SYNTHETIC, *DATASETS])}, got {name!r}")
    if root is None:
        raise ValueError(f"root: {name!r} is read from disk and needs its folder")
    chosen = DATASETS[name]
    loader = importlib.import_module(f"zoo_opt_seg.data.loaders.{chosen.loader}")
    try:
        records = loader.files(root, seed=seed, **{**chosen.options, **options})
    except TypeError as error:
        if "unexpected keyword argument" not in str(error):
            raise
        raise ValueError(f"options: {name!r} has no option of that name ({error})") from None
    policy = loader.EMPTY if empty is None else empty
    splits = {}
    for split, part in records.items():
        splits[split] = load(part, size, empty=policy)
        if part and not len(splits[split]):
            raise DataError(f"{root}: all {len(part)} masks of the {split} split are empty")
    return Splits(name, **splits)

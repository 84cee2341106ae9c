"""Labelled images: data sets on disk, synthetic domains, point prompts.

Conventions: images are uint8 RGB (n, H, W, 3), masks bool (n, H, W), points (x, y) in pixels.
"""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import ModuleType
from typing import Any

from zoo_opt_seg.data.files import DataError, Record, load
from zoo_opt_seg.data.points import centre_points, random_points
from zoo_opt_seg.data.samples import Samples, Splits
from zoo_opt_seg.data.texts import attach, read_texts

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

SYNTHETIC = ("skin", "disc", "tool", "polyp", "source", "referring")  # drawn, not read: no root


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
    "kvasir-poudel": DataSet("kvasir", "Kvasir-SEG, 800/100/100 as Poudel et al.", {"split": "poudel"}),
    "clinicdb": DataSet("clinicdb", "CVC-ClinicDB: polyps, 612 frames, 490/61/61 as Poudel et al."),
    "bkai": DataSet("bkai", "BKAI-IGH NeoPolyp: polyps, 1000 images, 800/100/100 as Poudel et al."),
    "isic2016": DataSet("isic2016", "ISIC 2016 task 1: skin lesions, 810/90/379 as Poudel et al."),
    "dfuc2022": DataSet("dfuc2022", "DFUC 2022: foot ulcers, 2000 images, 1600/200/200 as Poudel et al."),
    "busi": DataSet("busi", "BUSI: breast ultrasound, 780 images, 624/78/78 as Poudel et al."),
    "camus": DataSet("camus", "CAMUS: structures of the heart in ultrasound, 400/50/50 patients, 12 samples of each"),
    "chexlocalize": DataSet("chexlocalize", "CheXlocalize: findings in chest X-rays, 60/20/20 % of the patients"),
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
    texts: str | Path | None = None,
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
        "keep" for the normal images of BUSI, "raise" elsewhere.
    texts : path, optional
        Folder of annotation files, ``anns/{train,val,test}.json``, that give both the split and ``Samples.texts``; see
        :func:`~zoo_opt_seg.data.texts.read_texts`.
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
        if root is not None or empty is not None or texts is not None:
            raise ValueError(
                f"root: {name!r} is a synthetic domain, which takes no folder (or texts) and has no empty masks"
            )
        from zoo_opt_seg.data.synthetic import domain

        return domain(name, size=size, seed=seed, **options)
    if name not in DATASETS:
        raise ValueError(f"name: expected one of {', '.join([*SYNTHETIC, *DATASETS])}, got {name!r}")
    if root is None:
        raise ValueError(f"root: {name!r} is read from disk and needs its folder")
    chosen = DATASETS[name]
    loader = importlib.import_module(f"zoo_opt_seg.data.loaders.{chosen.loader}")
    undivided = {} if texts is None else _undivided(loader, options)
    try:
        records = loader.files(root, seed=seed, **{**chosen.options, **options, **undivided})
    except TypeError as error:
        if "unexpected keyword argument" not in str(error):
            raise
        raise ValueError(f"options: {name!r} has no option of that name ({error})") from None
    if texts is not None:
        named = getattr(loader, "annotated", lambda image, mask, split: (Path(image).stem,))
        records = attach(records, read_texts(texts, getattr(loader, "TEXTS", "")), named, str(texts))
    splits = {}
    for split, part in records.items():
        asked = [replace(record, empty=record.empty or loader.EMPTY) for record in part]
        splits[split] = load(asked, size, empty=empty)
        if part and not len(splits[split]):
            raise DataError(f"{root}: all {len(part)} masks of the {split} split are empty")
    return Splits(name, **splits)


def _undivided(loader: ModuleType, options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options that read all of a set, for a split that comes from elsewhere."""
    whole = {"split": "poudel", "fractions": (1, 0, 0)}
    for name in whole:
        if name in options:
            raise ValueError(f"{name}: the annotation files of texts hold the split, leave {name} out")
    return {name: value for name, value in whole.items() if name in inspect.signature(loader.files).parameters}

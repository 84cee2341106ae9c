"""Data sets by name, read or drawn."""

from __future__ import annotations

import contextlib
import inspect
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from zoo_opt_seg.data.errors import DataError
from zoo_opt_seg.data.files import Record, load
from zoo_opt_seg.data.fitting import Crop, check_crop, check_fit
from zoo_opt_seg.data.readers.windows import Window, check_window
from zoo_opt_seg.data.registry import DATA_SETS
from zoo_opt_seg.data.samples import Splits
from zoo_opt_seg.data.texts import attach, read_texts


def load_data(
    name: str,
    root: str | Path | None = None,
    size: int = 96,
    seed: int = 0,
    *,
    empty: str | None = None,
    texts: str | Path | None = None,
    window: Window | None = None,
    fit: str = "stretch",
    crop: Sequence[int] | None = None,
    cache: str | Path | None = None,
    **options: Any,
) -> Splits:
    """Read or draw a data set, resized and divided into train, validation and test.

    Parameters
    ----------
    name : str
        A name of :data:`zoo_opt_seg.data.registry.DATA_SETS`; `zoo-opt-seg list` shows them.
    root : path, optional
        The folder of the data set; not for a synthetic domain.
    size : int
        Height and width of the samples in pixels.
    seed : int
        Of the division, where there is no official one, and of what a synthetic domain draws.
    empty : {"raise", "skip", "keep"}, optional
        What to do about an empty mask. Without: "skip" for PolypGen and EndoVis 2017, where such masks are meant,
        "keep" for the normal images of BUSI, "raise" elsewhere.
    texts : path, optional
        Folder of annotation files, ``anns/{train,val,test}.json``, that give both the split and ``Samples.texts``; see
        :func:`~zoo_opt_seg.data.texts.read_texts`.
    window : "full", "percentile" or (low, high), optional
        What becomes black and white in the images, for those of more than 8 bits or in physical units: the lowest and
        the highest value of each, the values that 0.5 % and 99.5 % of its pixels do not exceed, or these two. Without,
        such images are refused, but for DICOM files, which have a window of their own.
    fit : {"stretch", "pad"}
        How an image that is not square becomes one: stretched, or with its aspect ratio kept and black on the right or
        at the bottom; see `zoo_opt_seg.data.fitting.Fit`.
    crop : 4 int (top, bottom, left, right), optional
        Pixels to leave out along the borders of each image and its masks. In place of the loader's own crop where it
        has one, as for EndoVis 2017; not for windows, as those of ``dsb2018``.
    cache : path, optional
        A folder for images and masks as they are prepared: they are read from there when rows are taken, and need not
        fit in memory; see `zoo_opt_seg.data.row_files.StoredRows`. Without, all are in memory.
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
    ValueError: root must be the folder of 'kvasir', which is read from disk, got None
    """
    entry = DATA_SETS.find(name)
    entry.check_folder(root)
    window, crop = check_window(window), check_crop(crop)
    check_fit(fit)
    for argument, value in (("empty", empty), ("texts", texts), ("window", window), ("crop", crop), ("cache", cache)):
        if value is not None and not entry.records:
            raise ValueError(f"{argument} must be None for {name!r}, which has its own, got {value!r}")
    if fit != "stretch" and not entry.records:
        raise ValueError(f"fit must be 'stretch' for {name!r}, whose images are square, got {fit!r}")
    place = () if entry.drawn else (root,)
    make = entry.load()
    with known_options(name):
        if not entry.records:
            splits: Splits = make(*place, size=size, seed=seed, **{**entry.options, **options})
            return splits
        undivided = {} if texts is None else _undivided(make, options)
        records = make(*place, seed=seed, **{**entry.options, **options, **undivided})
    loader = sys.modules[make.__module__]
    if texts is not None:
        named = getattr(loader, "annotated", lambda image, mask, split: (Path(image).stem,))
        records = attach(records, read_texts(texts, getattr(loader, "TEXTS", "")), named, str(texts))
    parts = {}
    for split, part in records.items():
        asked = [replace(record, empty=record.empty or getattr(loader, "EMPTY", "raise")) for record in part]
        how: dict[str, Any] = {"empty": empty, "window": window, "fit": fit}
        parts[split] = load(_cropped(asked, crop, name), size, **how, cache=None if cache is None else Path(cache))
        if part and not len(parts[split]):
            raise DataError(f"{root}: all {len(part)} masks of the {split} split are empty")
    return Splits(name, **parts)


@contextlib.contextmanager
def known_options(name: str) -> Iterator[None]:
    """Turn the TypeError of an option that a data set does not have into a ValueError that names the set."""
    try:
        yield
    except TypeError as error:
        if "unexpected keyword argument" not in str(error):
            raise
        raise ValueError(f"options must be those of {name!r}: {error}") from None


def _cropped(records: list[Record], crop: Crop | None, name: str) -> list[Record]:
    if crop is None:
        return records
    if any(record.box for record in records):
        raise ValueError(f"crop must be None for {name!r}, which shows windows of its images, got {crop}")
    return [replace(record, crop=crop) for record in records]


def _undivided(files: Callable[..., Any], options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options that read all of a set, for a split that comes from elsewhere."""
    whole = {"split": "poudel", "fractions": (1, 0, 0)}
    for name in whole:
        if name in options:
            raise ValueError(f"{name} must be left out with texts, whose files hold the split, got {options[name]!r}")
    return {name: value for name, value in whole.items() if name in inspect.signature(files).parameters}

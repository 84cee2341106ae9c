"""What a cell of a table needs and where it is on this machine: data, black box, visual prompt, folder."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from zoo_opt.support.loading import load_object
from zoo_opt_seg.tables.suite import Cell, on_volumes
from zoo_opt_seg.whitebox.comparators import COMPARATORS

if TYPE_CHECKING:
    from zoo_opt_seg.data.samples import Splits
    from zoo_opt_seg.visual_prompts.base import VisualPrompt

FOLDERS = {  # where a data set lies under --data-root, if not in a folder of its own name
    "kvasir-poudel": "kvasir",
    "refuge-disc": "refuge",
    "refuge-cup": "refuge",
    "endovis2017-all": "endovis2017",
    "dsb2018-union": "dsb2018",
}


DRAWN = "ct"  # volumes that are not read
TEXTS = "+texts"  # after a data set's name: with the split and the texts of the files in <data-root>/prompts


class Absent(Exception):
    """Data or weights that are not on this machine: the cell is left out, and the table says so."""


EMBEDDED = {"tiny": ("encoder", "sam"), "tiny-clipseg": ("clipseg", "encoder")}  # files of the embedded models


@lru_cache(maxsize=len(EMBEDDED))
def embedded_digest(use: str = "tiny") -> str:
    """Of the files of an embedded model, "" for others: what was done with another is done again."""
    files = [Path(__file__).parents[1] / "embedded" / f"{name}.safetensors" for name in EMBEDDED.get(use, ())]
    return hashlib.sha256(b"".join(path.read_bytes() for path in files)).hexdigest()[:16] if files else ""


def data_of(cell: Cell) -> Splits:
    """The domain's splits, the same for all seeds; kept for the next cell.

    Raises
    ------
    Absent
        If its files are not on this machine.
    """
    return _data(cell.domain, cell.size, cell.place.data_root)


@lru_cache(maxsize=2)
def _data(name: str, size: int, data_root: str | None) -> Splits:
    from zoo_opt_seg.data import DATASETS, SYNTHETIC, load_data

    if ":" in name:
        splits: Splits = load_object(name)()
        return splits
    if name in SYNTHETIC:
        return load_data(name, size=size)
    if name.removesuffix(TEXTS) not in DATASETS:
        raise ValueError(
            f"domain must be one of {', '.join([*SYNTHETIC, *DATASETS])}, one of the latter with {TEXTS}, or "
            f"module:function, got {name!r}"
        )
    texts = _prompts(data_root) if name.endswith(TEXTS) else None
    return load_data(name.removesuffix(TEXTS), _root(name, data_root), size=size, texts=texts)


def _root(name: str, data_root: str | None) -> Path:
    if data_root is None:
        raise Absent(f"{name} is read from disk: give --data-root, or set ZOO_OPT_DATA")
    plain = name.removesuffix(TEXTS)
    folder = Path(data_root) / FOLDERS.get(plain, plain)
    if not folder.is_dir():
        raise Absent(f"no folder {folder}")
    if name.endswith(TEXTS):
        _prompts(data_root)
    return folder


def _prompts(data_root: str | None) -> Path:
    folder = Path(data_root or ".") / "prompts"
    if not folder.is_dir():
        raise Absent(f"no folder {folder} of text prompts")
    return folder


def model_of(cell: Cell) -> Any:
    """The black box, kept for the next cell.

    Raises
    ------
    Absent
        If its checkpoint is not on this machine.
    """
    return _model(json.dumps(cell.black_box, sort_keys=True), cell.place.weights)


@lru_cache(maxsize=1)
def _model(described: str, weights: str | None) -> Any:
    options = json.loads(described)
    use = options.pop("use")
    if ":" in use:
        return load_object(use)(**options)
    if use == "tiny":
        from zoo_opt_seg.blackbox.tiny import TinySam

        return TinySam(**options)
    if use == "tiny-clipseg":
        from zoo_opt_seg.blackbox.tiny import TinyClipSeg

        return TinyClipSeg(**options)
    if use == "clipseg":
        from zoo_opt_seg.blackbox.clipseg import ClipSegBlackBox

        return ClipSegBlackBox(_folder(options.pop("folder", None), weights), **options)
    if use == "sam":
        from zoo_opt_seg.blackbox.sam import SamBlackBox

        return SamBlackBox(**options | {"checkpoint": checkpoint_of(options.get("checkpoint"), weights)})
    raise ValueError(f"black_box.use must be one of tiny, sam, tiny-clipseg, clipseg, or module:function, got {use!r}")


def checkpoint_of(name: str | None, weights: str | None) -> str:
    """The path of a file in the folder of weights.

    Raises
    ------
    Absent
        If it is not on this machine.
    """
    if name is None:
        raise ValueError("black_box needs a checkpoint, the name of a file in the folder of --weights")
    path = Path(weights or ".") / name
    if not path.is_file():
        raise Absent(f"no weights {path}: give --weights, or set ZOO_OPT_WEIGHTS")
    return str(path)


def _folder(name: str | None, weights: str | None) -> str:
    if name is None:
        raise ValueError("black_box needs a folder, the name of one in the folder of --weights")
    path = Path(weights or ".") / name
    if not path.is_dir():
        raise Absent(f"no weights {path}: give --weights, or set ZOO_OPT_WEIGHTS")
    return str(path)


def absent(cell: Cell) -> str:
    """Why the cell cannot be done on this machine, or "" if it can."""
    from zoo_opt_seg.data import DATASETS

    try:
        files = COMPARATORS.find(cell.row.use).files if cell.row.use in COMPARATORS else ()
        for option in files:
            if option in cell.row.options:
                checkpoint_of(cell.row.options[option], cell.place.weights)
        if cell.black_box["use"] == "sam":
            checkpoint_of(cell.black_box.get("checkpoint"), cell.place.weights)
        if cell.black_box["use"] == "clipseg":
            _folder(cell.black_box.get("folder"), cell.place.weights)
        if cell.domain.removesuffix(TEXTS) in DATASETS:
            _root(cell.domain, cell.place.data_root)
    except Absent as missing:
        return str(missing)
    return absent_volumes(cell) if on_volumes(cell.row.use) else ""


def absent_volumes(cell: Cell) -> str:
    """Why the cell's volumes cannot be read on this machine, or "" if they can."""
    if cell.domain == DRAWN:
        return ""
    if cell.place.data_root is None:
        return f"{cell.domain} is read from disk: give --data-root, or set ZOO_OPT_DATA"
    folder = Path(cell.place.data_root) / cell.domain
    return "" if folder.is_dir() else f"no folder {folder}"


def evaluated(cell: Cell, model: Any, **prompt: Any) -> Any:
    """Measure on the test split; the points or texts of a seed are the same for all rows, so that tests are paired."""
    from zoo_opt_seg.measures.evaluation import evaluate

    return evaluate(model, data_of(cell).test, repeats=cell.repeats, seed=cell.seed, **prompt)


def prompt_of(cell: Cell) -> VisualPrompt:
    """The cell's visual prompt."""
    from zoo_opt_seg.visual_prompts import prompt_for

    return prompt_for(model_of(cell), cell.row.prompt, cell.size, **cell.row.prompt_options)


def folder_of(cell: Cell) -> Path:
    """Where the cell resumes from."""
    return Path(cell.place.out) / "cells" / cell.key


def place_from(environment: Mapping[str, str] = os.environ, **given: str | None) -> dict[str, str | None]:
    """Folders of data and weights: as given, else by the environment, else where the tests find the shared data."""
    data, weights = given.get("data_root"), given.get("weights")
    return {
        "data_root": data or environment.get("ZOO_OPT_DATA") or environment.get("ZOO_OPT_SHARED"),
        "weights": weights or environment.get("ZOO_OPT_WEIGHTS"),
    }

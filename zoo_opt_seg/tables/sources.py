"""What a cell of a table needs and where it is on this machine: data, black box, visual prompt, folder."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from functools import cache, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from zoo_opt.support.loading import load_object
from zoo_opt_seg.blackbox.registry import BLACK_BOXES, black_box_entry
from zoo_opt_seg.data.registry import DATA_SETS, VOLUMES, DataEntry
from zoo_opt_seg.tables.suite import OVERRIDES, Cell, on_volumes
from zoo_opt_seg.whitebox.comparators import COMPARATORS

if TYPE_CHECKING:
    from zoo_opt_seg.data.samples import Splits
    from zoo_opt_seg.visual_prompts.base import VisualPrompt

TEXTS = "+texts"  # after a data set's name: with the split and the texts of the files in <data-root>/prompts


class Absent(Exception):
    """Data or weights that are not on this machine: the cell is left out, and the table says so."""


@cache
def embedded_digest(use: str) -> str:
    """What stands behind a black box's name: a digest of its embedded files, or another package's factory.

    "" where the cell's key tells it. What was done with another is done again.
    """
    if use not in BLACK_BOXES:
        return ""
    entry = BLACK_BOXES.find(use)
    files = [Path(__file__).parents[1] / "embedded" / f"{name}.safetensors" for name in entry.embedded]
    if files:
        return hashlib.sha256(b"".join(path.read_bytes() for path in files)).hexdigest()[:16]
    return "" if entry.path.startswith("zoo_opt_seg.") else entry.path


def head(cell: Cell) -> dict[str, Any]:
    """What is known of a cell before it begins."""
    row = cell.row
    return {
        "method": row.label,
        "problem": cell.domain,
        "use": row.use,
        "prompt": row.prompt,
        "of": row.method,
        **{name: getattr(cell, name) for name in ("seed", "budget", "size", "repeats", "black_box")},
        "embedded": embedded_digest(cell.black_box["use"]),
        **{name: getattr(row, name) for name in OVERRIDES},
        **({"loaded": cell.data} if cell.data else {}),
        "calls": 0,
        "trained": 0,
    }


def data_of(cell: Cell) -> Splits:
    """The domain's splits, the same for all seeds; kept for the next cell.

    Raises
    ------
    Absent
        If its files are not on this machine.
    """
    return _data(cell.domain, cell.size, cell.place.data_root, json.dumps(cell.data, sort_keys=True))


@lru_cache(maxsize=2)
def _data(name: str, size: int, data_root: str | None, options: str) -> Splits:
    from zoo_opt_seg.data import load_data

    told = json.loads(options)
    if ":" in name:
        if told:
            raise ValueError(f"data must be of data sets by name, {name} knows nothing of {options}")
        splits: Splits = load_object(name)()
        return splits
    plain = name.removesuffix(TEXTS)
    if plain not in DATA_SETS or (plain != name and DATA_SETS.find(plain).drawn):
        raise ValueError(
            f"domain must be one of {', '.join(DATA_SETS)}, one that is read from disk with {TEXTS}, or "
            f"module:function, got {name!r}"
        )
    texts = _prompts(data_root) if name.endswith(TEXTS) else None
    return load_data(plain, place_of(DATA_SETS.find(plain), data_root), **{"size": size, "texts": texts, **told})


def place_of(entry: DataEntry, data_root: str | None) -> Path | None:
    """Where a data set lies on this machine; None where it is drawn.

    Raises
    ------
    Absent
        If it does not.
    """
    if entry.drawn:
        return None
    if data_root is None:
        raise Absent(f"{entry.name} is read from disk: give --data-root, or set ZOO_OPT_DATA")
    folder = Path(data_root) / (entry.folder or entry.name)
    if not folder.is_dir():
        raise Absent(f"no folder {folder}")
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


def served(cell: Cell) -> Any:
    """The black box, waited for in an outage, and asked again about the images that it fails on."""
    from zoo_opt_seg.blackbox.serving import Served

    return Served(model_of(cell))


@lru_cache(maxsize=1)
def _model(described: str, weights: str | None) -> Any:
    options = json.loads(described)
    use = options.pop("use")
    entry = black_box_entry(use, "black_box.use must be one of")
    if entry.weights:
        options[entry.weights] = checkpoint_of(options.get(entry.weights), weights, entry.weights)
    return entry.load()(**options)


def checkpoint_of(name: str | None, weights: str | None, what: str = "checkpoint") -> str:
    """The path of a file or folder in the folder of weights.

    Raises
    ------
    Absent
        If it is not on this machine.
    """
    if name is None:
        raise ValueError(f"black_box needs a {what}, the name of one in the folder of --weights")
    path = Path(weights or ".") / name
    if not path.exists():
        raise Absent(f"no weights {path}: give --weights, or set ZOO_OPT_WEIGHTS")
    return str(path)


def absent(cell: Cell) -> str:
    """Why the cell cannot be done on this machine, or "" if it can."""
    row, use = cell.row, cell.black_box["use"]
    weights = BLACK_BOXES.find(use).weights if use in BLACK_BOXES else ""
    needed = COMPARATORS.find(row.use).files if row.use in COMPARATORS else ()
    files = [row.options[option] for option in needed if option in row.options]
    plain = cell.domain.removesuffix(TEXTS)
    try:
        for file in files:
            checkpoint_of(file, cell.place.weights)
        if weights:
            checkpoint_of(cell.black_box.get(weights), cell.place.weights, weights)
        if plain in DATA_SETS:
            place_of(DATA_SETS.find(plain), cell.place.data_root)
        if plain != cell.domain:
            _prompts(cell.place.data_root)
        if on_volumes(row.use):
            place_of(volumes_entry(cell), cell.place.data_root)
    except Absent as missing:
        return str(missing)
    return ""


def volumes_entry(cell: Cell) -> DataEntry:
    """What is declared of the cell's volumes; for a name that is not known, what says so when it is read."""
    return VOLUMES.find(cell.domain) if cell.domain in VOLUMES else DataEntry(name=cell.domain, factory="")


def evaluated(cell: Cell, model: Any, **prompt: Any) -> Any:
    """Measure on the test split; the points or texts of a seed are the same for all rows, so that tests are paired."""
    from zoo_opt_seg.measures.evaluation import evaluate

    return evaluate(model, data_of(cell).test, repeats=cell.repeats, seed=cell.seed, **prompt)


def kind_of(cell: Cell) -> Any:
    """By what the cell's black box, and what is measured beside it, is asked."""
    from zoo_opt_seg.data.draws import kind_for

    return kind_for(model_of(cell), cell.points or None)


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

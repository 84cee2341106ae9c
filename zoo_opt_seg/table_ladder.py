"""Cells of a table whose rows are ladders on volumes: ``use = "ladder"``, domains "ct" and "synapse"."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .table_sources import Absent, folder_of, model_of
from .table_suite import Cell

if TYPE_CHECKING:
    from .data.volumes import VolumeSplits
    from .whitebox.recipe import Recipe
    from .whitebox.trainer import Fitted

DRAWN = "ct"


def ladder(cell: Cell, recipe: Recipe, augment: str | None) -> tuple[dict[str, Any], Fitted | None]:
    """Train and measure a ladder; return what a record holds of it, and how the training went.

    The row's ``options`` are those of `zoo_opt_seg.whitebox.ladder.Ladder` but for the classes, and:

    - ``trained = false``: evaluated as it starts; with ``encoders = "sam"``, SAM without fine-tuning.
    - ``weights``: a file with ImageNet's ResNet-18 in the folder of checkpoints.
    - ``unit``, ``empty``: of `evaluate_volumes`; "voxel" and "released" for what is published.
    - ``data``: further options of `load_volumes`, such as ``{ validation = 0 }``.

    Embeddings are kept in the table's folder and shared by its cells.

    Parameters
    ----------
    cell : Cell
        Its black box is a SAM, brought to the cell's size if it has another.
    recipe : Recipe
    augment : str or None
    """
    from .evaluation_volumes import evaluate_volumes
    from .whitebox.ladder import Ladder, LadderSam, sam_of_size
    from .whitebox.ladder_training import train_ladder

    options = dict(cell.row.options)
    measured = {name: options.pop(name) for name in ("unit", "empty") if name in options}
    trained, file = options.pop("trained", True), options.pop("weights", None)
    weights = None if file is None else _weights(cell, file)
    splits = volumes_of(cell, options.pop("data", {}))
    config = Ladder(len(splits.classes) + 1, **options)
    sam = model_of(cell).sam
    if sam.image_encoder.img_size != cell.size:
        sam = sam_of_size(sam, cell.size)
    fitted = None
    if trained:
        model, fitted = train_ladder(
            sam,
            splits,
            config,
            recipe=recipe,
            augment=augment,
            weights=weights,
            cache=Path(cell.place.out) / "embeddings",
            out=folder_of(cell),
        )
    else:
        model = LadderSam(sam, config, weights=weights, seed=recipe.seed)
    evaluation = evaluate_volumes(model.labels, splits.test, splits.classes, **measured)
    organs = {name: [round(d, 4), round(h, 3)] for name, (d, h) in evaluation.per_class().items()}
    return {"evaluation": evaluation, "organs": organs, "gate": round(model.gate, 4), "unit": evaluation.unit}, fitted


def volumes_of(cell: Cell, options: Mapping[str, Any]) -> VolumeSplits:
    """The domain's volumes by these options of `load_volumes`, the same for all seeds.

    Raises
    ------
    Absent
        If their files are not on this machine.
    """
    if why := absent_volumes(cell):
        raise Absent(why)
    root = None if cell.domain == DRAWN else str(Path(cell.place.data_root or "") / cell.domain)
    return _volumes(cell.domain, root, cell.size, json.dumps(options, sort_keys=True))


def absent_volumes(cell: Cell) -> str:
    """Why the cell's volumes cannot be read on this machine, or "" if they can."""
    if cell.domain == DRAWN:
        return ""
    if cell.place.data_root is None:
        return f"{cell.domain} is read from disk: give --data-root, or set ZOO_OPT_DATA"
    folder = Path(cell.place.data_root) / cell.domain
    return "" if folder.is_dir() else f"no folder {folder}"


@lru_cache(maxsize=1)
def _volumes(name: str, root: str | None, size: int, options: str) -> VolumeSplits:
    from .data.volumes import load_volumes

    return load_volumes(name, root, size, **json.loads(options))


def _weights(cell: Cell, name: str) -> Path:
    path = Path(cell.place.weights or ".") / name
    if not path.is_file():
        raise Absent(f"no weights {path}: give --weights, or set ZOO_OPT_WEIGHTS")
    return path

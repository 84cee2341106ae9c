"""Cells of a table on volumes, domains "ct" and "synapse": ``use = "ladder"``, and ``"atlas"``, the trivial line."""

from __future__ import annotations

import json
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from zoo_opt_seg.tables.sources import Absent, checkpoint_of, folder_of, model_of
from zoo_opt_seg.tables.suite import Cell

if TYPE_CHECKING:
    from zoo_opt_seg.data.volumes import VolumeSplits
    from zoo_opt_seg.measures.evaluation_volumes import Predictor
    from zoo_opt_seg.whitebox.core.recipe import Recipe
    from zoo_opt_seg.whitebox.core.trainer import Fitted
    from zoo_opt_seg.whitebox.ladder.model import LadderSam

DRAWN = "ct"


MEASURED = ("unit", "empty")  # options of evaluate_volumes


def ladder(cell: Cell, recipe: Recipe, augment: str | None) -> tuple[dict[str, Any], Fitted | None]:
    """Train and measure a ladder; return what a record holds of it, and how the training went: see `trained_ladder`."""
    model, fitted = trained_ladder(cell, recipe, augment)
    return measured_ladder(cell, model), fitted


def trained_ladder(cell: Cell, recipe: Recipe, augment: str | None) -> tuple[LadderSam, Fitted | None]:
    """Train a ladder; return it and how the training went, None where there was none.

    The row's ``options`` are those of `zoo_opt_seg.whitebox.ladder.model.Ladder` but for the classes, and:

    - ``trained = false``: evaluated as it starts; with ``encoders = "sam"``, SAM without fine-tuning.
    - ``weights``: a file with ImageNet's ResNet-18 in the folder of checkpoints.
    - ``unit``, ``empty``: of `evaluate_volumes`; "voxel" and "released" for what is published.
    - ``data``: further options of `load_volumes`, such as ``{ validation = 0 }``.
    - ``cache``: whether embeddings are kept in the table's folder, where its cells share them; true without. One of
      ViT-B takes 1 MB (4 MB at 1024 pixels), and the released augmentation makes some 34 of each slice.

    Parameters
    ----------
    cell : Cell
        Its black box is a SAM, brought to the cell's size if it has another.
    recipe : Recipe
    augment : str or None
    """
    from zoo_opt_seg.whitebox.ladder.model import Ladder, LadderSam, sam_of_size
    from zoo_opt_seg.whitebox.ladder.training import train_ladder

    own = ("trained", "weights", "data", "cache", *MEASURED)
    options = {name: value for name, value in cell.row.options.items() if name not in own}
    file = cell.row.options.get("weights")
    weights = None if file is None else checkpoint_of(file, cell.place.weights)
    splits = volumes_of(cell)
    config = Ladder(len(splits.classes) + 1, **options)
    box = model_of(cell)
    if not hasattr(box, "sam"):
        raise ValueError(f"use = 'ladder' needs a SAM for its black box, got {cell.black_box['use']!r}")
    sam = box.sam if box.sam.image_encoder.img_size == cell.size else sam_of_size(box.sam, cell.size)
    if not cell.row.options.get("trained", True):
        return LadderSam(sam, config, weights=weights, seed=recipe.seed), None
    cache = Path(cell.place.out) / "embeddings" if cell.row.options.get("cache", True) else None
    out = folder_of(cell)
    return train_ladder(sam, splits, config, recipe=recipe, augment=augment, weights=weights, cache=cache, out=out)


def measured_ladder(cell: Cell, model: LadderSam) -> dict[str, Any]:
    """What a record holds of a ladder: its ``evaluation``, Dice and HD95 by organ, gate, and the unit of HD95."""
    return _measured(cell, model.labels) | {"gate": round(model.gate, 4)}


def atlas(cell: Cell) -> dict[str, Any]:
    """What a record holds of the trivial labelling, `zoo_opt_seg.measures.baselines_volumes.best_atlas`."""
    from zoo_opt_seg.measures.baselines_volumes import best_atlas

    found = best_atlas(volumes_of(cell).train)
    return _measured(cell, found) | {"about": f"threshold {found.threshold}"}


def _measured(cell: Cell, predict: Predictor) -> dict[str, Any]:
    from zoo_opt_seg.measures.evaluation_volumes import evaluate_volumes

    options = {name: cell.row.options[name] for name in MEASURED if name in cell.row.options}
    splits = volumes_of(cell)
    evaluation = evaluate_volumes(predict, splits.test, splits.classes, **options)
    organs = {name: [round(d, 4), round(h, 3)] for name, (d, h) in evaluation.per_class().items()}
    return {"evaluation": evaluation, "organs": organs, "unit": evaluation.unit}


def volumes_of(cell: Cell) -> VolumeSplits:
    """The domain's volumes by the row's ``data``, options of `load_volumes`; the same for all seeds.

    Raises
    ------
    Absent
        If their files are not on this machine.
    """
    if why := absent_volumes(cell):
        raise Absent(why)
    root = None if cell.domain == DRAWN else str(Path(cell.place.data_root or "") / cell.domain)
    return _volumes(cell.domain, root, cell.size, json.dumps(cell.row.options.get("data", {}), sort_keys=True))


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
    from zoo_opt_seg.data.volumes import load_volumes

    return load_volumes(name, root, size, **json.loads(options))

"""Cells of a table on volumes, domains "ct" and "synapse", and ``use = "atlas"``, the trivial line.

The ``options`` of their rows may hold ``unit`` and ``empty`` of `evaluate_volumes`, "voxel" and "released" for what is
published, and ``data``: further options of `load_volumes`, such as ``{ validation = 0 }``.
"""

from __future__ import annotations

import json
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from zoo_opt_seg.tables.sources import place_of, volumes_entry
from zoo_opt_seg.tables.suite import Cell

if TYPE_CHECKING:
    from zoo_opt_seg.data.volumes import VolumeSplits
    from zoo_opt_seg.measures.evaluation_volumes import Predictor

MEASURED = ("unit", "empty")  # options of evaluate_volumes


def atlas(cell: Cell) -> dict[str, Any]:
    """What a record holds of the trivial labelling, `zoo_opt_seg.measures.trivial.best_atlas`."""
    from zoo_opt_seg.measures.trivial import best_atlas

    best = best_atlas(volumes_of(cell).train)
    return measured_volumes(cell, best) | {"about": f"threshold {best.threshold}"}


def measured_volumes(cell: Cell, predict: Predictor) -> dict[str, Any]:
    """What a record holds of a predictor on the test volumes: ``evaluation``, Dice and HD95 by organ, unit of HD95."""
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
    root = place_of(volumes_entry(cell), cell.place.data_root)
    return _volumes(cell.domain, root, cell.size, json.dumps(cell.row.options.get("data", {}), sort_keys=True))


@lru_cache(maxsize=1)
def _volumes(name: str, root: Path | None, size: int, options: str) -> VolumeSplits:
    from zoo_opt_seg.data.volumes import load_volumes

    return load_volumes(name, root, size, **json.loads(options))

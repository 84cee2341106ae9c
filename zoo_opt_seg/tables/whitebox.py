"""Cells of a table whose rows are trained with the gradient: what a comparator is given, and what a record holds."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from zoo_opt_seg.tables.sources import checkpoint_of, data_of, evaluated, folder_of, head, model_of, prompt_of
from zoo_opt_seg.tables.suite import Cell
from zoo_opt_seg.tables.volumes import MEASURED, measured_volumes, volumes_of
from zoo_opt_seg.whitebox.comparators import COMPARATORS
from zoo_opt_seg.whitebox.core.comparator import RowRequest, Trained

if TYPE_CHECKING:
    from zoo_opt_seg.whitebox.core.recipe import Recipe
    from zoo_opt_seg.whitebox.core.trainer import Fitted

Figures = dict[str, Any]
REPORTED = {"kind", "key", "error", "data", "groups", "figures", "dice", "hd95"}  # besides what is known at the start
COUNTED = {"calls", "trained"}  # 0 at the start


def trained(cell: Cell) -> Figures:
    """Train and measure the cell's row: what a record holds of it, its ``evaluation`` among them."""
    done = train(cell)
    return (_fitted(done.fitted) if done.fitted else {}) | measured(cell, done)


def chosen(cell: Cell) -> dict[str, float]:
    """Train the cell's row: its validation loss and Dice at the start and where it is best; no test split is seen."""
    fitted = train(cell).fitted
    if fitted is None:
        raise ValueError(f"{cell.row.label!r} trains nothing")
    best, history = fitted.history[fitted.best_epoch], fitted.history
    return {"start": history[0].dice, "dice": best.dice, "loss": best.loss, "last": history[-1].dice}


def train(cell: Cell) -> Trained:
    """Train the cell's row."""
    row, options, comparator = cell.row, cell.row.options, COMPARATORS.find(cell.row.use)
    recipe, others = recipe_of(cell)
    model = model_of(cell)
    if comparator.part and not hasattr(model, comparator.part):
        needed, got = comparator.model, cell.black_box["use"]
        raise ValueError(f"use = {row.use!r} needs {needed} for its black box, got {got!r}")
    if (precision := getattr(model, "dtype", "float32")) != "float32":
        raise ValueError(f"use = {row.use!r} trains in float32, got a black box in {precision}")
    left_out = {*comparator.files, *(("data", *MEASURED) if comparator.volumes else ())}
    files = {name: checkpoint_of(options[name], cell.place.weights) for name in comparator.files if name in options}
    request = RowRequest(
        label=row.label,
        model=model,
        splits=volumes_of(cell) if comparator.volumes else data_of(cell),
        recipe=recipe,
        options={name: value for name, value in options.items() if name not in left_out},
        files=files,
        size=cell.size,
        out=folder_of(cell),
        shared=Path(cell.place.out),
        prompt=prompt_of(cell) if comparator.prompt else None,
        **others,
    )
    done: Trained = comparator.load()(request)
    return done


def measured(cell: Cell, done: Trained) -> Figures:
    """What the test split says of what was trained: ``evaluation``, and for some rows more."""
    if COMPARATORS.find(cell.row.use).volumes:
        figures = measured_volumes(cell, done.model)
    else:
        prompt = {} if done.x is None else {"prompt": prompt_of(cell), "x": done.x}
        figures = {"evaluation": evaluated(cell, done.model, **prompt)}
    if taken := ((figures.keys() | head(cell).keys() | REPORTED) - COUNTED) & done.figures.keys():
        raise ValueError(f"figures must leave the record's own keys alone, got {', '.join(sorted(taken))}")
    return figures | dict(done.figures)


def recipe_of(cell: Cell) -> tuple[Recipe, Figures]:
    """The comparator's recipe with the row's settings, and the settings that are not the recipe's: augment and loss."""
    settings = dict(cell.row.settings)
    settings |= {name: None for name in ("stop_after", "clip") if settings.get(name) == 0}  # TOML has no None
    others = {name: settings.pop(name, None) for name in ("augment", "loss")}
    try:
        return replace(COMPARATORS.find(cell.row.use).start(cell.row.options), seed=cell.seed, **settings), others
    except TypeError as error:
        raise ValueError(f"settings of {cell.row.label!r}: {error}") from error


def _fitted(fitted: Fitted) -> Figures:
    best = fitted.history[fitted.best_epoch]
    return {
        **{name: getattr(fitted, name) for name in ("trained", "seconds", "memory", "memory_kind")},
        "seconds_per_epoch": round(fitted.seconds_per_epoch, 3),
        "about": f"best epoch {fitted.best_epoch} of {fitted.history[-1].epoch}, ended by {fitted.stopped}",
        "validation": {"loss": best.loss, "dice": best.dice},
    }

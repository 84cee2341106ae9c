"""Cells of a table whose rows are trained with the gradient: LoRA, VLSM adapters, whole models, prompts, ladders."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from zoo_opt_seg.tables.sources import checkpoint_of, data_of, evaluated, folder_of, model_of, prompt_of
from zoo_opt_seg.tables.suite import Cell

if TYPE_CHECKING:
    from zoo_opt_seg.whitebox.core.recipe import Recipe
    from zoo_opt_seg.whitebox.core.trainer import Fitted

Figures = dict[str, Any]
Measure = Callable[[], Figures]
"""What the test split says of what was trained: ``evaluation``, and for some rows more."""


def trained(cell: Cell) -> Figures:
    """Train and measure the cell's row: what a record holds of it, its ``evaluation`` among them."""
    fitted, measure = _DO[cell.row.use](cell)
    return (_fitted(fitted) if fitted else {}) | measure()


def chosen(cell: Cell) -> dict[str, float]:
    """Train the cell's row: its validation loss and Dice at the start and where it is best; no test split is seen."""
    fitted, _ = _DO[cell.row.use](cell)
    if fitted is None:
        raise ValueError(f"{cell.row.label!r} trains nothing")
    best, history = fitted.history[fitted.best_epoch], fitted.history
    return {"start": history[0].dice, "dice": best.dice, "loss": best.loss, "last": history[-1].dice}


def _measure(cell: Cell, model: Any, **prompt: Any) -> Measure:
    return lambda: {"evaluation": evaluated(cell, model, **prompt)}


def _settings(cell: Cell, start: Recipe) -> tuple[Recipe, Figures]:
    """The recipe with the row's settings, and the settings that are not the recipe's: augment and loss."""
    settings = dict(cell.row.settings)
    settings |= {name: None for name in ("stop_after", "clip") if settings.get(name) == 0}  # TOML has no None
    others = {"augment": settings.pop("augment", None)}
    if "loss" in settings:
        others["loss"] = settings.pop("loss")
    try:
        return replace(start, seed=cell.seed, **settings), others
    except TypeError as error:
        raise ValueError(f"settings of {cell.row.label!r}: {error}") from error


def _model(cell: Cell, part: str, what: str) -> Any:
    """The cell's black box, if it is one that can be trained by this row."""
    model = model_of(cell)
    if not hasattr(model, part):
        raise ValueError(f"use = {cell.row.use!r} needs {what} for its black box, got {cell.black_box['use']!r}")
    return model


def _lora(cell: Cell) -> tuple[Fitted | None, Measure]:
    from zoo_opt_seg.blackbox.sam import SamBlackBox
    from zoo_opt_seg.whitebox.sam.lora import LoRA
    from zoo_opt_seg.whitebox.sam.lora_training import TO_PLATEAU, train_lora

    recipe, others = _settings(cell, TO_PLATEAU)
    model = _model(cell, "sam", "a SAM")
    asked = model.settings  # trained, chosen and measured as the black box of the other rows is asked
    config, out = LoRA(**cell.row.options), folder_of(cell)
    lora, fitted = train_lora(model.sam, data_of(cell), config, recipe=recipe, out=out, **others, **asked)
    return fitted, _measure(cell, SamBlackBox(sam=lora.sam, **asked))


def _sam_full(cell: Cell) -> tuple[Fitted | None, Measure]:
    from zoo_opt_seg.blackbox.sam import SamBlackBox
    from zoo_opt_seg.whitebox.sam.full import FULL, train_sam

    recipe, others = _settings(cell, FULL)
    model = _model(cell, "sam", "a SAM")
    asked, out = model.settings, folder_of(cell)
    sam, fitted = train_sam(model.sam, data_of(cell), recipe=recipe, out=out, **cell.row.options, **others, **asked)
    return fitted, _measure(cell, SamBlackBox(sam=sam, **asked))


def _backprop(cell: Cell) -> tuple[Fitted | None, Measure]:
    from zoo_opt_seg.whitebox.core.backprop import BACKPROP, train_prompt

    recipe, others = _settings(cell, BACKPROP)
    model, prompt = _model(cell, "logits", "a model with a gradient"), prompt_of(cell)
    x, fitted = train_prompt(model, prompt, data_of(cell), recipe=recipe, out=folder_of(cell), **others)
    return fitted, _measure(cell, model, prompt=prompt, x=x)


def _vlsm(cell: Cell) -> tuple[Fitted | None, Measure]:
    from zoo_opt_seg.whitebox.core.recipes import VLSM_DENSE, VLSM_SHALLOW
    from zoo_opt_seg.whitebox.vlsm.layers import VLSM
    from zoo_opt_seg.whitebox.vlsm.training import train_vlsm

    config = VLSM(**cell.row.options)
    recipe, others = _settings(cell, VLSM_DENSE if config.kind == "dense" else VLSM_SHALLOW)
    model = _model(cell, "around", "a CLIPSeg")
    adapted, fitted = train_vlsm(model, data_of(cell), config, recipe=recipe, out=folder_of(cell), **others)
    return fitted, _measure(cell, model.around(adapted.clipseg))


def _clipseg(cell: Cell) -> tuple[Fitted | None, Measure]:
    from zoo_opt_seg.whitebox.core.recipes import CLIPSEG
    from zoo_opt_seg.whitebox.vlsm.training import train_clipseg

    recipe, others = _settings(cell, CLIPSEG)
    model, out = _model(cell, "around", "a CLIPSeg"), folder_of(cell)
    tuned, fitted = train_clipseg(model, data_of(cell), recipe=recipe, out=out, **cell.row.options, **others)
    return fitted, _measure(cell, tuned)


def _cris(cell: Cell) -> tuple[Fitted | None, Measure]:
    from zoo_opt_seg.whitebox.clip.cris import cris_published, cris_tiny
    from zoo_opt_seg.whitebox.clip.training import train_cris
    from zoo_opt_seg.whitebox.core.recipes import CRIS

    return _on_clip(cell, cris_published, cris_tiny, train_cris, CRIS)


def _san(cell: Cell) -> tuple[Fitted | None, Measure]:
    from zoo_opt_seg.whitebox.clip.san import san_published, san_tiny
    from zoo_opt_seg.whitebox.clip.training import train_san
    from zoo_opt_seg.whitebox.core.recipes import SAN

    return _on_clip(cell, san_published, san_tiny, train_san, SAN)


def _on_clip(
    cell: Cell, published: Callable[..., Any], tiny: Callable[..., Any], train: Callable[..., Any], start: Recipe
) -> tuple[Fitted | None, Measure]:
    """A network on CLIP: the published one around weights in the folder of checkpoints, or the tiny one."""
    recipe, others = _settings(cell, start)
    if unknown := set(cell.row.options) - {"weights"}:
        raise ValueError(f"options of {cell.row.label!r} must be weights, got {min(unknown)!r}")
    model = _model(cell, "around", "a CLIPSeg")
    file = cell.row.options.get("weights")
    if file is None:
        net = tiny(model.model, seed=cell.seed)
    else:
        net = published(checkpoint_of(file, cell.place.weights), seed=cell.seed)
    box, fitted = train(net, data_of(cell), recipe=recipe, out=folder_of(cell), **others, **model.settings)
    return fitted, _measure(cell, box)


def _ladder(cell: Cell) -> tuple[Fitted | None, Measure]:
    from zoo_opt_seg.tables.ladder import measured_ladder, trained_ladder
    from zoo_opt_seg.whitebox.ladder.training import EMBEDDED

    recipe, others = _settings(cell, EMBEDDED)
    if "loss" in others:
        raise ValueError(f"settings of {cell.row.label!r}: a ladder has one loss, got {others['loss']!r}")
    model, fitted = trained_ladder(cell, recipe, others["augment"])
    return fitted, lambda: measured_ladder(cell, model)


def _fitted(fitted: Fitted) -> Figures:
    best = fitted.history[fitted.best_epoch]
    return {
        "trained": fitted.trained,
        "seconds": fitted.seconds,
        "seconds_per_epoch": round(fitted.seconds_per_epoch, 3),
        "memory": fitted.memory,
        "memory_kind": fitted.memory_kind,
        "about": f"best epoch {fitted.best_epoch} of {fitted.history[-1].epoch}, ended by {fitted.stopped}",
        "validation": {"loss": best.loss, "dice": best.dice},
    }


_DO: dict[str, Callable[[Cell], tuple[Fitted | None, Measure]]] = {
    "lora": _lora,
    "sam-full": _sam_full,
    "backprop": _backprop,
    "vlsm": _vlsm,
    "clipseg": _clipseg,
    "cris": _cris,
    "san": _san,
    "ladder": _ladder,
}

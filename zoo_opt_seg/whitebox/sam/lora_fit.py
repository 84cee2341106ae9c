"""LoRA trained on a domain to a validation plateau."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from zoo_opt_seg.blackbox.sam import SamBlackBox
from zoo_opt_seg.data.samples import Splits
from zoo_opt_seg.whitebox.core.comparator import Request, Trained
from zoo_opt_seg.whitebox.core.recipe import Recipe
from zoo_opt_seg.whitebox.core.trainer import Fitted
from zoo_opt_seg.whitebox.core.training import TrainingSettings, WeightsTraining
from zoo_opt_seg.whitebox.sam.lora import LoRA, LoRASam

if TYPE_CHECKING:
    from segment_anything.modeling import Sam

TO_PLATEAU = Recipe(lr=1e-3, weight_decay=1e-3, warmup=50, schedule="plateau", stop_after=20)
"""Ours: fixed before any optimiser was run on the data of the tables (docs/seg-tables.md, the order of work)."""

TRAINING = TrainingSettings(recipe=TO_PLATEAU, augment="paper")


def lora_training(
    adapted: LoRASam, splits: Splits, box: Mapping[str, Any] | None = None, **settings: Any
) -> WeightsTraining:
    """LoRA layers, and the mask decoder where `LoRA.decoder` says so, on one domain.

    Parameters
    ----------
    adapted : LoRASam
    splits : Splits
    box : mapping, optional
        Options of the `SamBlackBox` around the adapted model, such as ``quantize``. Its name tells the weights at the
        start: with it, a checkpoint of another model is refused.
    **settings
        ``augment``, ``seed`` and ``loss`` of `WeightsTraining`.
    """
    model, what = SamBlackBox(sam=adapted.sam, **(box or {})), repr(adapted.config)
    return WeightsTraining(model, splits, what, adapted.tensors, module=adapted.sam, **settings)


def train_lora(
    sam: Sam, splits: Splits, config: LoRA | None = None, *, box: Mapping[str, Any] | None = None, **training: Any
) -> tuple[LoRASam, Fitted]:
    """Train LoRA on a domain's training split until the validation Dice gets no better.

    Parameters
    ----------
    sam : segment_anything.modeling.Sam
        Left as it is.
    splits : Splits
    config : LoRA or None
        None: the defaults.
    box : mapping, optional
        Options of the `SamBlackBox` around the adapted model, such as ``quantize`` and ``masks``.
    **training
        In place of those of `TRAINING`; see `TrainingSettings`. ``lora.safetensors`` is written into ``out``.

    Returns
    -------
    adapted : LoRASam
        With the weights of the epoch with the best validation Dice.
    fitted : Fitted
    """
    how = replace(TRAINING, **training)
    adapted = LoRASam(sam, config, seed=how.recipe.seed)
    task = how.task(partial(lora_training, adapted, splits, box))
    return adapted, how.run(task, lambda out: adapted.save(out / "lora.safetensors"))


def row(request: Request) -> Trained:
    """A row of a table: the options are those of `LoRA`; measured as the black box of the other rows is asked."""
    sam, box, config = request.model.sam, request.model.settings, LoRA(**request.options)
    adapted, fitted = train_lora(sam, request.splits, config, box=box, **request.training)
    return Trained(SamBlackBox(sam=adapted.sam, **box), fitted)

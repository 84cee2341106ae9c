"""Full fine-tuning of SAM, the image encoder too: the upper bound beside LoRA."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from zoo_opt.storage.atomic import write_atomically
from zoo_opt_seg.blackbox.sam import SamBlackBox
from zoo_opt_seg.data.samples import Splits
from zoo_opt_seg.whitebox.core.comparator import RowRequest, Trained
from zoo_opt_seg.whitebox.core.recipe import Recipe
from zoo_opt_seg.whitebox.core.trainer import Fitted
from zoo_opt_seg.whitebox.core.training import TrainingSettings, WeightsTraining

if TYPE_CHECKING:
    from segment_anything.modeling import Sam

PARTS = ("image_encoder", "prompt_encoder", "mask_decoder")
FULL = Recipe(lr=1e-4, weight_decay=1e-2, warmup=50, schedule="plateau", stop_after=20, clip=1.0)
"""Ours: a tenth of LoRA's rate, ten times its weight decay, gradients clipped."""

TRAINING = TrainingSettings(recipe=FULL, augment="paper")


def sam_training(
    sam: Sam, splits: Splits, parts: Sequence[str] = PARTS, box: Mapping[str, Any] | None = None, **settings: Any
) -> WeightsTraining:
    """SAM's own weights, on one domain.

    Parameters
    ----------
    sam : segment_anything.modeling.Sam
        Trained in place; what is not of `parts` is frozen.
    splits : Splits
    parts : sequence of str
        Of ``"image_encoder"``, ``"prompt_encoder"``, ``"mask_decoder"``.
    box : mapping, optional
        Options of the `SamBlackBox` around the model, such as ``quantize``.
    **settings
        ``augment``, ``seed`` and ``loss`` of `WeightsTraining`.

    Raises
    ------
    ValueError
        If a part is unknown, or there is none.
    """
    chosen = tuple(part for part in PARTS if part in parts)
    if not chosen or len(chosen) != len(parts):
        raise ValueError(f"parts must be some of {', '.join(PARTS)}, each once, got {parts!r}")
    for name, parameter in sam.named_parameters():
        parameter.requires_grad_(name.startswith(chosen))
    trained = {name: p for name, p in sam.named_parameters() if p.requires_grad}  # SAM has no buffers that change
    model = SamBlackBox(sam=sam, **(box or {}))
    return WeightsTraining(model, splits, f"SAM ({', '.join(chosen)})", lambda: trained, **settings)


def train_sam(
    sam: Sam, splits: Splits, parts: Sequence[str] = PARTS, *, box: Mapping[str, Any] | None = None, **training: Any
) -> tuple[Sam, Fitted]:
    """Train a copy of SAM on a domain's training split until the validation Dice gets no better.

    Parameters
    ----------
    sam : segment_anything.modeling.Sam
        Left as it is.
    splits : Splits
    parts : sequence of str
        All three: full fine-tuning. Without ``"image_encoder"`` it is that of the head.
    box : mapping, optional
        Options of the `SamBlackBox` around the model while it is trained, such as ``masks``.
    **training
        In place of those of `TRAINING`; see `TrainingSettings`. ``sam.pth``, a checkpoint like SAM's own, is written
        into the folder ``out``.

    Returns
    -------
    trained : segment_anything.modeling.Sam
        With the weights of the epoch with the best validation Dice.
    fitted : Fitted
    """
    how, trained = replace(TRAINING, **training), copy.deepcopy(sam)
    fitted = how.run(how.task(partial(sam_training, trained, splits, parts, box)), partial(_save, trained))
    return trained.requires_grad_(True), fitted


def _save(sam: Sam, out: Path) -> None:
    write_atomically(out / "sam.pth", partial(torch.save, sam.state_dict()))


def row(request: RowRequest) -> Trained:
    """A row of a table: the option is ``parts``; measured as the black box of the other rows is asked."""
    box = request.model.settings
    sam, fitted = train_sam(request.model.sam, request.splits, box=box, **request.options, **request.training)
    return Trained(SamBlackBox(sam=sam, **box), fitted)

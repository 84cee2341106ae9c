"""Rows of tables: LoRA and all of SAM, trained, chosen and measured as the black box of the other rows is asked."""

from __future__ import annotations

from zoo_opt_seg.blackbox.sam import SamBlackBox
from zoo_opt_seg.whitebox.core.comparator import Request, Trained
from zoo_opt_seg.whitebox.sam.full import train_sam
from zoo_opt_seg.whitebox.sam.lora import LoRA
from zoo_opt_seg.whitebox.sam.lora_training import train_lora


def lora(request: Request) -> Trained:
    """Train LoRA; the options are those of `LoRA`."""
    sam, box, config = request.model.sam, request.model.settings, LoRA(**request.options)
    adapted, fitted = train_lora(sam, request.splits, config, box=box, **request.training)
    return Trained(SamBlackBox(sam=adapted.sam, **box), fitted)


def full(request: Request) -> Trained:
    """Train SAM; the option is ``parts``."""
    box = request.model.settings
    sam, fitted = train_sam(request.model.sam, request.splits, box=box, **request.options, **request.training)
    return Trained(SamBlackBox(sam=sam, **box), fitted)

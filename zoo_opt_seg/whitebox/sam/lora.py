"""LoRA on SAM through peft: low-rank updates of the image encoder's qkv, the mask decoder trained with them or not.

`LoRASam` is the adapted model and its file, `train_lora` trains one on a domain.
"""

from __future__ import annotations

import copy
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import torch

from zoo_opt.core.errors import fraction, instance, integer, positive
from zoo_opt.support.loading import require
from zoo_opt_seg.blackbox.sam import SamBlackBox
from zoo_opt_seg.data.samples import Splits
from zoo_opt_seg.whitebox.core import adapter_file
from zoo_opt_seg.whitebox.core.comparator import RowRequest, Trained
from zoo_opt_seg.whitebox.core.recipe import Recipe
from zoo_opt_seg.whitebox.core.trainer import Fitted, seeded
from zoo_opt_seg.whitebox.core.training import TrainingSettings, WeightsTraining

if TYPE_CHECKING:
    from segment_anything.modeling import Sam

FORMAT = "zoo-opt-seg lora 1"
TO_PLATEAU = Recipe(lr=1e-3, weight_decay=1e-3, warmup=50, schedule="plateau", stop_after=20)
"""Ours: fixed before any optimiser was run on the data of the tables (docs/seg-tables.md, the order of work)."""

TRAINING = TrainingSettings(recipe=TO_PLATEAU, augment="paper")

QKV = r"image_encoder\.blocks\.\d+\.attn\.qkv"  # of ImageEncoderViT: one linear layer for query, key and value


@dataclass(frozen=True)
class LoRA:
    """Which weights of SAM are trained.

    Parameters
    ----------
    rank : int
        r: the update of a weight is (alpha / r) B A, with A of r rows and B, zero at the start, of r columns.
    alpha : float or None
        None: as great as the rank.
    dropout : float
        Of the layers' inputs, in [0, 1).
    decoder : bool
        Whether the whole mask decoder is trained too.

    References
    ----------
    E. Hu et al., LoRA: low-rank adaptation of large language models, arXiv 2106.09685, section 4.1.
    """

    rank: int = 4
    alpha: float | None = None
    dropout: float = 0.0
    decoder: bool = True

    def __post_init__(self) -> None:
        integer("rank", self.rank, 1)
        if self.alpha is not None:
            positive("alpha", self.alpha)
        fraction("dropout", self.dropout)
        instance("decoder", self.decoder, bool)


class LoRASam:
    """A copy of a SAM with LoRA layers, the start equal to the SAM itself.

    Parameters
    ----------
    sam : segment_anything.modeling.Sam
        Of any size; left as it is.
    config : LoRA
    seed : int
        Of the matrices A.

    Attributes
    ----------
    sam : segment_anything.modeling.Sam
        The adapted copy, in evaluation mode. Everything but `tensors` is frozen.
    """

    def __init__(self, sam: Sam, config: LoRA | None = None, *, seed: int = 0) -> None:
        if not any(re.fullmatch(QKV, name) for name, _ in sam.named_modules()):
            raise ValueError(f"sam must have SAM's own ViT for LoRA, got a {type(sam.image_encoder).__name__}")
        peft = require("peft", "peft", extra="seg")
        self.config = config or LoRA()
        self.sam = copy.deepcopy(sam)
        c = self.config
        settings = peft.LoraConfig(r=c.rank, lora_alpha=c.alpha or c.rank, lora_dropout=c.dropout, target_modules=QKV)
        with seeded((seed, 0x10BA)):
            peft.inject_adapter_in_model(settings, self.sam)
        self.sam.eval()
        for name, parameter in self.sam.named_parameters():  # gradients reach what is trained and nothing else
            parameter.requires_grad_(self._is_trained(name))

    def tensors(self) -> dict[str, torch.Tensor]:
        """The parameters that are trained, by their names in the adapted SAM."""
        return {name: p for name, p in self.sam.named_parameters() if self._is_trained(name)}

    def frozen(self) -> dict[str, torch.Tensor]:
        """Everything else: the SAM's own weights and buffers."""
        return {name: t for name, t in self.sam.state_dict(keep_vars=True).items() if not self._is_trained(name)}

    def _is_trained(self, name: str) -> bool:
        return ".lora_" in name or (self.config.decoder and name.startswith("mask_decoder."))

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the trained weights alone, with the configuration, as safetensors, all or nothing."""
        adapter_file.write(path, self.tensors(), self.frozen(), {"format": FORMAT, "lora": self.config})

    @classmethod
    def load(cls, path: str | os.PathLike[str], sam: Sam) -> LoRASam:
        """Put saved weights on a SAM of the kind that they were trained on.

        Raises
        ------
        CheckpointError
            If the file is not one of ours, or of a SAM of other sizes.
        """
        values, metadata = adapter_file.read(path, FORMAT, "LoRA weights")
        with adapter_file.making(path, "a SAM with LoRA"):
            adapted = cls(sam, LoRA(**adapter_file.settings(values, metadata, "lora")))
            adapter_file.put(values, metadata, adapted.tensors(), adapted.frozen(), path, "SAM")
        return adapted


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


def row(request: RowRequest) -> Trained:
    """A row of a table: the options are those of `LoRA`; measured as the black box of the other rows is asked."""
    sam, box, config = request.model.sam, request.model.settings, LoRA(**request.options)
    adapted, fitted = train_lora(sam, request.splits, config, box=box, **request.training)
    return Trained(SamBlackBox(sam=adapted.sam, **box), fitted)

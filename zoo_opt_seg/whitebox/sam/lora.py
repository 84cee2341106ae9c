"""LoRA on SAM through peft: low-rank updates of the image encoder's qkv, the mask decoder trained with them or not.

`LoRASam` is the adapted model and its file, `train_lora` trains one on a domain.
"""

from __future__ import annotations

import copy
import json
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from zoo_opt.core.errors import fraction, instance, integer, positive
from zoo_opt.support.loading import require
from zoo_opt_seg.whitebox.core import adapter_file
from zoo_opt_seg.whitebox.core.trainer import seeded

if TYPE_CHECKING:
    from segment_anything.modeling import Sam

FORMAT = "zoo-opt-seg lora 1"
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
        peft = require("peft", "peft", extra="seg")
        self.config = config or LoRA()
        self.sam = copy.deepcopy(sam)
        settings = peft.LoraConfig(
            r=self.config.rank,
            lora_alpha=self.config.alpha or self.config.rank,
            lora_dropout=self.config.dropout,
            target_modules=QKV,
        )
        with seeded((seed, 0x10BA)):
            peft.inject_adapter_in_model(settings, self.sam)
        self.sam.eval()
        self.freeze()

    def tensors(self) -> dict[str, torch.Tensor]:
        """The parameters that are trained, by their names in the adapted SAM."""
        return {name: p for name, p in self.sam.named_parameters() if self._is_trained(name)}

    def frozen(self) -> dict[str, torch.Tensor]:
        """Everything else: the SAM's own weights and buffers."""
        return {name: t for name, t in self.sam.state_dict(keep_vars=True).items() if not self._is_trained(name)}

    def freeze(self) -> None:
        """Let gradients reach what is trained and nothing else."""
        for name, parameter in self.sam.named_parameters():
            parameter.requires_grad_(self._is_trained(name))

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
        adapted = cls(sam, LoRA(**json.loads(metadata["lora"])))
        adapter_file.put(values, metadata, adapted.tensors(), adapted.frozen(), path, "SAM")
        return adapted

"""Full fine-tuning of SAM, the image encoder too: the upper bound beside LoRA."""

from __future__ import annotations

import copy
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from zoo_opt.storage.checkpoint import write_atomically
from zoo_opt_seg.blackbox.sam import SamBlackBox
from zoo_opt_seg.data.samples import Splits
from zoo_opt_seg.whitebox.core.recipe import Recipe
from zoo_opt_seg.whitebox.core.segmentation import Segmentation
from zoo_opt_seg.whitebox.core.trainer import Fitted, Report, fit

if TYPE_CHECKING:
    from segment_anything.modeling import Sam

PARTS = ("image_encoder", "prompt_encoder", "mask_decoder")
FULL = Recipe(lr=1e-4, weight_decay=1e-2, warmup=50, schedule="plateau", stop_after=20, clip=1.0)


class SamTraining(Segmentation):
    """SAM's own weights, on one domain.

    Parameters
    ----------
    sam : segment_anything.modeling.Sam
        Trained in place; what is not of `parts` is frozen.
    splits : Splits
    parts : sequence of str
        Of ``"image_encoder"``, ``"prompt_encoder"``, ``"mask_decoder"``.
    augment : str or None
    seed : int
        Of the validation points.
    loss : str
        As in `Segmentation`.
    **options
        Of the `SamBlackBox` around the model, such as ``quantize``.

    Raises
    ------
    ValueError
        If a part is unknown, or there is none.
    """

    def __init__(
        self,
        sam: Sam,
        splits: Splits,
        *,
        parts: Sequence[str] = PARTS,
        augment: str | None = None,
        seed: int = 0,
        loss: str = "bce+dice",
        **options: object,
    ) -> None:
        self.sam, self.parts = sam, tuple(part for part in PARTS if part in parts)
        if not self.parts or len(self.parts) != len(parts):
            raise ValueError(f"parts must be some of {', '.join(PARTS)}, each once, got {parts!r}")
        for name, parameter in sam.named_parameters():
            parameter.requires_grad_(name.startswith(self.parts))
        model = SamBlackBox(sam=sam, **options)  # type: ignore[arg-type]
        super().__init__(model, splits, augmentation=augment, seed=seed, loss=loss)

    def _what(self) -> str:
        return f"SAM ({', '.join(self.parts)})"

    def tensors(self) -> Mapping[str, Tensor]:
        """Return the trained parameters; SAM has no buffers that change."""
        return {name: p for name, p in self.sam.named_parameters() if name.startswith(self.parts)}


def train_sam(
    sam: Sam,
    splits: Splits,
    parts: Sequence[str] = PARTS,
    *,
    recipe: Recipe = FULL,
    augment: str | None = "paper",
    loss: str = "bce+dice",
    out: Path | None = None,
    report: Report | None = None,
    **options: object,
) -> tuple[Sam, Fitted]:
    """Train a copy of SAM on a domain's training split until the validation Dice gets no better.

    Parameters
    ----------
    sam : segment_anything.modeling.Sam
        Left as it is.
    splits : Splits
    parts : sequence of str
        All three: full fine-tuning. Without ``"image_encoder"`` it is that of the head.
    recipe : Recipe
    augment : str or None
        ``"paper"``, ``"released"`` or None.
    loss : str
        As in `Segmentation`.
    out : path or None
        Folder to resume from; the model is written there as ``sam.pth``, a checkpoint like SAM's own.
    report : callable or None
        As in `fit`.
    **options
        Of the `SamBlackBox` around the model while it is trained, such as ``masks``.

    Returns
    -------
    trained : segment_anything.modeling.Sam
        With the weights of the epoch with the best validation Dice.
    fitted : Fitted
    """
    trained = copy.deepcopy(sam)
    task = SamTraining(trained, splits, parts=parts, augment=augment, seed=recipe.seed, loss=loss, **options)
    fitted = fit(task, recipe, out=out, report=report)
    trained.requires_grad_(True)
    if out is not None:
        buffer = io.BytesIO()
        torch.save(trained.state_dict(), buffer)
        write_atomically(Path(out) / "sam.pth", buffer.getbuffer())
    return trained, fitted

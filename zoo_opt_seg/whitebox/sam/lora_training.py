"""LoRA trained on a domain to a validation plateau."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from torch import Tensor

from zoo_opt_seg.blackbox.sam import SamBlackBox
from zoo_opt_seg.data.samples import Splits
from zoo_opt_seg.whitebox.core.recipe import Recipe
from zoo_opt_seg.whitebox.core.segmentation import Segmentation
from zoo_opt_seg.whitebox.core.trainer import Fitted, Report, fit
from zoo_opt_seg.whitebox.sam.lora import LoRA, LoRASam

if TYPE_CHECKING:
    from segment_anything.modeling import Sam

TO_PLATEAU = Recipe(lr=1e-3, weight_decay=1e-3, warmup=50, schedule="plateau", stop_after=20)


class LoRATraining(Segmentation):
    """LoRA layers, and the mask decoder where `LoRA.decoder` says so, on one domain.

    Parameters
    ----------
    adapted : LoRASam
    splits : Splits
    augment : str or None
    seed : int
        Of the validation points.
    loss : str
        As in `Segmentation`.
    **options
        Of the `SamBlackBox` around the adapted model, such as ``quantize``.
    """

    def __init__(
        self,
        adapted: LoRASam,
        splits: Splits,
        *,
        augment: str | None = None,
        seed: int = 0,
        loss: str = "bce+dice",
        **options: object,
    ) -> None:
        self.adapted = adapted
        # The name tells the weights at the start: with it, a checkpoint of another model is refused.
        model = SamBlackBox(sam=adapted.sam, **options)  # type: ignore[arg-type]
        super().__init__(model, splits, augmentation=augment, seed=seed, loss=loss)

    def _what(self) -> str:
        return repr(self.adapted.config)

    def tensors(self) -> Mapping[str, Tensor]:
        """Return the trained parameters."""
        return self.adapted.tensors()

    def train(self, mode: bool) -> None:
        """Switch LoRA's dropout; SAM itself has none."""
        self.adapted.sam.train(mode)


def train_lora(
    sam: Sam,
    splits: Splits,
    config: LoRA | None = None,
    *,
    recipe: Recipe = TO_PLATEAU,
    augment: str | None = "paper",
    loss: str = "bce+dice",
    out: Path | None = None,
    report: Report | None = None,
    **options: object,
) -> tuple[LoRASam, Fitted]:
    """Train LoRA on a domain's training split until the validation Dice gets no better.

    Parameters
    ----------
    sam : segment_anything.modeling.Sam
        Left as it is.
    splits : Splits
    config : LoRA or None
        None: the defaults.
    recipe : Recipe
        Its seed is that of the matrices A too.
    augment : str or None
        ``"paper"``, ``"released"`` or None.
    loss : str
        As in `Segmentation`.
    out : path or None
        Folder to resume from; the trained weights are written there as ``lora.safetensors``.
    report : callable or None
        As in `fit`.
    **options
        Of the `SamBlackBox` around the adapted model, such as ``quantize`` and ``masks``.

    Returns
    -------
    adapted : LoRASam
        With the weights of the epoch with the best validation Dice.
    fitted : Fitted
    """
    adapted = LoRASam(sam, config, seed=recipe.seed)
    task = LoRATraining(adapted, splits, augment=augment, seed=recipe.seed, loss=loss, **options)
    fitted = fit(task, recipe, out=out, report=report)
    if out is not None:
        adapted.save(Path(out) / "lora.safetensors")
    return adapted, fitted

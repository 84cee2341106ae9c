"""CLIPSeg trained on a domain: adapters around it, the whole of it, or its decoder."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from zoo_opt.storage.checkpoint import write_atomically
from zoo_opt_seg.blackbox.clipseg import ClipSegBlackBox
from zoo_opt_seg.data.samples import Splits
from zoo_opt_seg.whitebox.core.recipe import Recipe
from zoo_opt_seg.whitebox.core.recipes import CLIPSEG, VLSM_DENSE, VLSM_LOSS, VLSM_SHALLOW
from zoo_opt_seg.whitebox.core.segmentation import Segmentation
from zoo_opt_seg.whitebox.core.trainer import Fitted, Report, fit
from zoo_opt_seg.whitebox.vlsm.adapter import VLSMAdapter
from zoo_opt_seg.whitebox.vlsm.layers import VLSM

PARTS = ("all", "decoder")


class VLSMTraining(Segmentation):
    """Adapters around a frozen CLIPSeg, on one domain.

    Parameters
    ----------
    adapted : VLSMAdapter
    model : ClipSegBlackBox
        Whose tokenizer and options are used around the adapted model.
    splits : Splits
        With texts.
    augment : str or None
    seed : int
        Of the validation texts.
    loss : str
        As in `Segmentation`.
    """

    def __init__(
        self,
        adapted: VLSMAdapter,
        model: ClipSegBlackBox,
        splits: Splits,
        *,
        augment: str | None = None,
        seed: int = 0,
        loss: str = VLSM_LOSS,
    ) -> None:
        self.adapted = adapted
        super().__init__(model.around(adapted.clipseg), splits, augmentation=augment, seed=seed, loss=loss)

    def _what(self) -> str:
        return repr(self.adapted.config)

    def tensors(self) -> Mapping[str, Tensor]:
        """Return the adapters' parameters."""
        return self.adapted.tensors()


class ClipSegTraining(Segmentation):
    """CLIPSeg itself, on one domain.

    Parameters
    ----------
    clipseg : transformers.CLIPSegForImageSegmentation
        Trained in place.
    model : ClipSegBlackBox
        Whose tokenizer and options are used around it.
    splits : Splits
        With texts.
    parts : str
        ``"all"``, or ``"decoder"``, the encoders frozen.
    augment, seed, loss
        As in `VLSMTraining`.
    """

    def __init__(
        self,
        clipseg: Any,
        model: ClipSegBlackBox,
        splits: Splits,
        *,
        parts: str = "all",
        augment: str | None = None,
        seed: int = 0,
        loss: str = VLSM_LOSS,
    ) -> None:
        if parts not in PARTS:
            raise ValueError(f"parts must be one of {', '.join(PARTS)}, got {parts!r}")
        self.clipseg, self.parts = clipseg, parts
        for name, parameter in clipseg.named_parameters():
            parameter.requires_grad_(self._is_trained(name))
        super().__init__(model.around(clipseg), splits, augmentation=augment, seed=seed, loss=loss)

    def _is_trained(self, name: str) -> bool:
        return self.parts == "all" or name.startswith("decoder.")

    def _what(self) -> str:
        return f"CLIPSeg ({self.parts})"

    def tensors(self) -> Mapping[str, Tensor]:
        """Return the trained parameters."""
        return {name: p for name, p in self.clipseg.named_parameters() if self._is_trained(name)}

    def train(self, mode: bool) -> None:
        """Switch the attention's dropout, where the configuration has any."""
        self.clipseg.train(mode)


def train_vlsm(
    model: ClipSegBlackBox,
    splits: Splits,
    config: VLSM | None = None,
    *,
    recipe: Recipe | None = None,
    augment: str | None = None,
    loss: str = VLSM_LOSS,
    out: Path | None = None,
    report: Report | None = None,
) -> tuple[VLSMAdapter, Fitted]:
    """Train adapters around a frozen CLIPSeg until the validation Dice gets no better.

    Parameters
    ----------
    model : ClipSegBlackBox
        Left as it is. ``model.around(adapted.clipseg)`` evaluates the result.
    splits : Splits
        With texts; one is drawn at random for each image and step.
    config : VLSM or None
        None: dense, in both encoders.
    recipe : Recipe or None
        None: the paper's for the kind, `VLSM_DENSE` or `VLSM_SHALLOW`. Its seed is that of the adapters' start too.
    augment : str or None
        ``"paper"``, ``"released"`` (those of BAPS), or None as in the paper.
    loss : str
        ``"bce+1.5dice"``, eq. 2 of the paper, or ``"bce+dice"``.
    out : path or None
        Folder to resume from; the adapters are written there as ``vlsm.safetensors``.
    report : callable or None
        As in `fit`.

    Returns
    -------
    adapted : VLSMAdapter
        With the weights of the epoch with the best validation Dice.
    fitted : Fitted
    """
    config = config or VLSM()
    recipe = recipe or (VLSM_DENSE if config.kind == "dense" else VLSM_SHALLOW)
    adapted = VLSMAdapter(model.model, config, seed=recipe.seed)
    task = VLSMTraining(adapted, model, splits, augment=augment, seed=recipe.seed, loss=loss)
    fitted = fit(task, recipe, out=out, report=report)
    if out is not None:
        adapted.save(Path(out) / "vlsm.safetensors")
    return adapted, fitted


def train_clipseg(
    model: ClipSegBlackBox,
    splits: Splits,
    parts: str = "all",
    *,
    recipe: Recipe = CLIPSEG,
    augment: str | None = None,
    loss: str = VLSM_LOSS,
    out: Path | None = None,
    report: Report | None = None,
) -> tuple[ClipSegBlackBox, Fitted]:
    """Train a copy of CLIPSeg itself until the validation Dice gets no better.

    Parameters
    ----------
    model : ClipSegBlackBox
        Left as it is.
    splits : Splits
        With texts.
    parts : str
        ``"all"``: end to end, text and image encoder too. ``"decoder"``: what the authors' row "CLIPSeg
        E2E" trains in fact, 1,127,009 of 150,747,746, since transformers runs both encoders without gradient.
    recipe, augment, loss, report
        As in `train_vlsm`.
    out : path or None
        Folder to resume from; model and configuration are written there as the folder ``clipseg``, for transformers'
        ``from_pretrained``.

    Returns
    -------
    trained : ClipSegBlackBox
        With the weights of the epoch with the best validation Dice.
    fitted : Fitted
        Its `trained` counts the parameters too that the output does not depend on, as the published counts do: in the
        refined CLIPSeg 14,570,497, most of them in the image encoder's last two layers.
    """
    clipseg = copy.deepcopy(model.model)
    task = ClipSegTraining(clipseg, model, splits, parts=parts, augment=augment, seed=recipe.seed, loss=loss)
    fitted = fit(task, recipe, out=out, report=report)
    if out is not None:
        _save(clipseg, Path(out) / "clipseg")
    return model.around(clipseg.eval()), fitted


def _save(clipseg: Any, folder: Path) -> None:
    """Write what ``from_pretrained`` reads, the weights all or nothing."""
    from safetensors.torch import save

    folder.mkdir(parents=True, exist_ok=True)
    clipseg.config.save_pretrained(folder)
    values = {name: tensor.detach().cpu().contiguous() for name, tensor in clipseg.state_dict().items()}
    write_atomically(folder / "model.safetensors", save(values, metadata={"format": "pt"}))

"""CRIS and SAN trained on a domain with texts."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from zoo_opt_seg.data.samples import Splits
from zoo_opt_seg.whitebox.clip.cris import CRIS
from zoo_opt_seg.whitebox.clip.san import SAN
from zoo_opt_seg.whitebox.clip.text_segmenter import TextSegmenter
from zoo_opt_seg.whitebox.core import recipes
from zoo_opt_seg.whitebox.core.recipe import Recipe
from zoo_opt_seg.whitebox.core.segmentation import Segmentation
from zoo_opt_seg.whitebox.core.trainer import Fitted, Report, fit


class TextTraining(Segmentation):
    """A CRIS, all of it, or a SAN's adapter, on one domain with a text drawn for each image.

    Parameters
    ----------
    model : TextSegmenter
    splits : Splits
        With texts.
    augment : str or None
    seed : int
        Of the validation texts.
    loss : str
        A name of `zoo_opt_seg.whitebox.core.segmentation.LOSSES`.
    """

    def __init__(
        self,
        model: TextSegmenter,
        splits: Splits,
        *,
        augment: str | None = None,
        seed: int = 0,
        loss: str = recipes.VLSM_LOSS,
    ) -> None:
        self._box = model
        super().__init__(model, splits, augmentation=augment, seed=seed, loss=loss)

    def _what(self) -> str:
        return repr(self._box.net.config)

    def tensors(self) -> Mapping[str, Tensor]:
        """Return the trained parameters, and the running statistics that change with them."""
        return self._box.tensors()

    def train(self, mode: bool) -> None:
        """Switch dropout and batch statistics."""
        self._box.net.train(mode)


def train_cris(
    net: CRIS,
    splits: Splits,
    *,
    recipe: Recipe = recipes.CRIS,
    augment: str | None = None,
    loss: str = recipes.VLSM_LOSS,
    out: Path | None = None,
    report: Report | None = None,
    **options: Any,
) -> tuple[TextSegmenter, Fitted]:
    """Train CRIS end to end, CLIP included, until the validation Dice gets no better.

    Parameters
    ----------
    net : CRIS
        Trained in place.
    splits : Splits
        With texts.
    recipe : Recipe
    augment : str or None
        ``"paper"``, ``"released"`` or None, as the paper's comparison has it.
    loss : str
        ``"bce+1.5dice"`` as compared in VLSM-Adapter, or ``"bce+dice"``.
    out : path or None
        Folder to resume from; the weights are written there as ``cris.safetensors``.
    report : callable or None
        As in `fit`.
    **options
        Of the `TextSegmenter` around it, such as ``quantize``.

    Returns
    -------
    model : TextSegmenter
        With the weights of the epoch with the best validation Dice.
    fitted : Fitted
    """
    return _trained(net, splits, "cris", recipe, augment, loss, out, report, options)


def train_san(
    net: SAN,
    splits: Splits,
    *,
    recipe: Recipe = recipes.SAN,
    augment: str | None = None,
    loss: str = recipes.VLSM_LOSS,
    out: Path | None = None,
    report: Report | None = None,
    **options: Any,
) -> tuple[TextSegmenter, Fitted]:
    """Train SAN's adapter beside its frozen CLIP until the validation Dice gets no better.

    Parameters
    ----------
    net : SAN
        Trained in place.
    splits : Splits
        With texts.
    recipe : Recipe
    augment : str or None
        ``"paper"``, ``"released"`` or None, as the paper's comparison has it.
    loss : str
        ``"bce+1.5dice"`` as compared in VLSM-Adapter, or ``"bce+dice"``.
    out : path or None
        Folder to resume from; the adapter's weights are written there as ``san.safetensors``.
    report : callable or None
        As in `fit`.
    **options
        Of the `TextSegmenter` around it, such as ``quantize``.

    Returns
    -------
    model : TextSegmenter
        With the weights of the epoch with the best validation Dice.
    fitted : Fitted

    Notes
    -----
    The combined mask is trained, as in VLSM-Adapter's comparison, and not each proposal by matching it to a label as
    for many classes. There (released), the proposals' embeddings are computed without a gradient, so that the biases
    stay as they were drawn; here the gradient passes through CLIP's last layers, as in SAN's own training.
    """
    return _trained(net, splits, "san", recipe, augment, loss, out, report, options)


def _trained(
    net: CRIS | SAN,
    splits: Splits,
    kind: str,
    recipe: Recipe,
    augment: str | None,
    loss: str,
    out: Path | None,
    report: Report | None,
    options: dict[str, Any],
) -> tuple[TextSegmenter, Fitted]:
    model = TextSegmenter(net, **options)
    task = TextTraining(model, splits, augment=augment, seed=recipe.seed, loss=loss)
    fitted = fit(task, recipe, out=out, report=report)
    trained = TextSegmenter(net, **options)  # whose name is that of the trained weights
    if out is not None:
        trained.save(Path(out) / f"{kind}.safetensors")
    return trained, fitted

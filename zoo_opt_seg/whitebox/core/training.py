"""Weights of a segmentation model trained on a domain: what the training functions have in common."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from torch import Tensor, nn

from zoo_opt_seg.data.samples import Splits
from zoo_opt_seg.whitebox.core.recipe import Recipe
from zoo_opt_seg.whitebox.core.segmentation import Segmentation, WhiteBox
from zoo_opt_seg.whitebox.core.trainer import Fitted, Report, fit

Task = TypeVar("Task", bound=Segmentation)


class WeightsTraining(Segmentation):
    """Some weights of a model, on one domain.

    Parameters
    ----------
    model : WhiteBox
    splits : Splits
    what : str
        What is trained, with its settings: part of the name, by which a checkpoint of another training is refused.
    tensors : callable
        Returns what is trained, and what changes with it, by name.
    module : torch.nn.Module or None
        Put into training mode for the steps; None: nothing has one.
    augment : str or None
    seed : int
        Of the validation prompts.
    loss : str
        As in `Segmentation`.
    """

    def __init__(
        self,
        model: WhiteBox,
        splits: Splits,
        what: str,
        tensors: Callable[[], Mapping[str, Tensor]],
        *,
        module: nn.Module | None = None,
        augment: str | None = None,
        seed: int = 0,
        loss: str = "bce+dice",
    ) -> None:
        self._what_is_trained, self._tensors, self._module = what, tensors, module
        super().__init__(model, splits, augmentation=augment, seed=seed, loss=loss)

    def _what(self) -> str:
        return self._what_is_trained

    def tensors(self) -> Mapping[str, Tensor]:
        """Return what is trained."""
        return self._tensors()

    def train(self, mode: bool) -> None:
        """Switch dropout and batch statistics, where there are any."""
        if self._module is not None:
            self._module.train(mode)


@dataclass(frozen=True, kw_only=True)
class TrainingSettings:
    """How weights are trained: the keywords of every training function.

    Parameters
    ----------
    recipe : Recipe
        Its seed is that of all that is drawn at the start too.
    augment : str or None
        ``"paper"`` or ``"released"`` (those of BAPS, `zoo_opt_seg.data.augmentation`), or None. It flips: not for texts
        that say where.
    loss : str
        A name of `zoo_opt_seg.whitebox.core.segmentation.LOSSES`.
    out : path or None
        Folder to resume from; what was trained is written there too.
    report : callable or None
        As in `fit`.
    """

    recipe: Recipe
    augment: str | None = None
    loss: str = "bce+dice"
    out: Path | None = None
    report: Report | None = None

    def task(self, make: Callable[..., Task]) -> Task:
        """Return what is trained: ``make`` called with augment, seed and loss."""
        return make(augment=self.augment, seed=self.recipe.seed, loss=self.loss)

    def run(self, task: Segmentation, save: Callable[[Path], None] | None = None) -> Fitted:
        """Train until the validation Dice gets no better; the weights of the best epoch are left in place.

        Parameters
        ----------
        task : Segmentation
        save : callable, optional
            Writes what was trained into the folder `out`, if there is one.
        """
        fitted = fit(task, self.recipe, out=self.out, report=self.report)
        if self.out is not None and save is not None:
            save(Path(self.out))
        return fitted

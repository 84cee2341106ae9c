"""A visual prompt before a black box and a refiner behind it."""

from __future__ import annotations

from dataclasses import dataclass

from zoo_opt_seg.prompts import Array, Prompts
from zoo_opt_seg.refine.refiner import Refiner
from zoo_opt_seg.visual_prompts import TrainedPrompt, VisualPrompt
from zoo_opt_seg.visual_prompts.base import Model


@dataclass(frozen=True, eq=False)
class RefinedPrompt:
    """A trained visual prompt whose answers are corrected by a refiner; used as a `TrainedPrompt` is.

    Parameters
    ----------
    trained : TrainedPrompt
    refiner : Refiner
        Trained on answers to images with this prompt.
    """

    trained: TrainedPrompt
    refiner: Refiner

    @property
    def prompt(self) -> VisualPrompt:
        """The parametrisation of the visual prompt."""
        return self.trained.prompt

    @property
    def x(self) -> Array:
        """The vector of the visual prompt."""
        return self.trained.x

    def apply(self, images: Array, prompts: Prompts) -> Array:
        """Return the prompted images, see `TrainedPrompt.apply`."""
        return self.trained.apply(images, prompts)

    def predict(self, model: Model, images: Array, prompts: Prompts, batch: int = 16) -> Array:
        """Return corrected probabilities, see `TrainedPrompt.predict`; NaN where the black box did not answer."""
        answers = self.trained.predict(model, images, prompts, batch)
        if images.ndim == 3:
            return self.refiner.correct(images[None], prompts, answers[None])[0]
        return self.refiner.correct(images, prompts, answers)

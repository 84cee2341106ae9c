"""Backpropagation through a visual prompt and SAM or CLIPSeg: the upper bound that each parametrisation has."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from zoo_opt_seg.blackbox.network import NetworkBox
from zoo_opt_seg.data.samples import Splits
from zoo_opt_seg.prompts import Prompts
from zoo_opt_seg.visual_prompts.base import Context, VisualPrompt
from zoo_opt_seg.whitebox.core.comparator import RowRequest, Trained
from zoo_opt_seg.whitebox.core.recipe import Recipe
from zoo_opt_seg.whitebox.core.segmentation import ROWS, Segmentation
from zoo_opt_seg.whitebox.core.trainer import Fitted
from zoo_opt_seg.whitebox.core.training import TrainingSettings

KEPT = 2**24  # pixels of a validation split whose contexts are kept, of up to 64 bytes each, and not made again
BACKPROP = Recipe(lr=1e-2, weight_decay=0.0, optimizer="adam", stop_after=20)
"""Ours: Adam until a plateau, without weight decay."""

TRAINING = TrainingSettings(recipe=BACKPROP)


class PromptByGradient(Segmentation):
    """A visual prompt's vector, trained by the gradient that the black box keeps to itself.

    Parameters
    ----------
    model : NetworkBox
        Frozen here: none of its weights asks for a gradient any more.
    prompt : VisualPrompt
    splits : Splits
    augment : str or None
    seed : int
        Of the prompt's start and of the validation prompts.
    loss : str
        As in `Segmentation`.
    """

    def __init__(
        self,
        model: NetworkBox,
        prompt: VisualPrompt,
        splits: Splits,
        *,
        augment: str | None = None,
        seed: int = 0,
        loss: str = "bce+dice",
    ) -> None:
        self.prompt = prompt
        super().__init__(model, splits, augmentation=augment, seed=seed, loss=loss)
        model.network.requires_grad_(False)
        self.x = torch.tensor(prompt.x0(seed), dtype=torch.float32, device=model.device, requires_grad=True)
        self._contexts: dict[int, Context] = {}  # of the validation split, by first row

    def _what(self) -> str:
        return f"{self.prompt!r} by backpropagation"

    def tensors(self) -> Mapping[str, Tensor]:
        """Return the vector."""
        return {"x": self.x}

    def forward(self, images: np.ndarray, prompts: Prompts) -> Tensor:
        """Return the logits at the image's own place."""
        context = self.prompt.context(images, prompts).to(self.x.device)
        logits = self.model.logits(self.prompt.forward(self.x, context), context.asked)
        if type(self.prompt).restore is VisualPrompt.restore:
            return logits
        p: Tensor = self.prompt.restore(logits.sigmoid(), self.x, context)  # a mean of probabilities, not of logits
        return torch.logit(p.clamp(1e-6, 1 - 1e-6))

    def predict(self, images: np.ndarray, prompts: Prompts) -> np.ndarray:
        """Return the black box's probabilities on the prompted images, `ROWS` at a time."""
        x = self.x.detach().cpu().numpy()
        keep = images is self._validation.images and images[..., 0].size <= KEPT
        answers = []
        for start in range(0, len(images), ROWS):
            context = self._contexts.get(start) if keep else None
            if context is None:
                rows = slice(start, start + ROWS)
                context = self.prompt.context(images[rows], prompts[rows]).to(self.x.device)
            if keep:
                self._contexts[start] = context
            answers.append(self.prompt.answer(self.model, x, context))
        return np.concatenate(answers)


def train_prompt(model: NetworkBox, prompt: VisualPrompt, splits: Splits, **training: Any) -> tuple[np.ndarray, Fitted]:
    """Train a visual prompt by the gradient.

    Parameters
    ----------
    model : NetworkBox
    prompt : VisualPrompt
    splits : Splits
    **training
        In place of those of `TRAINING`; see `TrainingSettings`. The recipe's seed is that of the prompt's start too.

    Returns
    -------
    x : ndarray of float32, shape (dim,)
        The vector of the epoch with the best validation Dice.
    fitted : Fitted
    """
    how = replace(TRAINING, **training)
    task = how.task(partial(PromptByGradient, model, prompt, splits))
    fitted = how.run(task)
    return task.x.detach().cpu().numpy().copy(), fitted


def row(request: RowRequest) -> Trained:
    """A row of a table: the row's visual prompt; there are no options."""
    x, fitted = train_prompt(request.model, request.prompt, request.splits, **request.training)
    return Trained(request.model, fitted, x)

"""The validation of an adaptation: fixed images, one fixed random prompt each, no augmentation."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from zoo_opt.core.errors import integer
from zoo_opt_seg.data.draws import Draw, draw_prompts
from zoo_opt_seg.data.samples import Samples, Splits
from zoo_opt_seg.digests import data_digest
from zoo_opt_seg.measures.losses import LOSSES, check_loss, dice_loss
from zoo_opt_seg.prompts import Array
from zoo_opt_seg.visual_prompts import TrainedPrompt, VisualPrompt

if TYPE_CHECKING:
    from zoo_opt_seg.blackbox.protocol import BlackBox

SHARE = 0.2  # of the calls, at most, where the number of validation images is not given
_ROWS, _POINTS = 11, 12  # streams of the seed, none of them one of the objective's


class Validation:
    """Dice and loss of a vector on the validation images.

    Parameters
    ----------
    prompt : VisualPrompt
    samples : Samples
        No empty masks.
    loss : str
        A key of `LOSSES`.
    seed : int
        Of the prompts.
    points : str or callable
        Kind of prompts, see `zoo_opt_seg.data.draws.draw_prompts`.

    Attributes
    ----------
    model : BlackBox
        What is asked; to be set before the first question.
    """

    model: BlackBox

    def __init__(
        self, prompt: VisualPrompt, samples: Samples, *, loss: str, seed: int, points: str | Draw = "random"
    ) -> None:
        self.prompt, self.samples, self.loss = prompt, samples, loss
        self.prompts = draw_prompts(points, samples, (seed, _POINTS)) if len(samples) else None

    def __call__(self, x: Array, rows: slice) -> tuple[list[float], list[float]]:
        """Return Dice and loss of each of some images, by one question to the black box."""
        assert self.prompts is not None
        part = self.samples[rows]
        trained = TrainedPrompt(self.prompt, x)
        answer = trained.predict(self.model, part.images, self.prompts[rows], batch=len(part))
        check_loss(self.loss, answer)
        loss = LOSSES[self.loss]
        p = torch.from_numpy(np.ascontiguousarray(answer, np.float32))
        masks = torch.from_numpy(np.ascontiguousarray(part.masks))
        dice = 1.0 - dice_loss((p > 0.5).double(), masks, "none")  # that of the metrics, without importing MONAI
        return dice.tolist(), loss(p, masks, "none").tolist()


def validation_rows(splits: Splits, images: int | None, marks: int, calls: int, seed: int) -> Array:
    """Return the indices of the validation images to use, drawn by the seed among those with an object.

    Parameters
    ----------
    splits : Splits
    images : int or None
        How many; None: all, as long as the validations at all ``marks`` cost at most a fifth of the calls.
    marks, calls, seed : int

    Raises
    ------
    ValueError
        If there are marks and no images, or fewer than asked for.
    """
    if not marks:
        return np.arange(0)
    rows = splits.validation.with_object
    if images is None:
        n = min(len(rows), max(1, int(SHARE * calls) // marks))
    else:
        n = integer("validation_images", images, 1)
    if not 0 < n <= len(rows):
        what = "validate must be 0 for" if not len(rows) else f"validation_images must be at most {len(rows)} for"
        raise ValueError(
            f"{what} data with {len(rows)} validation images with an object, got {n if len(rows) else marks}"
        )
    return np.sort(np.random.default_rng([seed, _ROWS]).permutation(rows)[:n])


def parts(splits: Splits) -> tuple[Samples, Samples, Samples]:
    """Return train, validation and test."""
    return splits.train, splits.validation, splits.test


def fingerprint(splits: Splits, texts: bool = False) -> str:
    """Return the first digits of the SHA-256 of all images and masks, and of the texts where they are used."""
    said: list[Array | str] = []
    for samples in parts(splits):
        said += [samples.images, samples.masks, *([repr(samples.texts)] if texts else [])]
    return data_digest(*said)

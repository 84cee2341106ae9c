"""What the white-box comparators of SAM share: minibatches with random points, loss on logits, validation."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from zoo_opt_seg.blackbox.sam import SamBlackBox
from zoo_opt_seg.data.augment import augment
from zoo_opt_seg.data.points import random_points
from zoo_opt_seg.data.samples import Splits
from zoo_opt_seg.prompts import Prompts

from .recipe import Validation
from .trainer import Trainable

AUGMENT, POINTS, VALIDATION = 1, 2, 3  # streams of the seed


class Segmentation(Trainable):
    """SAM with one random point per image, trained on BCE + Dice.

    Images, augmentation and points of a step are a function of its seed; validation has the same points at every epoch,
    and 8-bit images where the black box has them.

    Parameters
    ----------
    model : SamBlackBox
        Whose `logits` are differentiated.
    splits : Splits
        Trained on ``splits.train``, stopped by ``splits.validation``; its test split is not looked at.
    augmentation : str or None
        ``"paper"``, ``"released"`` (`zoo_opt_seg.data.augment`), or None.
    seed : int
        Of the validation points, so that they are the same for all that is compared.
    """

    def __init__(self, model: SamBlackBox, splits: Splits, *, augmentation: str | None = None, seed: int = 0) -> None:
        self.model, self.augmentation = model, augmentation
        self._train, self._validation = splits.train, splits.validation
        self.size = len(splits.train)
        self.name = f"{self._what()} on {splits.name} ({model.name}, augment={augmentation!r}, seed={seed})"
        self._points = random_points(splits.validation.masks, (seed, VALIDATION))

    @abstractmethod
    def _what(self) -> str:
        """What is trained, with its settings."""

    @abstractmethod
    def forward(self, images: np.ndarray, prompts: Prompts) -> Tensor:
        """Return logits (n, H, W), differentiable in what is trained, of uint8 images (n, H, W, 3)."""

    @abstractmethod
    def predict(self, images: np.ndarray, prompts: Prompts) -> np.ndarray:
        """Return the probabilities (n, H, W) that the black box answers."""

    @abstractmethod
    def tensors(self) -> Mapping[str, Tensor]:
        """Return what is trained."""

    def loss(self, rows: np.ndarray, seed: tuple[int, ...]) -> Tensor:
        """Return the mean over these images of BCE + Dice."""
        images, masks = self._train.images[rows], self._train.masks[rows]
        if self.augmentation is not None:
            images, masks = augment(images, masks, (*seed, AUGMENT), self.augmentation)
        logits = self.forward(images, random_points(masks, (*seed, POINTS)))
        return bce_dice(logits, torch.from_numpy(masks).to(logits.device)).mean()

    def validate(self) -> Validation:
        """Return mean loss and mean Dice over the validation split."""
        truth = self._validation.masks
        probabilities = self.predict(self._validation.images, self._points).astype(np.float64)
        p, t = torch.from_numpy(probabilities), torch.from_numpy(truth)
        loss = bce_dice(torch.logit(p.clamp(1e-7, 1 - 1e-7)), t).mean()
        mask = probabilities > 0.5
        both, sizes = (mask & truth).sum(axis=(1, 2)), mask.sum(axis=(1, 2)) + truth.sum(axis=(1, 2))
        return Validation(float(loss), float((2 * both / np.maximum(sizes, 1)).mean()))


def bce_dice(logits: Tensor, masks: Tensor) -> Tensor:
    """Binary cross-entropy + soft Dice loss of each image, shape (n,), from logits and bool masks (n, H, W).

    Both are those of `zoo_opt_seg.losses`; from logits the cross-entropy has a gradient where the sigmoid is 0 or 1.
    """
    truth = masks.to(logits.dtype)
    bce = F.binary_cross_entropy_with_logits(logits, truth, reduction="none").mean(dim=(1, 2))
    p = logits.sigmoid()
    both, sizes = (p * truth).sum(dim=(1, 2)), p.sum(dim=(1, 2)) + truth.sum(dim=(1, 2))
    return bce + 1 - 2 * both / sizes

"""What the white-box comparators share: minibatches with drawn prompts, loss on logits, validation."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Protocol

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from zoo_opt.core.errors import one_of
from zoo_opt_seg.data.augmentation import augment
from zoo_opt_seg.data.draws import Kind, draw_prompts, kind_for
from zoo_opt_seg.data.samples import Splits
from zoo_opt_seg.digests import data_digest
from zoo_opt_seg.measures.losses import SMOOTH
from zoo_opt_seg.prompts import Prompts
from zoo_opt_seg.whitebox.core.recipe import Validation
from zoo_opt_seg.whitebox.core.trainer import Trainable

AUGMENT, POINTS, VALIDATION = 1, 2, 3  # streams of the seed
ROWS = 64  # of the validation split, whose losses are computed at a time
HALVES = (torch.float16, torch.bfloat16)


class WhiteBox(Protocol):
    """A promptable segmentation model that can be differentiated: `SamBlackBox`, `ClipSegBlackBox` and their like."""

    @property
    def name(self) -> str:
        """Identity of the model and its weights."""

    @property
    def device(self) -> torch.device:
        """Where it is."""

    def __call__(self, images: np.ndarray, prompts: Prompts, /) -> np.ndarray:
        """Return probabilities (n, H, W) for uint8 images (n, H, W, 3)."""

    def logits(self, images: Tensor, prompts: Prompts) -> Tensor:
        """Return logits (n, H, W) for images (n, 3, H, W) in [0, 1], differentiably."""


class Segmentation(Trainable):
    """A model with one drawn prompt per image, trained on logits.

    Images, augmentation and prompts of a step are a function of its seed; validation has the same prompts at every
    epoch, and 8-bit images where the black box has them.

    Parameters
    ----------
    model : WhiteBox
        Whose `logits` are differentiated.
    splits : Splits
        Trained on ``splits.train``, stopped by ``splits.validation``; its test split is not looked at.
    augmentation : str or None
        ``"paper"``, ``"released"`` (`zoo_opt_seg.data.augmentation`), or None. It flips: not for texts that say where.
    seed : int
        Of the validation prompts, so that they are the same for all that is compared.
    prompts : int, str, callable or None
        Kind of `draw_prompts`; None: what the model is prompted by, random points where it does not say.
    loss : str
        A name of `LOSSES`.

    Raises
    ------
    ValueError
        For an unknown loss or kind of prompts, or samples that have none of that kind.
    """

    def __init__(
        self,
        model: WhiteBox,
        splits: Splits,
        *,
        augmentation: str | None = None,
        seed: int = 0,
        prompts: Kind | None = None,
        loss: str = "bce+dice",
    ) -> None:
        one_of("loss", loss, LOSSES)
        self.model, self.augmentation, self._kind = model, augmentation, kind_for(model, prompts)
        self._train, self._validation, self._loss = splits.train, splits.validation, LOSSES[loss]
        self.size = len(splits.train)
        self.data = data_digest(*(a for part in (splits.train, splits.validation) for a in (part.images, part.masks)))
        said = "" if loss == "bce+dice" else f", loss={loss!r}"
        if self._kind != "random":
            said += f", prompts={getattr(self._kind, '__qualname__', self._kind)!r}"
        if self._kind == "text":
            said += f" {data_digest(repr([part.texts for part in (splits.train, splits.validation)]))[:8]}"
        self.name = f"{self._what()} on {splits.name} ({model.name}, augment={augmentation!r}, seed={seed}{said})"
        self._prompts = draw_prompts(self._kind, splits.validation, (seed, VALIDATION), exact=True)

    @abstractmethod
    def _what(self) -> str:
        """What is trained, with its settings."""

    @abstractmethod
    def tensors(self) -> Mapping[str, Tensor]:
        """Return what is trained."""

    def forward(self, images: np.ndarray, prompts: Prompts) -> Tensor:
        """Return logits (n, H, W), differentiable in what is trained, of uint8 images (n, H, W, 3)."""
        pixels = torch.from_numpy(np.moveaxis(images, 3, 1).astype(np.float32) / 255)
        return self.model.logits(pixels.to(self.model.device), prompts)

    def predict(self, images: np.ndarray, prompts: Prompts) -> np.ndarray:
        """Return the probabilities (n, H, W) that the black box answers."""
        return np.asarray(self.model(images, prompts), dtype=np.float32)

    def loss(self, rows: np.ndarray, seed: tuple[int, ...]) -> Tensor:
        """Return the mean loss over these images."""
        samples = self._train[rows]
        if self.augmentation is not None:
            images, masks = augment(
                np.asarray(samples.images), np.asarray(samples.masks), (*seed, AUGMENT), self.augmentation
            )
            samples = replace(samples, images=images, masks=masks)
        logits = self.forward(np.asarray(samples.images), draw_prompts(self._kind, samples, (*seed, POINTS)))
        if logits.dtype in HALVES:  # sums over all pixels have no room in 16 bits
            logits = logits.float()
        return self._loss(logits, torch.from_numpy(np.asarray(samples.masks)).to(logits.device)).mean()

    def validate(self) -> Validation:
        """Return mean loss and mean Dice over the validation split; NaN without one."""
        truth = np.asarray(self._validation.masks)
        if not len(truth):
            return Validation(float("nan"), float("nan"))
        probabilities = self.predict(np.asarray(self._validation.images), self._prompts)
        losses = []
        for start in range(0, len(truth), ROWS):  # in double precision all at once would be gigabytes of a large set
            rows = slice(start, start + ROWS)
            p, t = torch.from_numpy(probabilities[rows].astype(np.float64)), torch.from_numpy(truth[rows])
            losses.append(self._loss(torch.logit(p.clamp(1e-7, 1 - 1e-7)), t))
        loss = torch.cat(losses).mean()
        mask = probabilities > 0.5
        both, sizes = (mask & truth).sum(axis=(1, 2)), mask.sum(axis=(1, 2)) + truth.sum(axis=(1, 2))
        dice = np.where(sizes, 2 * both / np.maximum(sizes, 1), 1.0)  # both empty: 1, as in the metrics
        return Validation(float(loss), float(dice.mean()))


def bce_dice(logits: Tensor, masks: Tensor) -> Tensor:
    """Binary cross-entropy + soft Dice loss of each image, (n,), from logits and masks, bool or shares, (n, H, W).

    Both are those of `zoo_opt_seg.measures.losses`; from logits the cross-entropy has a gradient where the sigmoid is 0
    or 1.
    """
    bce, ratio = _bce_and_ratio(logits, masks)
    return bce + 1 - ratio


def vlsm_loss(logits: Tensor, masks: Tensor) -> Tensor:
    """1.5 Dice loss + binary cross-entropy of each image: eq. 2 of VLSM-Adapter (arXiv 2405.06196).

    The released code takes the cross-entropy of the sigmoid's sigmoid, see `vlsm_loss_released`; this is the equation.
    """
    bce, ratio = _bce_and_ratio(logits, masks)
    return 1.5 * (1 - ratio) + bce


def vlsm_loss_released(logits: Tensor, masks: Tensor) -> Tensor:
    """The loss of VLSM-Adapter's released code, of each image: MONAI's ``DiceCELoss``, given probabilities.

    The Dice ratio of the probabilities has 1e-5 above and below; the cross-entropy takes them for logits, and so is
    that of their sigmoid, at least 0.31 (ln(1 + 1/e)) on the object and 0.69 (ln 2) beside it.
    """
    truth, p = masks.to(logits.dtype), logits.sigmoid()
    bce = F.binary_cross_entropy_with_logits(p, truth, reduction="none").mean(dim=(1, 2))
    both, sizes = (p * truth).sum(dim=(1, 2)), p.sum(dim=(1, 2)) + truth.sum(dim=(1, 2))
    return 1.5 * (1 - (2 * both + 1e-5) / (sizes + 1e-5)) + bce


LOSSES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "bce+dice": bce_dice,
    "bce+1.5dice": vlsm_loss,
    "bce+1.5dice:released": vlsm_loss_released,
}


def _bce_and_ratio(logits: Tensor, masks: Tensor) -> tuple[Tensor, Tensor]:
    """Return the binary cross-entropy and the soft Dice ratio of each image; of no object and no prediction it is 1."""
    truth = masks.to(logits.dtype)
    bce = F.binary_cross_entropy_with_logits(logits, truth, reduction="none").mean(dim=(1, 2))
    p = logits.sigmoid()
    both, sizes = (p * truth).sum(dim=(1, 2)), p.sum(dim=(1, 2)) + truth.sum(dim=(1, 2))
    return bce, torch.where(sizes > 0, 2 * both / sizes.clamp_min(SMOOTH), 1.0)

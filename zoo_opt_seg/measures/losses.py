"""Losses of probabilities against masks, in torch; the black box's arrays go through the same functions."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from zoo_opt_seg.prompts import Array

SMOOTH = 1e-6  # in the Dice ratio: no object and no prediction have loss 0
_EPS = 1e-6  # probabilities are kept this far from 0 and 1 in logarithms


class LossError(ValueError):
    """A loss that what the black box answers has none of: a mistake of the caller, not a failed evaluation."""


def dice_loss(probabilities: Tensor, masks: Tensor, reduction: str = "image", smooth: float = SMOOTH) -> Tensor:
    """Return 1 - 2 |p y| / (|p| + |y|), the soft Dice loss.

    Parameters
    ----------
    probabilities : Tensor, shape (n, H, W)
        In [0, 1].
    masks : Tensor, shape (n, H, W)
        Bool, or 0 and 1.
    reduction : {"image", "batch", "none"}
        Mean over the images; one ratio over all pixels of the batch, as released with BAPS; or one loss for each image.
    smooth : float
        Added above and below the fraction bar of the ratio, > 0; 1 in pixels as released with BAPS.

    Returns
    -------
    Tensor
        Of shape () or, for "none", (n,).
    """
    p, y = _checked(probabilities, masks, reduction)
    axis = (0, 1, 2) if reduction == "batch" else (1, 2)
    overlap, total = (p * y).sum(axis), p.sum(axis) + y.sum(axis)
    loss = 1.0 - (2.0 * overlap + smooth) / (total + smooth)
    return loss.mean() if reduction == "image" else loss


def bce_loss(probabilities: Tensor, masks: Tensor, reduction: str = "image", smooth: float = SMOOTH) -> Tensor:
    """Return the binary cross-entropy, the mean over pixels; probabilities are kept 1e-6 from 0 and 1.

    Parameters
    ----------
    probabilities, masks : Tensor, shape (n, H, W)
    reduction : {"image", "batch", "none"}
        The first two are the same, as all images have as many pixels.
    smooth : float
        Not used; all of `LOSSES` are called alike.
    """
    p, y = _checked(probabilities, masks, reduction)
    p = p.clamp(_EPS, 1.0 - _EPS)
    loss = -(y * torch.log(p) + (1.0 - y) * torch.log1p(-p)).mean((1, 2))
    return loss if reduction == "none" else loss.mean()


def bce_dice(probabilities: Tensor, masks: Tensor, reduction: str = "image", smooth: float = SMOOTH) -> Tensor:
    """Return the binary cross-entropy plus the Dice loss, the loss of BAPS.

    Parameters
    ----------
    probabilities, masks : Tensor, shape (n, H, W)
    reduction : {"image", "batch", "none"}
    smooth : float
        Of the Dice loss.
    """
    return bce_loss(probabilities, masks, reduction) + dice_loss(probabilities, masks, reduction, smooth)


LOSSES: dict[str, Callable[[Tensor, Tensor, str, float], Tensor]] = {
    "bce+dice": bce_dice,
    "dice": dice_loss,
    "bce": bce_loss,
}
"""Losses by name."""


def loss_of(loss: str, hard: bool | None) -> str:
    """Return the loss that is taken of answers, by name: of hard masks, which have no cross-entropy, Dice alone.

    Parameters
    ----------
    loss : {"bce+dice", "dice", "bce"}
    hard : bool or None
        Whether the answers are hard masks; None is not known.

    Raises
    ------
    LossError
        For "bce", which has no other part.
    """
    if not hard:
        return loss
    if loss == "bce":
        raise LossError(
            "loss must be 'dice' or 'bce+dice' for a black box that returns hard masks, which have no cross-entropy, "
            "got 'bce'"
        )
    return "dice"


def black_box_loss(loss: str, answer: Array, masks: Array, reduction: str = "image", smooth: float = SMOOTH) -> float:
    """Return the loss of a black box's answer.

    Parameters
    ----------
    loss : {"bce+dice", "dice", "bce"}
    answer : ndarray, shape (n, H, W)
        Probabilities, or hard masks of bool, which have a Dice loss only, see `loss_of`.
    masks : ndarray of bool, shape (n, H, W)
    reduction : {"image", "batch"}
    smooth : float
        Of the Dice loss, see `dice_loss`.

    Raises
    ------
    ValueError
        For an unknown loss, or the cross-entropy alone of hard masks.
    """
    if loss not in LOSSES:
        raise ValueError(f"loss must be one of {', '.join(LOSSES)}, got {loss!r}")
    loss = loss_of(loss, answer.dtype == np.bool_)
    with torch.no_grad():
        p = torch.from_numpy(np.ascontiguousarray(answer, dtype=np.float32))
        return float(LOSSES[loss](p, torch.from_numpy(np.ascontiguousarray(masks)), reduction, smooth))


def _checked(probabilities: Tensor, masks: Tensor, reduction: str) -> tuple[Tensor, Tensor]:
    if reduction not in ("image", "batch", "none"):
        raise ValueError(f"reduction must be 'image', 'batch' or 'none', got {reduction!r}")
    if probabilities.ndim != 3 or probabilities.shape != masks.shape:
        shapes = f"{tuple(probabilities.shape)} and {tuple(masks.shape)}"
        raise ValueError(f"probabilities and masks must have the same shape (n, H, W), got {shapes}")
    if not probabilities.is_floating_point():
        raise TypeError(f"probabilities must be floating point, got {probabilities.dtype}")
    return probabilities, masks.to(probabilities.dtype)

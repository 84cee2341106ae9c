"""Augmentation as in BAPS: rotation, brightness and saturation, by torchvision; a function of (seed, row)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch

from zoo_opt.core.errors import one_of
from zoo_opt_seg.data.points import row_generator
from zoo_opt_seg.prompts import Array


class Change(NamedTuple):
    """What is done to one image.

    Parameters
    ----------
    flip : bool
        Left and right exchanged.
    angle : float
        Degrees, counter-clockwise.
    saturation, brightness : float
        Factors.
    nearest : bool
        Whether a rotation takes the image's pixels from the nearest, as those of a mask always are, not bilinearly.
    """

    flip: bool = False
    angle: float = 0.0
    saturation: float = 1.0
    brightness: float = 1.0
    nearest: bool = False


def draw(kind: str, rng: np.random.Generator) -> Change:
    """Return a random change.

    Parameters
    ----------
    kind : {"paper", "released"}
        ``"paper"``: angle uniform in [-10, 10] degrees, brightness and saturation factors uniform in [1, 2]: the paper
        gives 10 degrees and scales of 2, and no more. ``"released"``, as the authors' code: a flip with probability
        .5; 1 to 10 whole degrees, pixels from the nearest, with probability .5; saturation doubled with probability .2;
        brightness times 2 max(.5, u), u uniform in [0, 1], with probability .5.
    rng : numpy.random.Generator

    Raises
    ------
    ValueError
        For another kind.
    """
    return KINDS[one_of("kind", kind, KINDS)](rng)


def _paper(rng: np.random.Generator) -> Change:
    angle, saturation, brightness = rng.uniform([-10.0, 1.0, 1.0], [10.0, 2.0, 2.0])
    return Change(False, float(angle), float(saturation), float(brightness))


def _released(rng: np.random.Generator) -> Change:
    flip, rotate, saturate, brighten, u = rng.random(5)
    degrees = float(rng.integers(1, 11))
    return Change(
        flip=bool(flip < 0.5),
        angle=degrees if rotate < 0.5 else 0.0,
        saturation=2.0 if saturate < 0.2 else 1.0,
        brightness=2.0 * max(0.5, float(u)) if brighten < 0.5 else 1.0,
        nearest=True,
    )


KINDS = {"paper": _paper, "released": _released}


def augment(images: Array, masks: Array, seed: int | Sequence[int], kind: str = "paper") -> tuple[Array, Array]:
    """Return images and masks changed at random, each row by itself.

    Corners that a rotation leaves empty are black, and outside of the mask. An image whose object a rotation would turn
    out of sight is not rotated.

    Parameters
    ----------
    images : ndarray of uint8, shape (n, H, W, 3)
    masks : ndarray of bool, shape (n, H, W)
    seed : int or sequence of int
        Non-negative; row i draws from (seed, i).
    kind : {"paper", "released"}

    Returns
    -------
    images : ndarray of uint8, shape (n, H, W, 3)
    masks : ndarray of bool, shape (n, H, W)
        New arrays.

    Raises
    ------
    ValueError
        For another kind.
    """
    new_images, new_masks = np.array(images), np.array(masks)
    for row in range(len(images)):
        change = draw(kind, row_generator(seed, row))
        new_images[row], new_masks[row] = apply(change, images[row], masks[row])
    return new_images, new_masks


def apply(change: Change, image: Array, mask: Array) -> tuple[Array, Array]:
    """Return one image, uint8 (H, W, 3), and its mask, bool (H, W), changed."""
    from torchvision.transforms.v2 import InterpolationMode
    from torchvision.transforms.v2 import functional as F

    x = torch.from_numpy(np.ascontiguousarray(np.moveaxis(image, 2, 0)))
    y = torch.from_numpy(np.ascontiguousarray(mask, dtype=np.uint8))[None]
    if change.flip:
        x, y = F.horizontal_flip(x), F.horizontal_flip(y)
    if change.angle:
        turned = F.rotate(y, change.angle, interpolation=InterpolationMode.NEAREST)
        if turned.any() or not y.any():
            how = InterpolationMode.NEAREST if change.nearest else InterpolationMode.BILINEAR
            x, y = F.rotate(x, change.angle, interpolation=how), turned
    if change.saturation != 1.0:
        x = F.adjust_saturation(x, change.saturation)
    if change.brightness != 1.0:
        x = F.adjust_brightness(x, change.brightness)
    return np.ascontiguousarray(np.moveaxis(x.numpy(), 0, 2)), y[0].numpy().astype(bool)

"""Clicks that correct a mask: where an annotator puts the next one, and how a network learns to follow them."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from zoo_opt_seg.prompts import BACKGROUND, OBJECT, Array
from zoo_opt_seg.refine.network import RefinerNet, bump

MOST = 3  # clicks that a training question is given beside its own, at most; chosen


def next_click(truth: Array, mask: Array, rng: np.random.Generator | None = None) -> tuple[int, int, int] | None:
    """Return the click that corrects a mask: x, y and the label, in the largest region that is wrong.

    Parameters
    ----------
    truth, mask : ndarray of bool, shape (H, W)
    rng : numpy.random.Generator, optional
        To click anywhere in the inner half of the region; by default it is the point farthest from its border.

    Returns
    -------
    tuple of int, or None
        None where nothing is wrong. The label is 1 where the object was missed, 0 where there is none.
    """
    from scipy.ndimage import distance_transform_edt, label

    largest, kind = np.zeros(truth.shape, np.bool_), OBJECT
    for wrong, of in ((truth & ~mask, OBJECT), (mask & ~truth, BACKGROUND)):
        regions, count = label(wrong)
        if count:
            sizes = np.bincount(regions.ravel())[1:]
            if sizes.max() > largest.sum():
                largest, kind = regions == sizes.argmax() + 1, of
    if not largest.any():
        return None
    depth = distance_transform_edt(np.pad(largest, 1))[1:-1, 1:-1]
    place = int(depth.argmax()) if rng is None else int(rng.choice(np.flatnonzero(depth >= depth.max() / 2)))
    y, x = divmod(place, truth.shape[1])
    return x, y, kind


def corrected(
    net: RefinerNet, images: Tensor, guides: Tensor, evidence: Tensor, truth: Tensor, rng: np.random.Generator
) -> Tensor:
    """Return guides with up to `MOST` clicks more, each where the network is wrong after those before it.

    The answers of the black box stay as they are: the clicks are free.

    Parameters
    ----------
    net : RefinerNet
    images, guides, evidence : Tensor
        See `RefinerNet.forward`.
    truth : Tensor of bool, shape (n, H, W)
    rng : numpy.random.Generator
    """
    guides, masks = guides.clone(), truth.numpy()
    for _ in range(int(rng.integers(MOST + 1))):
        with torch.no_grad():
            said = (net(images, guides, evidence) > 0).numpy()
        for row, (right, mask) in enumerate(zip(masks, said, strict=True)):
            if (click := next_click(right, mask, rng)) is not None:
                x, y, kind = click
                channel = guides[row, (OBJECT, BACKGROUND).index(kind)]
                torch.maximum(channel, torch.from_numpy(bump(x, y, right.shape, net.config.sigma)), out=channel)
    return guides

"""Random rotations and flips of labelled slices, as released with SAM-LST; a function of (seed, row)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from zoo_opt.core.errors import one_of
from zoo_opt_seg.data.points import row_generator

KINDS = ("released", "turns")


def augment_slices(
    images: np.ndarray, labels: np.ndarray, seed: int | Sequence[int], kind: str = "released"
) -> tuple[np.ndarray, np.ndarray]:
    """Return slices and labels changed at random, each row by itself.

    Parameters
    ----------
    images : ndarray of float32, shape (n, H, W)
        Square.
    labels : ndarray of uint8, shape (n, H, W)
    seed : int or sequence of int
        Non-negative; row i draws from (seed, i).
    kind : {"released", "turns"}
        ``"released"``: with probability 1/2 a quarter turn by 0 to 3 and then a flip up-down or left-right; else with
        probability 1/2 a rotation by whole degrees from -20 to 19, pixels taken from the nearest; else nothing. A
        slice has 44 different results, and three quarters of the draws are one of five: itself and four reflections.
        ``"turns"``: one of the eight rotations and reflections of the square, equally likely.

    Returns
    -------
    images : ndarray of float32, shape (n, H, W)
    labels : ndarray of uint8, shape (n, H, W)
        New arrays. Where a rotation brings nothing in, both are 0.

    Raises
    ------
    ValueError
        For another kind, or slices that are not square.

    References
    ----------
    The recipe is that of J. Chen et al., TransUNet, arXiv 2102.04306, as SAM-LST has taken it over (its code).
    """
    from scipy.ndimage import rotate

    one_of("kind", kind, KINDS)
    if images.shape[1] != images.shape[2]:
        raise ValueError(f"images must be square to be turned, got {images.shape[1]} x {images.shape[2]}")
    new_images, new_labels = np.empty_like(images), np.empty_like(labels)
    for row in range(len(images)):
        rng = row_generator(seed, row)
        flip, turn = rng.random(2)
        quarter, axis, degrees = (int(k) for k in rng.integers([0, 0, -20], [4, 2, 20]))
        for old, new in ((images, new_images), (labels, new_labels)):
            if kind == "turns":
                turned = np.rot90(old[row], quarter)
                new[row] = np.flip(turned, 0) if axis else turned
            elif flip > 0.5:
                new[row] = np.flip(np.rot90(old[row], quarter), axis)
            else:
                new[row] = rotate(old[row], degrees, order=0, reshape=False) if turn > 0.5 else old[row]
    return new_images, new_labels

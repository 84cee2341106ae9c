"""Point prompts from masks: at random, or at the centre."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from zoo_opt_seg.prompts import Prompts


def random_points(
    masks: np.ndarray, seed: int | Sequence[int], k: int = 1, rows: Sequence[int] | np.ndarray | None = None
) -> Prompts:
    """Points on the object, uniform among the pixels of each mask.

    The draws of a row are a function of (seed, its row number) alone, so that they do not depend on the other masks.

    Parameters
    ----------
    masks : ndarray of bool, shape (n, H, W)
        None of them empty.
    seed : int or sequence of int
        Non-negative. A sequence such as (seed, repeat) is one seed.
    k : int
        Points per mask, distinct where the mask has that many pixels. The first is the one that k = 1 draws.
    rows : sequence of int, length n, optional
        Row numbers to draw for; 0 to n - 1 without.

    Returns
    -------
    Prompts
        Points (n, k, 2) in pixels, x right and y down, with the label 1.

    Raises
    ------
    ValueError
        For an empty mask, with its row, or k < 1.
    """
    masks = checked_masks(masks)
    if k < 1:
        raise ValueError(f"k must be at least 1 point, got {k}")
    points = np.empty((len(masks), k, 2), np.float32)
    for i, (mask, row) in enumerate(zip(masks, row_numbers(rows, len(masks)), strict=True)):
        rng, pixels = row_generator(seed, row), np.flatnonzero(mask)
        chosen = rng.choice(pixels, 1, replace=False)
        if k > 1:
            few = len(pixels) < k
            others = pixels if few else pixels[pixels != chosen]
            chosen = np.concatenate([chosen, rng.choice(others, k - 1, replace=few)])
        points[i, :, 0], points[i, :, 1] = chosen % masks.shape[2], chosen // masks.shape[2]
    return Prompts(points=points, labels=np.ones((len(masks), k), np.int64))


def centre_points(masks: np.ndarray) -> Prompts:
    """The pixel of each mask that lies farthest from its border.

    Pixels outside the image count as outside the mask. Of several such pixels it is the first, row by row.

    Parameters
    ----------
    masks : ndarray of bool, shape (n, H, W)
        None of them empty.

    Returns
    -------
    Prompts
        Points (n, 1, 2) in pixels, x right and y down, with the label 1.

    Raises
    ------
    ValueError
        For an empty mask, with its row.
    """
    from scipy.ndimage import distance_transform_edt

    masks = checked_masks(masks)
    points = np.empty((len(masks), 1, 2), np.float32)
    for i, mask in enumerate(masks):
        depth = distance_transform_edt(np.pad(mask, 1))[1:-1, 1:-1]
        y, x = divmod(int(np.argmax(depth)), mask.shape[1])
        points[i, 0] = x, y
    return Prompts(points=points, labels=np.ones((len(masks), 1), np.int64))


def row_generator(seed: int | Sequence[int], row: int) -> np.random.Generator:
    """The generator of one row of samples; a sequence such as (seed, repeat) is one seed."""
    return np.random.default_rng([*(int(value) for value in np.atleast_1d(np.asarray(seed))), int(row)])


def row_numbers(rows: Sequence[int] | np.ndarray | None, n: int) -> list[int]:
    """The numbers of n rows: those given, or 0 to n - 1; a ValueError where they are not n."""
    numbers = list(range(n)) if rows is None else [int(row) for row in rows]
    if len(numbers) != n:
        raise ValueError(f"rows must be {n}, one per mask, got {len(numbers)}")
    return numbers


def checked_masks(masks: np.ndarray) -> np.ndarray:
    """The masks, or a ValueError unless they are bool (n, H, W) and none is empty."""
    masks = np.asarray(masks)
    if masks.ndim != 3 or masks.dtype != np.bool_:
        raise ValueError(f"masks must be bool of the shape (n, H, W), got {masks.dtype} of the shape {masks.shape}")
    empty = np.flatnonzero(~masks.any(axis=(1, 2)))
    if empty.size:
        raise ValueError(f"masks must hold an object for a point or box to be drawn on, row {empty[0]} is empty")
    return masks

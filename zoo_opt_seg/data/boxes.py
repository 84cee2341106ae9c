"""Box prompts from masks: the bounding box, as it is or with its sides moved."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from zoo_opt_seg.data.points import checked_masks, row_generator, row_numbers
from zoo_opt_seg.prompts import Prompts

SPREAD = 0.1  # of the box's side: the standard deviation of a side's move; as in SAM's training
FARTHEST = 20 / 1024  # of the image's longer side: the longest move; as in SAM's training, 20 pixels of 1,024
_SIDES = 4  # stream of the seed: points are drawn from another, and are the same with a box and without


def mask_boxes(masks: np.ndarray) -> Prompts:
    """The bounding box of each mask.

    Parameters
    ----------
    masks : ndarray of bool, shape (n, H, W)
        None of them empty.

    Returns
    -------
    Prompts
        Boxes (n, 4): x0, y0, x1, y1, the first and the last pixel of the object.

    Raises
    ------
    ValueError
        For an empty mask, with its row.
    """
    masks = checked_masks(masks)
    height, width = masks.shape[1:]
    columns, rows = (np.asarray(masks.any(axis=axis)) for axis in (1, 2))
    x0, y0 = columns.argmax(axis=1), rows.argmax(axis=1)
    x1, y1 = width - 1 - columns[:, ::-1].argmax(axis=1), height - 1 - rows[:, ::-1].argmax(axis=1)
    return Prompts(boxes=np.stack([x0, y0, x1, y1], axis=1).astype(np.float32))


def moved_boxes(
    masks: np.ndarray, seed: int | Sequence[int], rows: Sequence[int] | np.ndarray | None = None
) -> Prompts:
    """The bounding box of each mask with its sides moved at random, as in SAM's training.

    Each side is moved by a normal deviate, whose standard deviation is a tenth of the box's width or height, but by at
    most 20/1,024 of the image's longer side, and stays in the image. The draws of a row are a function of (seed, its
    row number) alone.

    Parameters
    ----------
    masks : ndarray of bool, shape (n, H, W)
        None of them empty.
    seed : int or sequence of int
        Non-negative. A sequence such as (seed, repeat) is one seed.
    rows : sequence of int, length n, optional
        Row numbers to draw for; 0 to n - 1 without.

    Returns
    -------
    Prompts
        Boxes (n, 4): x0, y0, x1, y1 in pixels.

    Raises
    ------
    ValueError
        For an empty mask, with its row.

    References
    ----------
    A. Kirillov et al. Segment Anything. ICCV 2023, appendix A.
    """
    boxes = np.asarray(mask_boxes(masks).boxes, np.float64)
    height, width = masks.shape[1:]
    farthest = FARTHEST * max(height, width)
    entropy = [*np.atleast_1d(np.asarray(seed)).tolist(), _SIDES]
    for box, row in zip(boxes, row_numbers(rows, len(boxes)), strict=True):
        sides = np.tile(box[2:] - box[:2], 2)
        box += np.clip(SPREAD * sides * row_generator(entropy, row).standard_normal(4), -farthest, farthest)
    corners = np.clip(boxes, 0, np.tile([width - 1, height - 1], 2)).reshape(-1, 2, 2)
    return Prompts(boxes=np.sort(corners, axis=1).reshape(-1, 4).astype(np.float32))

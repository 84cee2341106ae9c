"""What the servers of the tests serve: how like each pixel is to those that are pointed at.

Of numpy alone, and of operations that any version of it does alike, so that answers can be held against it bit for bit.
"""

import numpy as np


def likeness(image, points=None, labels=None, box=None):
    """Return the mask (H, W) of an image (H, W, 3) in float32: 1 where it has a colour that is pointed at."""
    height, width = image.shape[:2]
    mask = np.zeros((height, width), np.float32)
    for i, (x, y) in enumerate([] if points is None else points):
        row, column = min(max(round(float(y)), 0), height - 1), min(max(round(float(x)), 0), width - 1)
        away = image - image[row, column]
        squares = away * away
        like = np.float32(1) / (np.float32(1) + np.float32(16) * (squares[..., 0] + squares[..., 1] + squares[..., 2]))
        mask = np.maximum(mask, like) if labels is None or labels[i] == 1 else mask * (np.float32(1) - like)
    if box is not None:
        x0, y0, x1, y1 = (round(float(side)) for side in box)
        inside = np.zeros((height, width), np.float32)
        inside[max(y0, 0) : y1 + 1, max(x0, 0) : x1 + 1] = 1
        mask = inside if points is None else mask * inside
    return mask.astype(np.float32)

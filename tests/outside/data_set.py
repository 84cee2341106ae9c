"""A data set of another package: one file, public names alone."""

import numpy as np

from zoo_opt_seg.data import DataEntry, Samples, Splits


def squares(size=96, seed=0, sizes=(24, 8, 12)):
    """Return bright squares on noise in three splits; a set that is read from disk has `root` as its first argument."""
    rng = np.random.default_rng(seed)
    parts = []
    for split, count in zip(("train", "validation", "test"), sizes, strict=True):
        images = rng.integers(0, 120, (count, size, size, 3), dtype=np.uint8)
        masks = np.zeros((count, size, size), bool)
        for image, mask in zip(images, masks, strict=True):
            top, left = rng.integers(0, size // 2, 2)
            mask[top : top + size // 3, left : left + size // 3] = True
            image[mask] += np.uint8(100)
        parts.append(Samples(images, masks, [f"{split}-{i}" for i in range(count)]))
    return Splits("squares", *parts)


DATA_SET = DataEntry(
    name="squares",
    factory=squares,  # or "module:object"
    about="drawn: bright squares on noise",
    drawn=True,  # nothing is read from disk: no root
)

"""A black box of another package: one file, public names alone."""

import numpy as np

from zoo_opt_seg.blackbox import BlackBoxEntry


class LikeThePoint:
    """Segments what is as bright as the pixel at the first point."""

    name = "like-the-point-1"  # another one whenever its answers could differ: it is its identity in caches and records
    prompted_by = "points"

    def __init__(self, sharpness=8.0):
        self.sharpness = sharpness

    def __call__(self, images, prompts):  # (n, H, W, 3), uint8 or float in [0, 1] -> (n, H, W) probabilities, or bool
        grey = images.mean(axis=3) / (255 if images.dtype == np.uint8 else 1)
        column, row = np.rint(prompts.points[:, 0]).astype(int).T
        at_point = grey[np.arange(len(grey)), row, column]
        return np.exp(-self.sharpness * abs(grey - at_point[:, None, None])).astype(np.float32)


BLACK_BOX = BlackBoxEntry(
    name="like-the-point",
    factory=LikeThePoint,  # or "module:object", imported when it is asked for
    about="what is as bright as the point",
    size=48,  # side in pixels of its images on the command line, unless --size says otherwise
    prompted_by="points",
)

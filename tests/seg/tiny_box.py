"""A black box and a data set that need numpy alone, for the tests of the driver: importable, and logging its calls."""

import os
import time

import numpy as np

from zoo_opt_seg.data.samples import Samples, Splits

SIZE = 24


class Bright:
    """Object is what is about as bright as the point, and bright: best after a shift of the colours.

    Parameters
    ----------
    log : str, optional
        A file to which every image's number of bytes of work is appended: a line per question, before the answer.
    delay : float
        Seconds per question.
    """

    name = "bright"

    def __init__(self, log: str | None = None, delay: float = 0.0) -> None:
        self.log, self.delay = log, delay

    def __call__(self, images, prompts):
        if self.log:
            with open(self.log, "a") as file:
                file.write(f"{len(images)}\n")
        time.sleep(self.delay)
        images = images.astype(np.float32) / (255 if images.dtype == np.uint8 else 1)
        red, rest = images[..., 0], images[..., 1:].mean(axis=3)
        return 1 / (1 + np.exp(-np.clip(12 * (red - rest - 0.25), -30, 30))).astype(np.float32)


def factory():
    """The black box as `zoo-opt-seg --model tiny_box:factory` makes it; its settings come from the environment."""
    return Bright(os.environ.get("BOX_LOG"), float(os.environ.get("BOX_DELAY", 0)))


def samples(n: int, seed: int) -> Samples:
    """n reddish discs on grey noise, too pale for the black box."""
    rng = np.random.default_rng([7, seed])
    y, x = np.mgrid[:SIZE, :SIZE]
    images = rng.integers(90, 140, (n, SIZE, SIZE, 1), np.uint8).repeat(3, axis=3)
    masks = np.zeros((n, SIZE, SIZE), bool)
    for image, mask in zip(images, masks, strict=True):
        cy, cx, r = rng.integers(8, 16), rng.integers(8, 16), rng.integers(3, 7)
        mask[:] = (y - cy) ** 2 + (x - cx) ** 2 <= r**2
        image[mask, 0] += 40
        image += rng.integers(0, 20, image.shape, np.uint8)
    return Samples(images, masks, tuple(f"disc-{seed}-{i}" for i in range(n)))


def unread() -> Splits:
    """Data that must not be loaded."""
    raise AssertionError("the data were loaded")


def splits(train: int = 12, validation: int = 6, test: int = 5) -> Splits:
    """A data set of discs."""
    return Splits("pale discs", samples(train, 1), samples(validation, 2), samples(test, 3))

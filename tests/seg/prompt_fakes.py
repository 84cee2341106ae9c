"""Small stand-ins that the tests of visual prompts and of the objective share."""

from typing import Any

import numpy as np

from zoo_opt_seg import Prompts, Samples


class LinearEncoder:
    """A frozen random projection of the image, shrunk to 4 x 4."""

    def __init__(self, dim: int = 20, name: str = "linear") -> None:
        self.name, self.dim = name, dim
        self._matrix = np.random.default_rng(3).standard_normal((48, dim)).astype(np.float32)

    def __call__(self, images: np.ndarray) -> np.ndarray:
        n, height, width, _ = images.shape
        small = images.reshape(n, 4, height // 4, 4, width // 4, 3).mean((2, 4)) / 255 - 0.5
        return small.reshape(n, 48).astype(np.float32) @ self._matrix


def brightness(images: np.ndarray, prompts: Prompts) -> np.ndarray:
    """A black box: bright pixels near the point."""
    n, height, width, _ = images.shape
    assert images.dtype == np.float32 and len(prompts) == n
    x, y = np.arange(width), np.arange(height)[:, None]
    px, py = prompts.points[:, 0, 0, None, None], prompts.points[:, 0, 1, None, None]
    near = np.exp(-((x - px) ** 2 + (y - py) ** 2) / (2 * (width / 4) ** 2))
    return (near / (1 + np.exp(-8 * (images.mean(3) - 0.5)))).astype(np.float32)


class Recorded:
    """Keeps what a black box was asked, images and prompts of each question; ``attributes``: its name and such."""

    def __init__(self, model: Any = brightness, **attributes: Any) -> None:
        self.model, self.asked = model, []
        vars(self).update(attributes)

    def __call__(self, images: np.ndarray, prompts: Prompts) -> np.ndarray:
        self.asked.append((images, prompts))
        return self.model(images, prompts)

    @property
    def sizes(self) -> list[int]:
        """Images of each question."""
        return [len(images) for images, _ in self.asked]

    @property
    def calls(self) -> int:
        """Images of all questions, counted as `Counted` does."""
        return sum(self.sizes)


def scenes(n: int, size: int = 32, seed: int = 0) -> Samples:
    """Bright squares on noise."""
    rng = np.random.default_rng(seed)
    images = rng.integers(20, 120, (n, size, size, 3), dtype=np.uint8)
    masks = np.zeros((n, size, size), bool)
    for i in range(n):
        side = int(rng.integers(size // 5, size // 2))
        y, x = rng.integers(0, size - side, 2)
        masks[i, y : y + side, x : x + side] = True
    images[masks] += 100
    return Samples(images, masks, tuple(f"scene {i}" for i in range(n)))


def points_of(samples: Samples, k: int = 1, seed: int = 0) -> Prompts:
    """k points anywhere in each image."""
    n, side = len(samples), samples.images.shape[1]
    points = np.random.default_rng(seed).integers(0, side, (n, k, 2)).astype(np.float32)
    return Prompts(points=points, labels=np.ones((n, k), np.int64))

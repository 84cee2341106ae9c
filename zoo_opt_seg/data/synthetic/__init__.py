"""Images drawn by the project itself: the source scenes, and the domains that are shifted away from them.

Every image and its texts are a function of (name, seed, index) alone. The numbers in these modules define the scenes:
they are ours, and another number is another domain, on which the embedded models were not trained.
"""

from __future__ import annotations

import importlib
import zlib
from functools import partial
from typing import Any

import numpy as np

from zoo_opt_seg.data.samples import Samples, Splits, Texts
from zoo_opt_seg.data.synthetic.attributes import Described

DOMAINS = ("skin", "disc", "tool", "polyp")
"""The shifted domains: lesions under hair, optic discs, instrument shafts, polyps on mucosa."""

SOURCES = ("source", "referring")
"""What the embedded models are trained on: scenes to be asked by points, and scenes to be asked by text."""

SPLIT_SIZES = (200, 60, 100)
"""Images to train on, to validate with and to test with."""


def rng_of(name: str, seed: int, index: int) -> np.random.Generator:
    """The generator that image ``index`` of a domain is drawn with."""
    return np.random.default_rng([zlib.crc32(name.encode()), seed, index])


def source_scenes(count: int, seed: int = 0, first: int = 0, size: int = 96) -> tuple[np.ndarray, np.ndarray]:
    """Draw source scenes with several objects each.

    Parameters
    ----------
    count : int
        Number of scenes: those with the indices ``first`` to ``first + count - 1``.
    seed, first : int
        Non-negative.
    size : int
        Side in pixels.

    Returns
    -------
    images : ndarray of uint8, shape (count, size, size, 3)
    labels : ndarray of uint8, shape (count, size, size)
        0 background, 1 to m the m >= 1 objects of the scene.
    """
    return _scenes("source", count, seed, first, size)[:2]


def referring_scenes(
    count: int, seed: int = 0, first: int = 0, size: int = 96
) -> tuple[np.ndarray, np.ndarray, list[tuple[Described, ...]]]:
    """Draw source scenes whose objects can be told apart in words.

    Parameters
    ----------
    count, seed, first, size : int
        As of `source_scenes`.

    Returns
    -------
    images : ndarray of uint8, shape (count, size, size, 3)
    labels : ndarray of uint8, shape (count, size, size)
        0 background, 1 to m the m >= 1 objects of the scene.
    objects : list of tuples of Described
        The object with the label k is the one with the index k - 1.
    """
    return _scenes("referring", count, seed, first, size)


def _scenes(
    name: str, count: int, seed: int, first: int, size: int
) -> tuple[np.ndarray, np.ndarray, list[tuple[Described, ...]]]:
    images = np.empty((count, size, size, 3), np.uint8)
    labels = np.empty((count, size, size), np.uint8)
    objects = []
    for i in range(count):
        images[i], labels[i], *described = _module(name).scene(rng_of(name, seed, first + i), size)
        objects += described
    return images, labels, objects


def _module(name: str) -> Any:
    return importlib.import_module(f"{__name__}.{name}")


def draw(name: str, seed: int, index: int, size: int = 96) -> tuple[np.ndarray, np.ndarray]:
    """Draw one image of a domain.

    Parameters
    ----------
    name : {"skin", "disc", "tool", "polyp", "source", "referring"}
        For the last two, the object asked for is drawn too.
    seed, index : int
        Non-negative.
    size : int
        Side in pixels, at least 32.

    Returns
    -------
    image : ndarray of uint8, shape (size, size, 3)
    mask : ndarray of bool, shape (size, size)
        Not empty.

    Raises
    ------
    ValueError
        For an unknown name or too small a size.
    """
    return _drawn(name, seed, index, size)[:2]


def _drawn(name: str, seed: int, index: int, size: int) -> tuple[np.ndarray, np.ndarray, Texts]:
    """Image, mask and texts."""
    if name not in (*DOMAINS, *SOURCES):
        raise ValueError(f"name must be one of {', '.join([*DOMAINS, *SOURCES[:-1]])} or {SOURCES[-1]}, got {name!r}")
    if size < 32:
        raise ValueError(f"size must be at least 32 pixels, got {size}")
    return _SAMPLES.get(name, partial(_of_domain, name))(rng_of(name, seed, index), size)


def _of_domain(name: str, rng: np.random.Generator, size: int) -> tuple[np.ndarray, np.ndarray, Texts]:
    from zoo_opt_seg.data.synthetic import texts

    image, mask = _module(name).scene(rng, size)
    return image, mask, texts.domain_texts(name, image, mask)


def _of_source(rng: np.random.Generator, size: int) -> tuple[np.ndarray, np.ndarray, Texts]:
    from zoo_opt_seg.data.synthetic import source, texts

    image, labels = source.scene(rng, size)
    number = int(rng.integers(1, labels.max() + 1))
    return image, labels == number, texts.source_texts(rng, image, labels, number)


def _of_referring(rng: np.random.Generator, size: int) -> tuple[np.ndarray, np.ndarray, Texts]:
    from zoo_opt_seg.data.synthetic import referring, texts

    while True:
        image, labels, objects = referring.scene(rng, size)
        wanted = int(rng.integers(len(objects)))
        if (said := texts.scene_texts(rng, objects, wanted)) is not None:
            return image, labels == wanted + 1, said


_SAMPLES = {"source": _of_source, "referring": _of_referring}  # the others are domains


def domain(name: str, size: int = 96, seed: int = 0, sizes: tuple[int, int, int] = SPLIT_SIZES) -> Splits:
    """A domain's images and texts, in splits that are fixed by the seed.

    Parameters
    ----------
    name : {"skin", "disc", "tool", "polyp", "source", "referring"}
    size : int
        Side in pixels, at least 32.
    seed : int
        Non-negative.
    sizes : (int, int, int)
        Images in train, validation and test. They have the indices 0 to n - 1 in this order.

    Returns
    -------
    Splits

    Raises
    ------
    ValueError
        For an unknown name or too small a size.
    """
    starts = np.cumsum([0, *sizes])
    parts = []
    for start, count in zip(starts, sizes, strict=False):
        images, masks = np.empty((count, size, size, 3), np.uint8), np.empty((count, size, size), bool)
        texts: list[Texts] = []
        for i in range(count):
            images[i], masks[i], *said = _drawn(name, seed, int(start) + i, size)
            texts += said
        names = tuple(f"{name}-{seed}-{start + i:05d}" for i in range(count))
        parts.append(Samples(images, masks, names, tuple(texts)))
    return Splits(name, *parts)

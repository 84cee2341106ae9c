"""Uniform numbers that are the same for a seed wherever and whenever they are drawn: for what is frozen at random."""

from __future__ import annotations

import math

import numpy as np

from zoo_opt_seg.prompts import Array


def uniform(seed: int, stream: int, shape: tuple[int, ...], low: float, high: float) -> Array:
    """Return numbers uniform in [low, high), float32: raw bits, which no numpy release changes.

    Parameters
    ----------
    seed, stream : int
        >= 0; the draws are a function of them and the shape alone.
    shape : tuple of int
    low, high : float
    """
    raw = np.random.PCG64(np.random.SeedSequence([seed, stream])).random_raw(math.prod(shape))
    unit = (raw >> np.uint64(11)) * 2.0**-53
    return (low + (high - low) * unit).astype(np.float32).reshape(shape)

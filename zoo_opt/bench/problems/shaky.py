"""Losses whose last digits are not to be trusted, as simulators give them: rounding, jitter, a time step's ripple."""

from __future__ import annotations

from hashlib import blake2b

import numpy as np
from numpy.typing import NDArray

from zoo_opt.bench.problems.protocol import FloatArray, pair_seed

PERIODS = 100  # of the ripple across the box


def rounded_to_float32(y: FloatArray) -> NDArray[np.float64]:
    """Values with 24 bits, shape (n,): what a simulator in single precision gives."""
    with np.errstate(over="ignore"):
        return np.asarray(y, dtype=np.float32).astype(np.float64)


def jitter_of_points(X: FloatArray, name: str) -> NDArray[np.float64]:
    """A number in [-1, 1) for every point, shape (n,), as good as random, but the same for the same bytes.

    Parameters
    ----------
    X : ndarray, shape (n, d)
        -0.0 counts as 0.0.
    name : str
        Of the problem; another one has another jitter.
    """
    key = name.encode()[:64]
    rows = np.ascontiguousarray(np.asarray(X, dtype=np.float64) + 0.0)
    words = b"".join(blake2b(row.tobytes(), digest_size=8, key=key).digest() for row in rows)
    return np.frombuffer(words, dtype="<u8") / 2.0**63 - 1


class Ripple:
    """The error of a time step: a saw tooth in [-1, 1] along one direction, which jumps where a step is added.

    A solver with steps of a set length takes a whole number of them, and what the last one leaves over grows until
    another is taken. Here the time to cover is u^T x / h with a random unit vector u, so that the error is smooth
    between two jumps, and neighbours share it: not what repeated or random probes see.

    Parameters
    ----------
    name : str
        Of the problem, which decides u.
    dim : int
    width : float
        Of the problem's box; h is a hundredth of it.
    """

    def __init__(self, name: str, dim: int, width: float) -> None:
        u = np.random.default_rng([*pair_seed(name, dim), 1]).standard_normal(dim)
        self._per_x = u / np.linalg.norm(u) * PERIODS / width

    def __call__(self, X: FloatArray) -> NDArray[np.float64]:
        """The saw tooth at the points `X`, shape (n, d); shape (n,)."""
        with np.errstate(invalid="ignore", over="ignore"):
            return np.asarray(2 * np.nan_to_num(np.asarray(X, dtype=np.float64) @ self._per_x % 1.0) - 1)

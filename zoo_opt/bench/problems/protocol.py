"""What the runner asks of a problem: the protocol that every benchmark problem satisfies."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.random import Generator
from numpy.typing import ArrayLike, NDArray

FloatArray = NDArray[np.floating[Any]]


@runtime_checkable
class Problem(Protocol):
    """What the runner asks of a problem.

    A problem may also have ``bounds``, a pair (low, high) of the box that its coordinates are meant to lie in, and
    ``reusable = True``, which says that runs leave no trace in it: a worker then keeps it for its next run.

    Attributes
    ----------
    name : str
        Unique within a suite.
    dim : int
        Number of parameters.
    optimum : float or None
        Lowest possible loss, subtracted before comparing with `targets`; None if unknown.
    targets : sequence of float
        Precisions (or values of `curve`'s metric) to hit, from easy to hard; may be empty.
    curve : str
        Quantity that the convergence curve and targets are about: ``"precision"`` (best loss so far minus the
        optimum, known at every evaluation) or the name of one of `metrics`' figures (taken at check-points, from the
        optimiser's `mean`).
    """

    name: str
    dim: int
    optimum: float | None
    targets: Sequence[float]
    curve: str

    def x0(self, seed: int) -> FloatArray:
        """Start of the run with this seed, shape (dim,): the same for every method."""
        ...

    def losses(self, X: FloatArray, step: int, seed: int) -> FloatArray:
        """Losses, shape (n,), of the candidates `X`, shape (n, dim), all of which belong to one step."""
        ...

    def metrics(self, x: FloatArray) -> dict[str, float]:
        """Figures of a result that cost no evaluation, such as the accuracy on a test set; may be empty."""
        ...


@runtime_checkable
class NoisyProblem(Problem, Protocol):
    """A problem whose losses are drawn around values that the bench knows and the optimiser does not.

    The runner evaluates `true_losses` once, follows the precision of those, and tells the optimiser what `observe`
    makes of them with a Generator that lives as long as the run: the noise depends on (problem, seed, order of the
    evaluations) alone. `losses` is for use without a runner; its noise depends on (problem, seed, step).
    """

    def true_losses(self, X: FloatArray, step: int, seed: int) -> FloatArray:
        """Noise-free losses, shape (n,), of the candidates `X`, shape (n, dim)."""
        ...

    def observe(self, X: FloatArray, true: FloatArray, rng: Generator) -> FloatArray:
        """What an optimiser gets to see, shape (n,), of candidates with the noise-free losses `true`."""
        ...


def pair_seed(name: str, seed: int) -> list[int]:
    """Entropy that depends on a problem's name and a seed alone, for what methods must share."""
    return [zlib.crc32(name.encode()), seed]


def as_matrix(x: ArrayLike) -> FloatArray:
    """`x` as an (n, d) matrix, a vector becoming one row."""
    return np.atleast_2d(np.asarray(x))

"""What the real tasks share: a unit cube in front of their own units, a start, targets, and what a failure is."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray

from zoo_opt.bench.problems.protocol import FloatArray, pair_seed

Float64 = NDArray[np.float64]
STARTS = (0.2, 0.8)  # of the cube


class Quantity(NamedTuple):
    """A parameter in its own unit: its range, and whether the cube is along its logarithm."""

    name: str
    low: float
    high: float
    log: bool = False


class RealTask(ABC):
    """A task on the unit cube, whose loss is that of a solver inside; the same point has the same loss.

    Runs start uniformly in [0.2, 0.8]^d. Points outside of the cube count as the nearest inside. Where the solver
    fails, so does the evaluation: its loss is NaN. The precision is that above the lowest loss known (`optimum`), which
    long runs found (``python benchmarks/real_tasks_best.py``), so that it may come out below zero; targets are the
    ``spread`` times 10^0, 10^-0.25, ..., 10^-6.

    A task gives the class attributes and `loss`.

    Attributes
    ----------
    task : str
        The name that a suite chooses it by.
    quantities : sequence of Quantity
        One for each of the d coordinates.
    optimum : float
        Lowest loss known.
    spread : float
        How much a typical point is above it: the median of 1,000 uniform points, from the same command, where not said.
    """

    task: ClassVar[str]
    quantities: ClassVar[Sequence[Quantity]]
    spread: ClassVar[float]
    optimum: float | None
    curve = "precision"
    reusable = True
    bounds = (0.0, 1.0)

    def __init__(self) -> None:
        self.name, self.dim = f"real-{self.task}", len(self.quantities)
        self.targets: Sequence[float] = tuple(self.spread * 10.0 ** (-j / 4) for j in range(25))
        self._log = np.array([q.log for q in self.quantities])
        ends = np.array([[q.low, q.high] for q in self.quantities], dtype=np.float64)
        self._low, self._high = np.where(self._log[:, None], np.log(np.where(self._log[:, None], ends, 1.0)), ends).T

    @abstractmethod
    def loss(self, p: Float64) -> float:
        """The loss of parameters in their own units, shape (d,)."""

    def physical(self, x: FloatArray) -> Float64:
        """Parameters in their own units from a point of the cube, shape (d,)."""
        p = self._low + np.clip(np.asarray(x, dtype=np.float64), 0, 1) * (self._high - self._low)
        return np.where(self._log, np.exp(np.where(self._log, p, 0.0)), p)

    def cube(self, p: FloatArray) -> Float64:
        """The point of the cube that stands for parameters in their own units, shape (d,)."""
        p = np.where(self._log, np.log(np.where(self._log, p, 1.0)), p)
        return np.asarray((p - self._low) / (self._high - self._low))

    def x0(self, seed: int) -> Float64:
        """Uniform in [0.2, 0.8]^d, shape (dim,)."""
        return np.random.default_rng(pair_seed(self.name, seed)).uniform(*STARTS, self.dim)

    def losses(self, X: FloatArray, step: int, seed: int) -> Float64:
        """The losses of points of the cube, shape (n,); NaN where the solver failed or the point is not finite."""
        with np.errstate(all="ignore"):
            values = [self.loss(self.physical(x)) if np.isfinite(x).all() else np.nan for x in X]
        y = np.array(values, dtype=np.float64)
        return np.where(np.isfinite(y), y, np.nan)

    def metrics(self, x: FloatArray) -> dict[str, float]:
        """No figure but the precision, which the runner adds."""
        return {}

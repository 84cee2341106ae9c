"""A quadratic model of the loss beside the CMA-ES: its ranks are smoothed, and the model's minimiser is a candidate."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from zoo_opt.core.errors import finite, non_negative, positive
from zoo_opt.methods.cma.noise import NoiseHandling

if TYPE_CHECKING:
    from zoo_opt.methods.cma.full import FullDistribution
    from zoo_opt.methods.cma.runs import ESState
    from zoo_opt.typing import Array


@dataclass(frozen=True, slots=True)
class Archive:
    """Memory of `QuadraticModel`: the recent points (M, d) of a run and their losses (M,), oldest first."""

    X: Array
    losses: Array


@dataclass(frozen=True, kw_only=True)
class QuadraticModel(NoiseHandling):
    """Regression over the recent evaluations, which averages noise out without evaluating anything twice.

    After each generation a separable quadratic in the coordinates of the search distribution,
    z = D^-1 B' (x - m) / sigma, is fitted to the ranks of the recent losses: ranks, as outliers and the scale of the
    loss must not matter; separable, as there C is diagonal, so that 2 d + 1 coefficients are enough. Two things follow.
    Candidates are ranked by the mean of their own rank and of their rank in the model, and the last candidate of the
    next generation is the model's minimiser, within the reach of a candidate (injection [2]). The idea of a global
    quadratic model in CMA-ES is that of lq-CMA-ES [1], which uses it to save evaluations instead.

    Parameters
    ----------
    memory : float, default 4
        Evaluations that the model looks back on, over its 2 d + 1 coefficients; more than 1.
    trust : float, default 0.5
        Weight of the model's rank against the candidate's own, in [0, 1].
    locality : float, default 4
        Evaluations count by exp(-z.z / (locality d)).
    ridge : float, default 1
        Penalty of the coefficients' squares.

    References
    ----------
    [1] N. Hansen. A global surrogate assisted CMA-ES. GECCO 2019.
    [2] N. Hansen. Injecting external solutions into CMA-ES. arXiv 1110.4181, 2011.
    """

    memory: float = 4.0  # with trust and locality measured on bbob-noisy: docs/noise.md, "What was measured"
    trust: float = 0.5
    locality: float = 4.0
    ridge: float = 1.0  # chosen, not tuned

    def __post_init__(self) -> None:
        if finite("memory", self.memory) <= 1:
            raise ValueError(f"memory must be > 1, got {self.memory!r}")
        if non_negative("trust", self.trust) > 1:
            raise ValueError(f"trust must be in [0, 1], got {self.trust!r}")
        positive("locality", self.locality)
        positive("ridge", self.ridge)

    def begin(self, n: int) -> Archive:
        """See `NoiseHandling.begin`."""
        return Archive(np.empty((0, n)), np.empty(0))

    def observe(self, state: ESState, X: Array, losses: list[float], step: int) -> tuple[Archive, list[float]]:
        """See `NoiseHandling.observe`."""
        archive: Archive = state.noise
        new = np.array(losses)
        alive = ~np.isnan(new)
        size = math.ceil(self.memory * _coefficients(X.shape[1]))
        points, values = np.concatenate([archive.X, X[alive]]), np.concatenate([archive.losses, new[alive]])
        archive = Archive(points[-size:], values[-size:])
        return archive, self.ranking_values(archive, state.distribution, X, losses)

    def ranking_values(self, archive: Archive, dist: FullDistribution, X: Array, losses: list[float]) -> list[float]:
        """Return the means of the candidates' own ranks and of their ranks in the model, NaN where failed."""
        c = self._fitted(archive, dist)
        own = np.array(losses)
        alive = ~np.isnan(own)
        if c is None or not alive.any():
            return losses
        modelled = _ranks(_features(_coordinates(dist, X[alive])).dot(c))
        own[alive] = (1 - self.trust) * _ranks(own[alive]) + self.trust * modelled
        values: list[float] = own.tolist()
        return values

    def injected(self, state: ESState) -> Array | None:
        """See `NoiseHandling.injected`."""
        c = self._fitted(state.noise, state.distribution)
        if c is None:
            return None
        n = state.distribution.m.size
        slope, curvature = c[1 : n + 1], 2 * c[n + 1 :]
        z: Array = -slope / np.maximum(curvature, np.abs(slope) / 2 + 1e-12)  # at most 2 a coordinate, and never 0 / 0
        length = math.sqrt(z.dot(z))
        if not length > 1e-3:  # so near to the mean a candidate tells nothing of the shape; chosen, not tuned
            return None
        return z * min(1.0, (math.sqrt(n) + 1) / length)  # about the longest that a candidate's z is

    def _fitted(self, archive: Archive, s: FullDistribution) -> Array | None:
        """Return the model's coefficients (2 d + 1,) in the coordinates of ``s``; None with few evaluations."""
        n = s.m.size
        if len(archive.losses) < _coefficients(n) + 2:
            return None
        Z = _coordinates(s, archive.X)
        w = np.exp(-np.vecdot(Z, Z) / (self.locality * n))
        t = (_ranks(archive.losses) + 0.5) / len(archive.losses) - 0.5
        phi = _features(Z)
        penalty = np.full(_coefficients(n), self.ridge)
        penalty[0] = 1e-6 * self.ridge  # the constant is next to free; chosen, not tuned
        A = phi.T.dot(w[:, None] * phi) + np.diag(penalty)
        b = phi.T.dot(w * t)
        return np.linalg.solve(A, b) if np.isfinite(A).all() else None


def _coefficients(n: int) -> int:
    """Return the number of coefficients in ``n`` dimensions."""
    return 2 * n + 1


def _coordinates(s: FullDistribution, X: Array) -> Array:
    """Return z (k, d), in which the search distribution is N(0, I)."""
    Z: Array = (X - s.m).dot(s.B) / (s.sigma * s.D)
    return np.clip(Z, -1e6, 1e6)  # beyond, nothing counts


def _features(Z: Array) -> Array:
    """Return 1, z and z^2, (k, 2 d + 1)."""
    return np.concatenate([np.ones((len(Z), 1)), Z, Z * Z], axis=1)


def _ranks(values: Array) -> Array:
    """Return ranks from 0, of equal values in their order."""
    ranks = np.empty(len(values))
    ranks[values.argsort(kind="stable")] = np.arange(len(values))
    return ranks

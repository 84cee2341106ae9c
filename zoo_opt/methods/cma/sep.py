"""Sep-CMA-ES: the CMA-ES with a diagonal covariance matrix, linear in time and memory."""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from zoo_opt.core.buffers import empty
from zoo_opt.gradient.draws import QuantileGaussian
from zoo_opt.methods.cma.parameters import expected_length
from zoo_opt.methods.cma.runs import Distribution, ESState
from zoo_opt.methods.cma.stop import Tolerances, condition_reasons, coordinate_reasons
from zoo_opt.methods.cma.strategy import EvolutionStrategy

if TYPE_CHECKING:
    from numpy.random import Generator
    from numpy.typing import NDArray

    from zoo_opt.typing import Array

_BLOCK = 2**16  # elements worked on at a time, so that temporaries stay in cache; sums over candidates round by it;
# chosen, not tuned


@dataclass(frozen=True, slots=True, kw_only=True)
class SepDistribution(Distribution):
    """The search distribution N(m, sigma^2 diag(C)).

    Attributes
    ----------
    C : (d,) array
        Variances over sigma^2.
    """

    C: Array

    def std(self) -> Array:
        """See `Distribution.std`."""
        return np.sqrt(self.C)


@dataclass(frozen=True, slots=True)
class SepParameters:
    """Constants of Ros and Hansen (2008), with the paper's symbols."""

    weights: Array
    mu_eff: float
    c_sigma: float
    d_sigma: float
    c_c: float
    c_cov: float
    chi_n: float


@functools.lru_cache(maxsize=64)
def _parameters(n: int, popsize: int) -> SepParameters:
    mu = max(1, popsize // 2)
    w = math.log(mu + 1) - np.log(np.arange(1, mu + 1))
    w /= w.sum()
    mu_eff = 1 / float((w**2).sum())
    c_sigma = (mu_eff + 2) / (n + mu_eff + 3)
    c_cov = (1 / mu_eff) * 2 / (n + math.sqrt(2)) ** 2
    c_cov += (1 - 1 / mu_eff) * min(1.0, (2 * mu_eff - 1) / ((n + 2) ** 2 + mu_eff))
    return SepParameters(
        weights=w,
        mu_eff=mu_eff,
        c_sigma=c_sigma,
        d_sigma=1 + 2 * max(0.0, math.sqrt((mu_eff - 1) / (n + 1)) - 1) + c_sigma,
        c_c=4 / (n + 4),
        c_cov=min(1.0, c_cov * (n + 2) / 3),  # a diagonal has n parameters: it can be learnt (n + 2) / 3 times faster
        chi_n=expected_length(n),
    )


@dataclass(frozen=True, kw_only=True)
class SepCMAES(EvolutionStrategy):
    """Separable CMA-ES (Ros and Hansen, PPSN 2008): a variance per coordinate in place of a covariance matrix.

    Time and memory per evaluation are linear in d, so that it runs up to millions of parameters. Its normal draws
    are quantiles of 16-bit numbers (`QuantileGaussian`), several times faster than exact ones.

    Parameters
    ----------
    sigma0 : float or 1-D array, default 0.3
        First standard deviation, of all variables or of each, in parameter units.
    popsize : int or None, default None
        lambda, at least 2; None is 4 + floor(3 ln d).
    restarts : None, "ipop" or "bipop", default None
        What happens when a run has ended, as in `CMAES`. With restarts only the budget stops.
    bounds : None or (low, high), default None
        Box; each side a number or a 1-D array. Points beyond are evaluated at the nearest point of it, and ranked lower
        by how far they were. x0 must lie inside.
    restart_from : None or (low, high), default None
        Box that restarts draw their start from, uniformly; None is ``bounds``, and without these x0.
    tolerances : Tolerances
        Thresholds that end a run.

    Raises
    ------
    ValueError, TypeError
        If an argument is outside its range, or x0 outside ``bounds``; the message names it.
    """

    tolerances: Tolerances = Tolerances()

    def begin(self, m: Array, sigma: float) -> SepDistribution:
        """See `EvolutionStrategy.begin`."""
        zeros = np.zeros_like(m)
        return SepDistribution(m=m, sigma=sigma, C=np.ones_like(m), p_sigma=zeros, p_c=zeros)

    def sample(self, state: ESState, rng: Generator, popsize: int, out: Array | None) -> tuple[Array, None]:
        """See `EvolutionStrategy.sample`: x_k = m + sigma diag(C)^1/2 z_k."""
        s: SepDistribution = state.distribution
        d = s.m.size
        X = empty((popsize, d), np.float64, out)
        scale = s.sigma * np.sqrt(s.C)
        rows = max(1, _BLOCK // d)
        for start in range(0, popsize, rows):
            block = X[start : start + rows]
            QuantileGaussian().sample(rng, block)
            block *= scale
            block += s.m
        return X, None

    def adapt(self, dist: SepDistribution, kept: Array, order: NDArray[np.intp], g: int) -> SepDistribution:
        """See `EvolutionStrategy.adapt`: the CMA-ES of the paper's section 2, for each coordinate by itself."""
        s, n = dist, dist.m.size
        p = _parameters(n, len(kept))
        ranked = order[: p.weights.size]
        w = p.weights[: ranked.size] / p.weights[: ranked.size].sum()
        mu_eff = 1 / float((w**2).sum())

        # selection and recombination
        sigma_y_w, squares = _moments(kept, ranked, w, s.m)
        m = s.m + sigma_y_w  # <x>_w
        y_w = sigma_y_w
        y_w /= s.sigma

        # step-size control; y_w / sqrt(C) = <z>_w
        p_sigma = (1 - p.c_sigma) * s.p_sigma
        p_sigma += math.sqrt(p.c_sigma * (2 - p.c_sigma) * mu_eff) * (y_w / np.sqrt(s.C))
        norm = math.sqrt(float(p_sigma @ p_sigma))
        sigma = s.sigma * math.exp(min(1.0, (p.c_sigma / p.d_sigma) * (norm / p.chi_n - 1)))  # at most e, as in pycma

        # adaptation of the variances
        H_sigma = norm / math.sqrt(1 - (1 - p.c_sigma) ** (2 * g)) < (1.4 + 2 / (n + 1)) * p.chi_n
        p_c = (1 - p.c_c) * s.p_c
        if H_sigma:
            y_w *= math.sqrt(p.c_c * (2 - p.c_c) * mu_eff)
            p_c += y_w
        rank_mu = squares
        rank_mu *= p.c_cov * (1 - 1 / p.mu_eff) / s.sigma**2  # of sum_i w_i y_i^2; mu_cov = mu_eff
        C = (1 - p.c_cov) * s.C + (p.c_cov / p.mu_eff) * (p_c * p_c)
        C += rank_mu
        return SepDistribution(m=m, sigma=sigma, C=C, p_sigma=p_sigma, p_c=p_c)

    def whitened(self, dist: SepDistribution, X: Array) -> Array:
        """See `EvolutionStrategy.whitened`: z = C^-1/2 (x - m) / sigma."""
        return (X - dist.m) / (dist.sigma * np.sqrt(dist.C))

    def kept_of(self, dist: SepDistribution, X: Array) -> Array:
        """See `EvolutionStrategy.kept_of`."""
        return X

    def shape_reasons(self, dist: SepDistribution, sigma0: float, g: int) -> dict[str, Any]:
        """See `EvolutionStrategy.shape_reasons`."""
        std = dist.std()
        shortest, longest = float(std.min()), float(std.max())
        reasons = coordinate_reasons(dist, shortest, longest, sigma0, self.tolerances)
        return reasons | condition_reasons(shortest, longest, self.tolerances)


def _moments(X: Array, ranked: Any, w: Array, m: Array) -> tuple[Array, Array]:
    """Return sum_i w_i (x_i - m) and sum_i w_i (x_i - m)^2 over the ranked rows, a block of columns at a time."""
    first, second = np.empty_like(m), np.empty_like(m)
    columns = max(1, _BLOCK // len(ranked))
    for start in range(0, m.size, columns):
        block = slice(start, start + columns)
        Y = X[ranked, block]
        Y -= m[block]
        np.dot(w, Y, out=first[block])
        Y *= Y
        np.dot(w, Y, out=second[block])
    return first, second

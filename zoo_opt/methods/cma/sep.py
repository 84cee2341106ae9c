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
from zoo_opt.methods.cma.strategy import ESState, EvolutionStrategy, axis_reasons

if TYPE_CHECKING:
    from numpy.random import Generator
    from numpy.typing import NDArray

    from zoo_opt.typing import Array

_BLOCK = 2**16  # elements worked on at a time, so that temporaries stay in cache; sums over candidates round by it


@dataclass(frozen=True, slots=True)
class SepDistribution:
    """The search distribution N(m, sigma^2 diag(C)), float64.

    Attributes
    ----------
    m, sigma, C : (d,) array, float, (d,) array
        Mean, step size and variances.
    p_sigma, p_c : (d,) array
        Evolution paths.
    """

    m: Array
    sigma: float
    C: Array
    p_sigma: Array
    p_c: Array


@dataclass(frozen=True, slots=True)
class _Parameters:
    """Constants of Ros and Hansen (2008), with the paper's symbols."""

    weights: Array
    mu_eff: float
    c_sigma: float
    d_sigma: float
    c_c: float
    c_cov: float
    chi_n: float


@functools.lru_cache(maxsize=64)
def _parameters(n: int, popsize: int) -> _Parameters:
    mu = max(1, popsize // 2)
    w = math.log(mu + 1) - np.log(np.arange(1, mu + 1))
    w /= w.sum()
    mu_eff = 1 / float((w**2).sum())
    c_sigma = (mu_eff + 2) / (n + mu_eff + 3)
    c_cov = (1 / mu_eff) * 2 / (n + math.sqrt(2)) ** 2
    c_cov += (1 - 1 / mu_eff) * min(1.0, (2 * mu_eff - 1) / ((n + 2) ** 2 + mu_eff))
    return _Parameters(
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
    sigma0 : float, default 0.3
        First standard deviation, in parameter units.
    popsize : int or None, default None
        lambda, at least 2; None is 4 + floor(3 ln d).
    restarts : None, "ipop" or "bipop", default None
        What happens when a run has ended, as in `CMAES`. With restarts only the budget stops.
    bounds : None or (low, high), default None
        Box; each side a number or a 1-D array. Points beyond are reflected into it. x0 must lie inside.
    restart_from : None or (low, high), default None
        Box that restarts draw their start from, uniformly; None is ``bounds``, and without these x0.
    tolerances : Tolerances
        Thresholds that end a run.

    Raises
    ------
    ValueError, TypeError
        If an argument is outside its range, or x0 outside ``bounds``; the message names it.
    """

    def begin(self, m: Array, sigma: float) -> SepDistribution:
        """See `EvolutionStrategy.begin`."""
        zeros = np.zeros_like(m)
        return SepDistribution(m, sigma, np.ones_like(m), zeros, zeros)

    def sample(self, dist: SepDistribution, rng: Generator, popsize: int, out: Array | None) -> tuple[Array, None]:
        """See `EvolutionStrategy.sample`."""
        d = dist.m.size
        X = empty((popsize, d), np.float64, out)
        scale = dist.sigma * np.sqrt(dist.C)
        rows = max(1, _BLOCK // d)
        for start in range(0, popsize, rows):
            block = X[start : start + rows]
            QuantileGaussian().sample(rng, block)
            block *= scale
            block += dist.m
        return X, None

    def adapt(self, dist: SepDistribution, kept: Array, order: NDArray[np.intp], g: int) -> SepDistribution:
        """See `EvolutionStrategy.adapt`."""
        s, n = dist, dist.m.size
        p = _parameters(n, len(kept))
        ranked = order[: p.weights.size]
        w = p.weights[: ranked.size] / p.weights[: ranked.size].sum()
        mu_eff = 1 / float((w**2).sum())

        step, squares = _moments(kept, ranked, w, s.m)
        m = s.m + step  # <x>_w
        step /= s.sigma  # <y>_w
        p_sigma = (1 - p.c_sigma) * s.p_sigma
        p_sigma += math.sqrt(p.c_sigma * (2 - p.c_sigma) * mu_eff) * (step / np.sqrt(s.C))
        norm = math.sqrt(float(p_sigma @ p_sigma))
        h_sigma = norm / math.sqrt(1 - (1 - p.c_sigma) ** (2 * g)) < (1.4 + 2 / (n + 1)) * p.chi_n
        p_c = (1 - p.c_c) * s.p_c
        if h_sigma:
            step *= math.sqrt(p.c_c * (2 - p.c_c) * mu_eff)
            p_c += step
        squares *= p.c_cov * (1 - 1 / p.mu_eff) / s.sigma**2
        C = (1 - p.c_cov) * s.C + (p.c_cov / p.mu_eff) * (p_c * p_c)
        C += squares
        sigma = s.sigma * math.exp(min(1.0, (p.c_sigma / p.d_sigma) * (norm / p.chi_n - 1)))
        return SepDistribution(m, sigma, C, p_sigma, p_c)

    def shape_reasons(self, state: ESState) -> dict[str, Any]:
        """See `MethodInRuns.shape_reasons`."""
        dist: SepDistribution = state.distribution
        tol, std = self.tolerances, np.sqrt(dist.C)
        reasons = axis_reasons(dist.m, dist.sigma, std, dist.p_c, state.run.sigma0, tol)
        if std.max() > math.sqrt(tol.conditioncov) * std.min():
            reasons["conditioncov"] = tol.conditioncov
        return reasons


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

"""Sep-CMA-ES: the CMA-ES with a diagonal covariance matrix, linear in time and memory."""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from zoo_opt.buffers import empty
from zoo_opt.errors import instance, integer, positive
from zoo_opt.gradient.draws import QuantileGaussian
from zoo_opt.keys import generator
from zoo_opt.methods.base import Method
from zoo_opt.methods.cma_parameters import default_popsize, rank
from zoo_opt.methods.cma_stop import Tolerances, flat_generations, has_no_effect, history_length, is_small, run_reasons

if TYPE_CHECKING:
    from zoo_opt.typing import Array, Key

_BLOCK = 2**16  # elements worked on at a time, so that temporaries stay in cache


@dataclass(frozen=True, slots=True)
class SepCMAState:
    """State between two generations, float64.

    Attributes
    ----------
    key : Key
        Where all draws come from.
    popsize : int
        lambda.
    m, sigma, C : (d,) array, float, (d,) array
        The search distribution N(m, sigma^2 diag(C)).
    p_sigma, p_c : (d,) array
        Evolution paths.
    g : int
        Generations.
    history : tuple of float
        Best loss of each of the recent generations.
    flat : int
        Generations running with equal losses.
    reasons : dict
        Why the method has ended.
    """

    key: Key
    popsize: int
    m: Array
    sigma: float
    C: Array
    p_sigma: Array
    p_c: Array
    g: int = 0
    history: tuple[float, ...] = ()
    flat: int = 0
    reasons: Any = None


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
        chi_n=math.sqrt(n) * (1 - 1 / (4 * n) + 1 / (21 * n**2)),
    )


@dataclass(frozen=True, kw_only=True)
class SepCMAES(Method):
    """Separable CMA-ES (Ros and Hansen, PPSN 2008): a variance per coordinate in place of a covariance matrix.

    Time and memory per evaluation are linear in d, so that it runs up to millions of parameters. Its normal draws
    are quantiles of 16-bit numbers (`QuantileGaussian`), several times faster than exact ones.

    Parameters
    ----------
    sigma0 : float, default 0.3
        First standard deviation, in parameter units.
    popsize : int or None, default None
        lambda, at least 2; None is 4 + floor(3 ln d).
    tolerances : Tolerances
        Thresholds that end the run.

    Raises
    ------
    ValueError, TypeError
        If an argument is outside its range; the message names it.
    """

    sigma0: float = 0.3
    popsize: int | None = None
    tolerances: Tolerances = Tolerances()

    def __post_init__(self) -> None:
        positive("sigma0", self.sigma0)
        instance("tolerances", self.tolerances, Tolerances)
        if self.popsize is not None:
            integer("popsize", self.popsize, 2)

    def init(self, x0: Array, key: Key) -> SepCMAState:
        """See `Method.init`."""
        m = x0.astype(np.float64)
        zeros = np.zeros_like(m)
        popsize = self.popsize or default_popsize(m.size)
        return SepCMAState(key, popsize, m, float(self.sigma0), np.ones_like(m), zeros, zeros)

    def size(self, state: SepCMAState) -> int:
        """See `Method.size`."""
        return state.popsize

    def propose(self, state: SepCMAState, step: int) -> int:
        """See `Method.propose`: the recipe is the step number."""
        return step

    def points(self, state: SepCMAState, queries: int, out: Array | None = None) -> Array:
        """See `Method.points`."""
        d = state.m.size
        X = empty((state.popsize, d), np.float64, out)
        scale = state.sigma * np.sqrt(state.C)
        rng = generator(state.key, queries)
        rows = max(1, _BLOCK // d)
        for start in range(0, state.popsize, rows):
            block = X[start : start + rows]
            QuantileGaussian().sample(rng, block)
            block *= scale
            block += state.m
        return X

    def update(self, state: SepCMAState, queries: int, X: Array, losses: list[float]) -> SepCMAState:
        """See `Method.update`."""
        s, p, n = state, _parameters(state.m.size, state.popsize), state.m.size
        order = rank(losses)
        if not len(order):
            return state
        ranked = order[: p.weights.size]
        w = p.weights[: ranked.size] / p.weights[: ranked.size].sum()
        mu_eff = 1 / float((w**2).sum())

        step, squares = _moments(X, ranked, w, s.m)
        m = s.m + step  # <x>_w
        step /= s.sigma  # <y>_w
        p_sigma = (1 - p.c_sigma) * s.p_sigma
        p_sigma += math.sqrt(p.c_sigma * (2 - p.c_sigma) * mu_eff) * (step / np.sqrt(s.C))
        norm = math.sqrt(float(p_sigma @ p_sigma))
        h_sigma = norm / math.sqrt(1 - (1 - p.c_sigma) ** (2 * (s.g + 1))) < (1.4 + 2 / (n + 1)) * p.chi_n
        p_c = (1 - p.c_c) * s.p_c
        if h_sigma:
            step *= math.sqrt(p.c_c * (2 - p.c_c) * mu_eff)
            p_c += step
        squares *= p.c_cov * (1 - 1 / p.mu_eff) / s.sigma**2
        C = (1 - p.c_cov) * s.C + (p.c_cov / p.mu_eff) * (p_c * p_c)
        C += squares
        sigma = s.sigma * math.exp(min(1.0, (p.c_sigma / p.d_sigma) * (norm / p.chi_n - 1)))

        ranked_losses = [losses[k] for k in order]
        length = history_length(n, s.popsize)
        history = (ranked_losses[0], *s.history[: length - 1])
        flat = flat_generations(s.flat, ranked_losses)
        reasons = run_reasons(ranked_losses, history, len(history) == length, flat, self.tolerances)
        reasons |= self._shape_reasons(m, sigma, C, p_c)
        return SepCMAState(s.key, s.popsize, m, sigma, C, p_sigma, p_c, s.g + 1, history, flat, reasons)

    def _shape_reasons(self, m: Array, sigma: float, C: Array, p_c: Array) -> dict[str, Any]:
        """Return the reasons that the distribution N(m, sigma^2 diag(C)) gives."""
        tol = self.tolerances
        reasons: dict[str, Any] = {}
        least, most = math.sqrt(C.min()), math.sqrt(C.max())
        shortest, longest = sigma * least, sigma * most
        if longest < tol.tolx and is_small(sigma, np.sqrt(C), p_c, tol):
            reasons["tolx"] = tol.tolx
        if shortest < 1e-14 * math.sqrt(m.dot(m)) and has_no_effect(m, sigma * np.sqrt(C)):
            reasons["noeffectcoord"] = 0.2
        if longest > math.sqrt(tol.conditioncov) * shortest:
            reasons["conditioncov"] = tol.conditioncov
        if sigma > tol.tolupsigma * float(self.sigma0) * most:
            reasons["tolupsigma"] = tol.tolupsigma
        return reasons

    def mean(self, state: SepCMAState) -> Array:
        """See `Method.mean`."""
        return state.m

    def stop(self, state: SepCMAState) -> dict[str, Any]:
        """See `Method.stop`."""
        return dict(state.reasons or {})


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

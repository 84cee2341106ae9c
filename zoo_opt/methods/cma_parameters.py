"""Default strategy parameters of the CMA-ES, a function of dimension and population size alone."""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from zoo_opt.typing import Array


@dataclass(frozen=True, slots=True)
class Parameters:
    """Table 1 of Hansen's tutorial (arXiv 1604.00772), with its symbols."""

    weights: Array  # (lambda,) positive then negative, sum of the positive is 1
    positive: Array  # (lambda,) the same with the negative at 0
    mu_eff: float
    c_sigma: float
    d_sigma: float
    c_c: float
    c_1: float
    c_mu: float
    chi_n: float  # E |N(0, I)|


def default_popsize(n: int) -> int:
    """Return lambda = 4 + floor(3 ln n) (equation 48)."""
    return 4 + int(3 * math.log(n))


@functools.lru_cache(maxsize=256)
def parameters(n: int, popsize: int) -> Parameters:
    """Return the default parameters for dimension ``n`` and ``popsize`` candidates."""
    i = np.arange(1, popsize + 1)
    w = np.log((popsize + 1) / 2) - np.log(i)  # w'_i (49)
    if popsize == 1:
        w = np.ones(1)
    plus, minus = np.maximum(w, 0.0), np.minimum(w, 0.0)
    mu_eff = plus.sum() ** 2 / (plus**2).sum()  # (8)
    mu_eff_minus = minus.sum() ** 2 / (minus**2).sum() if minus.any() else 0.0

    c_sigma = (mu_eff + 2) / (n + mu_eff + 5)  # (55)
    d_sigma = 1 + 2 * max(0.0, math.sqrt((mu_eff - 1) / (n + 1)) - 1) + c_sigma
    c_c = (4 + mu_eff / n) / (n + 4 + 2 * mu_eff / n)  # (56)
    c_1 = 2 / ((n + 1.3) ** 2 + mu_eff)  # (57)
    c_mu = min(1 - c_1, 2 * (1 / 4 + mu_eff + 1 / mu_eff - 2) / ((n + 2) ** 2 + mu_eff))  # (58)

    alpha_mu = 1 + c_1 / c_mu  # (50)
    alpha_mu_eff = 1 + 2 * mu_eff_minus / (mu_eff + 2)  # (51)
    alpha_pos_def = (1 - c_1 - c_mu) / (n * c_mu)  # (52)
    plus /= plus.sum()  # (53)
    if minus.any():
        minus *= min(alpha_mu, alpha_mu_eff, alpha_pos_def) / -minus.sum()
    return Parameters(
        weights=plus + minus,
        positive=plus,
        mu_eff=float(mu_eff),
        c_sigma=float(c_sigma),
        d_sigma=float(d_sigma),
        c_c=float(c_c),
        c_1=float(c_1),
        c_mu=float(c_mu),
        chi_n=math.sqrt(n) * (1 - 1 / (4 * n) + 1 / (21 * n**2)),
    )


@dataclass(frozen=True, slots=True)
class Recombination:
    """Weights of ranked candidates, best first: positive and negative ones apart, each (k,) with zeros elsewhere."""

    plus: Array
    scaled_plus: Array  # c_mu w_i
    scaled_minus: Array  # n c_mu w_i
    mu_eff: float
    total: float  # sum of all weights


@functools.lru_cache(maxsize=1024)
def recombination(n: int, popsize: int, survivors: int) -> Recombination:
    """Return the weights of the ``survivors`` of a population whose other candidates failed.

    They are the default weights of that many candidates, the negative ones bounded by (52) as the learning rates of
    the whole population ask for, so that C stays positive definite.
    """
    p, whole = parameters(n, survivors), parameters(n, popsize)
    minus = np.minimum(p.weights, 0.0)
    limit = (1 - whole.c_1 - whole.c_mu) / (n * whole.c_mu)
    if -minus.sum() > limit:
        minus *= limit / -minus.sum()
    return Recombination(
        plus=p.positive,
        scaled_plus=whole.c_mu * p.positive,
        scaled_minus=n * whole.c_mu * minus,
        mu_eff=p.mu_eff,
        total=float(p.positive.sum() + minus.sum()),
    )


def rank(losses: list[float]) -> NDArray[np.intp]:
    """Return the candidates that did not fail, best first; equal ones in their order."""
    order = np.array(losses).argsort(kind="stable")  # NaN last
    if math.isnan(losses[order[-1]]):
        order = order[: sum(loss == loss for loss in losses)]
    return order

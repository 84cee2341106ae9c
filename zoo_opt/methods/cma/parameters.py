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


RANK = 1e-14  # of the largest eigenvalue: less than that is rounding; about 50 times the machine's, chosen, not tuned

TINY = 1e-300  # a squared length that is divided by is at least this


@dataclass(frozen=True, slots=True)
class Parameters:
    """Table 1 of Hansen's tutorial (arXiv 1604.00772), with its symbols."""

    weights: Array  # (lambda,) w_i, best first: positive ones that sum to 1, then negative ones
    plus: Array  # (lambda,) the positive ones, 0 elsewhere
    rank_mu_plus: Array  # c_mu w_i where positive
    rank_mu_minus: Array  # n c_mu w_i where negative
    total: float  # sum of all weights
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


def raw_weights(popsize: int) -> tuple[Array, Array]:
    """Return w'_i = ln((lambda + 1) / 2) - ln i (equation 49), where positive and where negative, 0 elsewhere."""
    w = np.log((popsize + 1) / 2) - np.log(np.arange(1, popsize + 1))
    if popsize == 1:
        w = np.ones(1)
    return np.maximum(w, 0.0), np.minimum(w, 0.0)


def expected_length(n: int) -> float:
    """Return E |N(0, I)| in ``n`` dimensions, as the tutorial approximates it."""
    return math.sqrt(n) * (1 - 1 / (4 * n) + 1 / (21 * n**2))


@functools.lru_cache(maxsize=256)
def default_parameters(n: int, popsize: int) -> Parameters:
    """Return the default parameters for dimension ``n`` and ``popsize`` candidates."""
    plus, minus = raw_weights(popsize)
    mu_eff = plus.sum() ** 2 / (plus**2).sum()  # (8)
    mu_eff_minus = minus.sum() ** 2 / (minus**2).sum() if minus.any() else 0.0

    c_sigma = (mu_eff + 2) / (n + mu_eff + 5)  # (55)
    d_sigma = 1 + 2 * max(0.0, math.sqrt((mu_eff - 1) / (n + 1)) - 1) + c_sigma  # (55)
    c_c = (4 + mu_eff / n) / (n + 4 + 2 * mu_eff / n)  # (56)
    c_1 = 2 / ((n + 1.3) ** 2 + mu_eff)  # (57), alpha_cov = 2
    c_mu = min(1 - c_1, 2 * (1 / 4 + mu_eff + 1 / mu_eff - 2) / ((n + 2) ** 2 + mu_eff))  # (58)

    alpha_mu = 1 + c_1 / c_mu  # (50)
    alpha_mu_eff = 1 + 2 * mu_eff_minus / (mu_eff + 2)  # (51)
    alpha_pos_def = (1 - c_1 - c_mu) / (n * c_mu)  # (52)
    plus /= plus.sum()  # (53)
    if minus.any():
        minus *= min(alpha_mu, alpha_mu_eff, alpha_pos_def) / -minus.sum()
    return Parameters(
        weights=plus + minus,
        plus=plus,
        rank_mu_plus=c_mu * plus,
        rank_mu_minus=n * c_mu * minus,
        total=float(plus.sum() + minus.sum()),
        mu_eff=float(mu_eff),
        c_sigma=float(c_sigma),
        d_sigma=float(d_sigma),
        c_c=float(c_c),
        c_1=float(c_1),
        c_mu=float(c_mu),
        chi_n=expected_length(n),
    )


def rank(losses: list[float]) -> NDArray[np.intp]:
    """Return the candidates that did not fail, best first; equal ones in their order."""
    order = np.array(losses).argsort(kind="stable")  # NaN last
    if math.isnan(losses[order[-1]]):
        order = order[: sum(loss == loss for loss in losses)]
    return order

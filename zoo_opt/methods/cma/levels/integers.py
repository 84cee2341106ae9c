"""Integers in a CMA-ES: a margin for every level next to the mean, and samples moved to the centres of their levels.

Both are those of CatCMA with margin (Hamano, Nomura, Saito, Uchida and Shirakawa 2025, arXiv 2504.07884), which build
on the CMA-ES with margin (Hamano, Saito, Nomura and Shirakawa 2022, arXiv 2205.13482). V ~ N(m, sigma^2 A C A) are
samples before they are rounded to levels; A is diagonal, and 1 for continuous variables.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from zoo_opt.methods.grid import Grid
    from zoo_opt.typing import Array

UNCHANGED = (
    0.73  # probability that a sample has all its discrete variables where the distribution has them; the paper's
)
EDGE = 1e-8  # probabilities stay this far from 0 and 1/2, for rounding; the paper's code has the same
_NORMAL = NormalDist()


@dataclass(frozen=True, slots=True)
class Margin:
    """What the margin correction remembers of n integer variables.

    Attributes
    ----------
    A : (n,) array
        Diagonal of A for the integer variables.
    p_mut : (n,) array
        Probability with which a sample leaves the level of the mean.
    """

    A: Array
    p_mut: Array


def margin(discrete: int) -> float:
    """Return alpha = 1 - 0.73^(1 / N) for N discrete variables, integers and choices together."""
    return float(1 - UNCHANGED ** (1 / discrete))


def first_margin(n: int) -> Margin:
    """Return the memory at the start of a run with ``n`` integers: A = I, and any mutation rate is allowed."""
    return Margin(np.ones(n), np.full(n, 0.5 - EDGE))


def centred(grid: Grid, m: Array, V: Array, chosen: NDArray[np.intp]) -> tuple[Array, NDArray[np.bool_]]:
    """Return the samples with integers centred, and which integers have mutated in one that is chosen.

    A chosen sample whose level differs from that of the mean is moved to the middle of its level, so that the mean
    follows it at once. The bias that this brings is taken back by the other chosen samples, as far as they go.

    Parameters
    ----------
    grid : Grid
        The levels of the n integers.
    m, V : (n,) and (popsize, n) array
        Mean and samples, integers only.
    chosen : array of int
        The rows that the recombination takes.
    """
    old = V[chosen]
    level = grid.nearest(old)
    mutated = level != grid.nearest(m)
    new = np.where(mutated, level, old)
    bias = (new - old).sum(axis=0)
    move = np.where(mutated, 0.0, level - old)
    against = np.where(bias * move < 0, move, 0.0)  # what goes the other way than the bias
    total = np.abs(against).sum(axis=0)
    back = np.minimum(np.abs(bias), total)  # how much of the bias the others can take back
    share = np.divide(back, total, out=np.zeros_like(total), where=total > 0)
    moved = V.copy()
    moved[chosen] = new + share * against
    return moved, mutated.any(axis=0)


def corrected(
    grid: Grid, m: Array, std: Array, before: Margin, mutated: NDArray[np.bool_], alpha: float
) -> tuple[Array, Margin]:
    """Return the mean and the margin with which no level next to the mean has a probability below the margin.

    Parameters
    ----------
    grid : Grid
        The levels of the n integers.
    m, std : (n,) array
        Mean, and sigma sqrt(C_jj), integers only.
    before : Margin
        The margin of the generation before.
    mutated : (n,) array of bool
        The integers that have mutated in a chosen sample; the others may not mutate more often than before.
    alpha : float
        See `margin`.
    """
    cell = grid.cell(m)
    rows = np.arange(m.size)
    last = np.isfinite(grid.thresholds).sum(axis=1) - 1
    below, above = (grid.thresholds[rows, np.clip(k, 0, last)] for k in (cell - 1, cell))
    A, p_mut, mean = before.A.copy(), before.p_mut.copy(), m.copy()
    for j in range(m.size):
        if below[j] == above[j]:  # the mean lies in the first or the last level
            mean[j], A[j], p_mut[j] = _at_an_end(
                m[j], std[j], A[j], above[j], grid.nearest(m)[j], before.p_mut[j], mutated[j], alpha
            )
        else:
            mean[j], A[j], p_mut[j] = _between(
                m[j], std[j], A[j], below[j], above[j], before.p_mut[j], mutated[j], alpha
            )
    return mean, Margin(A, p_mut)


def _at_an_end(
    m: float, std: float, A: float, threshold: float, level: float, most: float, mutated: bool, alpha: float
) -> tuple[float, float, float]:
    """Return mean, A and mutation rate of an integer whose only neighbour is beyond ``threshold``."""
    away = math.copysign(1.0, m - threshold) if m != threshold else math.copysign(1.0, level - threshold)
    p = max(_tail(abs(m - threshold), std * A), alpha)
    p = _inside(p if mutated else min(p, max(most, alpha)))
    # the margin is kept while the mean is no farther out than the level itself
    A = max(A, abs(level - threshold) / (std * _quantile(alpha)))
    return threshold + away * std * A * _quantile(p), A, p


def _between(
    m: float, std: float, A: float, below: float, above: float, most: float, mutated: bool, alpha: float
) -> tuple[float, float, float]:
    """Return mean, A and mutation rate of an integer with a level on either side."""
    low, high = _tail(m - below, std * A), _tail(above - m, std * A)
    middle = 1 - low - high
    least = 0.0 if mutated else 1 - max(most, alpha)
    low, high, middle = max(low, alpha / 2), max(high, alpha / 2), max(middle, least)
    surplus = low + high + middle - 1
    # what there is too much of is taken from each in proportion to what it has above its least
    spare = low + high + middle - alpha - (alpha / 2 if mutated else least)
    if spare > 0:
        low -= surplus / spare * (low - alpha / 2)
        high -= surplus / spare * (high - alpha / 2)
    low, high = _inside(low), _inside(high)
    z_low, z_high = _quantile(low), _quantile(high)
    return (below * z_high + above * z_low) / (z_low + z_high), (above - below) / ((z_low + z_high) * std), low + high


def _inside(p: float) -> float:
    return min(max(p, EDGE), 0.5 - EDGE)


def _tail(distance: float, std: float) -> float:
    """Return the probability that N(0, std^2) exceeds ``distance``."""
    return 0.5 * math.erfc(distance / (std * math.sqrt(2)))


def _quantile(p: float) -> float:
    """Return the distance, in standard deviations, that a normal variable exceeds with probability ``p``."""
    return -_NORMAL.inv_cdf(p)

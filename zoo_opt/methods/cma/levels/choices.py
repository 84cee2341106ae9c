"""Choices in a CMA-ES: a categorical distribution, adapted by natural gradient (ASNG).

The natural gradient and its step size are those of the adaptive stochastic natural gradient method (Akimoto, Shirakawa,
Yoshinari, Uchida, Saito and Nishida 2019), in its symbols; that no alternative becomes too rare is the margin of CatCMA
(Hamano, Saito, Nomura, Uchida and Shirakawa 2024, arXiv 2405.09962), with the value of CatCMA with margin (2025).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.random import Generator

    from zoo_opt.methods.grid import Grid
    from zoo_opt.typing import Array

ALPHA_SNR = 1.5  # alpha, threshold on the signal-to-noise ratio; ASNG's, and CatCMA's
TINY = 1e-8  # added to a length that is divided by


@dataclass(frozen=True, slots=True)
class Categorical:
    """The distribution of the choices and what adapts it.

    Attributes
    ----------
    q : (sum of K,) array
        Probabilities of the alternatives of all choices, one choice after the other.
    s, gamma : (sum of K - 1,) array, float
        The accumulated natural gradient and its normalization.
    Delta : float
        What the step size delta is divided by: it grows where the gradient is noise.
    """

    q: Array
    s: Array
    gamma: float = 0.0
    Delta: float = 1.0


def first_categorical(grid: Grid, start: Array) -> Categorical:
    """Return the distribution at the start of a run: half of it uniform, half at the weights ``start`` (sum of K,)."""
    q = np.empty(start.size)
    for part, k in zip(grid.parts, grid.alternatives, strict=True):
        w = np.maximum(start[part], 0.0)
        total = float(w.sum())
        q[part] = ((w / total if total > 0 else 1 / k) + 1 / k) / 2
    return Categorical(q, np.zeros(start.size - len(grid.parts)))


def sample(grid: Grid, q: Array, rng: Generator, popsize: int) -> Array:
    """Return ``popsize`` choices (popsize, sum of K) in one-hot form."""
    C = np.zeros((popsize, q.size))
    u = rng.random((popsize, len(grid.parts)))
    for i, part in enumerate(grid.parts):
        drawn = np.minimum((u[:, i, None] >= np.cumsum(q[part])).sum(axis=1), part.stop - part.start - 1)
        C[np.arange(popsize), part.start + drawn] = 1.0
    return C


def adapted(grid: Grid, before: Categorical, C: Array, w: Array, alpha: float) -> Categorical:
    """Return the distribution after a generation.

    Parameters
    ----------
    grid : Grid
        The choices.
    before : Categorical
        The distribution that the generation was drawn from.
    C, w : (mu, sum of K) array, (mu,) array
        The chosen samples in one-hot form, best first, and their weights.
    alpha : float
        See `zoo_opt.methods.cma.levels.integers.margin`: at least alpha / (K - 1) is left to each alternative.
    """
    q = before.q
    gradient = w @ (C - q)  # natural gradient
    # its length in the metric of the distribution: F^1/2 of a categorical one in closed form
    scaled = []
    for part in grid.parts:
        p, g = q[part], gradient[part]
        rest = float(g[:-1].sum()) / (p[-1] + math.sqrt(p[-1]))
        scaled.append(g[:-1] / np.sqrt(p[:-1]) + np.sqrt(p[:-1]) * rest)
    root = np.concatenate(scaled)
    length = float(np.sqrt(root @ root))
    delta = 1.0 / before.Delta
    after = q + delta / (length + TINY) * gradient
    beta = delta / math.sqrt(root.size)
    s = (1 - beta) * before.s + math.sqrt(beta * (2 - beta)) * root / (length + TINY)
    gamma = (1 - beta) ** 2 * before.gamma + beta * (2 - beta)
    Delta = before.Delta * math.exp(beta * (gamma - float(s @ s) / ALPHA_SNR))
    for part, k in zip(grid.parts, grid.alternatives, strict=True):
        after[part] = _with_margin(after[part], alpha / (k - 1))
    return Categorical(after, s, gamma, max(Delta, 1 / math.sqrt(root.size)))  # beta stays at most 1


def _with_margin(q: Array, least: float) -> Array:
    """Return ``q`` with every probability at least ``least``, and with sum 1."""
    q = np.maximum(q, least)
    surplus, spare = float(q.sum()) - 1, float((q - least).sum())
    if spare > 0:
        q -= surplus / spare * (q - least)
    total: Array = q / q.sum()
    return total

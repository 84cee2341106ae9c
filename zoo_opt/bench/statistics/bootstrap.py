"""Bootstrap intervals of means over problems: problems are resampled, for all methods and budgets together."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike, NDArray

FloatArray = NDArray[np.float64]
RESAMPLES = 2000
SEED = 0  # of the resamples: the same record gives the same interval


@dataclass(frozen=True)
class Interval:
    """An estimate with its confidence interval.

    Attributes
    ----------
    estimate, low, high : float
        NaN of nothing; `low` and `high` are NaN where there is one unit only, of which no spread is known.
    """

    estimate: float
    low: float
    high: float


@lru_cache(maxsize=16)
def resample(units: int, resamples: int = RESAMPLES, seed: int = SEED) -> FloatArray:
    """How often each unit is drawn, shape (resamples, units): n draws with replacement from n units, each row.

    The same for all methods and figures, which pairs them; read-only.
    """
    drawn = np.random.default_rng(seed).integers(units, size=(resamples, units))
    drawn += units * np.arange(resamples)[:, None]
    counts = np.bincount(drawn.ravel(), minlength=resamples * units).reshape(resamples, units).astype(float)
    counts.flags.writeable = False
    return counts


def bounds(
    parts: ArrayLike, weights: ArrayLike, *, level: float = 0.95, resamples: int = RESAMPLES, seed: int = SEED
) -> tuple[FloatArray, FloatArray]:
    """Percentile bootstrap bounds of ``parts.sum(0) / weights.sum()``, resampling the rows.

    Parameters
    ----------
    parts : array_like, shape (n,) or (n, m)
        Sum over each unit's triples of what is averaged: m figures at once, such as the ECDF at m budgets.
    weights : array_like, shape (n,)
        Number of triples of each unit, positive.
    level : float
        Of confidence, between 0 and 1.
    resamples, seed : int
        Of the bootstrap.

    Returns
    -------
    low, high : ndarray, shape () or (m,)
        NaN with fewer than two units.

    References
    ----------
    B. Efron and R. J. Tibshirani, An Introduction to the Bootstrap, Chapman & Hall 1993, section 13.3.
    """
    if not 0 < level < 1:
        raise ValueError(f"level must be between 0 and 1, got {level!r}")
    p, w = np.asarray(parts, dtype=float), np.asarray(weights, dtype=float)
    if w.ndim != 1 or len(p) != len(w) or not (w > 0).all():
        raise ValueError(f"weights must be {len(p)} positive numbers, one for each unit, got {weights!r}")
    if len(w) < 2:
        none = np.full(p.shape[1:], np.nan)
        return none, none
    counts = resample(len(w), resamples, seed)
    means = (counts @ p).T / (counts @ w)
    tail = (1 - level) / 2
    low, high = np.quantile(means, [tail, 1 - tail], axis=-1)
    return np.asarray(low), np.asarray(high)


def interval(parts: ArrayLike, weights: ArrayLike | None = None, **options: float) -> Interval:
    """Mean of units, weighted by `weights` (None: alike), with its percentile bootstrap interval.

    Parameters
    ----------
    parts : array_like, shape (n,)
        Sums over each unit; with `weights` None the units' values.
    weights : array_like, shape (n,), or None
        As in `bounds`.
    **options
        `level`, `resamples` and `seed` of `bounds`.
    """
    p = np.asarray(parts, dtype=float)
    w = np.ones(len(p)) if weights is None else np.asarray(weights, dtype=float)
    if len(p) == 0:
        return Interval(np.nan, np.nan, np.nan)
    low, high = bounds(p, w, **options)  # type: ignore[arg-type]
    return Interval(float(p.sum() / w.sum()), float(low), float(high))

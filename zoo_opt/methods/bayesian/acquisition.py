"""Where to evaluate next: the lowest confidence bound of the process in a ball and a box."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from zoo_opt.methods.bayesian.gaussian import Process

if TYPE_CHECKING:
    from numpy.random import Generator

    from zoo_opt.typing import Array

# chosen, not tuned:
PER_DIM, MOST = 100, 1000  # random points per dimension among which the descents begin, and at most
WIDTHS = (1.0, 0.3, 0.1)  # of them, in radii
FEW = 5  # coordinates that half of them change on average (Regis and Shoemaker 2013, DYCORS)
DESCENTS, STEPS = 8, 15  # how many descents, and how long
FIRST, LONGER, SHORTER = 0.1, 1.5, 0.4  # length of their steps in radii; factors after a gain and after none


def lowest_bound(gp: Process, x: Array, radius: float, kappa: float, low: Array, high: Array, rng: Generator) -> Array:
    """Return the point of the ball around ``x`` where mean - ``kappa`` deviation is about lowest (d,).

    The lower confidence bound (Cox and John 1992, SDO): random points, and projected gradient descents from the best.

    Parameters
    ----------
    gp : Process
    x, radius : (d,) array, float
        The ball.
    kappa : float
    low, high : (d,) array
        The box, infinite where there is no bound.
    rng : Generator
    """
    d = x.size
    n = min(PER_DIM * d, MOST)
    V = rng.standard_normal((n, d)) * rng.choice(WIDTHS, (n, 1)) * radius / math.sqrt(d)
    V *= (rng.random((n, d)) < FEW / d) | (rng.random((n, 1)) < 0.5)
    Z = inside(x + V, x, radius, low, high)
    mean, deviation = gp.expected(Z)
    Z = Z[np.argsort(mean - kappa * deviation, kind="stable")[:DESCENTS]]
    best, values = Z, np.full(len(Z), math.inf)
    h, direction = np.full((len(Z), 1), FIRST * radius), np.zeros_like(Z)
    for _ in range(STEPS):
        mean, deviation, g_mean, g_deviation = gp.slopes(Z)
        bound = mean - kappa * deviation
        better = (bound < values)[:, None]
        g = g_mean - kappa * g_deviation
        length = np.sqrt((g * g).sum(axis=1, keepdims=True))
        direction = np.where(better, g / np.where(length > 0.0, length, 1.0), direction)
        best, values = np.where(better, Z, best), np.minimum(values, bound)
        h = np.where(better, LONGER * h, SHORTER * h)
        Z = inside(best - h * direction, x, radius, low, high)
    found: Array = best[int(values.argmin())]
    return found


def inside(Z: Array, x: Array, radius: float, low: Array, high: Array) -> Array:
    """Return Z (m, d) moved into the box, and then towards its point ``x`` into the ball."""
    S = np.clip(Z, low, high) - x
    length = np.sqrt((S * S).sum(axis=1, keepdims=True))
    S = S * (radius / np.maximum(length, radius))
    moved: Array = np.clip(x + S, low, high)
    return moved

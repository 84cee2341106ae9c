"""The lowest point of a quadratic in a ball and a box."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from zoo_opt.typing import Array

STEPS = 60  # of the secular equation's root, at most: every one halves its bracket or is Newton's
CLOSE = 1e-10  # relative deviation of a step's length from the radius that is none
PATH = 0.5 ** np.arange(0.0, 12.0)  # lengths along the projected steepest descent; chosen, not tuned


def lowest(g: Array, H: Array, radius: float, low: Array, high: Array) -> Array:
    """Return a step s (d,) that makes g's + s'Hs/2 low with |s| <= ``radius`` and ``low`` <= s <= ``high``.

    The lowest point of the ball is found exactly; coordinates that leave the box there are held at their bounds, and
    the others are sought anew, until none leaves it. The best of a dozen points on the projected steepest descent is
    taken where that is lower, so that a step never does worse than those.

    Parameters
    ----------
    g, H : (d,) array, (d, d) array
        Gradient, and Hessian, which need not be positive definite.
    radius : float
        More than 0.
    low, high : (d,) array
        Room on either side, low <= 0 <= high, infinite where there is no bound.
    """
    held = np.zeros_like(g)
    free = (low < high) & ~((low >= 0.0) & (g > 0.0)) & ~((high <= 0.0) & (g < 0.0))
    while free.any():
        left = math.sqrt(max(radius**2 - float(held.dot(held)), 0.0))
        part = in_ball(g[free] + H[np.ix_(free, ~free)].dot(held[~free]), H[np.ix_(free, free)], left)
        within = np.clip(part, low[free], high[free])
        out = within != part
        k = np.flatnonzero(free)
        if not out.any():
            held[k] = part
            break
        held[k[out]] = within[out]
        free[k[out]] = False
    descent = _along_gradient(g, H, radius, low, high)
    return held if _value(g, H, held) <= _value(g, H, descent) else descent


def in_ball(g: Array, H: Array, radius: float) -> Array:
    """Return the lowest point of g's + s'Hs/2 with |s| <= ``radius`` (Moré and Sorensen 1983, by eigenvalues).

    It is s(mu) = -(H + mu I)^-1 g with mu >= 0 where H + mu I is positive semidefinite, and |s| = radius unless mu = 0.
    """
    values, B = np.linalg.eigh(H)
    b = B.T.dot(g)
    norm = math.sqrt(float(b.dot(b)))
    if radius <= 0.0:
        return np.zeros_like(g)
    if values[0] > 0.0:
        s = -b / values
        if float(s.dot(s)) <= radius**2:
            inside: Array = B.dot(s)
            return inside
    least = max(0.0, -float(values[0]))
    size = max(norm / radius, float(np.abs(values).max()))
    bottom, top = least, least + norm / radius  # |s(mu)| >= radius at bottom, or the hard case; <= radius at top
    mu = top
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        for _ in range(STEPS):
            shifted = values + mu
            s = np.where(b == 0.0, 0.0, -b / shifted)
            length = math.sqrt(float(s.dot(s)))
            if abs(length - radius) <= CLOSE * radius or top - bottom <= 1e-15 * size:
                break
            bottom, top = (mu, top) if length > radius else (bottom, mu)
            slope = float((s * s / shifted).sum())  # of -length^2 / 2
            newton = mu + (length / radius - 1) * length**2 / slope if slope > 0.0 else math.nan
            mu = newton if bottom < newton < top else (bottom + top) / 2
    s = np.where(np.isfinite(s), s, 0.0)
    if abs(float(s.dot(s)) - radius**2) > 4 * CLOSE * radius**2:  # the hard case: g has no part along axis 0
        missing = radius**2 - float(s[1:].dot(s[1:]))
        s[0] = math.copysign(math.sqrt(max(missing, 0.0)), -float(b[0]))
    length = math.sqrt(float(s.dot(s)))
    if length > radius:
        s *= radius / length
    whole: Array = B.dot(s)
    return whole


def _along_gradient(g: Array, H: Array, radius: float, low: Array, high: Array) -> Array:
    """Return the best of some points of the projected steepest descent, 0 where g is."""
    norm = math.sqrt(float(g.dot(g)))
    if norm == 0.0:
        return np.zeros_like(g)
    S = np.clip(-(PATH * radius / norm)[:, None] * g, low, high)
    values = S.dot(g) + 0.5 * (S.dot(H) * S).sum(axis=1)
    best: Array = S[int(values.argmin())]
    return best


def _value(g: Array, H: Array, s: Array) -> float:
    return float(g.dot(s) + 0.5 * s.dot(H).dot(s))

"""Which points a model passes through: the first, those that leave, and those that are moved nearer."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from zoo_opt.methods.trust_region.ball import lowest
from zoo_opt.methods.trust_region.model import Model

if TYPE_CHECKING:
    from numpy.random import Generator
    from numpy.typing import NDArray

    from zoo_opt.methods.trust_region.state import TRState
    from zoo_opt.typing import Array

FAR = 2.0  # radii beyond which a point is moved nearer (Powell 2006, section 7)
PART = 0.1  # of a far point's distance within which its new place is (Powell 2006, section 7)
SAME = 0.1  # rho: a point so near to another one takes its place; chosen, not tuned


def around(radius: float, rng: Generator, low: Array, high: Array, away: Array | None = None) -> Array:
    """Return the steps to the first points around x (m, d): see `first`; none along a coordinate that is fixed.

    They are on the side of ``away`` (d,), if that is given.
    """
    up = rng.random(low.size) >= 0.5  # either side is as good
    if away is not None:
        up = np.where(away == 0.0, up, away > 0.0)
    steps = np.diag(first(radius, up, low, high))
    moving: Array = steps[steps.any(axis=1)]
    return moving


def first(radius: float, up: NDArray[np.bool_], low: Array, high: Array) -> Array:
    """Return how far along each coordinate the first points are (d,), on the side with more room where one has little.

    Parameters
    ----------
    radius : float
        How far, where there is room.
    up : (d,) array of bool
        On which side, if either has enough.
    low, high : (d,) array
        Room on either side, low <= 0 <= high.
    """
    up = np.where(np.where(up, high, -low) < radius, high > -low, up)
    step: Array = np.clip(np.where(up, radius, -radius), low, high)
    return step


def leaving(s: TRState, x: Array, better: bool, most: int) -> int | None:
    """Return which point leaves when ``x`` comes, m for none of them, or None where ``x`` had better stay away.

    Of ``most`` points that one leaves whose Lagrange function is large at x and that is far from the best point
    (Powell 2006, section 7).
    """
    at = _distances(s.X, x)
    if len(s.X) < most and float(at.min()) > SAME * s.rho:
        return len(s.X)
    distance = at if better else _distances(s.X, s.x)
    weight = np.abs(s.model.lagrange_at(x - s.x)) * np.maximum(1.0, (distance / max(PART * s.radius, s.rho)) ** 3)
    if not better:
        weight[distance == 0.0] = 0.0
    t = int(weight.argmax())
    return t if better or weight[t] > 1.0 else None


def nearer(s: TRState, low: Array, high: Array) -> tuple[int, Array] | None:
    """Return the farthest point and the step from x where its Lagrange function is largest, None if it is not far.

    Parameters
    ----------
    s : TRState
        After a step that has not led on.
    low, high : (d,) array
        Room on either side of x.
    """
    distance = _distances(s.X, s.x)
    t = int(distance.argmax())
    if distance[t] <= FAR * s.radius:
        return None
    reach = max(min(PART * float(distance[t]), 0.5 * s.radius), s.rho)
    step = _steepest(s.model, t, reach, low, high)
    return (t, step) if step.any() else None


def _distances(X: Array, x: Array) -> Array:
    """Return how far each point of X is from x."""
    distances: Array = np.sqrt(((X - x) ** 2).sum(axis=1))
    return distances


def _steepest(model: Model, t: int, reach: float, low: Array, high: Array) -> Array:
    """Return the step of length ``reach`` at most where the size of point t's Lagrange function is largest."""
    c, g, H = model.lagrange(t)
    steps = [lowest(g, H, reach, low, high), lowest(-g, -H, reach, low, high)]
    sizes = [abs(c + float(g.dot(step)) + 0.5 * float(step.dot(H).dot(step))) for step in steps]
    best: Array = steps[int(np.nan_to_num(sizes).argmax())]
    return best if math.isfinite(max(sizes)) else np.zeros_like(g)

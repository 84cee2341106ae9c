"""The last steps of a budget: a step that does not fit any more is made in part.

What is not evaluated is told to the search as failed, for which every method has a rule: a coordinate or an axis
whose slope is not known is held by the quasi-Newton method, a part of a generation is ranked without the rest.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from zoo_opt.core.keys import RESTART, generator
from zoo_opt.methods.auto.state import (
    COORDINATES,
    EXCHANGE,
    LINE,
    QUASI_NEWTON,
    SAMPLE,
    SEARCH,
    SURROGATE,
    TRUST_REGION,
    AutoState,
)
from zoo_opt.methods.local.quasi_newton import GRADIENT

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from zoo_opt.core.method import Asked
    from zoo_opt.typing import Array

TRIALS = 2  # evaluations left to the line search that follows a gradient in part; chosen, not tuned
NOISY_PART = 0.5  # of a generation, as long as its positive weights: under noise fewer would not be ranked


def fitting(s: AutoState, whole: int, left: int) -> int:
    """Return how many candidates of the next step are evaluated: all ``whole`` of them unless only ``left`` are.

    ``whole`` too where a part would be of no use: then the budget is spent.
    """
    if left <= 0:  # beyond the budget that it was told of, a method goes on as before
        return whole
    if takes_gradient(s):
        base, sides = _gradient(s.search.state)
        axes = max(1, (left - base - TRIALS) // sides)
        return base + sides * min(axes, s.x.size)
    if whole <= left:
        return whole
    if s.stage == SEARCH and s.active == COORDINATES:  # the best coordinates together come first, and last of all
        return max(1, left - 1)
    if s.stage == SAMPLE or (s.stage == SEARCH and not (s.noisy and left < NOISY_PART * whole)):
        return left
    return whole


def last_points(s: AutoState, left: int, step: int) -> Array | None:
    """Return the points of the last step (left, d) if a gradient, the line, or the test for a sum does not fit.

    They are random steps from the best point, as long as the search's last one, or one unit before there is any.
    """
    needed = len(s.points) if s.stage in (EXCHANGE, LINE) else 0
    if takes_gradient(s):
        needed = sum(_gradient(s.search.state)) + 1
    if not 0 < left < needed:
        return None
    taken = 1.0
    if s.active:
        state = s.search.state
        taken = state.radius if s.active in (TRUST_REGION, SURROGATE) else float(np.linalg.norm(state.s)) or 1.0
    steps = generator(s.key, step, RESTART).standard_normal((left, s.x.size))
    points: Array = s.x + taken * steps / np.linalg.norm(steps, axis=1, keepdims=True)
    return points


def takes_gradient(s: AutoState) -> bool:
    """Return whether the next step is a gradient of the quasi-Newton method."""
    return s.stage == SEARCH and s.active == QUASI_NEWTON and s.search.state.stage == GRADIENT


def part(s: AutoState, n: int, whole: int, step: int) -> NDArray[np.intp]:
    """Return the rows of the ``n`` candidates that are evaluated of the step's ``whole``."""
    rng = generator(s.key, step, RESTART)
    if takes_gradient(s):
        base, sides = _gradient(s.search.state)
        d = s.x.size
        chosen = np.sort(rng.choice(d, (n - base) // sides, replace=False))
        return np.concatenate([np.arange(base), *(base + side * d + chosen for side in range(sides))])
    if s.stage == SEARCH and s.active == COORDINATES:
        return np.append(0, 1 + np.sort(rng.choice(whole - 1, n - 1, replace=False)))
    return np.arange(n)


def with_failures(values: list[float], rows: NDArray[np.intp] | None, whole: Asked) -> list[float]:
    """Return ``values`` of the rows that were evaluated of the ``whole`` step, NaN for the others."""
    if rows is None:
        return values
    every = np.full(len(whole.X), math.nan)
    every[rows] = values
    plain: list[float] = every.tolist()
    return plain


def _gradient(state: Any) -> tuple[int, int]:
    """Return how many evaluations at x, and on how many sides of it, a gradient of the quasi-Newton method takes."""
    return (int(math.isnan(state.f)), 1) if state.axes is None else (0, 2)

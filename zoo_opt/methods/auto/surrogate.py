"""When a Gaussian process takes the place of gradients: the loss is not convex, or the budget is small."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from zoo_opt.methods.auto.state import QUASI_NEWTON, SURROGATE, AutoState, Search
from zoo_opt.methods.bayesian.method import BayesianOptimization
from zoo_opt.methods.local.quasi_newton import SEARCH as TRIAL
from zoo_opt.methods.local.quasi_newton import QNState

if TYPE_CHECKING:
    from zoo_opt.typing import Array

MOST_SURROGATE = 40  # dimensions up to which a few hundred points say something of a loss; chosen, for time
MOST_POINTS = 150  # that are remembered for it, and evaluations of it; chosen, for time
LEAST_SMALL = 5  # dimensions below which nothing is gained where a budget is small; measured: docs/auto-tried.md
SMALL = 20  # evaluations per dimension that are a small budget; measured: docs/auto-tried.md
RADIUS = 2.0  # of its ball at first, in units; measured: docs/auto-tried.md
END_RADIUS = 0.1  # where it is over; chosen; no figures kept
APART = 0.01  # units: a point that is nearer to one that is known tells nothing more of ripples; chosen
PARABOLA = 0.01  # relative deviation of curvatures, or lengths, that are the same; chosen
CONCAVE = 0.3  # part of a change of the loss by which it is beyond what a convex one allows; chosen; no figures kept


def is_small(budget: int | None, d: int) -> bool:
    """Return whether so small a budget is better spent on a process than on gradients, in ``d`` dimensions."""
    return budget is not None and LEAST_SMALL <= d <= MOST_SURROGATE and budget <= SMALL * d


def remembered(s: AutoState, X: Array, losses: list[float]) -> AutoState:
    """Return the state that remembers the points X (n, d), as long as a process may be told of them."""
    if s.x.size > MOST_SURROGATE or len(s.F) >= MOST_POINTS:
        return s
    known, values = s.X if len(s.X) else X[:0], s.F.copy()
    for x, loss in zip(X, losses, strict=True):
        distances = np.abs(known - x).max(axis=1)
        k = int(distances.argmin()) if len(known) else -1
        if k < 0 or distances[k] > APART:
            known, values = np.concatenate([known, x[None]]), np.append(values, loss)
        elif loss < values[k]:
            known = np.where((np.arange(len(known)) == k)[:, None], x, known)
            values[k] = loss
    return replace(s, X=known, F=values)


def bayesian(s: AutoState, box: Any, around: bool) -> AutoState:
    """Return the state at the start of Bayesian optimisation, which is told of all that is remembered."""
    method = BayesianOptimization(bounds=box, radius=RADIUS, end_radius=END_RADIUS, points=MOST_POINTS)
    return s.searching(SURROGATE, Search(method, method.begun(s.key, s.X, s.F, around)))


@np.errstate(invalid="ignore", over="ignore")
def is_concave(s: AutoState) -> bool:
    """Return whether a slope of the first search, or its trials, are those of no convex loss.

    A convex loss is nowhere below its tangent, and between two points of a line not above the straight line.
    """
    state = s.search.state
    if s.active != QUASI_NEWTON or not isinstance(state, QNState) or state.known or state.stage != TRIAL:
        return False
    tangent = (s.X - state.x).dot(state.g)
    change = s.F / (state.loss_unit or 1.0) - state.f
    above = tangent - change > CONCAVE * np.maximum(np.abs(tangent), np.abs(change))
    if above[tangent != 0.0].any():
        return True
    tried = sorted([(0.0, state.f), *((trial.length, trial.loss) for trial in state.trials)])
    t, f = np.array(tried).T
    if len(t) < 3:
        return False
    between = f[:-2] + (f[2:] - f[:-2]) * (t[1:-1] - t[:-2]) / (t[2:] - t[:-2])
    changes = np.maximum(np.abs(f[1:-1] - f[:-2]), np.abs(f[2:] - f[:-2]))
    return bool((f[1:-1] - between > CONCAVE * changes).any())


def is_parabola(before: QNState, after: QNState) -> bool:
    """Return whether the line search that led from ``before`` to ``after`` has seen a parabola: QuasiNewton's case."""
    if not after.s.size:
        return False
    length = float(np.linalg.norm(after.s) / np.linalg.norm(before.p))
    curvature = (-after.gain - float(before.g.dot(after.s))) / length**2
    for trial in before.trials:
        if abs(trial.length - length) > PARABOLA * length:
            other = (trial.loss - before.f - trial.promised) / trial.length**2
            return abs(other - curvature) <= PARABOLA * max(abs(other), abs(curvature))
    return False

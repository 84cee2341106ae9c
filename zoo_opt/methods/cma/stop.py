"""When a run of the CMA-ES has ended: the reasons of pycma, under its names and thresholds."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from zoo_opt.core.errors import non_negative

if TYPE_CHECKING:
    from zoo_opt.methods.cma.runs import Distribution, ESState
    from zoo_opt.typing import Array


FIRST = 1e-5  # times tolfunrel, of the first range: 1e-17, so that a loss of 1e6 falls to 1e-11; chosen, not tuned
NO_EFFECT = 1e-14  # a step longer than this part of |m| changes m: more than ten times what its rounding allows


@dataclass(frozen=True, slots=True)
class Tolerances:
    """Thresholds of a run; 0 (for the last two, infinity) switches one off.

    Attributes
    ----------
    tolfun : float
        Range of the losses of a generation and of the recent best ones, in units of the loss.
    tolfunhist : float
        Range of the recent best losses, in units of the loss.
    tolfunrel : float
        The same two ranges as a part of the largest of these losses, whatever its sign; `FIRST` times as much as a part
        of the range of the run's first generation. Both stay as they are when the loss is multiplied.
    tolx : float
        Standard deviation and evolution path in every coordinate, in parameter units.
    tolupsigma : float
        Growth of sigma over sigma0.
    conditioncov : float
        Condition number of C.
    """

    tolfun: float = 0.0
    tolfunhist: float = 0.0
    tolfunrel: float = 1e-12
    tolx: float = 1e-11
    tolupsigma: float = 1e20
    conditioncov: float = 1e14

    def __post_init__(self) -> None:
        for name, value in asdict(self).items():
            if value != math.inf:
                non_negative(name, value)


def norm(m: Array) -> float:
    """Return |m|, also where its square is beyond the numbers."""
    with np.errstate(over="ignore"):
        square = float(m.dot(m))
    if square < math.inf:
        return math.sqrt(square)
    largest = float(np.abs(m).max())
    return largest * math.sqrt(float(np.square(m / largest).sum())) if largest < math.inf else math.inf


def history_length(n: int, popsize: int) -> int:
    """Return how many generations' best losses the tolerances look back on, as pycma does."""
    return 10 + 30 * n // popsize


def default_generations(n: int, popsize: int) -> int:
    """Return the number of generations after which a run is given up, ``maxiter`` of pycma."""
    return int(100 + 150 * (n + 3) ** 2 / math.sqrt(popsize))


def flat_generations(before: int, ranked: list[float]) -> int:
    """Return the generations running whose losses are equal up to the third quartile, ``before`` without this one.

    A lone survivor shows nothing, nor do losses of +inf: the feasible ones are still to be found.
    """
    if ranked[0] != ranked[int(0.75 * len(ranked))]:
        return 0
    return before + (len(ranked) > 1 and ranked[0] < math.inf)


def loss_reasons(state: ESState, ranked: list[float], tol: Tolerances) -> dict[str, Any]:
    """Return the reasons that the losses give.

    ``state`` is the one after a generation whose survivors had the losses ``ranked``, best first; one alone has no
    range.
    """
    reasons: dict[str, Any] = {}
    if state.flat > 1:
        reasons["tolflatfitness"] = state.flat
    if len(ranked) < 2:
        return reasons
    worst, best = max(state.history), min(state.history)
    recent = worst - best  # infinite losses: infinite or NaN, never small
    least = tol.tolfunrel * max(FIRST * state.first_range, -best, worst)
    if recent > least and recent > tol.tolfun and recent > tol.tolfunhist:
        return reasons
    both = max(recent, ranked[-1] - ranked[0])
    whole = len(state.history) == history_length(state.x0.size, state.run.popsize)
    if both < tol.tolfun:
        reasons["tolfun"] = tol.tolfun
    if recent < tol.tolfunhist and whole:
        reasons["tolfunhist"] = tol.tolfunhist
    if both < least or (recent < least and whole):
        reasons["tolfunrel"] = tol.tolfunrel
    return reasons


def range_of(ranked: list[float]) -> float:
    """Return the range of the finite ones among losses that are ``ranked``, best first; 0 if none is."""
    finite = [loss for loss in ranked if math.isfinite(loss)]
    return finite[-1] - finite[0] if finite else 0.0


def coordinate_reasons(
    dist: Distribution, shortest: float, longest: float, sigma0: float, tol: Tolerances
) -> dict[str, Any]:
    """Return the reasons that N(m, sigma^2 C) gives by its coordinates, in a run that began with ``sigma0``.

    Most generations are far from all of them, which ``shortest`` and ``longest`` show: the roots of C's extreme
    eigenvalues, or of the extremes of its diagonal.
    """
    m, sigma = dist.m, dist.sigma
    reasons: dict[str, Any] = {}
    length, root_n = norm(m), math.sqrt(m.size)
    if not (math.isfinite(sigma) and math.isfinite(length)):
        reasons["notfinite"] = sigma
        return reasons
    near = sigma * longest < root_n * tol.tolx
    if near and (sigma * dist.std() < tol.tolx).all() and (sigma * dist.p_c < tol.tolx).all():
        reasons["tolx"] = tol.tolx
    if sigma * shortest < NO_EFFECT * root_n * length and (m == m + 0.2 * (sigma * dist.std())).any():
        reasons["noeffectcoord"] = 0.2
    if sigma > tol.tolupsigma * sigma0 * longest:
        reasons["tolupsigma"] = tol.tolupsigma
    return reasons


def condition_reasons(shortest: float, longest: float, tol: Tolerances) -> dict[str, Any]:
    """Return the reason that C gives by the roots of its extreme eigenvalues."""
    return {"conditioncov": tol.conditioncov} if longest > math.sqrt(tol.conditioncov) * shortest else {}

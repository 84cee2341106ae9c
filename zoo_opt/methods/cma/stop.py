"""When a run of the CMA-ES has ended: the reasons of pycma, under its names and thresholds."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from zoo_opt.core.errors import non_negative

if TYPE_CHECKING:
    from zoo_opt.typing import Array


@dataclass(frozen=True, slots=True)
class Tolerances:
    """Thresholds of a run; 0 (for the last two, infinity) switches one off.

    Attributes
    ----------
    tolfun : float
        Range of the losses of a generation and of the recent best ones.
    tolfunhist : float
        Range of the recent best losses.
    tolx : float
        Standard deviation and evolution path in every coordinate, in parameter units.
    tolupsigma : float
        Growth of sigma over sigma0.
    conditioncov : float
        Condition number of C.
    """

    tolfun: float = 1e-11
    tolfunhist: float = 1e-12
    tolx: float = 1e-11
    tolupsigma: float = 1e20
    conditioncov: float = 1e14

    def __post_init__(self) -> None:
        for name, value in asdict(self).items():
            if value != math.inf:
                non_negative(name, value)


def history_length(n: int, popsize: int) -> int:
    """Return how many generations' best losses the tolerances look back on."""
    return 10 + 30 * n // popsize


def default_generations(n: int, popsize: int) -> int:
    """Return the number of generations after which a run is given up."""
    return int(100 + 150 * (n + 3) ** 2 / math.sqrt(popsize))


def flat_generations(before: int, ranked: list[float]) -> int:
    """Return the generations running whose losses are equal up to the third quartile, ``before`` without this one.

    A lone survivor shows nothing, nor do losses of +inf: the feasible ones are still to be found.
    """
    if ranked[0] != ranked[int(0.75 * len(ranked))]:
        return 0
    return before + (len(ranked) > 1 and ranked[0] < math.inf)


def run_reasons(
    ranked: list[float], history: tuple[float, ...], full: bool, flat: int, tol: Tolerances
) -> dict[str, Any]:
    """Return the reasons that the losses give.

    ``ranked`` are those of the generation's survivors, best first (one alone has no range), ``history`` the best of
    the recent generations, ``full`` whether the history has its whole length, and ``flat`` how many generations running
    were flat.
    """
    reasons: dict[str, Any] = {}
    if flat > 1:
        reasons["tolflatfitness"] = flat
    if len(ranked) < 2 or not history:
        return reasons
    spread = max(history) - min(history)  # infinite losses: infinite or NaN, never small
    if spread < tol.tolfun and ranked[-1] - ranked[0] < tol.tolfun:
        reasons["tolfun"] = tol.tolfun
    if full and spread < tol.tolfunhist:
        reasons["tolfunhist"] = tol.tolfunhist
    return reasons


def shape_reasons(
    m: Array, sigma: float, sigma0: float, C: Array, B: Array, D: Array, p_c: Array, g: int, tol: Tolerances
) -> dict[str, Any]:
    """Return the reasons that the distribution N(m, sigma^2 C), C = B D^2 B', gives in generation ``g``.

    Most generations are far from all of them, which the extreme axes show: sigma D_1 <= std_i <= sigma D_n.
    """
    reasons: dict[str, Any] = {}
    length, root_n = math.sqrt(m.dot(m)), math.sqrt(m.size)
    if not (math.isfinite(sigma) and math.isfinite(length)):
        reasons["notfinite"] = sigma
        return reasons
    shortest, longest = sigma * float(D[0]), sigma * float(D[-1])
    if longest < root_n * tol.tolx and is_small(sigma, np.sqrt(C.diagonal()), p_c, tol):
        reasons["tolx"] = tol.tolx
    if shortest < 1e-14 * root_n * length:
        if has_no_effect(m, sigma * np.sqrt(C.diagonal())):
            reasons["noeffectcoord"] = 0.2
        i = g % m.size
        if (m == m + 0.1 * sigma * D[i] * B[:, i]).all():
            reasons["noeffectaxis"] = i
    if longest > math.sqrt(tol.conditioncov) * shortest:
        reasons["conditioncov"] = tol.conditioncov
    if sigma > tol.tolupsigma * sigma0 * float(D[-1]):
        reasons["tolupsigma"] = tol.tolupsigma
    return reasons


def is_small(sigma: float, std: Array, p_c: Array, tol: Tolerances) -> bool:
    """Return whether the steps in every coordinate are below ``tolx``; ``std`` is the root of the diagonal of C."""
    return bool((sigma * std < tol.tolx).all() and (sigma * p_c < tol.tolx).all())


def has_no_effect(m: Array, std: Array) -> bool:
    """Return whether some coordinate of ``m`` does not change by 0.2 standard deviations."""
    return bool((m == m + 0.2 * std).any())

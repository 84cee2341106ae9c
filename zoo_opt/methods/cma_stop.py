"""When a run of the CMA-ES has ended: the reasons of pycma, under its names and thresholds."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from zoo_opt.typing import Array


@dataclass(frozen=True, slots=True)
class Tolerances:
    """Thresholds of a run.

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


def history_length(n: int, popsize: int) -> int:
    """Return how many generations' best losses the tolerances look back on."""
    return 10 + 30 * n // popsize


def default_generations(n: int, popsize: int) -> int:
    """Return the number of generations after which a run is given up."""
    return int(100 + 150 * (n + 3) ** 2 / math.sqrt(popsize))


def run_reasons(
    losses: list[float], history: tuple[float, ...], full: bool, flat: int, tol: Tolerances
) -> dict[str, Any]:
    """Return the reasons that the losses give.

    ``losses`` are those of the generation's survivors (one alone has no range), ``history`` the best of the recent
    generations, ``full`` whether the history has its whole length, and ``flat`` how many generations running were flat.
    """
    reasons: dict[str, Any] = {}
    if flat > 1:
        reasons["tolflatfitness"] = flat
    if len(losses) < 2 or not history:
        return reasons
    spread = max(history) - min(history)  # infinite losses: infinite or NaN, never small
    if spread < tol.tolfun and max(losses) - min(losses) < tol.tolfun:
        reasons["tolfun"] = tol.tolfun
    if full and spread < tol.tolfunhist:
        reasons["tolfunhist"] = tol.tolfunhist
    return reasons


def shape_reasons(m: Array, sigma: float, sigma0: float, std: Array, p_c: Array, tol: Tolerances) -> dict[str, Any]:
    """Return the reasons that the distribution gives: ``std`` is the square root of the diagonal of C."""
    reasons: dict[str, Any] = {}
    if not (math.isfinite(sigma) and np.isfinite(m).all()):
        reasons["notfinite"] = sigma
        return reasons
    scale = sigma * std
    if (scale < tol.tolx).all() and (sigma * p_c < tol.tolx).all():
        reasons["tolx"] = tol.tolx
    if (m == m + 0.2 * scale).any():
        reasons["noeffectcoord"] = 0.2
    if sigma > tol.tolupsigma * sigma0 * std.max():
        reasons["tolupsigma"] = tol.tolupsigma
    return reasons


def axis_reasons(m: Array, sigma: float, B: Array, D: Array, g: int, tol: Tolerances) -> dict[str, Any]:
    """Return the reasons that the principal axes give."""
    reasons: dict[str, Any] = {}
    i = g % m.size
    if (m == m + 0.1 * sigma * D[i] * B[:, i]).all():
        reasons["noeffectaxis"] = i
    if D[-1] > math.sqrt(tol.conditioncov) * D[0]:
        reasons["conditioncov"] = tol.conditioncov
    return reasons

"""How far to go along a descent direction: a search by parabolas that asks for one more length or accepts one."""

from __future__ import annotations

import math
from typing import NamedTuple

ARMIJO = 1e-4  # part of the decrease that the slope promises
LIMIT = 10  # trials
SHORTEST, LONGEST = 0.1, 0.5  # parts of a length that was too long
GROWTH = 10.0  # of a length that was too short
NEAR = 0.4  # a parabola's minimum that lies no farther off, as a part of the length, is not looked at


class Trial(NamedTuple):
    """A length along the direction and the loss there, infinite if the evaluation failed."""

    length: float
    loss: float


def next_length(f0: float, slope: float, trials: tuple[Trial, ...], longest: float) -> float | None:
    """Return the length to try next, None when the search has ended; `accepted` says with what.

    Parameters
    ----------
    f0, slope : float
        Loss and derivative, below 0, at length 0.
    trials : tuple of Trial
        Those made, in their order, at least one.
    longest : float
        No length beyond this makes a difference.
    """
    if len(trials) >= LIMIT:
        return None
    best = min(trials, key=lambda trial: trial.loss)
    last = trials[-1]
    if not falls(f0, slope, best):  # too long so far
        shortest = min(trials, key=lambda trial: trial.length)
        minimum = _parabola(f0, slope, shortest)
        return min(max(minimum, SHORTEST * shortest.length), LONGEST * shortest.length)
    minimum = min(_parabola(f0, slope, best), GROWTH * best.length, longest)
    if last is best and minimum > (1 + NEAR) * best.length:
        return minimum
    if len(trials) == 1 and minimum < (1 - NEAR) * best.length:
        return minimum
    return None


def falls(f0: float, slope: float, trial: Trial) -> bool:
    """Return whether the loss has fallen enough (Armijo's rule)."""
    return trial.loss <= f0 + ARMIJO * trial.length * slope and trial.loss < f0


def accepted(f0: float, trials: tuple[Trial, ...]) -> Trial | None:
    """Return the best trial if it is below ``f0``."""
    best = min(trials, key=lambda trial: trial.loss)
    return best if best.loss < f0 else None


def _parabola(f0: float, slope: float, trial: Trial) -> float:
    """Return where the parabola through f0 with this slope and the trial is lowest, infinity if it has no minimum."""
    excess = trial.loss - f0 - slope * trial.length
    if not math.isfinite(excess):
        return 0.0
    return math.inf if excess <= 0.0 else -slope * trial.length**2 / (2 * excess)

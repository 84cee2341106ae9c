"""How far to go along a descent direction: a search by parabolas that asks for one more length or accepts one."""

from __future__ import annotations

import math
from typing import NamedTuple

ARMIJO = 1e-4  # part of the decrease that the slope promises: c_1 of Nocedal and Wright 2006, section 3.1
SHORTEST, LONGEST = 0.1, 0.5  # parts of a length that was too long (Dennis and Schnabel 1983, algorithm A6.3.1)
# chosen, not tuned:
LIMIT = 10  # trials
GROWTH = 10.0  # of a length that was too short
LEAP = 1e4  # of a length where the loss has followed its slope
STRAIGHT = 1e-6  # deviation from the slope, as a part of the change, that is none
NEAR = 0.4  # a parabola's minimum that lies no farther off, as a part of the length, is not looked at


class Trial(NamedTuple):
    """A length along the direction, the loss there, infinite if the evaluation failed, and the change it promised."""

    length: float
    loss: float
    promised: float


def next_length(f0: float, trials: tuple[Trial, ...], longest: float) -> float | None:
    """Return the length to try next, None when the search has ended; `accepted` says with what.

    Parameters
    ----------
    f0 : float
        Loss at length 0.
    trials : tuple of Trial
        Those made, in their order, at least one.
    longest : float
        No length beyond this makes a difference.
    """
    if len(trials) >= LIMIT:
        return None
    best = min(trials, key=lambda trial: trial.loss)
    last = trials[-1]
    if not falls(f0, best):  # too long so far
        shortest = min(trials, key=lambda trial: trial.length)
        minimum = _parabola(f0, shortest)
        return min(max(minimum, SHORTEST * shortest.length), LONGEST * shortest.length)
    straight = abs(best.loss - f0 - best.promised) <= STRAIGHT * abs(best.promised)
    minimum = min(_parabola(f0, best), (LEAP if straight else GROWTH) * best.length, longest)
    if last is best and minimum > (1 + NEAR) * best.length:
        return minimum
    if len(trials) == 1 and minimum < (1 - NEAR) * best.length:
        return minimum
    return None


def falls(f0: float, trial: Trial) -> bool:
    """Return whether the loss has fallen enough (Armijo's rule)."""
    return trial.loss <= f0 + ARMIJO * trial.promised and trial.loss < f0


def accepted(f0: float, trials: tuple[Trial, ...]) -> Trial | None:
    """Return the best trial if it is below ``f0``."""
    best = min(trials, key=lambda trial: trial.loss)
    return best if best.loss < f0 else None


def _parabola(f0: float, trial: Trial) -> float:
    """Return where the parabola through f0, with the slope that was promised, and the trial is lowest."""
    excess = trial.loss - f0 - trial.promised
    if not math.isfinite(excess):
        return 0.0
    return math.inf if excess <= STRAIGHT * abs(trial.promised) else -trial.promised * trial.length / (2 * excess)

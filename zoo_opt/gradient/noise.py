"""Gains that follow the noise: a point is evaluated twice now and then, and c grows until slopes stand out of it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

from zoo_opt.errors import positive
from zoo_opt.gradient.gains import Gain, Scheduled

_KAPPA = 2.0  # how far a slope is to stand out of its noise
_FIRST, _EVERY = 4, 32  # steps with a repeated point: so many at the start, and every so many later
_SHORTEST = 0.1  # factor on the length of steps that are lost in noise
_SLOWEST = 0.1  # weight of the newest measurement in a running mean, once there are ten


@dataclass(frozen=True)
class MeasuredRadius:
    """A perturbation radius that is as small as the noise of the loss allows, what ``c="auto"`` becomes.

    c is ``smallest`` where two evaluations of a point agree, as they do with common random numbers. Where they do not,
    c grows, up to ``largest``, until the difference that the slope makes is twice the noise in it: Spall's advice, c
    about the standard deviation of the noise, relative to the slope.

    Parameters
    ----------
    smallest, largest : float
        Bounds of c, in the units of the parameters.
    """

    smallest: float
    largest: float

    def __post_init__(self) -> None:
        positive("smallest", self.smallest)
        positive("largest", self.largest)
        if self.largest < self.smallest:
            raise ValueError(f"largest must be at least smallest, {self.smallest!r}, got {self.largest!r}")

    def __call__(self, t: int) -> float:
        """Return c without noise."""
        return self.smallest


class NoiseState(NamedTuple):
    """What has been measured.

    Attributes
    ----------
    variance : float
        Of one loss, from repeated points or as told.
    repeats : int
        Measurements in it.
    slope2 : float
        Running mean square of the slopes along the directions, less what the noise has put in.
    steps : int
        Measurements in it.
    told : bool
        Whether standard errors were told, which takes the place of measuring.
    """

    variance: float = 0.0
    repeats: int = 0
    slope2: float = 0.0
    steps: int = 0
    told: bool = False


@dataclass(frozen=True)
class NoiseGuided:
    """Scheduled gains with a `MeasuredRadius`.

    Parameters
    ----------
    base : Scheduled
        Gains without noise.
    radius : MeasuredRadius
        Bounds of c.
    noise : float
        Variance of a slope times c^2, for losses with noise of variance 1: `Estimator.noise`.
    per_c : bool
        Whether lr grows as c does, because a step is lr / c long.
    normalised : bool
        Whether a step has the same length whatever the losses are. It is then shortened by the part of the slopes'
        RMS that is not noise.
    """

    base: Scheduled
    radius: MeasuredRadius
    noise: float
    per_c: bool
    normalised: bool
    start = NoiseState()
    observes = False
    measures = True

    def repeats(self, t: int) -> bool:
        """Return whether step t evaluates its first point twice."""
        return t < _FIRST or t % _EVERY == 0

    def at(self, state: NoiseState, t: int) -> Gain:
        """Return the scheduled gains, with c as the noise wants it."""
        lr, c, momentum = gain = self.base.at(state, t)
        if state.variance == 0.0 or state.steps == 0:
            return gain
        signal = max(state.slope2, 0.0)
        noise = self.noise * state.variance  # of a slope times c
        wanted = _KAPPA * math.sqrt(noise / signal) if signal > 0.0 else math.inf
        wider = min(max(wanted, self.radius.smallest), self.radius.largest)
        if self.per_c:
            lr *= wider / c
        if self.normalised:
            lr *= max(_SHORTEST, math.sqrt(signal / (signal + noise / wider**2)))
        return Gain(lr, wider, momentum)

    def repeated(self, state: NoiseState, first: float, second: float) -> NoiseState:
        """Return the state after two losses of one point."""
        difference = first - second
        if state.told or not math.isfinite(difference):
            return state
        return self._with_variance(state, 0.5 * difference * difference)

    def told(self, state: NoiseState, sem: list[float]) -> NoiseState:
        """Return the state after the standard errors of a step's losses, NaN where not told."""
        known = [s for s in sem if math.isfinite(s)]
        if not known:
            return state
        if not state.told:
            state = state._replace(repeats=0, told=True)
        return self._with_variance(state, math.hypot(*known) ** 2 / len(known))

    def _with_variance(self, state: NoiseState, sample: float) -> NoiseState:
        weight = max(_SLOWEST, 1.0 / (state.repeats + 1))
        variance = state.variance + weight * (sample - state.variance)
        return state._replace(variance=variance, repeats=state.repeats + 1)

    def measured(self, state: NoiseState, slopes: list[float], c: float) -> NoiseState:
        """Return the state after the slopes of a step, each divided by their number, at radius ``c``."""
        alive = sum(slope != 0.0 for slope in slopes)
        sample = alive * math.hypot(*slopes) ** 2 - self.noise * state.variance / c**2
        if not math.isfinite(sample):
            return state
        weight = max(_SLOWEST, 1.0 / (state.steps + 1))
        return state._replace(slope2=state.slope2 + weight * (sample - state.slope2), steps=state.steps + 1)

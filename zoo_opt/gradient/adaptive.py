"""Gains that follow what a run measures: c the noise, lr the trend of the losses."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

from zoo_opt.gradient.gains import Gain, Gains, Observation, Scheduled
from zoo_opt.gradient.noise import MeasuredRadius, Noise
from zoo_opt.gradient.trend import GuardedRate, Trend

_SHORTEST = 0.1  # factor on the length of steps that are lost in noise; ours: they must not come to a stop


class AdaptiveState(NamedTuple):
    """What `Adaptive` remembers."""

    noise: Noise = Noise()
    trend: Trend = Trend()


@dataclass(frozen=True)
class Adaptive(Gains):
    """Scheduled gains of which lr is a `GuardedRate`, c a `MeasuredRadius`, or both.

    Parameters
    ----------
    base : Scheduled
        The gains without noise or trend.
    noise : float
        What noise of variance 1 in the losses adds to the mean square of the slopes, times c^2: `Estimator.noise`.
    per_c : bool
        Whether lr grows as c does, because a step is lr / c long.
    normalised : bool
        Whether a step has the same length whatever the losses are. It is then shortened by the part of the slopes'
        RMS that is not noise.
    """

    base: Scheduled
    noise: float
    per_c: bool
    normalised: bool
    start = AdaptiveState()
    observes = True

    def repeats(self, state: AdaptiveState, t: int) -> bool:
        """Return whether step t evaluates its first point twice."""
        return isinstance(self.base.c, MeasuredRadius) and state.noise.wants_repeat(t)

    def at(self, state: AdaptiveState, t: int) -> Gain:
        """Return the scheduled gains, with c as the noise wants it and lr as the trend allows."""
        lr, c, momentum = self.base.at(None, t)
        if isinstance(self.base.lr, GuardedRate):
            lr *= state.trend.factor
        known, radius = state.noise, self.base.c
        if not isinstance(radius, MeasuredRadius) or known.variance == 0.0 or known.steps == 0:
            return Gain(lr, c, momentum)
        signal, noise = max(known.slope2, 0.0), self.noise * known.cautious
        wider = radius.at(signal, noise)
        if self.per_c:
            lr *= wider / c
        if self.normalised:
            lr *= max(_SHORTEST, math.sqrt(signal / (signal + noise / wider**2)))
        return Gain(lr, wider, momentum)

    def told_sem(self, state: AdaptiveState, sem: list[float]) -> AdaptiveState:
        """See `Gains.told_sem`."""
        return state._replace(noise=state.noise.after_sem(sem))

    def observe(self, state: AdaptiveState, seen: Observation) -> AdaptiveState:
        """Take in the losses of a point that was evaluated twice, the slopes and the trend of the losses."""
        noise, losses = state.noise, seen.losses
        if seen.repeats:
            noise = noise.after_repeat(losses[0], losses[1])
            losses = [losses[0], *losses[2:]]
        if seen.slopes is None:
            return state._replace(noise=noise)
        added = self.noise * noise.cautious / seen.gain.c**2
        return AdaptiveState(noise.after_slopes(seen.square, added), state.trend.after(losses))

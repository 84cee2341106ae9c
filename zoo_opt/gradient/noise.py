"""The noise of the loss, from points that are evaluated twice, and the perturbation radius that it asks for."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

from zoo_opt.core.errors import positive

# Spall (1998) advises a c of about the noise's standard deviation; the numbers are ours: docs/gains.md, "Radius".
_KAPPA = 2.0  # how many standard deviations of its noise a slope is to be
_FIRST, _EVERY, _NOISY = 4, 32, 8  # steps with a repeated point: so many at the start, later every so many
_NEWEST = 0.05  # weight of the newest measurement in a running mean, once there are twenty: 1/20


@dataclass(frozen=True)
class MeasuredRadius:
    """A perturbation radius that is as small as the noise of the loss allows, what ``c="auto"`` becomes.

    c is ``smallest`` where two evaluations of a point agree, as they do with common random numbers. Where they do not,
    c grows, up to ``largest``, until the difference that the slope makes is twice the noise in it: Spall's advice, c
    about the standard deviation of the noise, relative to the slope. A point is evaluated twice in each of the first 4
    steps and later in every 32nd, every 8th if there is noise; told standard errors take its place.

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

    def at(self, signal: float, noise: float) -> float:
        """Return c for slopes of mean square ``signal``, whose noise has the variance ``noise`` / c^2."""
        if signal <= 0.0:
            return self.largest
        return min(max(_KAPPA * math.sqrt(noise / signal), self.smallest), self.largest)


class Noise(NamedTuple):
    """What is known of the noise.

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

    def wants_repeat(self, t: int) -> bool:
        """Return whether step t evaluates its first point twice."""
        if self.told:
            return False
        return t < _FIRST or t % (_NOISY if self.variance > 0.0 else _EVERY) == 0

    @property
    def cautious(self) -> float:
        """The variance plus two standard errors: slopes that are taken for noise do less harm than the reverse."""
        return self.variance if self.told else self.variance * (1.0 + 2.0 * math.sqrt(2.0 / max(1, self.repeats)))

    def after_repeat(self, first: float, second: float) -> Noise:
        """Return what is known after two losses of one point."""
        difference = first - second
        if self.told or not math.isfinite(difference):
            return self
        return self._after(0.5 * difference * difference)

    def after_sem(self, sem: list[float]) -> Noise:
        """Return what is known after the standard errors of a step's losses, NaN where not told."""
        known = [s for s in sem if math.isfinite(s)]
        if not known:
            return self
        measured = self if self.told else self._replace(repeats=0, told=True)
        return measured._after(math.hypot(*known) ** 2 / len(known))

    def _after(self, sample: float) -> Noise:
        weight = max(_NEWEST, 1.0 / (self.repeats + 1))
        return self._replace(variance=self.variance + weight * (sample - self.variance), repeats=self.repeats + 1)

    def after_slopes(self, square: float, noise: float) -> Noise:
        """Return what is known after slopes of this mean square, to which the noise has added ``noise``."""
        sample = square - noise
        if not math.isfinite(sample):
            return self
        weight = max(_NEWEST, 1.0 / (self.steps + 1))
        return self._replace(slope2=self.slope2 + weight * (sample - self.slope2), steps=self.steps + 1)

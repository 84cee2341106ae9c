"""Steps that are too long show in losses that rise: a guard on the learning rate that costs no evaluation."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from zoo_opt.typing import Schedule

# The guard's constants are ours, chosen once and checked on two networks and on quadratics: docs/gains.md, "A guard".
_SHORTEST, _PART = 8, 0.1  # a window's steps: so many, or this part of all steps so far if that is more
_SIGMAS = 4.0  # standard errors between two windows that make a rise; with many windows, chance alone must not
_CUT = 0.5  # factor on lr after a rise


@dataclass(frozen=True)
class GuardedRate:
    """A learning rate that is halved for good whenever the losses have risen, what ``lr="auto"`` becomes.

    The mean losses of the steps are compared from one window of steps to the next (8 steps, or a tenth of those so
    far). A rise by more than four standard errors means that the steps are too long for the loss's curvature.

    Parameters
    ----------
    base : schedule
        The learning rate while the losses do not rise.
    """

    base: Schedule

    def __call__(self, t: int) -> float:
        """Return the rate at step t while the losses do not rise."""
        return self.base(t)


class Trend(NamedTuple):
    """What is known of the losses' trend.

    Attributes
    ----------
    factor : float
        On the learning rate.
    t : int
        Steps so far.
    n, mean, squares : int, float, float
        Of the window now open: steps, their mean loss, sum of squares about it.
    last, error : float
        Of the window before: mean loss (NaN before there is one), squared standard error.
    """

    factor: float = 1.0
    t: int = 0
    n: int = 0
    mean: float = 0.0
    squares: float = 0.0
    last: float = math.nan
    error: float = 0.0

    def after(self, losses: list[float]) -> Trend:
        """Return the trend after a step with these losses, of which those not finite are passed over."""
        alive = [loss for loss in losses if math.isfinite(loss)]
        if not alive:
            return self
        loss = sum(loss / len(alive) for loss in alive)
        t, n = self.t + 1, self.n + 1
        shift = loss - self.mean
        mean = self.mean + shift / n
        squares = self.squares + shift * (loss - mean)
        if n < max(_SHORTEST, _PART * t):
            return self._replace(t=t, n=n, mean=mean, squares=squares)
        error = squares / (n - 1) / n
        rises = mean - self.last > _SIGMAS * math.sqrt(error + self.error)  # false for NaN
        return Trend(self.factor * _CUT if rises else self.factor, t, last=mean, error=error)

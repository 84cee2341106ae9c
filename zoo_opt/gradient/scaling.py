"""Scalings: one factor per step on the gradient estimate. `LossSpread` stands in methods/fzoo.py."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol, TypeAlias

from zoo_opt.core.errors import fraction
from zoo_opt.gradient.estimators import mean_square

Memory: TypeAlias = tuple[float, ...]


class Scaling(Protocol):
    """What a scaling provides. ``memory`` is what it remembers of the steps before, empty at the start."""

    def factor(self, losses: list[float], slopes: list[float], memory: Memory) -> tuple[float, Memory]:
        """Return the factor on ghat, and the new memory.

        ``losses`` are those of the step's n candidates (failed ones NaN), ``slopes`` what the estimator made of them.
        """
        ...


@dataclass(frozen=True)
class Unscaled:
    """The estimate as it is."""

    def factor(self, losses: list[float], slopes: list[float], memory: Memory) -> tuple[float, Memory]:
        """Return 1."""
        return 1.0, memory


@dataclass(frozen=True)
class SlopeRMS:
    """Divide by a running root mean square of the slopes: one second moment for all coordinates, as in MEAZO.

    ::

        v <- decay v + (1 - decay) mean_k s_k^2,   factor = 1 / sqrt(v / (1 - decay^t))

    s_k are the slopes that step t = 1, 2, ... has measured along its directions. What Adam does for every coordinate
    is done here for the step as a whole, so that its length does not depend on the scale of the loss.

    Parameters
    ----------
    decay : float, default 0.9
        In [0, 1); no step is longer than 1 / sqrt(1 - decay) times the usual one.
    """

    decay: float = 0.9

    def __post_init__(self) -> None:
        fraction("decay", self.decay)

    def factor(self, losses: list[float], slopes: list[float], memory: Memory) -> tuple[float, Memory]:
        """Return 1 / RMS, and the sums of squares and of weights."""
        v, weight = memory or (0.0, 0.0)
        v = self.decay * v + (1.0 - self.decay) * mean_square(slopes)
        weight = self.decay * weight + (1.0 - self.decay)
        if not 0.0 < v < math.inf:
            return 1.0, memory
        return math.sqrt(weight / v), (v, weight)

"""Scalings: one factor per step on the gradient estimate."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol


class Scaling(Protocol):
    """What a scaling provides."""

    def factor(self, losses: list[float]) -> float:
        """Return the factor on ghat, given the losses of the step's n candidates (failed ones NaN)."""
        ...


@dataclass(frozen=True)
class Unscaled:
    """The estimate as it is."""

    def factor(self, losses: list[float]) -> float:
        """Return 1."""
        return 1.0


@dataclass(frozen=True)
class LossSpread:
    """Divide by the standard deviation of the probes' losses (FZOO, arXiv 2506.09034).

    A flat step, whose losses are all equal, has an estimate of zero and needs no scale: the factor is 1.
    """

    def factor(self, losses: list[float]) -> float:
        """Return 1 / sigma, sigma over the N one-sided probes, N - 1 in the denominator."""
        probes = [loss for loss in losses[1:] if math.isfinite(loss)]
        mean = sum(loss / len(probes) for loss in probes)
        sigma = math.hypot(*(loss - mean for loss in probes)) / math.sqrt(len(probes) - 1)
        return 1.0 / sigma if sigma > 0.0 else 1.0

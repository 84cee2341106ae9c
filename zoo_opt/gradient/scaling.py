"""Scalings: one factor per step on the gradient estimate."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

_LARGEST_STEP = 100.0


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

    Probes that tie, all unlike the base, would give a step without bound, at the minimum of a symmetric loss for one:
    sigma is at least a hundredth of the RMS of the differences, so that no coordinate moves by more than 100 lr / c.
    That bound is ours. A step whose losses are all equal has an estimate of zero, and the factor is 1.
    """

    def factor(self, losses: list[float]) -> float:
        """Return 1 / sigma, sigma over the N one-sided probes, N - 1 in the denominator."""
        probes = [loss for loss in losses[1:] if math.isfinite(loss)]
        n = len(probes)
        mean = sum(loss / n for loss in probes)
        sigma = math.hypot(*(loss - mean for loss in probes)) / math.sqrt(n - 1)
        floor = math.hypot(*(loss - losses[0] for loss in probes)) / math.sqrt(n) / _LARGEST_STEP
        return 1.0 / max(sigma, floor) if max(sigma, floor) > 0.0 else 1.0

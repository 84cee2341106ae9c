"""Whether a loss is a sum over coordinates, by four losses."""

from __future__ import annotations

import math

SUM = 1e-9  # deviation from a sum, as a part of the range of the four losses, that is none; chosen, not tuned
ROUNDING = 1e-13  # the same as a part of their size: some hundred times the machine's precision
NOISES, CLEAR = 3.0, 10.0  # deviations of noise that are noise, and how far the losses must be above it; chosen


def separable(f0: float, f1: float, f01: float, f10: float, noise: float = 0.0) -> bool:
    """Return whether losses at two points and at the two that exchange some of their coordinates are those of a sum.

    A loss that is a sum over coordinates has f(a, b) + f(c, d) = f(a, d) + f(c, b) for any split of them.
    """
    losses = (f0, f1, f01, f10)
    if not all(map(math.isfinite, losses)):
        return False
    spread, size = max(losses) - min(losses), max(map(abs, losses))
    allowed = 2 * NOISES * noise  # of a sum of four
    return (
        spread > SUM * size + CLEAR * allowed and abs(f0 + f1 - f01 - f10) <= SUM * spread + ROUNDING * size + allowed
    )

"""The unit of a loss: a power of 2, so that a loss multiplied by one is searched in the same way, bit for bit."""

from __future__ import annotations

import math
from collections.abc import Iterable


def loss_unit(losses: Iterable[float]) -> float:
    """Return the power of 2 just below the largest finite size of ``losses``, 0 if none is finite and not 0."""
    largest = max((abs(loss) for loss in losses if math.isfinite(loss)), default=0.0)
    return math.ldexp(1.0, math.frexp(largest)[1] - 1) if largest else 0.0

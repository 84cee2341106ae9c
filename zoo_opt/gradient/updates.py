"""Update rules: where the next probes are centred, and how an estimate moves the iterate.

`GradientCorrection` stands in methods/spsa.py, `Nesterov` in methods/spsa_geass.py.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np

from zoo_opt.gradient.gains import Gain

if TYPE_CHECKING:
    from zoo_opt.typing import Array


class UpdateRule(Protocol):
    """What an update rule provides. ``m`` is its momentum buffer, empty where it has none."""

    def init(self, x: Array) -> Array:
        """Return the first m."""
        ...

    def center(self, x: Array, m: Array, gain: Gain) -> Array:
        """Return the point that the probes surround."""
        ...

    def step(self, x: Array, m: Array, ghat: Array, gain: Gain) -> tuple[Array, Array]:
        """Return the new x and m. ``ghat`` may be overwritten."""
        ...


@dataclass(frozen=True)
class Plain:
    """x <- x - lr ghat(x) (equation 1 of BAPS)."""

    def init(self, x: Array) -> Array:
        """Return an empty buffer."""
        return x[:0]

    def center(self, x: Array, m: Array, gain: Gain) -> Array:
        """Return x."""
        return x

    def step(self, x: Array, m: Array, ghat: Array, gain: Gain) -> tuple[Array, Array]:
        """Return x - lr ghat."""
        ghat *= gain.lr
        return np.subtract(x, ghat, out=ghat), m

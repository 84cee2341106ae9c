"""Updates: where the next probes are centred, and how an estimate moves the iterate."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np

from zoo_opt.gradient.gains import Gain

if TYPE_CHECKING:
    from zoo_opt.typing import Array


class Update(Protocol):
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


@dataclass(frozen=True)
class GradientCorrection:
    """m <- beta m - lr ghat(x + beta m); x <- x + m (equation 2 of BAPS)."""

    def init(self, x: Array) -> Array:
        """Return m = 0."""
        return np.zeros_like(x)

    def center(self, x: Array, m: Array, gain: Gain) -> Array:
        """Return the look-ahead point x + beta m."""
        return x + gain.momentum * m

    def step(self, x: Array, m: Array, ghat: Array, gain: Gain) -> tuple[Array, Array]:
        """Return x + m and m."""
        ghat *= gain.lr
        m = np.subtract(gain.momentum * m, ghat, out=ghat)
        return x + m, m


@dataclass(frozen=True)
class Nesterov:
    """m <- beta m + ghat(x); x <- x - lr (ghat + beta m), the order of BlackVIP's and BAPS's released code.

    For a constant lr and beta it is `GradientCorrection` seen from the look-ahead point: x here is x + beta m there.
    """

    def init(self, x: Array) -> Array:
        """Return m = 0, so that m = ghat after the first step."""
        return np.zeros_like(x)

    def center(self, x: Array, m: Array, gain: Gain) -> Array:
        """Return x."""
        return x

    def step(self, x: Array, m: Array, ghat: Array, gain: Gain) -> tuple[Array, Array]:
        """Return x - lr (ghat + beta m) and m."""
        beta = gain.momentum
        m = beta * m + ghat
        ghat += beta * m
        ghat *= gain.lr
        return np.subtract(x, ghat, out=ghat), m

"""Estimators: which points a step evaluates, and the slope that their losses give along each direction."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from zoo_opt.typing import Array


class Estimator(Protocol):
    """What an estimator provides. ``q`` is its number of directions, ``n`` its evaluations per step."""

    @property
    def q(self) -> int:
        """Directions per step."""
        ...

    @property
    def n(self) -> int:
        """Evaluations per step."""
        ...

    def place(self, center: Array, delta: Array, c: float) -> Array:
        """Return the (n, d) points around ``center``."""
        ...

    def slopes(self, losses: list[float], c: float) -> list[float] | None:
        """Return q coefficients of psi that sum to the estimate, 0 where a direction is lost; None to skip."""
        ...


@dataclass(frozen=True)
class TwoSided:
    """q antithetic pairs, x + c delta_k and x - c delta_k: coefficients (f+ - f-) / (2 c q).

    A pair is lost with either probe, and with an infinite loss, whose difference measures nothing.
    """

    q: int = 1

    @property
    def n(self) -> int:
        """Evaluations per step."""
        return 2 * self.q

    def place(self, center: Array, delta: Array, c: float) -> Array:
        """Return (2 q, d): the pairs one after another, the + probe first."""
        X = np.empty((self.n, center.size), center.dtype)
        np.multiply(delta, center.dtype.type(c), out=X[1::2])
        np.add(center, X[1::2], out=X[0::2])
        np.subtract(center, X[1::2], out=X[1::2])
        return X

    def slopes(self, losses: list[float], c: float) -> list[float] | None:
        """Return the slope of each pair over the number of surviving pairs."""
        differences = [up - down for up, down in zip(losses[0::2], losses[1::2], strict=True)]
        return _mean(differences, c + c)


@dataclass(frozen=True)
class OneSided:
    """A base x shared by q probes x + c delta_k: coefficients (f_k - f_0) / (c q), for q + 1 evaluations.

    Lost with the base, or with fewer than ``at_least`` surviving probes.
    """

    q: int
    at_least: int = 1

    @property
    def n(self) -> int:
        """Evaluations per step."""
        return self.q + 1

    def place(self, center: Array, delta: Array, c: float) -> Array:
        """Return (1 + q, d): the base, then the probes."""
        X = np.empty((self.n, center.size), center.dtype)
        X[0] = center
        np.multiply(delta, center.dtype.type(c), out=X[1:])
        X[1:] += center
        return X

    def slopes(self, losses: list[float], c: float) -> list[float] | None:
        """Return the slope of each probe over the number of surviving probes."""
        base = losses[0]
        return _mean([loss - base for loss in losses[1:]], c, self.at_least)


def _mean(differences: list[float], width: float, at_least: int = 1) -> list[float] | None:
    """Divide the finite differences by ``width`` and their number."""
    alive = sum(map(math.isfinite, differences))
    if alive < at_least:
        return None
    scale = 1.0 / (width * alive)
    return [difference * scale if math.isfinite(difference) else 0.0 for difference in differences]

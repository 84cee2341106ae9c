"""Estimators: which points a step evaluates, and the slope that their losses give along each direction."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np

if TYPE_CHECKING:
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

    @property
    def noise(self) -> float:
        """What noise of variance 1 in the losses adds to `square`, times c^2."""
        ...

    def place(self, X: Array, k: int, center: Array, c_delta: Array) -> None:
        """Write the points of the directions k, k + 1, ..., times c, into (some columns of) the n candidates ``X``."""
        ...

    def delta(self, X: Array, c: float) -> Array:
        """Return the q directions that the candidates (or some columns of them) were displaced by."""
        ...

    def weights(self, slopes: list[float], c: float) -> list[float]:
        """Return n weights such that sum_j weights_j x_j = sum_k slopes_k delta_k."""
        ...

    def slopes(self, losses: list[float], c: float) -> list[float] | None:
        """Return q coefficients of psi that sum to the estimate, 0 where a direction is lost; None to skip."""
        ...

    def square(self, slopes: list[float]) -> float:
        """Return the mean square of the slopes."""
        ...


@dataclass(frozen=True)
class TwoSided:
    """q antithetic pairs, x + c delta_k and x - c delta_k: coefficients (f+ - f-) / (2 c q).

    A pair is lost with either probe, and with an infinite loss, whose difference measures nothing.
    """

    q: int = 1
    noise = 0.5

    @property
    def n(self) -> int:
        """Evaluations per step."""
        return 2 * self.q

    def place(self, X: Array, k: int, center: Array, c_delta: Array) -> None:
        """Write the pairs one after another, the + probe first."""
        stop = 2 * (k + len(c_delta))
        np.add(center, c_delta, X[2 * k : stop : 2])
        np.subtract(center, c_delta, X[2 * k + 1 : stop : 2])

    def delta(self, X: Array, c: float) -> Array:
        """Return (x+ - x-) / (2 c)."""
        delta = X[0::2] - X[1::2]
        delta *= 0.5 / c
        return delta

    def weights(self, slopes: list[float], c: float) -> list[float]:
        """Return slope / (2 c) for each + probe, and its negative for the - probe."""
        return [weight for slope in slopes for weight in (0.5 / c * slope, -0.5 / c * slope)]

    def slopes(self, losses: list[float], c: float) -> list[float] | None:
        """Return the slope of each pair over the number of surviving pairs."""
        differences = [up - down for up, down in zip(losses[0::2], losses[1::2], strict=True)]
        return _mean(differences, c + c)

    def square(self, slopes: list[float]) -> float:
        """Return the mean square: the pairs are free of curvature."""
        return mean_square(slopes)


@dataclass(frozen=True)
class OneSided:
    """A base x shared by q probes x + c delta_k: coefficients (f_k - f_0) / (c q), for q + 1 evaluations.

    Lost with the base, or with fewer than ``at_least`` surviving probes.
    """

    q: int
    at_least: int = 1
    noise = 2.0

    @property
    def n(self) -> int:
        """Evaluations per step."""
        return self.q + 1

    def place(self, X: Array, k: int, center: Array, c_delta: Array) -> None:
        """Write the base, then the probes."""
        if k == 0:
            X[0] = center
        np.add(center, c_delta, out=X[1 + k : 1 + k + len(c_delta)])

    def delta(self, X: Array, c: float) -> Array:
        """Return (x_k - x_0) / c."""
        delta: Array = X[1:] - X[0]
        delta *= 1.0 / c
        return delta

    def weights(self, slopes: list[float], c: float) -> list[float]:
        """Return slope / c for each probe, and minus their sum for the base."""
        probes = [slope / c for slope in slopes]
        return [-sum(probes), *probes]

    def slopes(self, losses: list[float], c: float) -> list[float] | None:
        """Return the slope of each probe over the number of surviving probes."""
        base = losses[0]
        return _mean([loss - base for loss in losses[1:]], c, self.at_least)

    def square(self, slopes: list[float]) -> float:
        """Return the mean square: curvature that the slopes share counts too, which keeps c from growing into it."""
        return mean_square(slopes)


@dataclass(frozen=True)
class Centered:
    """q probes x + c delta_k and no base: coefficients (f_k - mean f) / (c (q - 1)), for q evaluations.

    Curvature that all probes share drops out, and so does a base's noise, which would enter every slope. Only for draws
    that are their own dual: the points alone do not tell where their centre is. Lost with fewer than ``at_least``
    surviving probes.
    """

    q: int
    at_least: int = 2
    noise = 1.0

    @property
    def n(self) -> int:
        """Evaluations per step."""
        return self.q

    def place(self, X: Array, k: int, center: Array, c_delta: Array) -> None:
        """Write the probes."""
        np.add(center, c_delta, out=X[k : k + len(c_delta)])

    def delta(self, X: Array, c: float) -> Array:
        """Raise: the centre is not known."""
        raise NotImplementedError("Centered needs draws that are their own dual")

    def weights(self, slopes: list[float], c: float) -> list[float]:
        """Return slope / c for each probe; they sum to zero, so that the centre drops out."""
        return [slope / c for slope in slopes]

    def slopes(self, losses: list[float], c: float) -> list[float] | None:
        """Return the slope of each probe over the number of surviving probes less one."""
        alive = [loss for loss in losses if math.isfinite(loss)]
        n = len(alive)
        if n < self.at_least:
            return None
        mean = sum(loss / n for loss in alive)
        scale = 1.0 / (c * (n - 1))
        return [(loss - mean) * scale if math.isfinite(loss) else 0.0 for loss in losses]

    def square(self, slopes: list[float]) -> float:
        """Return the sample variance of the slopes."""
        alive = sum(slope != 0.0 for slope in slopes)
        return (alive - 1) * sum(slope * slope for slope in slopes) if alive else 0.0


def mean_square(slopes: list[float]) -> float:
    """Return the mean square of slopes that are divided by their number already, and 0 where lost."""
    alive = sum(slope != 0.0 for slope in slopes)
    return alive * sum(slope * slope for slope in slopes)


def _mean(differences: list[float], width: float, at_least: int = 1) -> list[float] | None:
    """Divide the finite differences by ``width`` and their number."""
    alive = sum(map(math.isfinite, differences))
    if alive < at_least:
        return None
    scale = 1.0 / (width * alive)
    return [difference * scale if math.isfinite(difference) else 0.0 for difference in differences]

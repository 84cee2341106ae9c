"""Estimators: which points a step evaluates, and the slope that their losses give along each direction.

Each member stands beside its algorithm: `TwoSided` in methods/spsa.py, `OneSided` in bar.py, `Centered` in fzoo.py.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Protocol

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


def mean_square(slopes: list[float]) -> float:
    """Return the mean square of slopes that are divided by their number already, and 0 where lost."""
    alive = sum(slope != 0.0 for slope in slopes)
    return alive * sum(slope * slope for slope in slopes)


def mean_slopes(differences: list[float], width: float, at_least: int = 1) -> list[float] | None:
    """Divide the finite ``differences`` by ``width`` and their number; None if fewer than ``at_least`` are finite."""
    alive = sum(map(math.isfinite, differences))
    if alive < at_least:
        return None
    scale = 1.0 / (width * alive)
    return [difference * scale if math.isfinite(difference) else 0.0 for difference in differences]

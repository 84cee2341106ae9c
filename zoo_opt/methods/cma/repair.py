"""Box bounds of an evolution strategy: a candidate beyond is evaluated at the nearest point, and ranked lower."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from zoo_opt.methods import box as boxes
from zoo_opt.methods.cma.parameters import rank

if TYPE_CHECKING:
    from zoo_opt.typing import Array

WEIGHT = 1.0  # ranks, over the population, that one standard deviation beyond costs; docs/auto-tried.md


def repaired(X: Array, box: boxes.Box, std: Array) -> tuple[Array, Array]:
    """Return X (n, d) moved to the nearest points of ``box``, and the mean squares (n,) of how far they were beyond.

    In standard deviations ``std`` (d,) of the coordinates; one that the box holds in place does not count.
    """
    low, high = boxes.both(box, X.shape[1])
    inside = np.clip(X, low, high)
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        beyond = np.where((inside == X) | (low == high), 0.0, (X - inside) / std)
        return inside, np.square(beyond).mean(axis=1)


def penalised(values: list[float], beyond: Array) -> list[float]:
    """Return what candidates are ranked by: their ranks among ``values``, and a penalty for how far they were beyond.

    The penalty of a repaired point, as in Hansen et al. 2009 (A method for handling uncertainty in evolutionary
    optimization, IEEE TEC 13, section III-B), in ranks: an increasing function of the loss changes nothing. ``beyond``
    is that of `repaired`, for the first candidates; the others were inside. NaN where failed.
    """
    if not beyond.any():
        return values
    order = rank(values)
    ranks = np.full(len(values), np.nan)
    ranks[order] = np.arange(len(order))
    ranks[: len(beyond)] += WEIGHT * len(beyond) * beyond
    plain: list[float] = ranks.tolist()
    return plain

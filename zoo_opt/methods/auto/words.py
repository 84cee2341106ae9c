"""What `Auto` believes of a loss, in words."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from zoo_opt.methods.auto.state import COORDINATES

if TYPE_CHECKING:
    from zoo_opt.methods.auto.state import AutoState


def believed(s: AutoState, box: Any) -> str:
    """Return what was seen of the loss, and how many evaluations each search had.

    Parameters
    ----------
    s : AutoState
    box : None or (low, high)
        Bounds in units.
    """
    said = [_noise(s), "it has ripples or basins" if s.concave else "", _sum(s), _bounds(s, box)]
    searches = [f"{name} {search.evaluations}" for name, search in s.searches.items()]
    shares = f"evaluations: {', '.join(searches)} of {s.evaluations}" if searches else ""
    return "; ".join(part for part in (*said, shares) if part)


def _noise(s: AutoState) -> str:
    if s.noisy:
        return f"noisy, by about {s.noise:.1g}" if s.noise > 0.0 else "noisy"
    if s.noise > 0.0:
        return f"its last digits shake, by about {s.noise:.1g}"
    if s.level:
        return "level around the start"
    seen = s.searches and len(s.line) > 1 and all(map(math.isfinite, s.line))  # not where a neighbour has failed
    return "smooth at the start" if seen else ""


def _sum(s: AutoState) -> str:
    if COORDINATES in s.searches:
        return "a sum over the coordinates"
    return "no sum over the coordinates" if s.sum_tested else ""


def _bounds(s: AutoState, box: Any) -> str:
    if box is None:
        return ""
    low, high = box
    n = int(np.count_nonzero(((s.x <= low) | (s.x >= high)) & (low < high)))
    return f"{n} of {s.x.size} coordinates at a bound" if n else "no bound is active"

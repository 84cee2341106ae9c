"""Many basins in few dimensions: a partition of the box says where local searches begin.

The manner is that of multi-level single linkage (Rinnooy Kan and Timmer 1987), with the cells of `SOO` in place of
random points: a local search begins at the best cell that is not near to where one has begun or ended.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from zoo_opt.methods.auto.searches import region
from zoo_opt.methods.auto.state import EVOLUTION, PARTITION, TRUST_REGION, AutoState, Search
from zoo_opt.methods.soo import SOO

if TYPE_CHECKING:
    from zoo_opt.typing import Array

# dimensions up to which it finds more basins than an evolution strategy; measured: docs/auto-tried.md
MOST_PARTITION = 3
FIRST = 9  # cells before the first of its local searches; chosen
NEAR = 1.5  # sides of a cell within which a local search has been there; measured: docs/auto-tried.md
APART = 0.1  # units, the least that two local searches begin apart; 0 and .4 were no different
PATIENCE = 4  # searches without a gain, after which an evolution strategy has a turn; measured: docs/auto-tried.md
LEAST_RADIUS = 1e-3  # units, of a local search at first; chosen, not tuned


def suits(s: AutoState, box: Any) -> bool:
    """Return whether a partition of the box is to follow the first local search.

    Not where the loss shakes, or has plateaus. Two remembered points with the same loss are on a plateau.
    """
    if box is None or s.x.size > MOST_PARTITION or s.noisy or s.noise > 0.0 or s.level:
        return False
    finite = s.F[np.isfinite(s.F)]
    return bool(np.isfinite(box).all()) and len(np.unique(finite)) == len(finite)


def begun(s: AutoState, box: Any) -> AutoState:
    """Return the state at the start of the partition; what the local searches have used so far does not count."""
    method = SOO(bounds=box)
    searches = {name: replace(search, used=0) for name, search in s.searches.items()}
    s = replace(s, searches=searches, seen=s.search.method.mean(s.search.state)[None])
    return s.searching(PARTITION, Search(method, method.begun(s.x, s.f, s.f_centre)))


def is_over(s: AutoState) -> bool:
    """Return whether the cells are as many as the evaluations of the local searches that they have led to."""
    cells, local = s.searches[PARTITION], s.searches.get(TRUST_REGION)
    return len(cells.state.values) >= FIRST and (local is None or cells.used > local.used)


def is_poor(s: AutoState) -> bool:
    """Return whether an evolution strategy is to have its turn, since the last local searches have found nothing."""
    if s.active == PARTITION or s.without_gain < PATIENCE:
        return False
    used = {name: s.searches[name].used if name in s.searches else 0 for name in (PARTITION, TRUST_REGION, EVOLUTION)}
    return used[EVOLUTION] <= used[PARTITION] + used[TRUST_REGION]


def following(s: AutoState, box: Any) -> AutoState:
    """Return the state at the start of what follows a local search, or a sweep: the other one."""
    if s.active == EVOLUTION:
        return s.searching(PARTITION)
    if s.active != PARTITION:
        s = replace(s, seen=np.concatenate([s.seen, s.search.method.mean(s.search.state)[None]]))
        return s.searching(PARTITION)
    method, state = SOO(bounds=box), s.search.state
    centres, sides = method.centres(state.place, state.divisions), method.widths(state.divisions)
    for leaf in np.argsort(state.values, kind="stable"):
        x: Array = centres[leaf]
        there = np.abs(s.seen - x) <= np.maximum(NEAR * sides[leaf], APART)
        if not there.all(axis=1).any():
            break
    else:
        return s
    f = float(state.values[leaf])
    if f == np.inf:
        return s
    radius = max(float(sides[leaf].mean()) / 2, LEAST_RADIUS)
    return region(replace(s, seen=np.concatenate([s.seen, x[None]])), box, x, f, radius=radius)

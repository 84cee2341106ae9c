"""Points that nobody asked for: earlier runs, a guess."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from zoo_opt.core.arguments import as_losses
from zoo_opt.methods.box import Box, check_start

if TYPE_CHECKING:
    from zoo_opt.methods import Method
    from zoo_opt.space import Space
    from zoo_opt.typing import Array


def known_points(X: Any, losses: Any, start: Array, method: Method, space: Space | None) -> tuple[Array, list[float]]:
    """Return the points (n, d), of the type of ``start``, and the losses of those that are finite, or raise.

    Parameters
    ----------
    X, losses
        See `Optimizer.tell_known`.
    start : (d,) array
        Any point of the run.
    method : Method
        What the run was given; its bounds must contain the points.
    space : Space or None
        Where the points are, if there is one; they may then be parameters.
    """
    rows = [X] if isinstance(X, Mapping) else X
    if isinstance(rows, (list, tuple)) and any(isinstance(row, Mapping) for row in rows):
        rows = [_encoded(row, space) for row in rows]
    try:
        points = np.array(rows, dtype=start.dtype, ndmin=2)
    except (TypeError, ValueError):
        raise TypeError(f"X must be points of {start.size} real numbers each, got {X!r}") from None
    if points.ndim != 2 or points.shape[1] != start.size:
        raise ValueError(f"X must be points of {start.size} numbers each, got shape {points.shape}")
    values = as_losses(losses, len(points))
    box = getattr(method, "bounds", None)
    for k, point in enumerate(points):
        if not np.isfinite(point).all():
            raise ValueError(f"X must be finite, got X[{k}] = {point}")
        if isinstance(box, Box):
            check_start(point, box, f"X[{k}]")
    finite = [k for k, loss in enumerate(values) if math.isfinite(loss)]
    return points[finite], [values[k] for k in finite]


def _encoded(params: Any, space: Space | None) -> Array:
    if space is None:
        raise TypeError(f"X must be points, as the optimizer was given no Space, got {params!r}")
    missing = [name for name in space.parameters if name not in params]
    if missing:
        raise ValueError(f"X must have all parameters of the space, got none for {', '.join(missing)}")
    return space.encode(params)

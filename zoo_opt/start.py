"""Where a run begins: the method in the coordinates that it shall work in, its start, and the space if there is one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from zoo_opt.core.errors import vector
from zoo_opt.methods import Method, make
from zoo_opt.methods.box import Box, check_box, check_start
from zoo_opt.methods.coordinates import in_coordinates
from zoo_opt.methods.starts import SeveralStarts
from zoo_opt.space import Space, SpacePoint

if TYPE_CHECKING:
    from zoo_opt.typing import Array


def start_of(method: Method | str, x0: Any, bounds: Any, x_scale: Any) -> tuple[Method, Array, Space | None]:
    """Return the method, within bounds and with scales, the start (d,), and its space, or raise; see `Optimizer`."""
    method = make(method) if isinstance(method, str) else method
    if not isinstance(method, Method):
        raise TypeError(f"method must be a Method or a registered name, got {method!r}")
    starts, space = _starts(x0)
    if space is not None:
        for name, value in (("bounds", bounds), ("x_scale", x_scale)):
            if value is not None:
                raise ValueError(f"{name} must be None with a Space, which has its own, got {value!r}")
        bounds = space.bounds
    bounds = None if bounds is None else check_box("bounds", bounds)  # once, as it may be an iterator
    x = starts[0].copy()
    box = getattr(method, "bounds", None) if bounds is None else bounds
    for k, other in enumerate(starts[1:], start=1):
        if isinstance(box, Box):
            check_start(other, box, f"x0[{k}]")
    method = in_coordinates(method, x, bounds, x_scale, None if space is None else space.grid)
    return (method if len(starts) == 1 else SeveralStarts(method, starts)), x, space


def _starts(x0: Any) -> tuple[Array, Space | None]:
    """Return the starts (k, d) and their space, or raise."""
    points = list(x0) if isinstance(x0, (list, tuple)) else [x0]
    points = [point.at() if isinstance(point, Space) else point for point in points]
    if points and all(isinstance(point, SpacePoint) for point in points):
        if any(point.space != points[0].space for point in points):
            raise ValueError("x0 must be points of one space, got points of several")
        return np.stack([point.x for point in points]), points[0].space
    try:
        several = np.ndim(x0) == 2 and len(x0) > 0
    except (TypeError, ValueError, RuntimeError):
        several = False
    if not several:
        return vector("x0", x0)[None], None
    return np.stack([vector(f"x0[{k}]", row) for k, row in enumerate(x0)]), None


@dataclass(frozen=True)
class OfParams:
    """An objective of parameters as one of points: what an executor pickles.

    Parameters
    ----------
    fun : callable
        Of a dict, of keywords if ``unpack``, or of a list of dicts if ``vectorized``.
    space : Space
        Where the points are.
    """

    fun: Callable[..., Any]
    space: Space
    unpack: bool
    vectorized: bool

    def __call__(self, x: Array, *args: Any, **step: int) -> Any:
        """Return what ``fun`` gives at a point, or at points (n, d)."""
        if self.vectorized:
            return self.fun([self.space.decode(row) for row in x], *args, **step)
        params = self.space.decode(x)
        return self.fun(*args, **params, **step) if self.unpack else self.fun(params, *args, **step)

"""Where a run begins: the method in the coordinates that it shall work in, its start, and the space if there is one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from zoo_opt.core.errors import vector
from zoo_opt.methods import Method, make
from zoo_opt.methods.coordinates import in_coordinates
from zoo_opt.space import Space, SpacePoint

if TYPE_CHECKING:
    from zoo_opt.typing import Array


def start_of(method: Method | str, x0: Any, bounds: Any, x_scale: Any) -> tuple[Method, Array, Space | None]:
    """Return the method, within bounds and with scales, the start (d,), and its space, or raise; see `Optimizer`."""
    method = make(method) if isinstance(method, str) else method
    if not isinstance(method, Method):
        raise TypeError(f"method must be a Method or a registered name, got {method!r}")
    if isinstance(x0, Space):
        x0 = x0.at()
    if not isinstance(x0, SpacePoint):
        x = vector("x0", x0)
        return in_coordinates(method, x, bounds, x_scale), x, None
    for name, value in (("bounds", bounds), ("x_scale", x_scale)):
        if value is not None:
            raise ValueError(f"{name} must be None with a Space, which has its own, got {value!r}")
    space, x = x0.space, x0.x.copy()
    return in_coordinates(method, x, space.bounds, grid=space.grid), x, space


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

    def __call__(self, x: Array, **step: int) -> Any:
        """Return what ``fun`` gives at a point, or at points (n, d)."""
        if self.vectorized:
            return self.fun([self.space.decode(row) for row in x], **step)
        params = self.space.decode(x)
        return self.fun(**params, **step) if self.unpack else self.fun(params, **step)

"""Where a run begins: the method in the coordinates that it shall work in, and its start."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from zoo_opt.core.errors import vector
from zoo_opt.methods import Method, make
from zoo_opt.methods.coordinates import in_coordinates

if TYPE_CHECKING:
    from zoo_opt.typing import Array


def start_of(method: Method | str, x0: Any, bounds: Any, x_scale: Any) -> tuple[Method, Array]:
    """Return the method, within bounds and with scales, and the start (d,), or raise; see `Optimizer`."""
    method = make(method) if isinstance(method, str) else method
    if not isinstance(method, Method):
        raise TypeError(f"method must be a Method or a registered name, got {method!r}")
    x = vector("x0", x0)
    return in_coordinates(method, x, bounds, x_scale), x

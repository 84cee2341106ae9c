"""Any method in other coordinates: variables in units of their scales, some of them fixed, and bounds for all."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass, fields, is_dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from zoo_opt.core.buffers import empty
from zoo_opt.core.errors import positive
from zoo_opt.core.method import Method
from zoo_opt.gradient.bounded import inwards
from zoo_opt.methods import box as boxes
from zoo_opt.methods.box import Box
from zoo_opt.methods.wrapped import Wrapper

if TYPE_CHECKING:
    from zoo_opt.methods.grid import Grid
    from zoo_opt.typing import Array, Key

_LENGTHS = ("sigma0", "scale")  # settings of methods that may have a length for each coordinate


@dataclass(frozen=True, slots=True)
class ScaledState:
    """State between two steps: the start, whose fixed variables stay, and the state of the inner method."""

    x0: Array
    inner: Any


@dataclass(frozen=True)
class ScaledVariables(Wrapper):
    """A method that searches w, where x = scale * w on the variables that are not fixed; the fixed ones are x0's.

    `Optimizer` makes one of ``x_scale``, and where bounds fix a variable or the method has none of its own.

    Parameters
    ----------
    method : Method
        The inner method. Its positions, such as bounds, and its lengths, such as sigma0, are those of w.
    scale : float or 1-D array, default 1
        What w is in units of, for all variables or for each.
    fixed : tuple of int, default ()
        The variables that stay.
    bounds : None or bounds in any form, default None
        Of x: candidates are projected, if the inner method has left any outside.

    Raises
    ------
    ValueError, TypeError
        If an argument is not of this form.
    """

    scale: Any = 1.0
    fixed: tuple[int, ...] = ()
    bounds: Any = None

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "scale", lengths("scale", self.scale))
        object.__setattr__(self, "fixed", tuple(map(int, self.fixed)))
        if self.bounds is not None:
            object.__setattr__(self, "bounds", boxes.check_box("bounds", self.bounds))

    def plan(self, x0: Array, budget: int | None) -> ScaledVariables:
        """See `Method.plan`."""
        return replace(self, method=self.method.plan(self._w(x0), budget))

    def init(self, x0: Array, key: Key) -> ScaledState:
        """See `Method.init`."""
        if self.bounds is not None:
            boxes.check_start(x0, self.bounds)
        return ScaledState(x0, self.method.init(self._w(x0), key))

    def known(self, state: ScaledState, X: Array, losses: list[float]) -> Any:
        """See `Method.known`."""
        return self.knowing(state, self._w(X), losses)

    def points(self, state: ScaledState, W: Array, out: Array | None = None) -> Array:
        """Return X, as in the class."""
        x0 = state.x0
        scale, free = self._scale(x0.size), self._free(x0.size)
        X = empty((len(W), x0.size), W.dtype, out)
        if self.fixed:
            X[:] = x0
            X[:, free] = W * scale.astype(W.dtype)
        else:
            np.multiply(W, scale.astype(W.dtype), out=X)
        if self.bounds is not None:
            low, high = self._sides
            np.clip(X, inwards(low, X.dtype, np.inf), inwards(high, X.dtype, -np.inf), out=X)
        return X

    def _w(self, x: Array) -> Array:
        """Return the inner points (..., k) of points (..., d)."""
        d = x.shape[-1]
        if isinstance(self.scale, tuple) and len(self.scale) != d:
            raise ValueError(f"x_scale must be a number or an array of length {d}, got length {len(self.scale)}")
        w: Array = (x[..., self._free(d)] / self._scale(d)).astype(x.dtype)
        return w

    def _free(self, d: int) -> Any:
        """Return what selects the variables that are not fixed."""
        return np.delete(np.arange(d), list(self.fixed)) if self.fixed else slice(None)

    def _scale(self, d: int) -> Array:
        """Return the scales of the variables that are not fixed, or of all together."""
        scale = self._scales
        return scale[self._free(d)] if scale.ndim else scale

    @functools.cached_property
    def _scales(self) -> Array:
        return np.asarray(self.scale, np.float64)

    @functools.cached_property
    def _sides(self) -> tuple[Array, Array]:
        return np.asarray(self.bounds.low), np.asarray(self.bounds.high)


def lengths(name: str, value: Any) -> float | tuple[float, ...]:
    """Return positive numbers, one for all coordinates or one for each, or raise."""
    if not isinstance(value, (Sequence, np.ndarray)) or np.ndim(value) == 0:
        return positive(name, value)
    try:
        array = np.asarray(value, dtype=np.float64)
    except (TypeError, ValueError):
        raise TypeError(f"{name} must be a number or a 1-D array of numbers, got {value!r}") from None
    if array.ndim > 1 or array.size == 0:
        raise ValueError(f"{name} must be a number or a 1-D array of numbers, got shape {array.shape}")
    if not (np.isfinite(array).all() and (array > 0.0).all()):
        raise ValueError(f"{name} must be > 0 and finite, got {value!r}")
    return tuple(array.tolist())


def in_coordinates(
    method: Method, x0: Array, bounds: Any = None, x_scale: Any = None, grid: Grid | None = None
) -> Method:
    """Return ``method`` for the start ``x0`` (d,), within bounds and with scales, or raise.

    Parameters
    ----------
    method : Method
        With bounds of its own or not.
    x0 : (d,) array
        The start, in the parameters' units.
    bounds : None or bounds in any form
        For a method without bounds of its own; low == high fixes a variable. One that takes none is projected.
    x_scale : None, float or 1-D array
        Typical sizes of the variables. They are rounded to powers of 2, so that scaling rounds nothing.
    grid : Grid or None
        Which variables are integers or choices, for methods that know of them; without scales.
    """
    own = getattr(method, "bounds", None)
    box = None if bounds is None else boxes.check_box("bounds", bounds)
    if box is not None and own is not None:
        raise ValueError(f"bounds must be given once, got {bounds!r} beside those of {type(method).__name__}, {own!r}")
    box = own if box is None else box
    if isinstance(method, ScaledVariables) and bounds is None and x_scale is None:
        return method
    d = x0.size
    fixed: tuple[int, ...] = ()
    if isinstance(box, Box):
        boxes.check_start(x0, box)
        low, high = boxes.both(box, d)
        fixed = tuple(np.flatnonzero(low == high).tolist())
        if len(fixed) == d:
            raise ValueError(f"bounds must leave a variable to search, got low == high in all {d}")
    if x_scale is None and not fixed:
        return method if box is own else _within(method, box, grid)
    if getattr(method, "grid", None) is not None:
        if x_scale is not None:
            raise ValueError(f"x_scale must be None with integers or choices, whose scale is theirs, got {x_scale!r}")
        raise ValueError(f"bounds must not fix a variable beside integers or choices, got {box}")
    sizes = lengths("x_scale", 1.0 if x_scale is None else x_scale)
    scale = tuple(map(_power_of_2, sizes)) if isinstance(sizes, tuple) else _power_of_2(sizes)
    outer = ScaledVariables(method, scale, fixed, box)
    return replace(outer, method=_converted(_within(method, box) if own is None else method, outer, x0))


def scaled_by(method: Method, x0: Array, scale: Any) -> ScaledVariables:
    """Return ``method`` in coordinates w = x / ``scale``; its lengths are left as they are."""
    outer = ScaledVariables(method, scale, (), getattr(method, "bounds", None))
    return replace(outer, method=_converted(method, outer, x0))


def _within(method: Method, box: Box | None, grid: Grid | None = None) -> Method:
    """Return ``method`` in the box; one that has no bounds is projected into it."""
    if box is None:
        return method
    return method.within(box, grid) if "bounds" in _settings(method) else ScaledVariables(method, bounds=box)


def _converted(method: Method, outer: ScaledVariables, x0: Array) -> Method:
    """Return ``method`` with its positions in the inner coordinates, and its lengths those of the free variables."""
    d, free = x0.size, outer._free(x0.size)
    outer._w(x0)  # checks the scale's length
    changes: dict[str, Any] = {}
    for name in _settings(method):
        value = getattr(method, name)
        if isinstance(value, Box):
            boxes.check_fits(name, value, d)
            low, high = (side[free] / outer._scale(d) for side in boxes.both(value, d))
            changes[name] = Box(tuple(low.tolist()), tuple(high.tolist()))
        elif name in _LENGTHS and isinstance(value, tuple) and len(value) == d:
            changes[name] = tuple(np.asarray(value)[free].tolist())
    return replace(method, **changes) if changes else method  # type: ignore[type-var]


def _settings(method: Any) -> list[str]:
    """Return the names of the method's settings."""
    return [field.name for field in fields(method)] if is_dataclass(method) else []


def _power_of_2(size: float) -> float:
    return float(2.0 ** np.round(np.log2(size)))

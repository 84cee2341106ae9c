"""Bounds of a gradient-estimate method: probes stay inside at their full length where that fits (Sadegh 1997).

P. Sadegh, Constrained optimization via stochastic approximation with a simultaneous perturbation gradient
approximation, Automatica 33, 889-892, 1997: the iterate is projected, and the probes surround the point nearest to it
whose distance from every bound is the length of a perturbation.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from zoo_opt.typing import Array


@dataclass(frozen=True)
class Room:
    """The bounds in the type of the parameters, and what perturbations of one size leave of them.

    Attributes
    ----------
    low, high : (d,) or () array
        The bounds.
    margin : (d,) or () array
        How far the probes' centre is from them, and how far a probe goes from the centre.
    part : (d,) or () array, or None
        The length of a probe over its full length, below 1 where the box is too narrow; None where it is nowhere.
    """

    low: Array
    high: Array
    margin: Array
    part: Array | None

    def center(self, x: Array) -> Array:
        """Return the point nearest to ``x`` that probes of full length surround inside the bounds."""
        return np.clip(x, self.low + self.margin, self.high - self.margin)

    def shorten(self, c_delta: Array, block: slice = slice(None)) -> None:
        """Shorten the perturbations (n, some of d columns) to what the box has room for."""
        if self.part is not None:
            c_delta *= self.part[block] if self.part.ndim else self.part

    def keep(self, X: Array) -> None:
        """Move what rounding, or a rare long draw, has left outside to the bound."""
        np.clip(X, self.low, self.high, out=X)

    def undo(self, ghat: Array) -> None:
        """Turn sum_k slope_k (part delta_k) into sum_k slope_k (delta_k / part): the dual of what was shortened."""
        if self.part is not None:
            np.divide(ghat, self.part * self.part, out=ghat, where=self.part > 0.0)


@dataclass(frozen=True)
class BoundedProbes:
    """The bounds of the parameters, float64, each side a number or one for each coordinate; infinite where absent."""

    low: Array
    high: Array

    def room(self, reach: float, dtype: np.dtype[Any]) -> Room:
        """Return the bounds for perturbations of up to ``reach`` in a coordinate."""
        low, high = self._sides(dtype)
        half = 0.5 * self.high - 0.5 * self.low  # the width may be more than a number can be
        narrow = bool((half < reach).any())
        part = np.minimum(1.0, half / reach).astype(dtype) if narrow else None
        return Room(low, high, np.minimum(half, reach).astype(dtype), part)

    def project(self, x: Array, m: Array) -> tuple[Array, Array]:
        """Return the iterate, projected, and its momentum, without what pushed against a bound."""
        inside = np.clip(x, *self._sides(x.dtype))
        if m.size:
            m = np.where(inside == x, m, m.dtype.type(0.0))
        return inside, m

    def _sides(self, dtype: np.dtype[Any]) -> tuple[Array, Array]:
        """Return both bounds in another type, rounded into the box."""
        return inwards(self.low, dtype, np.inf), inwards(self.high, dtype, -np.inf)


def inwards(side: Array, dtype: np.dtype[Any], towards: float) -> Array:
    """Return ``side`` in another type, rounded into the box."""
    rounded = np.asarray(side.astype(dtype))
    if dtype == side.dtype:
        return rounded
    outside = rounded < side if towards > 0.0 else rounded > side
    return np.where(outside, np.nextafter(rounded, dtype.type(towards)), rounded)

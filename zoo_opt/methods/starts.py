"""Several starts: all are evaluated in the first step, and the method begins at the best of them."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from zoo_opt.core.method import Asked
from zoo_opt.methods.wrapped import Wrapper

if TYPE_CHECKING:
    from zoo_opt.typing import Array, Key


@dataclass(frozen=True, slots=True)
class StartsState:
    """State between two steps.

    Attributes
    ----------
    key : Key
        Where all draws come from.
    x0 : (d,) array
        The first start.
    inner : object
        The state of the inner method: at the first start before the starts are evaluated, then at the best.
    begun : bool
        Whether they are.
    known : (array, float)
        The best point that was known before, and its loss; +inf if none was.
    """

    key: Key
    x0: Array
    inner: Any
    begun: bool = False
    known: tuple[Any, float] = (None, math.inf)


@dataclass(frozen=True)
class SeveralStarts(Wrapper):
    """Evaluate some points, then run a method from the best of them, as it would run from there alone.

    `Optimizer` makes one of an x0 of several rows. The points count as evaluations. Of equal losses the first is taken,
    and the first of all if every one has failed. If the budget is smaller, only so many are evaluated.

    Parameters
    ----------
    method : Method
        The inner method; it is planned at the first start.
    starts : sequence of 1-D arrays
        At least one. The first takes the place of x0.

    Raises
    ------
    ValueError, TypeError
        If an argument is not of this form.
    """

    starts: Any

    lookahead: ClassVar[bool] = False

    def __post_init__(self) -> None:
        super().__post_init__()
        rows = np.asarray(self.starts, dtype=np.float64)
        if rows.ndim != 2 or not rows.size or not np.isfinite(rows).all():
            raise ValueError(f"starts must be one or more 1-D arrays of finite numbers, got shape {rows.shape}")
        object.__setattr__(self, "starts", tuple(map(tuple, rows.tolist())))

    def plan(self, x0: Array, budget: int | None) -> SeveralStarts:
        """See `Method.plan`: the method gets what is left of the budget."""
        starts = self.starts[:budget]
        left = None if budget is None else max(1, budget - len(starts))
        return replace(self, method=self.method.plan(x0, left), starts=starts)

    def replanned(self, budget: int | None) -> None:
        """See `Method.replanned`: it cannot, as the starts of a smaller budget are fewer."""
        return None

    def init(self, x0: Array, key: Key) -> StartsState:
        """See `Method.init`."""
        if len(self.starts[0]) != x0.size:
            raise ValueError(f"starts must be of the length of x0, {x0.size}, got {len(self.starts[0])}")
        return StartsState(key, x0, self.method.init(x0, key))

    def size(self, state: StartsState) -> int:
        """See `Method.size`."""
        return self.method.size(state.inner) if state.begun else len(self.starts)

    def points(self, state: StartsState, W: Array, out: Array | None = None) -> Array:
        """Return ``W``; the coordinates are the same."""
        return W

    def ask(self, state: StartsState, step: int, out: Array | None = None) -> Asked:
        """See `Method.ask`."""
        if not state.begun:
            return Asked(np.array(self.starts, self.mean(state).dtype))
        inner = self.method.ask(state.inner, step - 1, out)
        return Asked(inner.X, inner, inner.again)

    def update(self, state: StartsState, asked: Asked, losses: list[float]) -> StartsState:
        """See `Method.update`."""
        if state.begun:
            return replace(state, inner=self.method.update(state.inner, asked.memo, losses))
        best = min(range(len(losses)), key=lambda k: (math.isnan(losses[k]), losses[k]))  # the first if all have failed
        x0 = np.array(self.starts[best], state.x0.dtype)
        known, loss = state.known
        if known is not None and not losses[best] <= loss:
            x0 = known
        return replace(state, inner=self.method.init(x0, state.key), begun=True)

    def mean(self, state: StartsState) -> Array:
        """See `Method.mean`; that of the first start before the first step."""
        return self.method.mean(state.inner)

    def known(self, state: StartsState, X: Array, losses: list[float]) -> Any:
        """See `Method.known`; before the starts are evaluated the best of them is one more start."""
        if state.begun:
            return self.knowing(state, X, losses)
        k = min(range(len(losses)), key=losses.__getitem__)
        return replace(state, known=(X[k].copy(), losses[k])) if losses[k] < state.known[1] else state

    def told_sem(self, state: StartsState, asked: Asked, sem: list[float]) -> StartsState:
        """See `Method.told_sem`; the method does not know of the first step."""
        return super().told_sem(state, asked, sem) if state.begun else state

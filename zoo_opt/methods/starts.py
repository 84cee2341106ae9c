"""Several starts: they are compared first, and the method begins at the best of them."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from zoo_opt.core.errors import integer
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
        The state of the inner method: at the first start before the starts are compared, then at the best.
    told : (steps, k) array
        The losses of the starts, NaN where one failed or was not evaluated.
    left : tuple of int
        The starts of the next step of the race, empty once it is over.
    known : (array, float)
        The best point that was known before, and its loss; +inf if none was.
    """

    key: Key
    x0: Array
    inner: Any
    told: Array
    left: tuple[int, ...]
    known: tuple[Any, float] = (None, math.inf)


@dataclass(frozen=True)
class SeveralStarts(Wrapper):
    """Compare some points, then run a method from the best of them, as it would run from there alone.

    `Optimizer` makes one of an x0 of several rows. The points count as evaluations. Of equal losses the first is taken,
    and the first of all if every one has failed. If the budget is smaller, only so many are evaluated.

    A noisy loss tells little of a point that is evaluated once. With ``evaluations`` the starts race by sequential
    halving (Karnin, Koren and Somekh 2013, algorithm 1): in each of ceil(log2 k) rounds the starts that are left are
    evaluated equally often, and the better half goes on. What is compared is how much worse a start was than the best
    of the same step, the mean over all steps: losses of one step may share their noise, as where all see one minibatch.

    Parameters
    ----------
    method : Method
        The inner method; it is planned at the first start.
    starts : sequence of 1-D arrays
        At least one. The first takes the place of x0.
    evaluations : int, optional
        Of the race, about; by default each start is evaluated once. At least once each in any case.

    Raises
    ------
    ValueError, TypeError
        If an argument is not of this form.

    References
    ----------
    Z. Karnin, T. Koren, O. Somekh. Almost optimal exploration in multi-armed bandits. ICML 2013.
    """

    starts: Any
    evaluations: int | None = None

    lookahead: ClassVar[bool] = False

    def __post_init__(self) -> None:
        super().__post_init__()
        rows = np.asarray(self.starts, dtype=np.float64)
        if rows.ndim != 2 or not rows.size or not np.isfinite(rows).all():
            raise ValueError(f"starts must be one or more 1-D arrays of finite numbers, got shape {rows.shape}")
        object.__setattr__(self, "starts", tuple(map(tuple, rows.tolist())))
        if self.evaluations is not None:
            integer("evaluations", self.evaluations, 1)

    def rounds(self) -> Iterator[tuple[int, int]]:
        """Yield, for each round of the race, how many starts are left and how often each is evaluated."""
        n, T = len(self.starts), self.evaluations
        if T is None or n < 2:
            yield n, 1
            return
        R = math.ceil(math.log2(n))
        while n > 1:
            yield n, max(1, T // (n * R))  # t_r of algorithm 1
            n = math.ceil(n / 2)

    def plan(self, x0: Array, budget: int | None) -> SeveralStarts:
        """See `Method.plan`: the method gets what is left of the budget."""
        if budget is None:
            return replace(self, method=self.method.plan(x0, None))
        own = replace(self, starts=self.starts[:budget])
        if sum(n * steps for n, steps in own.rounds()) > budget:
            own = replace(own, evaluations=None)
        left = max(1, budget - sum(n * steps for n, steps in own.rounds()))
        return replace(own, method=self.method.plan(x0, left))

    def replanned(self, budget: int | None) -> None:
        """See `Method.replanned`: it cannot, as the starts of a smaller budget are fewer."""
        return None

    def init(self, x0: Array, key: Key) -> StartsState:
        """See `Method.init`."""
        k = len(self.starts)
        if len(self.starts[0]) != x0.size:
            raise ValueError(f"starts must be of the length of x0, {x0.size}, got {len(self.starts[0])}")
        return StartsState(key, x0, self.method.init(x0, key), np.empty((0, k)), tuple(range(k)))

    def size(self, state: StartsState) -> int:
        """See `Method.size`."""
        return len(state.left) or self.method.size(state.inner)

    def points(self, state: StartsState, W: Array, out: Array | None = None) -> Array:
        """Return ``W``; the coordinates are the same."""
        return W

    def ask(self, state: StartsState, step: int, out: Array | None = None) -> Asked:
        """See `Method.ask`."""
        if not state.left:
            inner = self.method.ask(state.inner, step - len(state.told), out)
            return Asked(inner.X, inner, inner.again)
        X = np.array(self.starts, self.mean(state).dtype)[list(state.left)]
        if not len(state.told):
            return Asked(X)
        before = self._left(state.told[:-1])
        return Asked(X, None, [before.index(start) - len(before) for start in state.left])

    def update(self, state: StartsState, asked: Asked, losses: list[float]) -> StartsState:
        """See `Method.update`."""
        if not state.left:
            return replace(state, inner=self.method.update(state.inner, asked.memo, losses))
        row = np.full(len(self.starts), np.nan)
        row[list(state.left)] = losses
        told = np.vstack([state.told, row])
        if left := self._left(told):
            return replace(state, told=told, left=left)
        best = _ranked(told, state.left)[0]
        x0, (known, loss) = np.array(self.starts[best], state.x0.dtype), state.known
        own = told[np.isfinite(told[:, best]), best]
        if known is not None and not (own.size and own.mean() <= loss):
            x0 = known
        return replace(state, inner=self.method.init(x0, state.key), told=told, left=())

    def _left(self, told: Array) -> tuple[int, ...]:
        """Return the starts of the step after those that were told, in their order; none once the race is over."""
        left, steps = tuple(range(len(self.starts))), 0
        for n, times in self.rounds():
            left = tuple(sorted(_ranked(told[:steps], left)[:n]))
            steps += times
            if len(told) < steps:
                return left
        return ()

    def mean(self, state: StartsState) -> Array:
        """See `Method.mean`; that of the first start before the method begins."""
        return self.method.mean(state.inner)

    def known(self, state: StartsState, X: Array, losses: list[float]) -> Any:
        """See `Method.known`; before the method begins the best of them is one more start."""
        if not state.left:
            return self.knowing(state, X, losses)
        k = min(range(len(losses)), key=losses.__getitem__)
        return replace(state, known=(X[k].copy(), losses[k])) if losses[k] < state.known[1] else state

    def told_sem(self, state: StartsState, asked: Asked, sem: list[float]) -> StartsState:
        """See `Method.told_sem`; the method does not know of the race."""
        return state if state.left else super().told_sem(state, asked, sem)


def _ranked(told: Array, starts: Sequence[int]) -> list[int]:
    """Return the starts, best first: by the mean of their losses above the least one of each step."""
    there = np.isfinite(told)
    least = np.where(there, told, np.inf).min(axis=1, keepdims=True)
    with np.errstate(over="ignore"):
        above = np.subtract(told, least, out=np.zeros_like(told), where=there).sum(axis=0)
    times = there.sum(axis=0)
    regret = np.divide(above, times, out=np.full(above.shape, np.inf), where=times > 0)
    failed: Array = np.asarray(np.isnan(told).all(axis=0))  # +inf is a loss
    return sorted(starts, key=lambda start: (regret[start], failed[start]))

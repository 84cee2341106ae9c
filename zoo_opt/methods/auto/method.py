"""The method without settings: it looks at the loss and hands it to the searches that suit it."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from zoo_opt.core.errors import integer
from zoo_opt.core.method import Asked, Method
from zoo_opt.methods import box as boxes
from zoo_opt.methods.auto import choice, shaking, words
from zoo_opt.methods.auto.choice import MOST, MOST_NOISY
from zoo_opt.methods.auto.last_steps import fitting, last_points, part, with_failures
from zoo_opt.methods.auto.mixed import MixedAuto
from zoo_opt.methods.auto.searches import MOST_DENSE, advanced
from zoo_opt.methods.auto.state import EVOLUTION, EXCHANGE, LAST, LINE, NEAR, SEARCH, START, AutoState
from zoo_opt.methods.auto.surrogate import is_small, remembered
from zoo_opt.methods.auto.units import unit_lengths
from zoo_opt.methods.fzoo import FZOO

if TYPE_CHECKING:
    from zoo_opt.typing import Array, Key

# a model of MANY dimensions or more needs FEW evaluations per dimension; chosen, not tuned
FEW, MANY = 20, 100
FEWEST = 2  # steps of FZOO below which it is not begun; chosen


class AutoMemo(NamedTuple):
    """What the update needs of a step: its number, its points in units and, in a search, what that asked for.

    ``rows`` are those of the search's candidates that are evaluated, None for all.
    """

    step: int
    X: Array
    inner: Any
    rows: Any = None


@dataclass(frozen=True, kw_only=True)
class Auto(Method):
    """What to use when nothing is known about the loss: told the budget and the bounds, it chooses for itself.

    Parameters
    ----------
    bounds : None or bounds in any form, default None
        No candidate leaves them, and they say what a large step is.
    scale : None, float or 1-D array, default None
        Where a coordinate has no two bounds, how far from x0 to look at first, in parameter units; None takes it
        from x0.
    budget : int or None, default None
        Left to `Optimizer`, which fills in its own; given here it is no limit.

    Raises
    ------
    ValueError, TypeError
        If an argument is outside its range, or x0 outside ``bounds``.
    """

    bounds: Any = None
    scale: Any = None
    budget: int | None = None

    def __post_init__(self) -> None:
        if self.bounds is not None:
            object.__setattr__(self, "bounds", boxes.check_box("bounds", self.bounds))
        if self.scale is not None:
            unit_lengths(np.zeros(np.size(self.scale)), None, self.scale)  # checks it
            plain = np.asarray(self.scale, dtype=np.float64).tolist()
            object.__setattr__(self, "scale", tuple(plain) if isinstance(plain, list) else plain)
        if self.budget is not None:
            integer("budget", self.budget, 1)

    @property
    def ends(self) -> bool:  # type: ignore[override]
        """Whether it ends by itself: a budget is used up."""
        return self.budget is None

    def plan(self, x0: Array, budget: int | None) -> Method:
        """See `Method.plan`."""
        few = budget is not None and budget < FEW * x0.size and x0.size >= MANY
        if self.bounds is None and (few or x0.size > MOST_DENSE):
            scale = None if self.scale is None else float(np.sqrt(np.mean(np.square(self.scale))))
            untuned = FZOO.untuned(scale=scale)
            if budget is None or budget >= FEWEST * untuned.directions:
                return untuned.plan(x0, budget)
        return self if budget is None else replace(self, budget=budget)

    def replanned(self, budget: int | None) -> Auto:
        """See `Method.replanned`."""
        return replace(self, budget=budget)

    def within(self, bounds: Any, grid: Any = None) -> Method:
        """See `Method.within`; with integers or choices it is `MixedAuto`."""
        if not grid:
            return super().within(bounds)
        return MixedAuto(grid=grid, bounds=self.bounds if bounds is None else bounds, budget=self.budget)

    # ------------------------------------------------------------------------------------- the four functions
    def init(self, x0: Array, key: Key) -> AutoState:
        """See `Method.init`."""
        x0 = x0.astype(np.float64)
        if self.bounds is not None:
            boxes.check_start(x0, self.bounds)
        unit = unit_lengths(x0, self.bounds, self.scale)
        points = x0[None] / unit
        if self.bounds is not None and self.budget != 1:  # the centre is nearest to everything, on average
            low, high = self._box(unit)
            with np.errstate(invalid="ignore"):
                centre = np.where(np.isfinite(low) & np.isfinite(high), (low + high) / 2, points[0])
            points = points if (centre == points[0]).all() else np.stack([points[0], centre])
        return AutoState(
            key=key,
            unit=unit,
            x0=points[0],
            f0=math.nan,
            x=points[0],
            f=math.inf,
            stage=START,
            points=points,
            few=is_small(self.budget, x0.size),
        )

    def size(self, state: AutoState) -> int:
        """See `Method.size`."""
        whole = self._whole(state)
        return whole if self.budget is None else fitting(state, whole, self.budget - state.evaluations)

    def ask(self, state: AutoState, step: int, out: Array | None = None) -> Asked:
        """See `Method.ask`."""
        whole, n = self._whole(state), self.size(state)
        rows = None if n == whole else part(state, n, whole, step)
        if state.stage == SEARCH:
            inner = state.search.method.ask(state.search.state, step)
            X = inner.X if rows is None else inner.X[rows]
            return Asked(X * state.unit, AutoMemo(step, X, inner, rows), inner.again if rows is None else None)
        points = state.points if rows is None else state.points[rows]
        return Asked(points * state.unit, AutoMemo(step, points, None))

    def update(self, state: AutoState, asked: Asked, losses: list[float]) -> AutoState:
        """See `Method.update`."""
        s: AutoState = choice.improved(state, asked.memo.X, losses)
        s = replace(remembered(s, asked.memo.X, losses), evaluations=s.evaluations + len(losses))
        return self._ending(self._following(state, s, asked.memo, losses), asked.memo.step)

    def _following(self, before: AutoState, s: AutoState, memo: AutoMemo, losses: list[float]) -> AutoState:
        """Return the state after the step, which led from ``before`` to ``s``, with what comes next."""
        step, X, inner, rows = memo
        box = self._box(s.unit)
        if s.stage == SEARCH:
            return choice.after_search_step(before, advanced(s, inner, with_failures(losses, rows, inner)), box, step)
        if s.stage == START:
            return choice.after_start(replace(s, f0=losses[0], f_centre=losses[-1]), box, losses, step)
        if s.stage == NEAR:
            return choice.after_near(s, box, losses[0])
        if s.stage == LINE:
            return choice.after_line(s, box, losses)
        if s.stage == EXCHANGE:
            return choice.after_exchange(s, box, before.f, losses, step)
        if s.stage == LAST:
            return s.searching(s.active) if s.active else s.evaluating(LINE, shaking.line(s, box, 2))
        return choice.after_sample(s, box, X, losses, step)

    def _ending(self, s: AutoState, step: int) -> AutoState:
        """Return the state whose next step makes use of what is left of the budget."""
        if self.budget is None:
            return s
        points = last_points(s, self.budget - s.evaluations, step)
        if points is None:
            return s
        return s.evaluating(LAST, points if self.bounds is None else np.clip(points, *self._box(s.unit)))

    def mean(self, state: AutoState) -> Array:
        """Return the best point, or the mean of the CMA-ES if the loss is noisy."""
        u = state.search.method.mean(state.search.state) if state.noisy and state.searches else state.x
        return u * state.unit

    def stop(self, state: AutoState) -> dict[str, Any]:
        """See `Method.stop`."""
        return choice.endings(state, MOST_NOISY if state.noisy else MOST) if self.ends else {}

    def believed(self, state: AutoState) -> str:
        """See `Method.believed`: noise, a sum, bounds, and which search had how many evaluations."""
        return words.believed(state, self._box(state.unit))

    def known(self, state: AutoState, X: Array, losses: list[float]) -> AutoState:
        """See `Method.known`: the best of them is a point to go on from, and the evolution strategy takes them in."""
        U = X / state.unit
        s: AutoState = choice.improved(state, U, losses)
        if EVOLUTION not in s.searches:
            return s
        search = s.searches[EVOLUTION]
        told = replace(search, state=search.method.known(search.state, U, losses))
        return replace(s, searches={**s.searches, EVOLUTION: told})

    def told_sem(self, state: AutoState, asked: Asked, sem: list[float]) -> AutoState:
        """See `Method.told_sem`."""
        if state.stage != SEARCH:
            return replace(state, noisy=any(error > 0.0 for error in sem))
        search = state.search
        memo = asked.memo
        inner = search.method.told_sem(search.state, memo.inner, with_failures(sem, memo.rows, memo.inner))
        return state.searching(state.active, replace(search, state=inner))

    def _whole(self, state: AutoState) -> int:
        """Return the number of candidates of the next step if all of it fits."""
        search = state.search if state.stage == SEARCH else None
        return len(state.points) if search is None else search.method.size(search.state)

    def _box(self, unit: Array) -> Any:
        """Return the bounds in units."""
        return None if self.bounds is None else tuple(np.asarray(side) / unit for side in self.bounds)

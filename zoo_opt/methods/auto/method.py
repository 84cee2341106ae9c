"""The method without settings: it looks at the loss and hands it to the searches that suit it."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from zoo_opt.core.errors import integer
from zoo_opt.core.method import Asked, Method
from zoo_opt.methods import box as boxes
from zoo_opt.methods.auto import choice
from zoo_opt.methods.auto.searches import MOST_DENSE, advanced
from zoo_opt.methods.auto.state import EXCHANGE, REPEAT, SEARCH, START, AutoState
from zoo_opt.methods.auto.units import unit_lengths
from zoo_opt.methods.fzoo import FZOO

if TYPE_CHECKING:
    from zoo_opt.typing import Array, Key

# a model of MANY dimensions or more needs FEW evaluations per dimension; chosen, not tuned
FEW, MANY = 20, 100
GIVE_UP = 200  # evaluations per dimension, none of them finite, after which a run without a budget ends; chosen
MOST_WITHOUT_GAIN = 5  # searches in a row without a gain after which a run without a budget ends; chosen, not tuned


class AutoMemo(NamedTuple):
    """What the update needs of a step: its number, its points in units and, in a search, what that asked for."""

    step: int
    X: Array
    inner: Asked | None


@dataclass(frozen=True, kw_only=True)
class Auto(Method):
    """What to use when nothing is known about the loss: told the budget and the bounds, it chooses for itself.

    Parameters
    ----------
    bounds : None or (low, high), default None
        Box; each side a number or a 1-D array. No candidate leaves it, and it says what a large step is.
    scale : None, float or 1-D array, default None
        Without bounds, how far from x0 to look at first, in parameter units; None takes it from x0.
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
            return FZOO.untuned(scale=scale).plan(x0, budget)
        return self if budget is None else replace(self, budget=budget)

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
            centre = np.broadcast_to((low + high) / 2, x0.shape)
            points = points if (centre == points[0]).all() else np.stack([points[0], centre])
        return AutoState(
            key=key, unit=unit, x0=points[0], f0=math.nan, x=points[0], f=math.inf, stage=START, points=points
        )

    def size(self, state: AutoState) -> int:
        """See `Method.size`."""
        search = state.search if state.stage == SEARCH else None
        return len(state.points) if search is None else search.method.size(search.state)

    def ask(self, state: AutoState, step: int, out: Array | None = None) -> Asked:
        """See `Method.ask`."""
        if state.stage == SEARCH:
            inner = state.search.method.ask(state.search.state, step)
            return Asked(inner.X * state.unit, AutoMemo(step, inner.X, inner), inner.again)
        again = [-state.evaluations] if state.stage == REPEAT else None  # the first of all
        return Asked(state.points * state.unit, AutoMemo(step, state.points, None), again)

    def update(self, state: AutoState, asked: Asked, losses: list[float]) -> AutoState:
        """See `Method.update`."""
        step, X, inner = asked.memo
        box = self._box(state.unit)
        values = np.where(np.isnan(losses), math.inf, losses)
        k = int(values.argmin())
        s = replace(state, evaluations=state.evaluations + len(values))
        if values[k] < s.f:
            s = replace(s, x=X[k].copy(), f=float(values[k]))
        if s.stage == SEARCH:
            return choice.after_search_step(state, advanced(s, inner, losses), box, step)
        if s.stage == START:
            return choice.after_start(replace(s, f0=losses[0]), box)
        if s.stage == REPEAT:
            return choice.after_repeat(s, box, losses[0])
        if s.stage == EXCHANGE:
            return choice.after_exchange(s, box, state.f, losses, step)
        return choice.after_sample(s, box, X, values)

    def mean(self, state: AutoState) -> Array:
        """Return the best point, or the mean of the CMA-ES if the loss is noisy."""
        u = state.search.method.mean(state.search.state) if state.noisy else state.x
        return u * state.unit

    def stop(self, state: AutoState) -> dict[str, Any]:
        """See `Method.stop`."""
        if not self.ends:
            return {}
        if state.f == math.inf and state.evaluations >= GIVE_UP * (state.x.size + 1):
            return {"nothing_finite": state.evaluations}
        return {"converged": MOST_WITHOUT_GAIN} if state.without_gain >= MOST_WITHOUT_GAIN else {}

    def told_sem(self, state: AutoState, asked: Asked, sem: list[float]) -> AutoState:
        """See `Method.told_sem`."""
        if state.stage != SEARCH:
            return replace(state, noisy=any(error > 0.0 for error in sem))
        search = state.search
        inner = search.method.told_sem(search.state, asked.memo.inner, sem)
        return state.searching(state.active, replace(search, state=inner))

    def _box(self, unit: Array) -> Any:
        """Return the bounds in units."""
        return None if self.bounds is None else tuple(np.asarray(side) / unit for side in self.bounds)

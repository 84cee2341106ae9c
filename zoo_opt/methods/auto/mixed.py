"""What `Auto` does where variables are integers or choices: a sweep over them, then the CMA-ES with margin."""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from zoo_opt.core.errors import instance
from zoo_opt.core.method import Asked, Method
from zoo_opt.methods import box as boxes
from zoo_opt.methods.auto.choice import GAIN, MOST, endings, improved
from zoo_opt.methods.auto.state import COORDINATES, EVOLUTION, EXCHANGE, START, Search
from zoo_opt.methods.auto.unrepeated import Unrepeated
from zoo_opt.methods.cma.full import CMAES
from zoo_opt.methods.coordinates import ScaledVariables
from zoo_opt.methods.grid import Grid
from zoo_opt.methods.local.coordinate_search import CoordinateSearch
from zoo_opt.methods.local.sums import separable
from zoo_opt.methods.local.sweep import Sweep

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from zoo_opt.typing import Array, Key

SWEEP, LEVELS = "sweep", "levels"  # the searches that only this has, beside those of Auto
SIGMA0 = 0.1  # of the CMA-ES, in the unit cube: the sweep has been there; docs/auto-measured.md


@dataclass(frozen=True, slots=True)
class MixedAutoState:
    """State between two steps, float64.

    Attributes
    ----------
    key : Key
        Where all draws come from.
    x0, f0 : (d,) array, float
        The start on the grid and its loss, NaN if it failed.
    x, f : (d,) array, float
        The best point and its loss.
    stage : str
        What the next step is: START, EXCHANGE, or one of a search: SWEEP, LEVELS, COORDINATES, EVOLUTION.
    points : (n, d) array
        The points of the next step, if it is not one of a search.
    search : Search or None
        The search now going.
    tried : (variables, most levels) array of bool
        What the sweep has tried: see `SweepState`.
    evaluations : int
        Evaluations made.
    f_before : float
        Best loss when the run of the CMA-ES now going began.
    without_gain : int
        Its runs in a row that ended without a gain.
    X, V : (n, d) and (n,) array
        The points evaluated before it and their losses, where no variable is continuous; else empty.
    """

    key: Key
    x0: Array
    f0: float
    x: Array
    f: float
    stage: str
    points: Array
    tried: NDArray[np.bool_]
    X: Array
    V: Array
    search: Search | None = None
    evaluations: int = 0
    f_before: float = math.inf
    without_gain: int = 0


@dataclass(frozen=True, kw_only=True)
class MixedAuto(Method):
    """`Auto` on a grid: `Auto.within` makes it, `Optimizer` calls that where a space has integers or choices.

    Parameters
    ----------
    grid : Grid
        Which coordinates are integers or choices, all of them in units of their ranges.
    bounds : None or bounds in any form, default None
        Box of the continuous variables.
    budget : int or None, default None
        Left to `Optimizer`, which fills in its own.
    """

    grid: Grid
    bounds: Any = None
    budget: int | None = None

    def __post_init__(self) -> None:
        instance("grid", self.grid, Grid)
        if self.bounds is not None:
            object.__setattr__(self, "bounds", boxes.check_box("bounds", self.bounds))

    @property
    def ends(self) -> bool:  # type: ignore[override]
        """Whether it ends by itself: a budget is used up."""
        return self.budget is None

    @functools.cached_property
    def sweep(self) -> Sweep:
        """The first search."""
        return Sweep(grid=self.grid, bounds=self.bounds)

    def plan(self, x0: Array, budget: int | None) -> MixedAuto:
        """See `Method.plan`."""
        return self if budget is None else replace(self, budget=budget)

    def replanned(self, budget: int | None) -> MixedAuto:
        """See `Method.replanned`."""
        return replace(self, budget=budget)

    # ------------------------------------------------------------------------------------- the four functions
    def init(self, x0: Array, key: Key) -> MixedAutoState:
        """See `Method.init`."""
        if x0.size != self.grid.d:
            raise ValueError(f"x0 must have the {self.grid.d} coordinates of the grid, got {x0.size}")
        if self.bounds is not None:
            boxes.check_start(x0, self.bounds)
        x0 = self.grid.snap(x0)
        tried = self.sweep.init(x0, key).tried
        none = np.zeros((0, x0.size))
        return MixedAutoState(key, x0, math.nan, x0, math.inf, START, x0[None], np.zeros_like(tried), none, np.zeros(0))

    def size(self, state: MixedAutoState) -> int:
        """See `Method.size`: what is left of the budget, if that is less than the step."""
        whole = len(state.points) if state.search is None else state.search.method.size(state.search.state)
        left = whole if self.budget is None else self.budget - state.evaluations
        return min(whole, left) if left > 0 else whole

    def ask(self, state: MixedAutoState, step: int, out: Array | None = None) -> Asked:
        """See `Method.ask`."""
        inner = None if state.search is None else state.search.method.ask(state.search.state, step)
        X = state.points if inner is None else inner.X
        return Asked(X[: self.size(state)], inner)

    def update(self, state: MixedAutoState, asked: Asked, losses: list[float]) -> MixedAutoState:
        """See `Method.update`."""
        s: MixedAutoState = improved(state, asked.X, losses)
        s = replace(s, evaluations=s.evaluations + len(losses))
        if s.stage != EVOLUTION and not self.grid.continuous.any():
            s = replace(s, X=np.concatenate([s.X, asked.X]), V=np.append(s.V, losses))
        inner = asked.memo
        if s.search is None:
            if s.stage == START:
                s = replace(s, f0=losses[0])
                return self._searching(s, SWEEP, self.sweep, self.sweep.begun(s.x, s.f, s.tried, s.key))
            is_sum = separable(s.f0, state.f, losses[0], losses[1]) if len(losses) == 2 else False
            return self._levels(s) if is_sum else self._evolution(s)
        if len(losses) < len(inner.X):  # the last step of the budget
            return s
        method, before = s.search.method, s.search.state
        search = Search(method, method.update(before, inner, losses))
        return self._judged(replace(s, search=search), search, before)

    def mean(self, state: MixedAutoState) -> Array:
        """Return the best point."""
        return state.x

    def stop(self, state: MixedAutoState) -> dict[str, Any]:
        """See `Method.stop`."""
        if state.stage == EVOLUTION and state.search is not None and state.search.has_ended():
            return state.search.method.stop(state.search.state)
        return endings(state, MOST) if self.ends else {}

    def known(self, state: MixedAutoState, X: Array, losses: list[float]) -> MixedAutoState:
        """See `Method.known`: the best of them may be where the strategy starts, which takes them in later.

        Only points on the grid; where nothing is continuous they are not evaluated again.
        """
        on = np.flatnonzero((self.grid.snap(X) == X).all(axis=1))
        if not len(on):
            return state
        X, losses = X[on], [losses[i] for i in on]
        s: MixedAutoState = improved(state, X, losses)
        if s.stage == EVOLUTION and s.search is not None:
            search = s.search
            return replace(s, search=replace(search, state=search.method.known(search.state, X, losses)))
        if self.grid.continuous.any():
            return s
        return replace(s, X=np.concatenate([s.X, X]), V=np.append(s.V, losses))

    # ------------------------------------------------------------------------------------------ what comes next
    def _judged(self, s: MixedAutoState, search: Search, before: Any) -> MixedAutoState:
        """Return the state after a step of ``search``, whose state was ``before``."""
        if s.stage == EVOLUTION:
            if _runs(search.state) == _runs(before):
                return s
            gained = s.f_before - s.f > GAIN * abs(s.f)
            return replace(s, f_before=s.f, without_gain=0 if gained else s.without_gain + 1)
        if not search.has_ended():
            return s
        if s.stage == SWEEP:
            return self._exchange(replace(s, tried=search.state.tried))
        return self._coordinates(s) if s.stage == LEVELS else self._evolution(s)

    def _exchange(self, s: MixedAutoState) -> MixedAutoState:
        """Two points that exchange variables between the start and the best one: is the loss a sum?

        Every second variable that has moved: of three and more, that is no point that the sweep has met.
        """
        moved = [part.columns for part in self.sweep.parts if (s.x0 != s.x)[part.columns].any()]
        if len(moved) < 3 or not math.isfinite(s.f0):
            return self._evolution(s)
        half = np.zeros(self.grid.d, dtype=bool)
        half[np.concatenate(moved[::2])] = True
        return replace(s, stage=EXCHANGE, points=np.where([half, ~half], s.x0, s.x), search=None)

    def _levels(self, s: MixedAutoState) -> MixedAutoState:
        """The loss is a sum: all levels, of each variable alone."""
        method = replace(self.sweep, whole=True)
        state = method.begun(s.x, s.f, s.tried, s.key)
        return self._coordinates(s) if method.stop(state) else self._searching(s, LEVELS, method, state)

    def _coordinates(self, s: MixedAutoState) -> MixedAutoState:
        """And then the continuous variables."""
        free = self.grid.continuous
        if not free.any():
            return self._evolution(s)
        low, high = boxes.both(self.bounds or boxes.Box(-math.inf, math.inf), self.grid.d)
        inner = CoordinateSearch(bounds=boxes.Box(tuple(low[free].tolist()), tuple(high[free].tolist())))
        method = ScaledVariables(inner, fixed=tuple(np.flatnonzero(~free).tolist()))
        return self._searching(s, COORDINATES, method, method.init(s.x, s.key))

    def _evolution(self, s: MixedAutoState) -> MixedAutoState:
        """From the best point."""
        low, high = (np.array(side) for side in boxes.both(self.bounds or boxes.Box(0.0, 1.0), self.grid.d))
        rest, ordered = ~self.grid.continuous, self.grid.ordered
        low[rest | ~np.isfinite(low)], high[rest | ~np.isfinite(high)] = 0.0, 1.0
        inside = (low[ordered], high[ordered]) if len(ordered) else None  # where later runs begin
        strategy = CMAES(sigma0=SIGMA0, restarts="bipop", restart_from=inside)
        method = strategy.within(self.bounds, self.grid)
        method = method.plan(s.x, None)
        s = replace(s, f_before=s.f)
        if self.grid.continuous.any():
            return self._searching(s, EVOLUTION, method, method.init(s.x, s.key))
        once = Unrepeated(method=method, grid=self.grid)
        return self._searching(s, EVOLUTION, once, once.begun(s.x, s.key, s.X, s.V))

    def _searching(self, s: MixedAutoState, stage: str, method: Method, state: Any) -> MixedAutoState:
        """Return the state in which this search is going."""
        return replace(s, stage=stage, search=Search(method, state), points=s.points[:0])


def _runs(state: Any) -> int:
    """Return how many runs of the strategy have ended."""
    while not hasattr(state, "log"):
        state = state.inner
    return len(state.log)

"""A sweep over variables of all kinds, one after the other: the quick start of a search with integers and choices."""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

import numpy as np

from zoo_opt.core.errors import instance
from zoo_opt.core.keys import CHOICE, generator
from zoo_opt.core.method import Asked, Method
from zoo_opt.methods import box as boxes
from zoo_opt.methods.grid import Grid

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from zoo_opt.typing import Array, Key

# measured: docs/auto-measured.md, "Integers and choices", on bbob-mixint, instances 11 to 14
FIRST = (0.2, 0.8)  # where a line is looked at first, as parts of its length
TURNS = 2  # points by parabola on each line after that
FEW = 4  # levels up to which an integer's are all tried
MOST = 64  # levels above which a search of all levels leaves an integer out; chosen, not tuned


class Part(NamedTuple):
    """A variable: its columns, and what they can be, (K, columns), or None where it is continuous."""

    columns: NDArray[np.intp]
    options: Array | None


@dataclass(frozen=True, slots=True)
class SweepState:
    """State between two steps.

    Attributes
    ----------
    x, f : (d,) array, float
        The best point and its loss, NaN while it is not known.
    tried : (variables, most levels) array of bool
        Levels and alternatives that have been tried, or are those of a point passed.
    order : (variables,) array of int
        The numbers in `Sweep.parts` of the variables, in the order in which they are searched.
    turn : int
        Where in that order the search is.
    T, V : (n,) array
        What was tried of it: positions on a line, or numbers of alternatives, and the losses.
    ahead : (m,) array
        What will be tried of it in the next step.
    reasons : dict
        Why the sweep has ended.
    """

    x: Array
    f: float
    tried: NDArray[np.bool_]
    order: NDArray[np.intp]
    turn: int
    T: Array
    V: Array
    ahead: Array
    reasons: dict[str, Any] = field(default_factory=dict)

    @property
    def part(self) -> int:
        """The number of the variable that is being searched."""
        return int(self.order[self.turn])


@dataclass(frozen=True, kw_only=True)
class Sweep(Method):
    """Search one variable after the other, from those with the fewest levels to the continuous ones.

    The order of those alike is random.

    Of choices and integers of few levels every alternative is tried, in one step; on the others, and on continuous
    variables between two bounds, two points, and then two more by parabola. The best is kept before the next variable
    begins. No point is evaluated twice.

    Parameters
    ----------
    grid : Grid
        Which coordinates are integers or choices. x0 must be on it.
    bounds : None or bounds in any form, default None
        Box of the continuous variables; those without two sides are left out.
    whole : bool, default False
        Try all levels of integers that `tried` does not have, and leave continuous variables out.
    """

    ends: ClassVar[bool] = True

    grid: Grid
    bounds: Any = None
    whole: bool = False

    def __post_init__(self) -> None:
        instance("grid", self.grid, Grid)
        if self.bounds is not None:
            object.__setattr__(self, "bounds", boxes.check_box("bounds", self.bounds))

    @functools.cached_property
    def parts(self) -> list[Part]:
        """The variables, from those with the fewest levels on."""
        grid, box = self.grid, self.bounds
        found = [Part(np.array([j]), np.array(positions)[:, None]) for j, positions in grid.levels]
        found += [Part(np.arange(first, first + k), np.eye(k)) for first, k in grid.groups]
        found.sort(key=lambda part: 0 if part.options is None else len(part.options))
        if box is not None:
            low, high = boxes.both(box, grid.d)
            found += [
                Part(np.array([j]), None)
                for j in np.flatnonzero(grid.continuous)
                if math.isfinite(high[j] - low[j]) and low[j] < high[j]
            ]
        return found

    # ------------------------------------------------------------------------------------- the four functions
    def init(self, x0: Array, key: Key) -> SweepState:
        """See `Method.init`."""
        most = max((len(part.options) for part in self.parts if part.options is not None), default=1)
        return self.begun(x0.astype(np.float64), math.nan, np.zeros((len(self.parts), most), dtype=bool), key)

    def begun(self, x: Array, f: float, tried: NDArray[np.bool_], key: Key) -> SweepState:
        """Return the state at the start from ``x``, whose loss is ``f``, NaN if not known; see `SweepState.tried`."""
        levels = np.array([math.inf if part.options is None else len(part.options) for part in self.parts])
        order = np.lexsort([generator(key, 0, CHOICE).random(len(levels)), levels])
        none = np.zeros(0)
        state = SweepState(x, f, tried, order, 0, none, none, none)
        return state if math.isnan(f) else self._at(state, 0)

    def size(self, state: SweepState) -> int:
        """See `Method.size`."""
        return max(1, len(state.ahead))

    def ask(self, state: SweepState, step: int, out: Array | None = None) -> Asked:
        """See `Method.ask`."""
        if not len(state.ahead):  # the start, or nothing is left to try
            return Asked(state.x[None])
        X = np.tile(state.x, (len(state.ahead), 1))
        columns, options = self.parts[state.part]
        X[:, columns] = state.ahead[:, None] if options is None else options[state.ahead.astype(int)]
        return Asked(X)

    def update(self, state: SweepState, asked: Asked, losses: list[float]) -> SweepState:
        """See `Method.update`."""
        values = np.where(np.isnan(losses), math.inf, losses)
        k = int(values.argmin())
        s = state
        if values[k] < s.f or math.isnan(s.f):
            s = replace(s, x=asked.X[k].copy(), f=float(values[k]))
        if not len(state.ahead):
            return s if s.reasons else self._at(s, 0)
        s = replace(s, T=np.append(s.T, s.ahead), V=np.append(s.V, values))
        following = self._next(s)
        return self._at(s, s.turn + 1) if not len(following) else self._marked(replace(s, ahead=following))

    def mean(self, state: SweepState) -> Array:
        """Return the best point."""
        return state.x

    def stop(self, state: SweepState) -> dict[str, Any]:
        """See `Method.stop`."""
        return dict(state.reasons)

    # -------------------------------------------------------------------------------------------------- parts
    def _at(self, s: SweepState, turn: int) -> SweepState:
        """Return the state at the start of the variable whose ``turn`` it is, or of the next with anything to try."""
        for later in range(turn, len(self.parts)):
            columns, options = self.parts[s.order[later]]
            here = s.x[columns]
            T = here[:1] if options is None else np.abs(options - here).sum(axis=1).argmin(keepdims=True).astype(float)
            s = self._marked(replace(s, turn=later, T=T, V=np.array([s.f]), ahead=T))
            ahead = self._next(s)
            if len(ahead):
                return self._marked(replace(s, ahead=ahead))
        return replace(s, ahead=np.zeros(0), reasons={"swept": len(self.parts)})

    def _marked(self, s: SweepState) -> SweepState:
        """Return the state with what lies ahead marked as tried."""
        if self.parts[s.part].options is None:
            return s
        tried = s.tried.copy()
        tried[s.part, s.ahead.astype(int)] = True
        return replace(s, tried=tried)

    def _next(self, s: SweepState) -> Array:
        """Return what to try next of the variable now searched, empty if that is enough."""
        columns, options = self.parts[s.part]
        if options is None:
            if self.whole:
                return np.zeros(0)
            low, high = (float(side[columns[0]]) for side in boxes.both(self.bounds, self.grid.d))
        else:
            low, high = 0.0, len(options) - 1.0
            left = np.flatnonzero(~s.tried[s.part, : len(options)]).astype(float)
            if len(columns) > 1 or len(options) <= FEW or (self.whole and len(options) <= MOST):
                return left
            if self.whole:
                return left[:0]
        if len(s.T) == 1:
            ahead = np.array([low + part * (high - low) for part in FIRST])
        elif len(s.T) < 1 + len(FIRST) + TURNS:
            ahead = np.array([_lower(s.T, s.V, low, high, options is not None)])
        else:
            return np.zeros(0)
        if options is not None:
            ahead = np.unique(np.round(ahead))
        return ahead[~np.isin(ahead, s.T)]


def _lower(T: Array, V: Array, low: float, high: float, integer: bool) -> float:
    """Return where a line is likely to be lowest, of the points ``T`` (n,) on it with the losses ``V``.

    The bottom of the parabola through the best point and its neighbours; halfway to the end where the best is the last.
    Where that has been tried, the middle of the wider of the two intervals beside the best, on ``integer`` lines the
    next level on that side.
    """
    order = T.argsort()
    t, v = T[order], V[order]
    i = int(v.argmin())
    b = float(t[i])
    if i == 0:
        x = (low + b) / 2
    elif i == len(t) - 1:
        x = (high + b) / 2
    else:
        a, c = float(t[i - 1]), float(t[i + 1])
        with np.errstate(invalid="ignore", over="ignore", divide="ignore"):
            left, right = (b - a) * (v[i] - v[i + 1]), (b - c) * (v[i] - v[i - 1])
            x = float(b - 0.5 * ((b - a) * left - (b - c) * right) / (left - right))
        wider = (b + c) / 2 if c - b > b - a else (a + b) / 2
        x = min(max(x, a), c) if math.isfinite(x) else wider
        if (round(x) if integer else x) in T:
            x = wider
    if integer and round(x) in T:
        x = b + math.copysign(1.0, x - b)
    return min(max(x, low), high)

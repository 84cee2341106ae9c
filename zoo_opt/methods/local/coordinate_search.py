"""Coordinate search: a global line search along every coordinate at once, for separable losses in a box."""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from zoo_opt.core.errors import integer
from zoo_opt.core.keys import generator
from zoo_opt.core.method import Asked, Method
from zoo_opt.methods import box as boxes
from zoo_opt.methods.local.loss_units import loss_unit

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from zoo_opt.typing import Array, Key

DIP = 1e-4  # how far below the best point a parabola must reach, as a part of the range of losses; chosen, not tuned
GOLDEN = (3 - math.sqrt(5)) / 2  # the golden section
ROUNDING = 1e-13  # of the loss: a part that promises less is rounding, some hundred times the precision
# of the widest range of losses around a best coordinate: less waits to be refined; measured: docs/auto-tried.md
REFINED = 0.1
PROMISED = 0.5  # of what the parts have gained, the least that together they must; chosen, not tuned
EPS = float(np.finfo(np.float64).eps)
LARGEST = float(np.finfo(np.float64).max)
GLOBAL_EVERY = 2  # rounds: STEP's moves are made in each of these; measured: docs/auto-tried.md
GOLDEN_EVERY = 6  # rounds: the golden section in one of them, a parabola in the others; measured likewise
OUTWARD = 2.0  # where nothing bounds the search: how far beyond the outermost point, over the last interval; chosen


@dataclass(frozen=True, slots=True)
class CoordinateState:
    """State between two rounds, float64; losses are in units of ``loss_unit``.

    Row 0 of T and V is the start, the rest the points tried so far, infinite where a round left a coordinate out.

    Attributes
    ----------
    key : Key
        Where the random points of the second round come from.
    T, V : (n, d) array
        Points tried along each coordinate, and by how much the loss changes there, infinite where that failed.
    f : float
        Loss where V is 0 in every coordinate.
    f_best : float
        Loss at the point made of the best coordinates, NaN where that is not known yet.
    round : int
        Rounds made.
    without_gain : int
        Rounds with STEP's moves since these last found a better basin.
    reasons : dict
        Why the method has ended.
    loss_unit : float
        A power of 2 near the size of the first losses; 0 while no loss is known.
    """

    key: Key
    T: Array
    V: Array
    f: float
    f_best: float = math.nan
    round: int = 0
    without_gain: int = 0
    reasons: dict[str, Any] = field(default_factory=dict)
    loss_unit: float = 1.0


@dataclass(frozen=True, kw_only=True)
class CoordinateSearch(Method):
    """Minimise each coordinate's part of a separable loss, f(x) = sum_i f_i(x_i), over a box.

    A round has at most 2 d + 1 candidates: the point that is made of the best coordinates so far, if that is new, and
    from there moves of one coordinate each. Some refine the best point so far, by the parabola through the three lowest
    points [2], or the golden section in every sixth round, of those coordinates in which there is most to gain, by the
    losses of its neighbours. The others, in every second round and where there is nothing to refine, are STEP's [1], of
    every coordinate: into the interval between two points tried where a parabola that dips a little below the best so
    far has the least curvature.

    A loss whose parts do not add up, by half of what they promise, is no sum: the search ends.

    Parameters
    ----------
    bounds : None or bounds in any form
        x0 must lie inside. Where there is none the search begins as far from x0 as that is from 0, or 1 where that is
        less, and goes on outward while that pays.
    patience : int, default 150
        The search ends after so many rounds with STEP's moves in which no coordinate has found a better basin.

    Notes
    -----
    A failed candidate counts as infinitely bad along its coordinate; if the combined point fails, its loss is taken as
    the sum of its parts.

    Raises
    ------
    ValueError, TypeError
        If an argument is outside its range, or x0 outside ``bounds``.

    References
    ----------
    [1] Langerman, Seront, Bersini. S.T.E.P.: the easiest way to optimize a function. IEEE WCCI 1994.
    [2] R. P. Brent. Algorithms for Minimization without Derivatives. Prentice-Hall, 1973, chapter 5.
    """

    ends: ClassVar[bool] = True

    bounds: Any
    patience: int = 150  # chosen, not tuned

    def __post_init__(self) -> None:
        box = None if self.bounds is None else boxes.check_box("bounds", self.bounds)
        object.__setattr__(self, "bounds", box or boxes.Box(-math.inf, math.inf))
        integer("patience", self.patience, 1)

    # ------------------------------------------------------------------------------------- the four functions
    def init(self, x0: Array, key: Key) -> CoordinateState:
        """See `Method.init`."""
        x0 = x0.astype(np.float64)
        boxes.check_start(x0, self.bounds)
        return CoordinateState(key, x0[None], np.zeros((1, x0.size)), math.nan, loss_unit=0.0)

    def size(self, state: CoordinateState) -> int:
        """See `Method.size`."""
        wide, refined = _moved(state)
        return math.isnan(state.f_best) + len(wide) + len(refined)

    @np.errstate(over="ignore")
    def ask(self, state: CoordinateState, step: int, out: Array | None = None) -> Asked:
        """See `Method.ask`."""
        x = self.mean(state)
        d = x.size
        low, high = self._sides
        below, above = low == -math.inf, high == math.inf
        if below.any() or above.any():
            start = state.T[0]
            reach = np.maximum(np.abs(start), 1.0)
            low, high = np.where(below, start - reach, low), np.where(above, start + reach, high)
        wide, refined = _moved(state)
        one, other = np.broadcast_to(low, d), np.broadcast_to(high, d)
        if state.round > 0 and wide.size:
            one = _easiest(state.T, state.V)
        if state.round == 1:  # nothing to refine yet
            within = boxes.Box(tuple(np.broadcast_to(low, d).tolist()), tuple(np.broadcast_to(high, d).tolist()))
            other = boxes.uniform(generator(state.key, step), within, x)
        elif state.round > 1 and refined.size:
            other = _refined(state.T, state.V, state.round, below, above)
        moved, base = np.concatenate([wide, refined]), int(math.isnan(state.f_best))
        X = np.tile(x, (base + len(moved), 1))
        X[base + np.arange(len(moved)), moved] = np.concatenate([one[wide], other[refined]])
        return Asked(X, (wide, refined))

    @np.errstate(over="ignore", invalid="ignore")
    def update(self, state: CoordinateState, asked: Asked, losses: list[float]) -> CoordinateState:
        """See `Method.update`."""
        unit = state.loss_unit or loss_unit(losses)
        X, values = asked.X, np.array(losses) / (unit or 1.0)
        d = X.shape[1]
        best = state.V.min(axis=0)
        f, base = state.f_best, int(math.isnan(state.f_best))
        if base:
            f = float(values[0]) if math.isfinite(values[0]) else state.f + float(best.sum())  # a sum of its parts
        if not math.isfinite(f):
            k = int(np.where(np.isfinite(values), values, math.inf).argmin())
            if math.isfinite(values[k]):  # starts anew where there is a loss
                return CoordinateState(state.key, X[k : k + 1], np.zeros((1, d)), float(values[k]), loss_unit=unit)
        wide, refined = asked.memo
        moved, n = np.concatenate([wide, refined]), len(wide)
        tried, changes = X[base + np.arange(len(moved)), moved], values[base:] - f + best[moved]
        T, V = np.full((2, d), math.inf), np.full((2, d), math.inf)
        T[0, wide], V[0, wide], T[1, refined], V[1, refined] = tried[:n], changes[:n], tried[n:], changes[n:]
        V = np.where(np.isfinite(V), V, math.inf)
        better = bool((V[0] < np.minimum(best, V[1])).any())
        without_gain = 0 if better else state.without_gain + (n > 0)
        promised, gained = -float(best.sum()), state.f - f
        reasons: dict[str, Any] = {"patience": self.patience} if without_gain >= self.patience else {}
        if gained < PROMISED * promised and promised > ROUNDING * abs(f):
            reasons["no_sum"] = PROMISED
        return replace(
            state,
            T=np.concatenate([state.T, T]),
            V=np.concatenate([state.V, V]),
            f=f if math.isnan(state.f) else state.f,
            f_best=f if math.isfinite(f) and not (best > V).any() else math.nan,
            round=state.round + 1,
            without_gain=without_gain,
            reasons=reasons,
            loss_unit=unit,
        )

    @functools.cached_property
    def _sides(self) -> tuple[Array, Array]:
        return np.asarray(self.bounds.low), np.asarray(self.bounds.high)

    def mean(self, state: CoordinateState) -> Array:
        """Return the point made of the best coordinates."""
        best = state.V.argmin(axis=0)
        x: Array = state.T[best, np.arange(best.size)]
        return x

    def stop(self, state: CoordinateState) -> dict[str, Any]:
        """See `Method.stop`."""
        return dict(state.reasons)


def _moved(state: CoordinateState) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return the coordinates that the next round moves as STEP does, and those whose best point it refines."""
    refined = np.flatnonzero(_to_refine(state))
    is_wide = state.round < 2 or state.round % GLOBAL_EVERY == 0 or not refined.size
    return np.arange(state.T.shape[1] if is_wide else 0), refined


def _to_refine(state: CoordinateState) -> NDArray[np.bool_]:
    """Return for every coordinate whether the next round refines its best point (d,): all in the first two rounds."""
    d = state.T.shape[1]
    if state.round < 2:
        return np.ones(d, dtype=bool)
    t, v = _sorted(state.T, state.V)
    i, m = np.arange(d), v.argmin(axis=0)
    before, after = _neighbours(t, m)
    v = np.where(np.isfinite(v), v, np.where(np.isfinite(v), v, -math.inf).max(axis=0))  # a failure counts as the worst
    with np.errstate(over="ignore"):
        depth = np.minimum(np.maximum(v[before, i], v[after, i]) - v[m, i], LARGEST)
        width = t[after, i] - t[before, i]
    left = (depth > EPS * abs(state.f)) & (width > 4 * EPS * np.abs(t[m, i]))
    to_refine: NDArray[np.bool_] = left & (depth >= REFINED * depth.max())
    return to_refine


def _neighbours(t: Array, m: NDArray[np.intp]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return the rows of the points tried below and above rows ``m`` of the sorted ``t``, m itself if there is none."""
    after = np.minimum(m + 1, len(t) - 1)
    return np.maximum(m - 1, 0), np.where(np.isfinite(t[after, np.arange(t.shape[1])]), after, m)


def _easiest(T: Array, V: Array) -> Array:
    """Return for every coordinate the point that STEP tries next (d,)."""
    t, v = _sorted(T, V)
    finite = np.where(np.isfinite(v), v, -math.inf)
    worst, best = finite.max(axis=0), v.min(axis=0)
    v = np.where(np.isfinite(v), v, worst)
    depth = np.sqrt(v - best + DIP * (worst - best) + 1e-300)  # below each point lies the bottom of the parabola
    with np.errstate(invalid="ignore"):
        width = t[1:] - t[:-1]
    width = np.where(np.isfinite(t[1:]), width, 0.0)  # beyond the last point there is no interval
    root = depth[1:] + depth[:-1]
    with np.errstate(divide="ignore"):
        k = np.where(width > 0, root / width, math.inf).argmin(axis=0)  # the root of the curvature
    i = np.arange(t.shape[1])
    part = np.clip(depth[k, i] / root[k, i], 0.25, 0.75)  # not next to a point tried; chosen, not tuned
    x: Array = t[k, i] + part * width[k, i]
    return x


def _sorted(T: Array, V: Array) -> tuple[Array, Array]:
    """Return the points and their losses from the lowest coordinate to the highest."""
    order = T.argsort(axis=0, kind="stable")
    return np.take_along_axis(T, order, 0), np.take_along_axis(V, order, 0)


def _refined(T: Array, V: Array, turn: int, below: Array, above: Array) -> Array:
    """Return for every coordinate a point nearer to the bottom of the best point's basin (d,).

    Beyond the outermost point where that is the best, and nothing bounds the search ``below`` or ``above`` it.
    """
    t, v = _sorted(T, V)
    i = np.arange(t.shape[1])
    m = v.argmin(axis=0)
    before, after = _neighbours(t, m)
    a, b, c = t[before, i], t[m, i], t[after, i]
    larger = np.where(c - b > b - a, c - b, a - b)  # with its sign
    outward = ((m == 0) & below) | ((m == after) & above)
    golden: Array = np.clip(b + np.where(outward, -OUTWARD, GOLDEN) * larger, -LARGEST, LARGEST)
    if turn % GOLDEN_EVERY == GOLDEN_EVERY - 1:
        return golden
    lowest = V.argsort(axis=0, kind="stable")[:3]
    (x, w, v), (f_x, f_w, f_v) = np.take_along_axis(T, lowest, 0), np.take_along_axis(V, lowest, 0)
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        left, right = (x - w) * (f_x - f_v), (x - v) * (f_x - f_w)
        vertex = x - 0.5 * ((x - w) * left - (x - v) * right) / (left - right)
    inside = (vertex > a) & (vertex < c) & (vertex != b)
    bottom: Array = np.where(inside, vertex, golden)
    return bottom

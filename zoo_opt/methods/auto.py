"""Auto: the method without settings, composed of the others."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from zoo_opt.errors import integer
from zoo_opt.keys import RESTART, generator
from zoo_opt.methods import box as boxes
from zoo_opt.methods.base import Method
from zoo_opt.methods.cma_es import CMAES
from zoo_opt.methods.coordinate_search import CoordinateSearch
from zoo_opt.methods.quasi_newton import QuasiNewton
from zoo_opt.methods.units import SPREAD, units

if TYPE_CHECKING:
    from zoo_opt.typing import Array, Key

START, REPEAT, MIXES, SAMPLE, ARM = "start", "repeat", "mixes", "sample", "arm"
LOCAL, COORDINATES, WIDE = "local", "coordinates", "wide"

SIGMA0 = 2.0  # of the CMA-ES, in units
TEST_AT = 8.0  # evaluations per dimension before separability is tested
LOCAL_LIMIT = 100.0  # evaluations per dimension of a local search
RATIO = 1.0  # evaluations of local searches for one of the CMA-ES, once both are under way
SAMPLES = 1.0  # points per dimension that the start of a local search is chosen from
HOPE = 10.0  # so many times the decrease that a local search expects must reach the best loss
QUIET = 5  # searches in a row without a gain after which a run without a budget ends


@dataclass(frozen=True, slots=True)
class Arm:
    """A method that Auto is composed of, its state, and the evaluations it has used."""

    method: Method
    state: Any
    used: int = 0


@dataclass(frozen=True, slots=True)
class AutoState:
    """State between two steps, float64; points are in units (see `units`).

    Attributes
    ----------
    key : Key
        Where all draws come from.
    unit : (d,) array
        One unit of each coordinate in parameter units, a power of 2.
    x0, f0 : (d,) array, float
        The start and its loss, NaN if it failed.
    x, f : (d,) array, float
        The best point and its loss.
    stage : str
        What the next step is: points of Auto's own, or one of an arm.
    own : (n, d) array
        The points of a stage that is not an arm.
    active : str
        Name of the arm now going, "" before the first.
    local, coordinates, wide : Arm or None
        The quasi-Newton method, the coordinate search and the CMA-ES.
    evaluations : int
        Evaluations made.
    tested : bool
        Whether separability has been tested.
    noisy : bool
        Whether the start had another loss when it was evaluated again.
    before : float
        Best loss when the search now going began.
    quiet : int
        Searches in a row that ended without a gain.
    """

    key: Key
    unit: Array
    x0: Array
    f0: float
    x: Array
    f: float
    stage: str
    own: Array
    active: str = ""
    local: Arm | None = None
    coordinates: Arm | None = None
    wide: Arm | None = None
    evaluations: int = 0
    tested: bool = False
    noisy: bool = False
    before: float = math.inf
    quiet: int = 0

    @property
    def arm(self) -> Arm:
        """The arm now going."""
        arm: Arm = getattr(self, self.active)
        return arm


class AutoQueries:
    """The recipe of a step: its number and, within an arm, the arm's recipe and points."""

    __slots__ = ("X", "inner", "step")

    def __init__(self, step: int, inner: Any) -> None:
        self.step, self.inner = step, inner
        self.X: Array | None = None


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
        Evaluations; `Optimizer` fills it in from its own.

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
            units(np.zeros(np.size(self.scale)), None, self.scale)
        if self.budget is not None:
            integer("budget", self.budget, 1)

    @property
    def ends(self) -> bool:  # type: ignore[override]
        """Whether it ends by itself: a budget is used up."""
        return self.budget is None

    def plan(self, x0: Array, budget: int | None) -> Method:
        """See `Method.plan`."""
        return self if budget is None else replace(self, budget=budget)

    # ------------------------------------------------------------------------------------- the four functions
    def init(self, x0: Array, key: Key) -> AutoState:
        """See `Method.init`."""
        x0 = x0.astype(np.float64)
        if self.bounds is not None:
            boxes.check_fits("bounds", self.bounds, x0.size)
            if not boxes.contains(x0, self.bounds):
                raise ValueError(f"x0 must lie inside bounds {self.bounds}, got {x0}")
        unit = units(x0, self.bounds, self.scale)
        own = x0[None] / unit
        if self.bounds is not None:  # nearest to everything, on average
            low, high = self._box(unit)
            centre = np.broadcast_to((low + high) / 2, x0.shape)
            own = (
                np.unique(np.stack([own[0], centre]), axis=0)
                if (centre == own[0]).all()
                else np.stack([own[0], centre])
            )
        return AutoState(key, unit, own[0], math.nan, own[0], math.inf, START, own)

    def size(self, state: AutoState) -> int:
        """See `Method.size`."""
        return state.arm.method.size(state.arm.state) if state.stage == ARM else len(state.own)

    def propose(self, state: AutoState, step: int) -> AutoQueries:
        """See `Method.propose`."""
        return AutoQueries(step, state.arm.method.propose(state.arm.state, step) if state.stage == ARM else None)

    def points(self, state: AutoState, queries: AutoQueries, out: Array | None = None) -> Array:
        """See `Method.points`."""
        arm = state.stage == ARM
        queries.X = state.arm.method.points(state.arm.state, queries.inner) if arm else state.own
        return queries.X * state.unit

    def update(self, state: AutoState, queries: AutoQueries, X: Array, losses: list[float]) -> AutoState:
        """See `Method.update`."""
        if queries.X is None:
            raise RuntimeError("update() needs the points() of the same queries to be drawn first")
        values = np.where(np.isnan(losses), math.inf, losses)
        k, f_before = int(values.argmin()), state.f
        s = replace(state, evaluations=state.evaluations + len(values))
        if values[k] < s.f:
            s = replace(s, x=queries.X[k].copy(), f=float(values[k]))
        if s.stage == ARM:
            return self._arm_moved(s, queries, losses)
        if s.stage == START:
            s = replace(s, f0=losses[0], own=s.x0[None])
            return self._local(s, s.x, s.f) if math.isnan(s.f0) else replace(s, stage=REPEAT)
        if s.stage == REPEAT:
            noisy = math.isfinite(s.f0) and math.isfinite(losses[0]) and losses[0] != s.f0
            return self._wide(replace(s, noisy=noisy)) if noisy else self._local(s, s.x, s.f)
        if s.stage == MIXES:
            s = replace(s, tested=True)
            if separable(s.f0, f_before, losses[0], losses[1]):
                method = CoordinateSearch(bounds=self._box(s.unit))
                return self._begun(replace(s, coordinates=Arm(method, method.init(s.x, s.key))), COORDINATES)
            ended = s.arm.method.stop(s.arm.state)
            return self._next(s, queries.step) if ended else replace(s, stage=ARM)
        return self._local(s, queries.X[k], float(values[k]))

    def mean(self, state: AutoState) -> Array:
        """Return the best point, or the mean of the CMA-ES if the loss is noisy."""
        u = state.arm.method.mean(state.arm.state) if state.noisy else state.x
        return u * state.unit

    def stop(self, state: AutoState) -> dict[str, Any]:
        """See `Method.stop`."""
        return {"converged": QUIET} if self.ends and state.quiet >= QUIET else {}

    def again(self, state: AutoState, queries: AutoQueries) -> Sequence[int | None] | None:
        """See `Method.again`."""
        if state.stage == REPEAT:
            return [-state.evaluations]  # the first of all
        return state.arm.method.again(state.arm.state, queries.inner) if state.stage == ARM else None

    def told_sem(self, state: AutoState, queries: AutoQueries, sem: list[float]) -> AutoState:
        """See `Method.noise`."""
        if state.stage != ARM:
            return state
        arm = state.arm
        return replace(state, **{state.active: replace(arm, state=arm.method.told_sem(arm.state, queries.inner, sem))})

    # --------------------------------------------------------------------------------------------------- arms
    def _arm_moved(self, s: AutoState, queries: AutoQueries, losses: list[float]) -> AutoState:
        """Return the state after a step of the arm now going, and perhaps with what comes after it."""
        arm = s.arm
        inner = arm.method.update(arm.state, queries.inner, queries.X, losses)
        s = replace(s, **{s.active: replace(arm, state=inner, used=arm.used + len(losses))})
        per_dim = s.evaluations / s.x.size
        if s.active == WIDE:
            return self._next(s, queries.step) if len(inner.log) > len(arm.state.log) else s
        ended = bool(arm.method.stop(inner))
        if s.active == LOCAL:
            if not s.tested and self.bounds is not None and (ended or per_dim >= TEST_AT):
                half = generator(s.key, queries.step, RESTART).permutation(s.x.size) < (s.x.size + 1) // 2
                own = np.where([half, ~half], s.x0, s.x)
                return replace(s, stage=MIXES, own=own)
            hopeless = s.wide is not None and inner.expects() > (s.f - inner.f) / HOPE
            ended = ended or hopeless or (s.wide is None and per_dim >= LOCAL_LIMIT)
        return self._next(s, queries.step) if ended else s

    def _next(self, s: AutoState, step: int) -> AutoState:
        """Return the state at the start of the search that follows one that has ended."""
        quiet = s.quiet + 1 if s.before - s.f <= 1e-9 * abs(s.f) else 0
        s = replace(s, before=s.f, quiet=quiet)
        if s.noisy or s.wide is None or s.local is None:
            return self._wide(s)
        d = s.x.size
        if s.local.used + d > RATIO * s.wide.used:
            return self._begun(s, WIDE)
        low, high = self._box(s.unit) if self.bounds is not None else (s.x0 - SPREAD, s.x0 + SPREAD)
        margin = 0.1 * (np.asarray(high) - low)
        n = max(2, int(SAMPLES * d))
        own = generator(s.key, step, RESTART).uniform(low + margin, high - margin, (n, d))
        return replace(s, stage=SAMPLE, own=own)

    def _begun(self, s: AutoState, active: str) -> AutoState:
        return replace(s, stage=ARM, active=active, own=s.own[:0])

    def _local(self, s: AutoState, x: Array, f: float) -> AutoState:
        """Return the state at the start of a quasi-Newton search from x."""
        method = QuasiNewton(bounds=self._box(s.unit))
        used = s.local.used if s.local and s.wide else 0
        state = method.init(x, s.key)
        if math.isfinite(f):
            state = replace(state, f=f)
        return self._begun(replace(s, local=Arm(method, state, used)), LOCAL)

    def _wide(self, s: AutoState) -> AutoState:
        """Return the state at the start, or after a run, of the CMA-ES."""
        if s.wide is None:
            box = self._box(s.unit)
            method = CMAES(sigma0=SIGMA0, restarts="bipop", bounds=box)
            local = s.local and replace(s.local, used=0)
            s = replace(s, local=local, wide=Arm(method, method.init(s.x, s.key)))
        return self._begun(s, WIDE)

    def _box(self, unit: Array) -> Any:
        """Return the bounds in units."""
        return None if self.bounds is None else tuple(np.asarray(side) / unit for side in self.bounds)


def separable(f0: float, f1: float, f01: float, f10: float) -> bool:
    """Return whether losses at two points and at the two that exchange some of their coordinates are those of a sum.

    A loss that is a sum over coordinates has f(a, b) + f(c, d) = f(a, d) + f(c, b) for any split of them.
    """
    losses = (f0, f1, f01, f10)
    if not all(map(math.isfinite, losses)):
        return False
    spread, size = max(losses) - min(losses), max(map(abs, losses))
    return spread > 1e-9 * size and abs(f0 + f1 - f01 - f10) <= 1e-9 * spread + 1e-13 * size

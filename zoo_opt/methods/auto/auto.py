"""Auto: the method without settings, composed of the others."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from zoo_opt.core.errors import integer
from zoo_opt.core.keys import RESTART, generator
from zoo_opt.core.method import Asked, Method
from zoo_opt.methods import box as boxes
from zoo_opt.methods.auto.units import SPREAD, units
from zoo_opt.methods.cma.dd import DDCMAES
from zoo_opt.methods.cma.full import CMAES
from zoo_opt.methods.cma.quadratic_model import QuadraticModel
from zoo_opt.methods.cma.sep import SepCMAES
from zoo_opt.methods.fzoo import FZOO
from zoo_opt.methods.local.coordinate_search import CoordinateSearch, separable
from zoo_opt.methods.local.quasi_newton import QuasiNewton

if TYPE_CHECKING:
    from zoo_opt.typing import Array, Key

START, REPEAT, MIXES, SAMPLE, ARM = "start", "repeat", "mixes", "sample", "arm"
LOCAL, COORDINATES, WIDE = "local", "coordinates", "wide"

FEW, MANY = 20, 100  # fewer evaluations per dimension than FEW are too few for a model of MANY dimensions or more
FULL, DENSE = 40, 1000  # dimensions up to which the full CMA-ES, and any d x d matrix, are used
SIGMA0 = 2.0  # of the CMA-ES, in units
TEST_AT = 8.0  # evaluations per dimension before a first local search that has not ended is tested for a sum
FIRST_LIMIT = 500.0  # evaluations per dimension of the first local search
MARGIN = 0.1  # part of the box on either side where no later local search starts
HOPE = 10.0  # so many times the decrease that a later local search expects must reach the best loss
GIVE_UP = 200  # evaluations per dimension, none of them finite, after which a run without a budget ends
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
    arms : dict of Arm
        Those that have begun: the quasi-Newton method, the coordinate search, the evolution strategy.
    evaluations : int
        Evaluations made.
    tested : bool
        Whether separability has been tested.
    noisy : bool
        Whether the start had another loss when it was evaluated again, or a standard error was told.
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
    arms: dict[str, Arm] = field(default_factory=dict)
    evaluations: int = 0
    tested: bool = False
    noisy: bool = False
    before: float = math.inf
    quiet: int = 0

    @property
    def arm(self) -> Arm:
        """The arm now going."""
        return self.arms[self.active]

    def begun(self, active: str, arm: Arm | None = None) -> AutoState:
        """Return the state in which this arm is going, as ``arm`` if that is given."""
        arms = self.arms if arm is None else {**self.arms, active: arm}
        return replace(self, stage=ARM, active=active, arms=arms, own=self.own[:0])


class AutoMemo(NamedTuple):
    """What the update needs of a step: its number, its points in units and, within an arm, what the arm asked for."""

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
            units(np.zeros(np.size(self.scale)), None, self.scale)  # checks it
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
        if self.bounds is None and (few or x0.size > DENSE):
            scale = None if self.scale is None else float(np.sqrt(np.mean(np.square(self.scale))))
            return FZOO.untuned(scale=scale).plan(x0, budget)
        return self if budget is None else replace(self, budget=budget)

    # ------------------------------------------------------------------------------------- the four functions
    def init(self, x0: Array, key: Key) -> AutoState:
        """See `Method.init`."""
        x0 = x0.astype(np.float64)
        if self.bounds is not None:
            boxes.check_start(x0, self.bounds)
        unit = units(x0, self.bounds, self.scale)
        own = x0[None] / unit
        if self.bounds is not None and self.budget != 1:  # the centre is nearest to everything, on average
            low, high = self._box(unit)
            centre = np.broadcast_to((low + high) / 2, x0.shape)
            own = own if (centre == own[0]).all() else np.stack([own[0], centre])
        return AutoState(key, unit, own[0], math.nan, own[0], math.inf, START, own)

    def size(self, state: AutoState) -> int:
        """See `Method.size`."""
        return state.arm.method.size(state.arm.state) if state.stage == ARM else len(state.own)

    def ask(self, state: AutoState, step: int, out: Array | None = None) -> Asked:
        """See `Method.ask`."""
        if state.stage == ARM:
            inner = state.arm.method.ask(state.arm.state, step)
            return Asked(inner.X * state.unit, AutoMemo(step, inner.X, inner), inner.again)
        again = [-state.evaluations] if state.stage == REPEAT else None  # the first of all
        return Asked(state.own * state.unit, AutoMemo(step, state.own, None), again)

    def update(self, state: AutoState, asked: Asked, losses: list[float]) -> AutoState:
        """See `Method.update`."""
        step, X, inner = asked.memo
        values = np.where(np.isnan(losses), math.inf, losses)
        k, f_before = int(values.argmin()), state.f
        s = replace(state, evaluations=state.evaluations + len(values))
        if values[k] < s.f:
            s = replace(s, x=X[k].copy(), f=float(values[k]))
        if s.stage == ARM:
            return self._moved(s, step, inner, losses)
        if s.stage == START:
            s = replace(s, f0=losses[0], own=s.x0[None])
            if s.noisy:
                return self._wide(s)
            return self._local(s, s.x, s.f) if math.isnan(s.f0) else replace(s, stage=REPEAT)
        if s.stage == REPEAT:
            s = replace(s, noisy=s.noisy or (math.isfinite(losses[0]) and losses[0] != s.f0))
            return self._wide(s) if s.noisy or s.x.size > DENSE else self._local(s, s.x, s.f)
        if s.stage == MIXES:
            s = replace(s, tested=True)
            if separable(s.f0, f_before, losses[0], losses[1]):
                method = CoordinateSearch(bounds=self._box(s.unit))
                return s.begun(COORDINATES, Arm(method, method.init(s.x, s.key)))
            ended = s.arm.method.stop(s.arm.state)
            return self._next(s, step) if ended else replace(s, stage=ARM)
        return self._local(s, X[k], float(values[k]))

    def mean(self, state: AutoState) -> Array:
        """Return the best point, or the mean of the CMA-ES if the loss is noisy."""
        u = state.arm.method.mean(state.arm.state) if state.noisy else state.x
        return u * state.unit

    def stop(self, state: AutoState) -> dict[str, Any]:
        """See `Method.stop`."""
        if not self.ends:
            return {}
        if state.f == math.inf and state.evaluations >= GIVE_UP * (state.x.size + 1):
            return {"nothing_finite": state.evaluations}
        return {"converged": QUIET} if state.quiet >= QUIET else {}

    def told_sem(self, state: AutoState, asked: Asked, sem: list[float]) -> AutoState:
        """See `Method.told_sem`."""
        if state.stage != ARM:
            return replace(state, noisy=any(error > 0.0 for error in sem))
        arm = state.arm
        return state.begun(state.active, replace(arm, state=arm.method.told_sem(arm.state, asked.memo.inner, sem)))

    # --------------------------------------------------------------------------------------------------- arms
    def _moved(self, s: AutoState, step: int, asked: Asked, losses: list[float]) -> AutoState:
        """Return the state after a step of the arm now going, and perhaps with what comes after it."""
        arm, d = s.arm, s.x.size
        inner = arm.method.update(arm.state, asked, losses)
        s = s.begun(s.active, Arm(arm.method, inner, arm.used + len(losses)))
        if s.active == WIDE:  # a run that ended is followed by another in it
            return self._next(s, step) if len(inner.log) > len(arm.state.log) else s
        ended = bool(arm.method.stop(inner))
        if s.active == LOCAL:
            if not s.tested and self.bounds is not None and (ended or s.evaluations >= TEST_AT * d):
                half = generator(s.key, step, RESTART).permutation(d) < (d + 1) // 2
                return replace(s, stage=MIXES, own=np.where([half, ~half], s.x0, s.x))
            if WIDE in s.arms:
                ended = ended or inner.expects() > (s.f - inner.f) / HOPE
            else:
                ended = ended or s.evaluations >= FIRST_LIMIT * d
        return self._next(s, step) if ended else s

    def _next(self, s: AutoState, step: int) -> AutoState:
        """Return the state at the start of the search that follows one that has ended."""
        gained = s.before - s.f > 1e-9 * abs(s.f)  # not where no loss has been finite: inf - inf is NaN
        quiet = 0 if gained else s.quiet + 1
        s, d = replace(s, before=s.f, quiet=quiet), s.x.size
        if WIDE not in s.arms:
            return self._wide(s)
        if LOCAL not in s.arms or s.arms[LOCAL].used + d > s.arms[WIDE].used:
            return s.begun(WIDE)
        low, high = (s.x0 - SPREAD, s.x0 + SPREAD) if self.bounds is None else self._box(s.unit)
        margin = MARGIN * (high - low)
        own = generator(s.key, step, RESTART).uniform(low + margin, high - margin, (max(2, d), d))
        return replace(s, stage=SAMPLE, own=own)

    def _local(self, s: AutoState, x: Array, f: float) -> AutoState:
        """Return the state at the start of a quasi-Newton search from x."""
        method = QuasiNewton(bounds=self._box(s.unit))
        state = method.init(x, s.key)
        used = s.arms[LOCAL].used if WIDE in s.arms else 0  # what came before the evolution strategy does not count
        return s.begun(LOCAL, Arm(method, replace(state, f=f) if math.isfinite(f) else state, used))

    def _wide(self, s: AutoState) -> AutoState:
        """Return the state at the start of the evolution strategy."""
        if LOCAL in s.arms:
            s = replace(s, arms={**s.arms, LOCAL: replace(s.arms[LOCAL], used=0)})
        method = self._strategy(s)
        return s.begun(WIDE, Arm(method, method.init(s.x, s.key)))

    def _strategy(self, s: AutoState) -> Method:
        """Return the evolution strategy for this loss and this many dimensions."""
        box = self._box(s.unit)
        if s.x.size > DENSE:
            sigma0 = SIGMA0 * FULL / s.x.size  # the best step falls so, and sigma takes d generations to follow
            return SepCMAES(sigma0=sigma0, restarts="bipop", bounds=box)
        if s.x.size > FULL:
            return DDCMAES(sigma0=SIGMA0, restarts="bipop", bounds=box)
        return CMAES(sigma0=SIGMA0, restarts="bipop", bounds=box, noise=QuadraticModel() if s.noisy else None)

    def _box(self, unit: Array) -> Any:
        """Return the bounds in units."""
        return None if self.bounds is None else tuple(np.asarray(side) / unit for side in self.bounds)

r"""Quasi-Newton with finite differences: BFGS in a box, and differences along its principal axes where it stalls."""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from zoo_opt.core.errors import positive
from zoo_opt.core.keys import generator
from zoo_opt.core.method import Asked, Method
from zoo_opt.methods import box as boxes
from zoo_opt.methods.local.bfgs import InverseHessian, given, unknown
from zoo_opt.methods.local.inverse_hessian import Axes, axes_inside, inverse_of, measured, newton_step
from zoo_opt.methods.local.line_search import Trial, accepted, next_length
from zoo_opt.methods.local.loss_units import loss_unit

if TYPE_CHECKING:
    from zoo_opt.typing import Array, Key

GRADIENT, SEARCH = "gradient", "search"  # what a step is: differences for a gradient, or a trial of the line search
FORWARD = 2.0**-26  # sqrt(eps): step of forward differences over max(|x_i|, scale) (Nocedal and Wright 2006, 8.1)
# chosen, not tuned:
LARGEST = 0.1  # the same under noise, however large that is
LOUDEST = 1e12  # noise, of losses in units, beyond which differences along the axes are not longer
LEAST = 1e-13  # change of the loss, as a part of it, that differences along the axes must be good for
SHORTER, LONGER = 0.1, 4.0  # factors on delta where nothing is gained, and where all is level
TINY = 1e-150  # delta, of losses in units, below which its square is 0 in floats
MOST_CHANGES = 3  # changes of delta in a row before the run ends
MOST_STALLS = 5  # steps in a row without a loss at x, or with almost no gain, that are too many

_NO_STEP = np.zeros(0)


@dataclass(frozen=True, slots=True)
class QNState:
    """State between two steps, float64; losses are in units of ``loss_unit``.

    Attributes
    ----------
    key : Key
        Where the signs of forward differences come from.
    x, f : (d,) array, float
        The iterate and its loss, NaN while that is not known.
    g, H : (d,) array, InverseHessian
        Gradient at x, and what is known of its derivative's inverse.
    known : bool
        Whether H has been scaled by what was seen.
    axes, delta : Axes or None, float
        Principal axes of H and how far along them differences are taken; None for forward differences.
    stage : str
        What the next step is: a gradient, or a trial of the line search.
    p, slope : (d,) array, float
        Direction of the line search, g'p.
    length, trials : float, tuple of Trial
        The length to try next, and what the line search has tried.
    s, g_before : (d,) array
        The last step taken and the gradient before it; empty where they do not go with the next gradient.
    gain : float
        By how much the last step taken has lowered the loss.
    stalls, changes : int
        Steps in a row that gained almost nothing, and changes of delta in a row.
    reasons : dict
        Why the method has ended.
    loss_unit : float
        A power of 2 near the size of the first losses; 0 while no loss is known.
    """

    key: Key
    x: Array
    f: float
    g: Array
    H: InverseHessian
    known: bool = False
    axes: Axes | None = None
    delta: float = 0.0
    stage: str = GRADIENT
    p: Array = field(default_factory=lambda: np.zeros(0))
    slope: float = 0.0
    length: float = 0.0
    trials: tuple[Trial, ...] = ()
    s: Array = field(default_factory=lambda: np.zeros(0))
    g_before: Array = field(default_factory=lambda: np.zeros(0))
    gain: float = 0.0
    stalls: int = 0
    changes: int = 0
    reasons: dict[str, Any] = field(default_factory=dict)
    loss_unit: float = 1.0

    @property
    def loss(self) -> float:
        """The loss at x."""
        return self.f * self.loss_unit

    def expected_change(self) -> float:
        """Return how much the loss is expected to change, 0 or less, as H has it; -inf where that is not known."""
        expected = self.stage == SEARCH and self.known and not self.trials
        return self.slope * self.loss_unit if expected else -math.inf


@dataclass(frozen=True, kw_only=True)
class QuasiNewton(Method):
    r"""BFGS with finite differences, a projected line search and box bounds (Nocedal and Wright 2006, chapter 6).

    A step of the method is a gradient at x, by d forward differences that can all run at once, or one trial of the line
    search. Where these lead no further, for rounding, or as the loss is not smooth on so small a scale, the gradient is
    taken from 2 d differences along the principal axes of H, over about the distance that still matters: there the loss
    changes by as much as the last step has gained. They correct the curvatures as well. For losses without
    noise it needs far fewer evaluations than a population; it finds one local minimum and ends.

    Parameters
    ----------
    bounds : None or bounds in any form, default None
        x0 must lie inside; no candidate leaves them.
    scale : float, default 1
        A length that matters, in parameter units: that of the first trial. Forward differences are taken over
        1.5e-8 max(\|x_i\|, scale).
    tolerance : float, default 1e-14
        Five steps in a row that gain less than this part of \|f\| each call for another kind of differences.
    noise : float, default 0
        Standard deviation of the loss's noise, if that is known: forward differences are taken over the root of it, as
        a part of the loss, if that is more (Moré and Wild 2012), and those along the axes for changes that exceed it.

    Notes
    -----
    A failed difference counts as a derivative of 0, and the gradient it belongs to brings no BFGS update; a failed
    trial shortens the step; where the loss at x has failed, the best candidate around it takes its place.

    Raises
    ------
    ValueError, TypeError
        If an argument is outside its range, or x0 outside ``bounds``.
    """

    ends: ClassVar[bool] = True

    bounds: Any = None
    scale: float = 1.0
    tolerance: float = 1e-14
    noise: float = 0.0

    def __post_init__(self) -> None:
        if not 0.0 <= self.noise < math.inf:
            raise ValueError(f"noise must be finite and 0 or more, got {self.noise!r}")
        positive("scale", self.scale)
        positive("tolerance", self.tolerance)
        if self.bounds is not None:
            object.__setattr__(self, "bounds", boxes.check_box("bounds", self.bounds))

    # ------------------------------------------------------------------------------------- the four functions
    def init(self, x0: Array, key: Key) -> QNState:
        """See `Method.init`."""
        x0 = x0.astype(np.float64)
        if self.bounds is not None:
            boxes.check_start(x0, self.bounds)
        return begun(key, x0)

    def size(self, state: QNState) -> int:
        """See `Method.size`."""
        if state.stage == SEARCH:
            return 1
        return state.x.size + math.isnan(state.f) if state.axes is None else 2 * state.x.size

    def ask(self, state: QNState, step: int, out: Array | None = None) -> Asked:
        """See `Method.ask`."""
        x = state.x
        if state.stage == SEARCH:
            return Asked(self._project(x + state.length * state.p)[None])
        if state.axes is not None:
            return Asked(self._project(x + state.axes.probes(state.delta)))
        h = self._forward(state) * np.maximum(np.abs(x), self.scale)
        up = generator(state.key, step).random(x.size) >= 0.5  # either side is as good
        if self.bounds is not None:
            below, above = self._room(x)
            up = np.where(np.where(up, above, below) < h, above > below, up)
        probes = np.diag(np.where(up, h, -h))
        if math.isnan(state.f):
            probes = np.concatenate([np.zeros((1, x.size)), probes])
        return Asked(self._project(x + probes))

    @np.errstate(over="ignore", invalid="ignore", divide="ignore")
    def update(self, state: QNState, asked: Asked, losses: list[float]) -> QNState:
        """See `Method.update`."""
        if state.stage == SEARCH:
            return self._searched(state, math.inf if math.isnan(losses[0]) else losses[0] / (state.loss_unit or 1.0))
        if not state.loss_unit:
            state = replace(state, loss_unit=loss_unit(losses))
        f, X, values = state.f, asked.X, np.array(losses) / (state.loss_unit or 1.0)
        if math.isnan(f):
            f, X, values = float(values[0]), X[1:], values[1:]
            if not math.isfinite(f):
                return _without_base(state, X, values)
        return self._differenced(state, f, X, values)

    def mean(self, state: QNState) -> Array:
        """See `Method.mean`."""
        return state.x

    def stop(self, state: QNState) -> dict[str, Any]:
        """See `Method.stop`."""
        return dict(state.reasons)

    # ------------------------------------------------------------------------------------ gradient, direction
    def _differenced(self, s: QNState, f: float, X: Array, values: Array) -> QNState:
        """Return the state with the gradient at x, whose loss is ``f``, what it makes of H, and a direction."""
        d, H, known = s.x.size, s.H, s.known
        g: Array
        if s.axes is None:
            h = (X - s.x).diagonal()
            g = (values - f) / h
            if self.bounds is not None:
                g = np.where(h == 0.0, 0.0, g)  # the bounds are one
        else:
            g, corrected = measured(s.axes, s.delta, f, values[:d], values[d:], H.matrix, known)
            if corrected is not None:
                H = given(corrected)
        finite = np.isfinite(g)
        whole = bool(finite.all())
        if not whole:
            g = np.where(finite, g, 0.0)
        if s.s.size and whole and np.isfinite(values).all():
            H = H.updated(s.s, g - s.g_before)
        matrix, known = H.matrix, known or H is not s.H
        if H is not s.H and not np.isfinite(matrix).all():
            H, known, matrix = s.H, s.known, s.H.matrix
        p = self._direction(s.x, matrix, g)
        slope = float(g.dot(p))
        now: dict[str, Any] = {"f": f, "g": g, "H": H, "known": known, "s": _NO_STEP, "trials": ()}
        if not (slope < 0.0 and math.isfinite(slope)):
            return self._stalled(replace(s, **now))
        length = min(1.0 if known else self.scale / float(np.abs(p).max()), self._longest(s.x, p))
        return replace(s, **now, stage=SEARCH, p=p, slope=slope, length=length)

    def _direction(self, x: Array, H: Array, g: Array) -> Array:
        """Return Newton's step on the coordinates that are free to move: not at a bound that the loss pushes against.

        Bertsekas 1982 (Projected Newton methods, SIAM J. Control Optim. 20) with what the Hessian's inverse becomes
        when the other coordinates are held. Where that pushes more of them against their bounds, these are held too.
        """
        free = g != 0.0
        if self.bounds is None:
            return newton_step(H, g, free)
        below, above = self._room(x)
        low, high = below <= 0.0, above <= 0.0
        if not (low.any() or high.any()):
            return newton_step(H, g, free)
        free &= ~((low & (g > 0.0)) | (high & (g < 0.0)))
        while True:
            p = newton_step(H, g, free)
            pushed = (low & (p < 0.0)) | (high & (p > 0.0))
            if not pushed.any():
                return p
            free &= ~pushed

    def _stalled(self, s: QNState) -> QNState:
        """Return the state with the next remedy: differences along the axes, then other distances, then the end."""
        if s.axes is None and s.known and s.f != 0.0:
            noise = min(self.noise / s.loss_unit, LOUDEST)
            return self._along_axes(s, math.sqrt(max(s.gain, LEAST * abs(s.f), noise)))
        if s.axes is None and not s.g.any():  # a plateau
            return self._along_axes(replace(s, H=unknown(s.x.size, self.scale**2)), 1.0)
        if s.axes is not None and s.changes < MOST_CHANGES and s.delta > TINY:
            factor = SHORTER if s.g.any() else LONGER
            return replace(self._along_axes(s, factor * s.delta), changes=s.changes + 1)
        return replace(s, stage=GRADIENT, trials=(), s=np.zeros(0), reasons={"stalled": MOST_STALLS})

    # -------------------------------------------------------------------------------------------- line search
    def _searched(self, s: QNState, loss: float) -> QNState:
        """Return the state after one more trial."""
        promised = float(s.g.dot(self._project(s.x + s.length * s.p) - s.x))
        trials = (*s.trials, Trial(s.length, loss, promised))
        length = next_length(s.f, trials, self._longest(s.x, s.p))
        if length is not None:
            return replace(s, length=length, trials=trials)
        best = accepted(s.f, trials)
        if best is None:
            return self._stalled(s)
        x, gain = self._project(s.x + best.length * s.p), s.f - best.loss
        stalls = s.stalls + 1 if gain <= self.tolerance * abs(s.f) else 0
        step = x - s.x
        s = replace(
            s, stage=GRADIENT, x=x, f=best.loss, s=step, g_before=s.g, gain=gain, trials=(), stalls=stalls, changes=0
        )
        if stalls >= MOST_STALLS:
            return self._stalled(s)
        if s.axes is None:
            return s
        return self._along_axes(s, max(min(max(math.sqrt(gain), SHORTER * s.delta), 2 * s.delta), TINY))

    # -------------------------------------------------------------------------------------------------- parts
    def _forward(self, s: QNState) -> float:
        """Return the step of forward differences over a length: the root of the loss's relative precision."""
        size = abs(s.f) * s.loss_unit
        return max(FORWARD, min(math.sqrt(self.noise / size), LARGEST)) if self.noise and size > 0.0 else FORWARD

    def _along_axes(self, s: QNState, delta: float) -> QNState:
        """Return the state in which the next gradient is taken over ``delta`` along the principal axes of H."""
        stalls = 0 if s.axes is None else s.stalls
        axes = axes_inside(s.H.matrix, delta, *self._room(s.x))
        return replace(s, stage=GRADIENT, axes=axes, delta=delta, stalls=stalls, trials=())

    @functools.cached_property
    def _sides(self) -> tuple[Array, Array]:
        return np.asarray(self.bounds.low), np.asarray(self.bounds.high)

    def _project(self, X: Array) -> Array:
        """Return X moved into the box."""
        return X if self.bounds is None else np.clip(X, *self._sides)

    def _room(self, x: Array) -> tuple[Array, Array]:
        """Return how far it is from x to the bounds below and above (d,)."""
        if self.bounds is None:
            return np.full_like(x, math.inf), np.full_like(x, math.inf)
        low, high = self._sides
        return x - low, high - x

    def _longest(self, x: Array, p: Array) -> float:
        """Return the length beyond which the projected path stands still."""
        if self.bounds is None:
            return math.inf
        below, above = self._room(x)
        moving = p != 0.0
        room = np.where(p > 0.0, above, below)[moving] / np.abs(p[moving])
        return float(room.max())


def begun(key: Key, x: Array, f: float = math.nan, hessian: Array | None = None) -> QNState:
    """Return the state at the start of a search from ``x`` (d,), whose loss is ``f``, NaN if that is not known.

    ``hessian`` (d, d), if given, is a model's: its inverse is what H begins as.
    """
    unit = loss_unit([f])
    with np.errstate(over="ignore"):
        seen = None if hessian is None or not unit else inverse_of(hessian / unit)
    H = unknown(x.size) if seen is None else given(seen)
    return QNState(key, x, f / (unit or 1.0), np.zeros_like(x), H, seen is not None, loss_unit=unit)


def _without_base(s: QNState, X: Array, values: Array) -> QNState:
    """Return the state moved to the best of the probes, as there is no finite loss at x."""
    k = int(np.where(np.isnan(values), math.inf, values).argmin())
    if math.isfinite(values[k]):
        return replace(s, x=X[k].copy(), f=float(values[k]), stalls=0)
    stalls = s.stalls + 1
    reasons = {"nofiniteloss": MOST_STALLS} if stalls >= MOST_STALLS else s.reasons
    return replace(s, f=math.nan, stalls=stalls, reasons=reasons)

"""Quasi-Newton with finite differences: BFGS in a box, for smooth losses without noise."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from zoo_opt.errors import positive
from zoo_opt.keys import generator
from zoo_opt.methods import box as boxes
from zoo_opt.methods.base import Method
from zoo_opt.methods.line_search import Trial, accepted, next_length

if TYPE_CHECKING:
    from zoo_opt.typing import Array, Key

GRADIENT, SEARCH = "gradient", "search"
FORWARDS, CENTRALS, AXES = "forward", "central", "axes"
KAPPA = 1.0
SHRINK = 0.1
TRIES = 3
GROW = 4.0
PLATEAU = True
FORWARD = 2.0**-26  # sqrt(eps): step of forward differences, in units of max(|x_i|, scale)
CENTRAL = 2.0**-17  # about eps^(1/3)
REPEATS = 5  # steps in a row without a loss at x, or accepted with almost no gain, that end the run


@dataclass(frozen=True, slots=True)
class QNState:
    """State between two steps, float64.

    Attributes
    ----------
    key : Key
        Where the signs of forward differences come from.
    x, f : (d,) array, float
        The iterate and its loss, NaN while that is not known.
    g : (d,) array
        Gradient at x.
    H : (d, d) array
        Approximation of the inverse Hessian.
    scaled : bool
        Whether H has seen a difference of gradients since it was last the identity.
    central : bool
        Whether differences are central ones.
    stage : str
        What the next step is: a gradient, or a trial of the line search.
    p, slope : (d,) array, float
        Direction of the line search, g'p.
    length : float
        The length to try next.
    trials : tuple of Trial
        Those of this line search.
    s, g_before : (d,) array
        The last step taken and the gradient before it.
    idle : int
        Steps in a row that led nowhere.
    reasons : dict
        Why the method has ended.
    """

    key: Key
    x: Array
    f: float
    g: Array
    H: Array
    scaled: bool = False
    mode: str = FORWARDS
    delta: float = 0.0
    gain: float = 0.0
    B: Array = field(default_factory=lambda: np.zeros((0, 0)))
    D: Array = field(default_factory=lambda: np.zeros(0))
    shrunk: int = 0
    stage: str = GRADIENT
    p: Array = field(default_factory=lambda: np.zeros(0))
    slope: float = 0.0
    length: float = 0.0
    trials: tuple[Trial, ...] = ()
    s: Array = field(default_factory=lambda: np.zeros(0))
    g_before: Array = field(default_factory=lambda: np.zeros(0))
    idle: int = 0
    reasons: dict[str, Any] = field(default_factory=dict)

    def expects(self) -> float:
        """Return how much the loss is expected to change, 0 or less, as H has it; -inf where that is not known."""
        known = self.stage == SEARCH and self.scaled and not self.trials
        return self.slope if known else -math.inf


@dataclass(frozen=True, kw_only=True)
class QuasiNewton(Method):
    r"""BFGS with finite differences, a projected line search and box bounds (Nocedal and Wright 2006, chapters 6, 8).

    A step of the method is either a gradient at x, by d forward differences (2 d central ones once these lead
    nowhere) that can all run at once, or one trial of the line search. For smooth losses without noise it needs far
    fewer evaluations than a population; ripples, plateaus and noise end it early.

    Parameters
    ----------
    bounds : None or (low, high), default None
        Box; each side a number or a 1-D array. x0 must lie inside; no candidate leaves it.
    scale : float, default 1
        A length that matters, in parameter units: that of the first trial, and differences are taken over
        1.5e-8 max(\|x_i\|, scale).
    tolerance : float, default 1e-14
        The run ends when five steps in a row gain less than this part of max(\|f\|, 1e-300) each.

    Notes
    -----
    A failed difference counts as a derivative of 0 and keeps H as it is; a failed trial shortens the step; if the loss at
    x itself has failed, the best candidate around it that did not fail takes its place.

    Raises
    ------
    ValueError, TypeError
        If an argument is outside its range, or x0 outside ``bounds``.
    """

    bounds: Any = None
    scale: float = 1.0
    tolerance: float = 1e-14

    def __post_init__(self) -> None:
        positive("scale", self.scale)
        positive("tolerance", self.tolerance)
        if self.bounds is not None:
            object.__setattr__(self, "bounds", boxes.check_box("bounds", self.bounds))

    # ------------------------------------------------------------------------------------- the four functions
    def init(self, x0: Array, key: Key) -> QNState:
        """See `Method.init`."""
        x0 = x0.astype(np.float64)
        if self.bounds is not None:
            boxes.check_fits("bounds", self.bounds, x0.size)
            if not boxes.contains(x0, self.bounds):
                raise ValueError(f"x0 must lie inside bounds {self.bounds}, got {x0}")
        return QNState(key, x0, math.nan, np.zeros_like(x0), np.eye(x0.size))

    def size(self, state: QNState) -> int:
        """See `Method.size`."""
        if state.stage == SEARCH:
            return 1
        return math.isnan(state.f) + state.x.size * (1 + (state.mode != FORWARDS))

    def propose(self, state: QNState, step: int) -> int:
        """Return the step number."""
        return step

    def points(self, state: QNState, queries: int, out: Array | None = None) -> Array:
        """See `Method.points`."""
        x = state.x
        if state.stage == SEARCH:
            return self._project(x + state.length * state.p)[None]
        if state.mode == AXES:
            probes = state.delta * (state.B * state.D).T
            return self._project(x + np.concatenate([probes, -probes]))
        h = (CENTRAL if state.mode == CENTRALS else FORWARD) * np.maximum(np.abs(x), self.scale)
        if state.mode == CENTRALS:
            probes = np.concatenate([np.diag(h), np.diag(-h)])
        else:  # the side does not matter, but for a box
            signs = np.where(generator(state.key, queries).random(x.size) < 0.5, -1.0, 1.0)
            probes = np.diag(np.where(self._project(x + signs * h) == x, -signs, signs) * h)
        if math.isnan(state.f):
            probes = np.concatenate([np.zeros((1, x.size)), probes])
        return self._project(x + probes)

    @np.errstate(over="ignore", invalid="ignore", divide="ignore")
    def update(self, state: QNState, queries: int, X: Array, losses: list[float]) -> QNState:
        """See `Method.update`."""
        if state.stage == SEARCH:
            loss = losses[0]
            return self._searched(state, math.inf if math.isnan(loss) else loss)
        return self._differenced(state, X, losses)

    def mean(self, state: QNState) -> Array:
        """See `Method.mean`."""
        return state.x

    def stop(self, state: QNState) -> dict[str, Any]:
        """See `Method.stop`."""
        return dict(state.reasons)

    # ----------------------------------------------------------------------------------------------- gradient
    def _differenced(self, s: QNState, X: Array, losses: list[float]) -> QNState:
        """Return the state with the gradient at x, the BFGS update that it allows, and a direction."""
        f = s.f
        if math.isnan(f):
            f, X, losses = losses[0], X[1:], losses[1:]
        values = np.array(losses)
        if not math.isfinite(f):
            return self._without_base(s, X, values)
        d, i = s.x.size, np.arange(s.x.size)
        H, scaled = s.H, s.scaled
        if s.mode == AXES:
            up, down = values[:d], values[d:]
            gt = (up - down) / (2 * s.delta)
            c = (up + down - 2 * f) / s.delta**2
            good = np.isfinite(c) & (c > 0)
            if scaled:
                c = np.clip(c, 1e-2, 1e2)
            if good.any():
                fill = float(np.exp(np.log(c[good]).mean())) if not scaled else 1.0
                c = np.where(good, c, fill)
                H, scaled = (s.B * (s.D**2 / c)).dot(s.B.T), True
            g = s.B.dot(gt / s.D)
        elif s.mode == CENTRALS:
            g = (values[:d] - values[d:]) / (X[i, i] - X[d + i, i])
        else:
            g = (values - f) / (X[i, i] - s.x)
        whole = np.isfinite(g)
        g = np.where(whole, g, 0.0)
        if s.s.size and whole.all():
            H, scaled = bfgs(H, s.s, g - s.g_before, scaled)
        return self._directed(replace(s, f=f, g=g, H=H, scaled=scaled, s=np.zeros(0)))

    def _without_base(self, s: QNState, X: Array, values: Array) -> QNState:
        """Return the state moved to the best of the probes, as there is no finite loss at x."""
        k = int(np.argmin(np.where(np.isnan(values), math.inf, values)))
        reasons = {"nofiniteloss": REPEATS} if s.idle + 1 >= REPEATS else s.reasons
        if math.isfinite(values[k]):
            return replace(s, x=X[k], f=float(values[k]), idle=0)
        return replace(s, f=math.nan, idle=s.idle + 1, reasons=reasons)

    def _directed(self, s: QNState) -> QNState:
        """Return the state at the start of a line search along -H g on the coordinates that are free to move."""
        free = s.g != 0.0
        if self.bounds is not None:
            low, high = self.bounds
            free &= ~((s.x <= low) & (s.g > 0.0)) & ~((s.x >= high) & (s.g < 0.0))
        g = np.where(free, s.g, 0.0)
        p = np.where(free, -s.H.dot(g), 0.0)
        slope = float(g.dot(p))
        if not (slope < 0.0 and math.isfinite(slope)):
            return self._stalled(s, "gradient")
        length = 1.0 if s.scaled else self.scale / float(np.abs(p).max())
        return replace(s, stage=SEARCH, p=p, slope=slope, length=min(length, self._longest(s.x, p)), trials=())

    # -------------------------------------------------------------------------------------------- line search
    def _searched(self, s: QNState, loss: float) -> QNState:
        """Return the state after one more trial."""
        trials = (*s.trials, Trial(s.length, loss))
        length = next_length(s.f, s.slope, trials, self._longest(s.x, s.p))
        if length is not None:
            return replace(s, length=length, trials=trials)
        best = accepted(s.f, trials)
        if best is None:
            return self._stalled(s, "step")
        x = self._project(s.x + best.length * s.p)
        gain = s.f - best.loss
        idle = s.idle + 1 if s.f - best.loss <= self.tolerance * max(abs(s.f), 1e-300) else 0
        moved = replace(s, stage=GRADIENT, x=x, f=best.loss, s=x - s.x, g_before=s.g, idle=idle, trials=(), gain=gain, shrunk=0)
        if idle >= REPEATS:
            return self._stalled(moved, "gain")
        return self._axes(moved, min(max(KAPPA * math.sqrt(gain), SHRINK * s.delta), 2 * s.delta)) if s.mode == AXES else moved

    def _stalled(self, s: QNState, why: str) -> QNState:
        """Return the state with the next remedy: central differences, then steepest descent, then the end."""
        if s.mode == FORWARDS:
            if s.scaled:
                return self._axes(s, KAPPA * math.sqrt(max(s.gain, 1e-13 * abs(s.f))))
            if PLATEAU and why == "gradient" and not s.g.any():
                return self._axes(replace(s, H=np.eye(s.x.size)*self.scale**2), 1.0)
        elif s.mode == AXES and s.shrunk < TRIES:
            flat = why == "gradient" and not s.g.any()
            return self._axes(replace(s, shrunk=s.shrunk + 1), (GROW if flat else SHRINK) * s.delta)
        return replace(s, stage=GRADIENT, reasons={"stalled": why}, trials=(), s=np.zeros(0))

    def _axes(self, s, delta):
        V, B = np.linalg.eigh(s.H)
        D = np.sqrt(np.maximum(V, 1e-14 * V[-1]))
        r = replace(s, stage=GRADIENT, mode=AXES, delta=delta, B=B, D=D, trials=(), idle=0 if s.mode==FORWARDS else s.idle)
        return r

    # -------------------------------------------------------------------------------------------------- parts
    def _project(self, X: Array) -> Array:
        """Return X moved into the box."""
        return X if self.bounds is None else np.clip(X, *self.bounds)

    def _longest(self, x: Array, p: Array) -> float:
        """Return the length beyond which the projected path stands still."""
        if self.bounds is None:
            return math.inf
        low, high = self.bounds
        moving = p != 0.0
        room = np.where(p > 0.0, high - x, x - low)[moving] / np.abs(p[moving])
        return float(room.max())


def bfgs(H: Array, s: Array, y: Array, scaled: bool) -> tuple[Array, bool]:
    """Return H after the BFGS update (6.17) of Nocedal and Wright, and whether it has been scaled.

    A pair without positive curvature changes nothing. The first pair scales the identity before (6.20).
    """
    sy = float(s.dot(y))
    if not sy > 1e-10 * math.sqrt(float(s.dot(s)) * float(y.dot(y))):
        return H, scaled
    if not scaled:
        H = sy / float(y.dot(y)) * np.eye(s.size)
    Hy = H.dot(y)
    rho = 1 / sy
    H = H - rho * (s[:, None] * Hy + Hy[:, None] * s)
    H += (rho * (1 + rho * float(y.dot(Hy))) * s)[:, None] * s
    return H, True

"""A trust region with quadratic models that change least, in a box: after NEWUOA and BOBYQA."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from zoo_opt.core.errors import integer
from zoo_opt.core.keys import generator
from zoo_opt.core.method import Asked, Method
from zoo_opt.methods import box as boxes
from zoo_opt.methods.local.loss_units import loss_unit
from zoo_opt.methods.trust_region import points
from zoo_opt.methods.trust_region.ball import lowest
from zoo_opt.methods.trust_region.model import fitted
from zoo_opt.methods.trust_region.radii import LARGEST, check_radii
from zoo_opt.methods.trust_region.state import GEOMETRY, START, TRIAL, TRState

if TYPE_CHECKING:
    from zoo_opt.typing import Array, Key

BAD, GOOD = 0.1, 0.7  # ratios of the actual decrease to what the model promised (Powell 2006, section 2)
SHORT = 0.5  # of rho: a shorter step is not evaluated (Powell 2006, section 2)
NEAR = 1.5  # of rho: a radius that is not larger is made rho (Powell 2006, section 2)
LESS = 0.1  # of rho, the next one; of the radius, after a step that was too short
FEW, LEAST, MANY = 4, 2, 40  # points of a model per dimension, and beyond MANY, for time; docs/auto-tried.md
# chosen, not tuned:
ROUNDING = 1e-15  # a decrease of so small a part of the loss is none
MOST_STARTS = 5  # first steps without a loss after which a run ends
EXACT, LEAP = 1e-6, 1e4  # deviation of that ratio from 1 that is none, and the factor on a step that is so foreseen
INDISTINCT = 5.0  # standard deviations of the noise: points whose losses differ by less tell nothing


@dataclass(frozen=True, kw_only=True)
class TrustRegion(Method):
    """Quadratic models through points told, minimised in a ball around the best of them that grows and shrinks.

    The first step is x0 and d points at the radius from it, which can all run at once; after that a step is one
    candidate: the model's lowest point in the ball and the box, or a point that makes the model better. The points that
    models pass through become more, up to ``points``; then each new one takes the place of another. Between two models
    the Hessian changes as little as it can (Powell 2004), so that it takes far fewer points than a quadratic has
    coefficients. As differences are taken over the radius it stands noise that finite differences do not; it finds
    one local minimum and ends.

    Parameters
    ----------
    bounds : None or bounds in any form, default None
        x0 must lie inside; no candidate leaves them.
    radius : float, default 1
        A length that matters, in parameter units: the first radius, from 1e-100 to 1e100.
    end_radius : float, default 1e-8
        The run ends when steps of this length lead no further.
    points : int or None, default None
        Most points of a model, at least d + 2; None for 4 d + 1, 2 d + 1 beyond 40 dimensions, or as many as a
        quadratic has coefficients if these are fewer.
    noise : float, default 0
        Standard deviation of the loss's noise, if that is known: the run ends when its points differ by no more.

    Notes
    -----
    A failed or infinite loss is in no model: a trial that fails halves the radius, of the first points the others are
    used, and where none of them has a loss the next ones are nearer by half; after five such steps the run ends. A loss
    of more than 1e100 times the first is one of so much.

    The models are solved for anew where NEWUOA updates a factorisation, steps are the ball's exact minima where it uses
    truncated conjugate gradients, and it begins with d + 1 points in place of 2 d + 1.

    Raises
    ------
    ValueError, TypeError
        If an argument is outside its range, or x0 outside ``bounds``.

    References
    ----------
    Powell. The NEWUOA software for unconstrained optimization without derivatives. 2006.
    Powell. The BOBYQA algorithm for bound constrained optimization without derivatives. DAMTP 2009/NA06.
    """

    ends: ClassVar[bool] = True

    bounds: Any = None
    radius: float = 1.0
    end_radius: float = 1e-8
    points: int | None = None
    noise: float = 0.0

    def __post_init__(self) -> None:
        check_radii(self.radius, self.end_radius)
        if self.points is not None:
            integer("points", self.points, 3)
        if not 0.0 <= self.noise < math.inf:
            raise ValueError(f"noise must be finite and 0 or more, got {self.noise!r}")
        if self.bounds is not None:
            object.__setattr__(self, "bounds", boxes.check_box("bounds", self.bounds))

    # ------------------------------------------------------------------------------------- the four functions
    def init(self, x0: Array, key: Key) -> TRState:
        """See `Method.init`."""
        x0 = x0.astype(np.float64)
        if self.bounds is not None:
            boxes.check_start(x0, self.bounds)
        if self.points is not None:
            integer("points", self.points, x0.size + 2)
        return self.begun(key, x0)

    def begun(self, key: Key, x: Array, f: float = math.nan, far: tuple[Array, float] | None = None) -> TRState:
        """Return the state at the start of a search from ``x`` (d,), whose loss is ``f``, NaN if that is not known.

        ``far`` is a point beyond the radius and its loss, which is higher: the first points are on the other side of x,
        and it tells how curved the loss is.
        """
        unit = loss_unit([f])
        X, F = (x[None][:0], np.zeros(0)) if far is None or not unit else (far[0][None], np.array([far[1] / unit]))
        return self._starting(TRState(key, x, f / (unit or 1.0), self.radius, self.radius, X, F, loss_unit=unit))

    def resumed(self, state: TRState) -> TRState:
        """Return the state of a run that has ended elsewhere, with smaller radii, as this method goes on with it."""
        return self._following(self._reduced(replace(state, reasons={})))

    def size(self, state: TRState) -> int:
        """See `Method.size`."""
        return len(state.asked)

    def ask(self, state: TRState, step: int, out: Array | None = None) -> Asked:
        """See `Method.ask`."""
        return Asked(state.asked)

    @np.errstate(over="ignore", invalid="ignore", divide="ignore")
    def update(self, state: TRState, asked: Asked, losses: list[float]) -> TRState:
        """See `Method.update`."""
        if state.reasons:
            return state
        s = state if state.loss_unit else replace(state, loss_unit=_unit(losses))
        values = np.array(losses) / (s.loss_unit or 1.0)
        values = np.where(np.isfinite(losses), np.clip(values, -LARGEST, LARGEST), values)
        if s.stage == START:
            return self._started(s, asked.X, values)
        following = self._tried if s.stage == TRIAL else self._moved
        return following(s, asked.X[0], float(values[0]))

    def mean(self, state: TRState) -> Array:
        """Return the best point."""
        return state.x

    def stop(self, state: TRState) -> dict[str, Any]:
        """See `Method.stop`."""
        return dict(state.reasons)

    # -------------------------------------------------------------------------------------------- first points
    def _starting(self, s: TRState) -> TRState:
        """Return the state whose next step is a point at the radius along each coordinate, and x if need be."""
        low, high = self._room(s.x)
        away = s.x - s.X[0] if len(s.X) else None
        probes = points.around(s.radius, generator(s.key, s.starts), low, high, away)
        if math.isnan(s.f) or not len(probes):
            probes = np.concatenate([np.zeros((1, s.x.size)), probes])
        return replace(s, stage=START, asked=self._inside(s.x + probes))

    def _started(self, s: TRState, X: Array, F: Array) -> TRState:
        """Return the state after the first points, with a model through them."""
        if not math.isnan(s.f):
            X, F = np.concatenate([s.x[None], X]), np.append(s.f, F)
        X, F = X[np.isfinite(F)], F[np.isfinite(F)]
        if not len(F):
            if s.starts + 1 >= MOST_STARTS:
                return replace(s, reasons={"nofiniteloss": MOST_STARTS})
            return self._starting(replace(s, radius=s.radius / 2, rho=s.rho / 2, starts=s.starts + 1))
        k = int(F.argmin())
        model = fitted(X[k], X, F, np.zeros((s.x.size, s.x.size)))
        begun = replace(s, x=X[k], f=float(F[k]), X=X, F=F, model=model)
        return self._following(_curved(begun, s.X[0], float(s.F[0])) if len(s.X) else begun)

    # ---------------------------------------------------------------------------------------------- iterations
    def _following(self, s: TRState) -> TRState:
        """Return the state with the next candidate: the model's lowest point in the region, or one for the model."""
        low, high = self._room(s.x)
        while not s.reasons:
            step = lowest(s.model.g, s.model.H, s.radius, low, high)
            promised = -s.model.change(step)
            if _length(step) >= SHORT * s.rho and promised > ROUNDING * abs(s.f):
                return replace(s, stage=TRIAL, asked=self._inside(s.x + step)[None], promised=promised)
            whole = s.radius
            s = replace(s, radius=_rounded(LESS * whole, s.rho))
            moving = self._moving(s)
            if moving is not None:
                return moving
            if s.radius >= whole:
                s = self._reduced(s)
        return s

    def _tried(self, s: TRState, x: Array, f: float) -> TRState:
        """Return the state after a trial at ``x``: another radius, a new point, and what comes next."""
        length, before = _length(x - s.x), s.radius
        ratio = (s.f - f) / s.promised if math.isfinite(f) else -math.inf
        if ratio < BAD:
            radius = 0.5 * min(before, length)
        else:
            factor = LEAP if abs(ratio - 1.0) <= EXACT else 2.0 if ratio > GOOD else 1.0
            radius = min(max(0.5 * before, factor * length), LARGEST)
        s = replace(s, radius=_rounded(radius, s.rho))
        if math.isfinite(f):
            s = self._with(s, x, f)
        if ratio < BAD:
            moving = self._moving(s)
            if moving is not None:
                return moving
            if ratio <= 0.0 and before <= s.rho:  # and so is the step, but for rounding
                s = self._reduced(s)
        return self._following(s)

    def _moving(self, s: TRState) -> TRState | None:
        """Return the state in which a far point is moved to where it helps the model most, None if none is far."""
        found = points.nearer(s, *self._room(s.x))
        return found and replace(s, stage=GEOMETRY, out=found[0], asked=self._inside(s.x + found[1])[None])

    def _moved(self, s: TRState, x: Array, f: float) -> TRState:
        """Return the state after a point for the model's sake, which is left where it was if it has failed."""
        if math.isfinite(f):
            s = self._with(s, x, f, s.out)
        elif s.radius <= s.rho:
            s = self._reduced(s)
        return self._following(s)

    def _reduced(self, s: TRState) -> TRState:
        """Return the state with a smaller rho (Powell 2006, section 2), or at its end."""
        if s.rho <= self.end_radius:
            return replace(s, reasons={"end_radius": self.end_radius})
        if self.noise > 0.0 and float(np.ptp(s.F)) * s.loss_unit <= INDISTINCT * self.noise:
            return replace(s, reasons={"noise": self.noise})
        ratio = s.rho / self.end_radius
        rho = LESS * s.rho if ratio > 250.0 else math.sqrt(ratio) * self.end_radius if ratio > 16.0 else self.end_radius
        return replace(s, radius=max(0.5 * s.rho, rho), rho=rho)

    def _with(self, s: TRState, x: Array, f: float, t: int | None = None) -> TRState:
        """Return the state with this point, in the place of ``t`` if that is given, and a model through it."""
        d = s.x.size
        most = self.points or min((FEW if d <= MANY else LEAST) * d + 1, (d + 1) * (d + 2) // 2)
        t = points.leaving(s, x, f < s.f, most) if t is None else t
        if t is None:
            return s
        kept = np.arange(len(s.F)) != t  # all of them for t = m
        X, F = np.concatenate([s.X[kept], x[None]]), np.append(s.F[kept], f)
        if f < s.f:
            s = replace(s, x=x, f=f)
        return replace(s, X=X, F=F, model=fitted(s.x, X, F, s.model.H))

    # -------------------------------------------------------------------------------------------------- parts
    def _inside(self, X: Array) -> Array:
        """Return X moved into the box, which rounding may have left."""
        return X if self.bounds is None else np.clip(X, *self.bounds)

    def _room(self, x: Array) -> tuple[Array, Array]:
        """Return how far x may move down, 0 or less, and up (d,)."""
        low, high = boxes.sides(self.bounds, x.size)
        return low - x, high - x


def _curved(s: TRState, far: Array, f: float) -> TRState:
    """Return the state with the curvature, the same in all directions, that a far point of loss ``f`` shows.

    Where it shows a longer step than the radius that may be as long as the point is far; else nothing changes.
    """
    if len(s.F) <= s.x.size:
        return s
    u, bent = far - s.x, fitted(s.x, s.X, s.F, np.eye(s.x.size))
    flat = s.model.change(u)
    gained = bent.change(u) - flat  # by a curvature of 1
    curvature = (f - s.f - flat) / gained if gained else math.inf
    if not 0.0 < curvature < math.inf:
        return s
    model = fitted(s.x, s.X, s.F, curvature * np.eye(s.x.size))
    if _length(model.g) < s.radius * curvature:
        return s
    return replace(s, model=model, radius=max(s.radius, _length(u)))


def _length(step: Array) -> float:
    return math.sqrt(float(step.dot(step)))


def _unit(losses: list[float]) -> float:
    """Return the unit of the lowest loss that is not 0: the others may be penalties, in which it would be nothing."""
    return loss_unit([min((loss for loss in losses if math.isfinite(loss) and loss != 0.0), default=0.0)])


def _rounded(radius: float, rho: float) -> float:
    """Return the radius, or rho where it is hardly larger."""
    return radius if radius > NEAR * rho else rho

"""Bayesian optimisation in a trust region, in a box: a Gaussian process stands for the loss."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from zoo_opt.core.errors import integer
from zoo_opt.core.keys import generator
from zoo_opt.core.method import Asked, Method
from zoo_opt.methods import box as boxes
from zoo_opt.methods.bayesian.acquisition import lowest_bound
from zoo_opt.methods.bayesian.gaussian import likeliest, process
from zoo_opt.methods.bayesian.losses import squeezed
from zoo_opt.methods.bayesian.state import BOState
from zoo_opt.methods.trust_region.points import around
from zoo_opt.methods.trust_region.radii import check_radii

if TYPE_CHECKING:
    from zoo_opt.typing import Array, Key

GAIN = 1e-3  # of the losses' spread below the median: a step that gains less has failed (Eriksson et al. 2019)
MANY_GAINS = 2  # in a row, after which the radius is doubled; 3 in Eriksson et al. 2019
OFTEN = 1.05  # more points than at the last fit: the hyper-parameters are sought anew; chosen, for time
MOST_STARTS = 8  # first steps without a loss after which a run ends; chosen
GROWN, FAR = 1e6, 1e9  # first radii: the largest radius, and where a point is too far away to tell anything; chosen


@dataclass(frozen=True, kw_only=True)
class BayesianOptimization(Method):
    """A Gaussian process through the points told, whose lower confidence bound in a ball around the best comes next.

    For few evaluations, up to about 30 per dimension, of losses with ripples or many basins. Gradients follow each
    ripple, and quadratics average over the basins. The process counts changes over less than its length as noise. The
    first step is x0 and the centre of the box, if there is one. The second is d points at the radius from the better of
    them, which can all run at once. After that a step is ``batch`` candidates. The ball doubles after two steps that
    gain, and halves after d / 2 that do not, at least three (TuRBO).

    Parameters
    ----------
    bounds : None or bounds in any form, default None
        x0 must lie inside; no candidate leaves them.
    radius : float, default 1
        A length that matters, in parameter units: the first radius, from 1e-100 to 1e100.
    end_radius : float, default 1e-8
        The run ends when the radius is smaller.
    kappa : float, default 1
        Standard deviations of the process below its mean that are hoped for: more looks farther away.
    batch : int, default 1
        Candidates of a step, which can run at once; each is chosen as if those before it had the losses expected.
    points : int, default 150
        Most points of a process, at least 10: those nearest to the best one, for time.

    Notes
    -----
    High losses are squeezed: above the median the process is told log(1 + z), so that a wall is not all it sees. Its
    length and noise are the likeliest on a grid. A failed or infinite loss counts as the worst so far. Of first points
    without any loss the next ones are nearer by half; after eight such steps the run ends.

    TuRBO has a length for each coordinate and draws samples of the process where this has one length, and a bound.

    Raises
    ------
    ValueError, TypeError
        If an argument is outside its range, or x0 outside ``bounds``.

    References
    ----------
    Jones, Schonlau, Welch. Efficient global optimization of expensive black-box functions. J. Glob. Optim. 13, 1998.
    Eriksson, Pearce, Gardner, Turner, Poloczek. Scalable global optimization via local Bayesian optimization. 2019.
    Rasmussen, Williams. Gaussian processes for machine learning. 2006.
    """

    ends: ClassVar[bool] = True

    bounds: Any = None
    radius: float = 1.0
    end_radius: float = 1e-8
    kappa: float = 1.0
    batch: int = 1
    points: int = 150

    def __post_init__(self) -> None:
        check_radii(self.radius, self.end_radius)
        if not 0.0 <= self.kappa < math.inf:
            raise ValueError(f"kappa must be finite and 0 or more, got {self.kappa!r}")
        integer("batch", self.batch, 1)
        integer("points", self.points, 10)
        if self.bounds is not None:
            object.__setattr__(self, "bounds", boxes.check_box("bounds", self.bounds))

    # ------------------------------------------------------------------------------------- the four functions
    def init(self, x0: Array, key: Key) -> BOState:
        """See `Method.init`."""
        x0 = x0.astype(np.float64)
        if self.bounds is not None:
            boxes.check_start(x0, self.bounds)
        low, high = boxes.sides(self.bounds, x0.size)
        points = x0[None]
        if np.isfinite(low).all() and np.isfinite(high).all():  # the centre is nearest to everything, on average
            centre = low + (high / 2 - low / 2)
            points = points if (centre == x0).all() else np.stack([x0, centre])
        return BOState(key, x0, math.nan, self.radius, points[:0], np.zeros(0), points)

    def begun(self, key: Key, X: Array, F: Array, around: bool) -> BOState:
        """Return the state of a search that knows the losses ``F`` (n,) at ``X`` (n, d), one of them finite.

        ``around`` : whether it looks around the best of them first, at the radius along each coordinate.
        """
        k = int(np.where(np.isfinite(F), F, math.inf).argmin())
        s = BOState(key, X[k], float(F[k]), self.radius, X, F)
        return self._starting(s) if around else self._chosen(s)

    def size(self, state: BOState) -> int:
        """See `Method.size`."""
        return len(state.asked)

    def ask(self, state: BOState, step: int, out: Array | None = None) -> Asked:
        """See `Method.ask`."""
        return Asked(state.asked)

    @np.errstate(over="ignore", invalid="ignore", divide="ignore")
    def update(self, state: BOState, asked: Asked, losses: list[float]) -> BOState:
        """See `Method.update`."""
        if state.reasons:
            return state
        values = np.where(np.isfinite(losses), losses, math.nan)
        X, F, steps = np.concatenate([state.X, asked.X]), np.append(state.F, values), state.steps + 1
        s = replace(state, X=X, F=F, steps=steps)
        k = int(np.where(np.isnan(values), math.inf, values).argmin())
        x, f = asked.X[k], float(values[k])
        if math.isnan(s.f):
            if not math.isnan(f):
                return self._following(replace(s, x=x, f=f))
            if steps >= MOST_STARTS:
                return replace(s, reasons={"nofiniteloss": MOST_STARTS})
            return self._starting(replace(s, radius=s.radius / 2 if steps > 1 else s.radius))
        if state.fitted:  # a process has chosen the step
            s = self._resized(s, f)
        if f < s.f:
            s = replace(s, x=x, f=f)
        if s.radius < self.end_radius:
            return replace(s, reasons={"end_radius": self.end_radius})
        return self._following(s)

    def mean(self, state: BOState) -> Array:
        """Return the best point."""
        return state.x

    def stop(self, state: BOState) -> dict[str, Any]:
        """See `Method.stop`."""
        return dict(state.reasons)

    # -------------------------------------------------------------------------------------------------- parts
    def _starting(self, s: BOState) -> BOState:
        """Return the state whose next step is a point at the radius along each coordinate."""
        low, high = boxes.sides(self.bounds, s.x.size)
        probes = around(s.radius, generator(s.key, s.steps), low - s.x, high - s.x)
        if not len(probes):
            probes = np.zeros((1, s.x.size))
        return replace(s, asked=np.clip(s.x + probes, low, high))

    def _resized(self, s: BOState, f: float) -> BOState:
        """Return the state with the radius that follows from a step whose lowest loss is ``f``."""
        known = s.F[np.isfinite(s.F)]
        if f < s.f - GAIN * (float(np.median(known)) - s.f):
            if s.gains + 1 < MANY_GAINS:
                return replace(s, gains=s.gains + 1, failures=0)
            return replace(s, radius=min(2 * s.radius, self._longest(s.x.size)), gains=0, failures=0)
        if s.failures + 1 < max(3, s.x.size // 2):
            return replace(s, gains=0, failures=s.failures + 1)
        return replace(s, radius=s.radius / 2, gains=0, failures=0)

    def _following(self, s: BOState) -> BOState:
        """Return the state with the next candidates: the first points around the best, then what the process says."""
        if len(s.F) <= s.x.size:
            return self._starting(s)
        return self._chosen(s)

    @np.errstate(over="ignore", invalid="ignore")
    def _chosen(self, s: BOState) -> BOState:
        """Return the state with the candidates that the process chooses."""
        X = (s.X - s.x) / self.radius  # the best point is the origin, the first radius the unit
        distances = np.sqrt((X * X).sum(axis=1))
        near = np.sort(np.argsort(distances, kind="stable")[: min(self.points, int((distances <= FAR).sum()))])
        X, y = X[near], squeezed(s.F[near])
        if not s.fitted or len(s.F) >= OFTEN * s.fitted:
            length, noise = likeliest(X, y)
            s = replace(s, length=length, noise=noise, fitted=len(s.F))
        gp, rng, origin = process(X, y, s.length, s.noise), generator(s.key, s.steps), np.zeros_like(s.x)
        low, high = boxes.sides(self.bounds, s.x.size)
        room, radius = ((low - s.x) / self.radius, (high - s.x) / self.radius), s.radius / self.radius
        chosen: list[Array] = []
        for _ in range(self.batch):
            if chosen:
                gp = gp.believing(chosen[-1])
            chosen.append(lowest_bound(gp, origin, radius, self.kappa, *room, rng))
        return replace(s, asked=np.clip(s.x + self.radius * np.array(chosen), low, high))

    def _longest(self, d: int) -> float:
        """Return the largest radius: the widest side of the box, and no more than 1e6 of the first."""
        low, high = boxes.sides(self.bounds, d)
        width = 2 * float((high / 2 - low / 2).max())
        return min(max(width, self.radius), GROWN * self.radius)

"""CMA-ES: evolution strategy with covariance matrix adaptation, active, with restarts and box bounds."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from zoo_opt.errors import integer, positive
from zoo_opt.keys import RESTART, generator
from zoo_opt.methods import box as boxes
from zoo_opt.methods.base import Method
from zoo_opt.methods.cma_parameters import default_popsize, parameters, recombination
from zoo_opt.methods.cma_stop import (
    Tolerances,
    axis_reasons,
    default_generations,
    history_length,
    run_reasons,
    shape_reasons,
)
from zoo_opt.methods.restarts import Run, RunEnd, next_run

if TYPE_CHECKING:
    from zoo_opt.typing import Array, Key


@dataclass(frozen=True, slots=True)
class CMAState:
    """State between two generations, float64.

    Attributes
    ----------
    key : Key
        Where all draws come from.
    x0 : (d,) array
        Where runs start unless ``restart_from`` says otherwise.
    run : Run
        What the run now going was started with.
    m, sigma, C : (d,) array, float, (d, d) array
        The search distribution N(m, sigma^2 C).
    B, D : (d, d) and (d,) array
        C = B diag(D)^2 B' as of the last decomposition.
    p_sigma, p_c : (d,) array
        Evolution paths.
    g : int
        Generations of this run.
    stale : int
        Evaluations since the last decomposition.
    history : tuple of float
        Best loss of each of the recent generations.
    flat : int
        Generations running with equal losses.
    evaluations : int
        Evaluations of this run.
    reasons : dict
        Why the method has ended.
    log : tuple of RunEnd
        The runs that ended before this one.
    """

    key: Key
    x0: Array
    run: Run
    m: Array
    sigma: float
    C: Array
    B: Array
    D: Array
    p_sigma: Array
    p_c: Array
    g: int
    stale: int
    history: tuple[float, ...]
    flat: int
    evaluations: int
    reasons: dict[str, Any]
    log: tuple[RunEnd, ...]


class CMAQueries:
    """The recipe of a generation: its step number. Z and Y are kept from the points for the update."""

    __slots__ = ("Y", "Z", "step")

    def __init__(self, step: int) -> None:
        self.step = step
        self.Z: Array | None = None
        self.Y: Array | None = None


@dataclass(frozen=True, kw_only=True)
class CMAES(Method):
    """Covariance matrix adaptation evolution strategy (Hansen, arXiv 1604.00772), with active covariance update.

    Ranks alone matter, so that any increasing transformation of the loss gives the same run. The whole covariance
    matrix is adapted: use it up to some hundred dimensions, `SepCMAES` or a gradient-estimate method above.

    Parameters
    ----------
    sigma0 : float, default 0.3
        First standard deviation, in parameter units. The optimum should lie within x0 +- 3 sigma0.
    popsize : int or None, default None
        lambda, at least 2; None is 4 + floor(3 ln d).
    restarts : None, "ipop" or "bipop", default None
        What happens when a run has ended: stop, or start again with a larger population, or with a larger or a
        smaller one, whichever regime has used less. With restarts only the budget stops.
    bounds : None or (low, high), default None
        Box; each side a number or a 1-D array. Points beyond are reflected into it. x0 must lie inside.
    restart_from : None or (low, high), default None
        Box that restarts draw their start from, uniformly; None is ``bounds``, and without these x0.
    lazy : float, default 0.5
        C is decomposed again after more than lazy * lambda / (c_1 + c_mu) / d evaluations; the tutorial's is 0.1.
    tolerances : Tolerances
        Thresholds that end a run.

    Raises
    ------
    ValueError, TypeError
        If an argument is outside its range, or x0 outside ``bounds``; the message names it.
    """

    sigma0: float = 0.3
    popsize: int | None = None
    restarts: str | None = None
    bounds: Any = None
    restart_from: Any = None
    lazy: float = 0.5
    tolerances: Tolerances = Tolerances()

    def __post_init__(self) -> None:
        positive("sigma0", self.sigma0)
        positive("lazy", self.lazy)
        if self.popsize is not None:
            integer("popsize", self.popsize, 2)
        if self.restarts not in (None, "ipop", "bipop"):
            raise ValueError(f"restarts must be None, 'ipop' or 'bipop', got {self.restarts!r}")
        for name in ("bounds", "restart_from"):
            if getattr(self, name) is not None:
                object.__setattr__(self, name, boxes.check_box(name, getattr(self, name)))

    # ------------------------------------------------------------------------------------- the four functions
    def init(self, x0: Array, key: Key) -> CMAState:
        """See `Method.init`."""
        x0 = x0.astype(np.float64)
        for name in ("bounds", "restart_from"):
            if getattr(self, name) is not None:
                boxes.check_fits(name, getattr(self, name), x0.size)
        if self.bounds is not None and not boxes.contains(x0, self.bounds):
            raise ValueError(f"x0 must lie inside bounds {self.bounds}, got {x0}")
        popsize = self.popsize or default_popsize(x0.size)
        run = Run(popsize, float(self.sigma0), default_generations(x0.size, popsize))
        return _start(key, x0, x0, run, ())

    def size(self, state: CMAState) -> int:
        """See `Method.size`."""
        return state.run.popsize

    def propose(self, state: CMAState, step: int) -> CMAQueries:
        """See `Method.propose`."""
        return CMAQueries(step)

    def points(self, state: CMAState, queries: CMAQueries, out: Array | None = None) -> Array:
        """See `Method.points`."""
        Z = generator(state.key, queries.step).standard_normal((state.run.popsize, state.m.size))
        Y = (Z * state.D) @ state.B.T  # y_k = B D z_k ~ N(0, C)  (39)
        queries.Z, queries.Y = Z, Y
        X = state.sigma * Y
        X += state.m  # x_k = m + sigma y_k ~ N(m, sigma^2 C)  (40)
        return X if self.bounds is None else boxes.fold(X, self.bounds)

    def update(self, state: CMAState, queries: CMAQueries, X: Array, losses: list[float]) -> CMAState:
        """See `Method.update`."""
        ranked = recombination(state.m.size, losses)
        if ranked is None:
            return state
        state = self._adapt(state, queries, losses, *ranked)
        reasons = self._reasons(state, losses)
        if not reasons:
            return state
        log = (*state.log, RunEnd(state.run, queries.step, state.evaluations, reasons))
        if self.restarts is None:
            return replace(state, reasons=reasons, log=log)
        rng = generator(state.key, queries.step, RESTART)
        run = next_run(self.restarts, log, rng)
        return _start(state.key, state.x0, self._restart_point(state.x0, rng), run, log)

    def mean(self, state: CMAState) -> Array:
        """See `Method.mean`."""
        return state.m if self.bounds is None else boxes.fold(state.m, self.bounds)

    def stop(self, state: CMAState) -> dict[str, Any]:
        """See `Method.stop`."""
        return dict(state.reasons)

    # -------------------------------------------------------------------------------------------------- parts
    def _adapt(
        self, s: CMAState, q: CMAQueries, losses: list[float], w: Array, w_plus: Array, mu_eff: float
    ) -> CMAState:
        """Return the state with the distribution moved: equations 41 to 47, learning rates of the whole lambda."""
        if q.Z is None or q.Y is None:
            raise RuntimeError("update() needs the points() of the same queries to be drawn first")
        n, p = s.m.size, parameters(s.m.size, s.run.popsize)
        g = s.g + 1
        m = s.m + s.sigma * (w_plus @ q.Y)  # (41), (42) with c_m = 1
        # C^-1/2 <y>_w = B <z>_w
        p_sigma = (1 - p.c_sigma) * s.p_sigma + math.sqrt(p.c_sigma * (2 - p.c_sigma) * mu_eff) * (
            s.B @ (w_plus @ q.Z)
        )  # (43)
        norm = math.sqrt(float(p_sigma @ p_sigma))
        exponent = (p.c_sigma / p.d_sigma) * (norm / p.chi_n - 1)
        sigma = s.sigma * math.exp(min(exponent, 1.0))  # (44)
        h_sigma = norm / math.sqrt(1 - (1 - p.c_sigma) ** (2 * g)) < (1.4 + 2 / (n + 1)) * p.chi_n
        p_c = (1 - p.c_c) * s.p_c
        if h_sigma:
            p_c += math.sqrt(p.c_c * (2 - p.c_c) * mu_eff) / s.sigma * (m - s.m)  # (45)
        # w_i^o = w_i, times n / |C^-1/2 y_i|^2 = n / |z_i|^2 where w_i < 0  (46)
        squares = np.einsum("kn,kn->k", q.Z, q.Z)
        w_o = np.where(w < 0, w * (n / squares), w)
        delta_h = 0.0 if h_sigma else p.c_c * (2 - p.c_c)
        V = np.vstack((q.Y, p_c))
        v = np.append(p.c_mu * w_o, p.c_1)
        C = (V.T * v) @ V
        C += (1 + p.c_1 * delta_h - p.c_1 - p.c_mu * float(w.sum())) * s.C  # (47)

        finite = [loss for loss in losses if loss < math.inf]
        best, full = (min(finite) if finite else math.inf), history_length(n, s.run.popsize)
        ordered = sorted(loss for loss in losses if loss == loss)
        flat = s.flat + 1 if ordered[0] == ordered[int(0.75 * len(ordered))] else 0
        B, D, stale = s.B, s.D, s.stale + s.run.popsize
        if stale > self.lazy * s.run.popsize / (p.c_1 + p.c_mu) / n:
            B, D, C = _decompose(C)
            stale = 0
        return CMAState(
            s.key, s.x0, s.run, m, sigma, C, B, D, p_sigma, p_c, g, stale,
            (best, *s.history[: full - 1]), flat, s.evaluations + len(losses), s.reasons, s.log,
        )  # fmt: skip

    def _reasons(self, s: CMAState, losses: list[float]) -> dict[str, Any]:
        """Return why this run has ended, empty if it has not."""
        tol = self.tolerances
        survivors = [loss for loss in losses if loss == loss]
        full = len(s.history) >= history_length(s.m.size, s.run.popsize)
        reasons = run_reasons(survivors, s.history, full, s.flat, tol)
        reasons |= shape_reasons(s.m, s.sigma, s.run.sigma0, np.sqrt(s.C.diagonal()), s.p_c, tol)
        reasons |= axis_reasons(s.m, s.sigma, s.B, s.D, s.g, tol)
        if s.g >= s.run.generations:
            reasons["maxiter"] = s.run.generations
        return reasons

    def _restart_point(self, x0: Array, rng: np.random.Generator) -> Array:
        """Return where the next run starts."""
        box = self.bounds if self.restart_from is None else self.restart_from
        if box is None:
            return x0
        x = rng.uniform(*(np.broadcast_to(side, x0.shape) for side in box))
        return x if self.bounds is None else boxes.fold(x, self.bounds)


def _start(key: Key, x0: Array, m: Array, run: Run, log: tuple[RunEnd, ...]) -> CMAState:
    """Return the state at the start of ``run``."""
    n = m.size
    eye, zeros, ones = np.eye(n), np.zeros(n), np.ones(n)
    return CMAState(key, x0, run, m, run.sigma0, eye, eye, ones, zeros, zeros, 0, 0, (), 0, 0, {}, log)


def _decompose(C: Array) -> tuple[Array, Array, Array]:
    """Return B, D and C, with C raised to positive definite where rounding has made it otherwise."""
    values, B = np.linalg.eigh(C)
    if values[0] <= 0.0:
        floor = 1e-14 * values[-1] - values[0]
        C = C + floor * np.eye(len(C))
        values = values + floor
    return B, np.sqrt(values), C

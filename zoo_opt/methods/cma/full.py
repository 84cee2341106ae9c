"""CMA-ES: evolution strategy with covariance matrix adaptation, active, with restarts and box bounds."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from zoo_opt.core.errors import instance, positive
from zoo_opt.core.keys import generator
from zoo_opt.core.method import Asked
from zoo_opt.methods.cma.noise import NoiseHandling, Repeats
from zoo_opt.methods.cma.parameters import parameters, rank
from zoo_opt.methods.cma.restarts import Run, RunEnd
from zoo_opt.methods.cma.runs import MethodInRuns, RunState, recent
from zoo_opt.methods.cma.stop import Tolerances, shape_reasons

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from zoo_opt.typing import Array, Key


@dataclass(frozen=True, slots=True)
class CMAState(RunState):
    """State between two generations, float64.

    Attributes
    ----------
    m, sigma, C : (d,) array, float, (d, d) array
        The search distribution N(m, sigma^2 C).
    B, D : (d, d) and (d,) array
        C = B diag(D)^2 B' as of the last decomposition.
    p_sigma, p_c : (d,) array
        Evolution paths.
    stale : int
        Evaluations since the last decomposition.
    noise : object
        What the noise handling remembers.
    """

    m: Array
    sigma: float
    C: Array
    B: Array
    D: Array
    p_sigma: Array
    p_c: Array
    stale: int
    noise: Any = None


class CMAMemo(NamedTuple):
    """What the update needs of a generation: its step number, and the z_k and y_k of its points."""

    step: int
    Z: Array
    Y: Array


@dataclass(frozen=True, kw_only=True)
class CMAES(MethodInRuns):
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
    lazy : float, default 1
        C is decomposed again after more than min(lazy / d, 0.1) lambda / (c_1 + c_mu) evaluations. The tutorial has
        0.1; up to 2 no loss was seen on bbob.
    tolerances : Tolerances
        Thresholds that end a run.
    noise : None, QuadraticModel, UncertaintyHandling or LearningRateAdaptation, default None
        What is done about noise in the loss; None: nothing.

    Raises
    ------
    ValueError, TypeError
        If an argument is outside its range, or x0 outside ``bounds``; the message names it.
    """

    lazy: float = 1.0
    tolerances: Tolerances = Tolerances()
    noise: NoiseHandling | None = None

    def __post_init__(self) -> None:
        MethodInRuns.__post_init__(self)
        positive("lazy", self.lazy)
        if self.noise is not None:
            instance("noise", self.noise, NoiseHandling)

    # -------------------------------------------------------------------------------------------- see `Method`
    def start(self, key: Key, x0: Array, m: Array, run: Run, log: tuple[RunEnd, ...]) -> CMAState:
        """See `MethodInRuns.start`."""
        n = m.size
        eye, zeros, ones = np.eye(n), np.zeros(n), np.ones(n)
        memory = None if self.noise is None else self.noise.begin(n)
        return CMAState(
            key, x0, run, 0, (), 0, 0, {}, log, m, run.sigma0, eye, eye, ones, zeros, zeros, 0, memory
        )  # fmt: skip

    def size(self, state: CMAState) -> int:
        """See `Method.size`."""
        repeats = self._repeats(state)
        return self._popsize(state) + (0 if repeats is None else len(repeats.rows))

    def ask(self, state: CMAState, step: int, out: Array | None = None) -> Asked:
        """See `Method.ask`."""
        Z = generator(state.key, step).standard_normal((self._popsize(state), state.m.size))
        z = None if self.noise is None else self.noise.injected(state)
        if z is not None:
            Z[-1] = z
        Y = (Z * state.D).dot(state.B.T)  # y_k = B D z_k ~ N(0, C)  (39)
        X = state.sigma * Y
        X += state.m  # x_k = m + sigma y_k ~ N(m, sigma^2 C)  (40)
        X, memo = self.inside(X), CMAMemo(step, Z, Y)
        repeats = self._repeats(state)
        if repeats is None:
            return Asked(X, memo)
        again = [*[None] * len(X), *(row - repeats.size for row in repeats.rows)]
        return Asked(np.concatenate([X, repeats.X]), memo, again)

    def told_sem(self, state: CMAState, asked: Asked, sem: list[float]) -> CMAState:
        """See `Method.told_sem`."""
        return state if self.noise is None else replace(state, noise=self.noise.told(state.noise, sem))

    def update(self, state: CMAState, asked: Asked, losses: list[float]) -> CMAState:
        """See `Method.update`."""
        X, memo = asked.X, asked.memo
        spent = len(losses)
        if self.noise is not None:
            popsize = self._popsize(state)
            memory = self.noise.heard(state.noise, popsize, X, losses, state.key, memo.step)
            state = replace(state, noise=memory)
            losses = losses[:popsize]
        order = rank(losses if self.noise is None else self.noise.ranked_by(state, X[: len(losses)], losses))
        if not len(order):
            return state
        ranked = sorted([losses[k] for k in order])
        after = self._adapt(state, memo, order, ranked, spent)
        if self.noise is not None:
            after = self.noise.adjusted(state, after)
        return self.judged(after, memo.step, ranked)

    def mean(self, state: CMAState) -> Array:
        """See `Method.mean`."""
        return self.inside(state.m)

    def shape_reasons(self, state: CMAState) -> dict[str, Any]:
        """See `MethodInRuns.shape_reasons`: looked for after a decomposition."""
        s = state
        if s.stale > 0:
            return {}
        return shape_reasons(s.m, s.sigma, s.run.sigma0, s.C, s.B, s.D, s.p_c, s.g, self.tolerances)

    # -------------------------------------------------------------------------------------------------- parts
    def _popsize(self, s: CMAState) -> int:
        """Return lambda of the next generation."""
        return s.run.popsize if self.noise is None else self.noise.popsize(s.noise, s.run.popsize)

    def _repeats(self, s: CMAState) -> Repeats | None:
        """Return what the next step evaluates again."""
        return None if self.noise is None else self.noise.repeats(s.noise)

    def _adapt(self, s: CMAState, q: CMAMemo, order: NDArray[np.intp], ranked: list[float], spent: int) -> CMAState:
        """Return the state with the distribution moved: equations 41 to 47, as a population of the survivors."""
        n, g = s.m.size, s.g + 1
        p = parameters(n, len(order))
        Z, Y = q.Z.take(order, axis=0), q.Y.take(order, axis=0)
        y_w = p.plus.dot(Y)  # <y>_w = sum_i w_i y_i  (41)
        m = s.m + s.sigma * y_w  # (42) with c_m = 1
        # (43), as C^-1/2 <y>_w = B <z>_w
        p_sigma = (1 - p.c_sigma) * s.p_sigma
        p_sigma += math.sqrt(p.c_sigma * (2 - p.c_sigma) * p.mu_eff) * s.B.dot(p.plus.dot(Z))
        norm = math.sqrt(p_sigma.dot(p_sigma))
        sigma = s.sigma * math.exp(min(1.0, p.c_sigma / p.d_sigma * (norm / p.chi_n - 1)))  # (44)
        h_sigma = norm / math.sqrt(1 - (1 - p.c_sigma) ** (2 * g)) < (1.4 + 2 / (n + 1)) * p.chi_n
        p_c = (1 - p.c_c) * s.p_c
        if h_sigma:
            p_c += math.sqrt(p.c_c * (2 - p.c_c) * p.mu_eff) * y_w  # (45)
        # c_mu w_i^o, where w_i^o = w_i n / |C^-1/2 y_i|^2 = w_i n / |z_i|^2 if w_i < 0, else w_i  (46)
        rank_mu = p.rank_mu_plus + p.rank_mu_minus / np.vecdot(Z, Z)
        delta_h = 0.0 if h_sigma else p.c_c * (2 - p.c_c)
        C = (Y.T * rank_mu).dot(Y)  # (47)
        C += (p.c_1 * p_c)[:, None] * p_c
        C += (1 + p.c_1 * delta_h - p.c_1 - p.c_mu * p.total) * s.C

        B, D, stale = s.B, s.D, s.stale + len(q.Z)
        # at most a tenth of C is new by then: (52) keeps C positive definite where B and D are those of C
        if stale > min(self.lazy / n, 0.1) * len(q.Z) / (p.c_1 + p.c_mu):
            B, D, C = _decompose(C)
            stale = 0
        history, flat = recent(s, ranked)
        return CMAState(
            s.key, s.x0, s.run, g, history, flat, s.evaluations + spent, s.reasons, s.log,
            m, sigma, C, B, D, p_sigma, p_c, stale, s.noise,
        )  # fmt: skip


def _decompose(C: Array) -> tuple[Array, Array, Array]:
    """Return B, D and C, with C raised to positive definite where rounding has made it otherwise."""
    values, B = np.linalg.eigh(C)
    if values[0] <= 0.0:
        floor = 1e-14 * values[-1] - values[0]
        C = C + floor * np.eye(len(C))
        values = values + floor
    return B, np.sqrt(values), C

"""CMA-ES: evolution strategy with covariance matrix adaptation, active.

The equations are those of N. Hansen, The CMA evolution strategy: a tutorial (arXiv 1604.00772, version of 2023), in its
symbols. Those of the parameters, (48) to (58), are in `zoo_opt.methods.cma.parameters`.
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from zoo_opt.core.errors import instance, positive
from zoo_opt.methods.cma.noise import NO_HANDLING, NoiseHandling
from zoo_opt.methods.cma.parameters import RANK, TINY, default_parameters
from zoo_opt.methods.cma.runs import Distribution, ESState
from zoo_opt.methods.cma.stop import NO_EFFECT, Tolerances, condition_reasons, coordinate_reasons, norm
from zoo_opt.methods.cma.strategy import EvolutionStrategy

if TYPE_CHECKING:
    from numpy.random import Generator
    from numpy.typing import NDArray

    from zoo_opt.typing import Array


@dataclass(frozen=True, slots=True, kw_only=True)
class FullDistribution(Distribution):
    """The search distribution N(m, sigma^2 C).

    Attributes
    ----------
    C : (d, d) array
        Covariance matrix over sigma^2.
    B, D : (d, d) and (d,) array
        C = B diag(D)^2 B' as of the last decomposition.
    stale : int
        Evaluations since the last decomposition.
    """

    C: Array
    B: Array
    D: Array
    stale: int

    def std(self) -> Array:
        """See `Distribution.std`."""
        return np.sqrt(self.C.diagonal())


@dataclass(frozen=True, kw_only=True)
class CMAES(EvolutionStrategy):
    """Covariance matrix adaptation evolution strategy (Hansen, arXiv 1604.00772), with active covariance update.

    Ranks alone decide where it goes, so that any increasing transformation of the loss gives the same points; when a
    run ends depends on ratios of losses too (see `Tolerances`), and stays as it is when the loss is multiplied. The
    whole covariance matrix is adapted: use it up to some hundred dimensions, `SepCMAES` or a gradient-estimate method
    above.

    Parameters
    ----------
    sigma0 : float or 1-D array, default 0.3
        First standard deviation, of all variables or of each, in parameter units. The optimum should
        lie within x0 +- 3 sigma0.
    popsize : int or None, default None
        lambda, at least 2; None is 4 + floor(3 ln d).
    restarts : None, "ipop" or "bipop", default None
        What happens when a run has ended: stop, or start again with a larger population, or with a larger or a
        smaller one, whichever regime has used less. With restarts only the budget stops.
    bounds : None or (low, high), default None
        Box; each side a number or a 1-D array. Points beyond are evaluated at the nearest point of it, and ranked lower
        by how far they were. x0 must lie inside.
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

    lazy: float = 1.0  # measured on bbob: docs/design.md, "What was tried and dropped"
    tolerances: Tolerances = Tolerances()
    noise: NoiseHandling | None = None

    def __post_init__(self) -> None:
        EvolutionStrategy.__post_init__(self)
        positive("lazy", self.lazy)
        if self.noise is not None:
            instance("noise", self.noise, NoiseHandling)

    @functools.cached_property
    def handling(self) -> NoiseHandling:
        """See `EvolutionStrategy.handling`."""
        return NO_HANDLING if self.noise is None else self.noise

    def begin(self, m: Array, sigma: float) -> FullDistribution:
        """See `EvolutionStrategy.begin`."""
        n = m.size
        eye, zeros, ones = np.eye(n), np.zeros(n), np.ones(n)
        return FullDistribution(m=m, sigma=sigma, C=eye, B=eye, D=ones, p_sigma=zeros, p_c=zeros, stale=0)

    def sample(
        self, state: ESState, rng: Generator, popsize: int, out: Array | None
    ) -> tuple[Array, tuple[Array, Array]]:
        """See `EvolutionStrategy.sample`: equations 38 to 40."""
        s: FullDistribution = state.distribution
        Z = rng.standard_normal((popsize, s.m.size))  # z_k ~ N(0, I)  (38)
        z = self.handling.injected(state)
        if z is not None:
            Z[-1] = z
        Y = (Z * s.D).dot(s.B.T)  # y_k = B D z_k ~ N(0, C)  (39)
        X = s.sigma * Y
        X += s.m  # x_k = m + sigma y_k ~ N(m, sigma^2 C)  (40)
        return X, (Z, Y)

    def adapt(
        self, dist: FullDistribution, kept: tuple[Array, Array], order: NDArray[np.intp], g: int
    ) -> FullDistribution:
        """See `EvolutionStrategy.adapt`: equations 41 to 47, as a population of the survivors."""
        s, n, popsize = dist, dist.m.size, len(kept[0])
        p = default_parameters(n, len(order))
        Z, Y = (rows.take(order, axis=0) for rows in kept)  # z_{i:lambda}, y_{i:lambda}

        # selection and recombination
        y_w = p.plus.dot(Y)  # <y>_w = sum_{i <= mu} w_i y_{i:lambda}  (41)
        m = s.m + s.sigma * y_w  # (42), c_m = 1

        # step-size control
        p_sigma = (1 - p.c_sigma) * s.p_sigma
        p_sigma += math.sqrt(p.c_sigma * (2 - p.c_sigma) * p.mu_eff) * s.B.dot(p.plus.dot(Z))  # (43): C^-1/2 y = B z
        norm = math.sqrt(p_sigma.dot(p_sigma))
        # (44), at most a factor of e, as in pycma
        sigma = s.sigma * math.exp(min(1.0, p.c_sigma / p.d_sigma * (norm / p.chi_n - 1)))

        # covariance matrix adaptation
        h_sigma = norm / math.sqrt(1 - (1 - p.c_sigma) ** (2 * g)) < (1.4 + 2 / (n + 1)) * p.chi_n
        p_c = (1 - p.c_c) * s.p_c
        if h_sigma:
            p_c += math.sqrt(p.c_c * (2 - p.c_c) * p.mu_eff) * y_w  # (45)
        # c_mu w_i^o: w_i^o = w_i where positive, else w_i n / |C^-1/2 y_i|^2 = w_i n / |z_i|^2  (46)
        lengths = np.maximum(np.vecdot(Z, Z), TINY)  # 0 where integers put a good candidate on the mean itself
        c_mu_w = p.rank_mu_plus + p.rank_mu_minus / lengths
        delta_h = 0.0 if h_sigma else p.c_c * (2 - p.c_c)
        C = (Y.T * c_mu_w).dot(Y)  # (47): rank mu,
        C += (p.c_1 * p_c)[:, None] * p_c  # rank one,
        C += (1 + p.c_1 * delta_h - p.c_1 - p.c_mu * p.total) * s.C  # and what is left of C

        B, D, stale = s.B, s.D, s.stale + popsize
        # at most a tenth of C is new by then: (52) keeps C positive definite where B and D are those of C
        if stale > min(self.lazy / n, 0.1) * popsize / (p.c_1 + p.c_mu):
            B, D, C = _decompose(C)
            stale = 0
        return FullDistribution(m=m, sigma=sigma, C=C, B=B, D=D, p_sigma=p_sigma, p_c=p_c, stale=stale)

    def whitened(self, dist: FullDistribution, X: Array) -> Array:
        """See `EvolutionStrategy.whitened`: z = D^-1 B' (x - m) / sigma."""
        Z: Array = ((X - dist.m) / dist.sigma).dot(dist.B) / dist.D
        return Z

    def kept_of(self, dist: FullDistribution, X: Array) -> tuple[Array, Array]:
        """See `EvolutionStrategy.kept_of`."""
        return self.whitened(dist, X), (X - dist.m) / dist.sigma

    def shape_reasons(self, dist: FullDistribution, sigma0: float, g: int) -> dict[str, Any]:
        """See `EvolutionStrategy.shape_reasons`: looked for after a decomposition."""
        if dist.stale > 0:
            return {}
        m, D = dist.m, dist.D
        shortest, longest = float(D[0]), float(D[-1])
        reasons = coordinate_reasons(dist, shortest, longest, sigma0, self.tolerances)
        i = g % m.size  # each axis in turn
        near = dist.sigma * shortest < NO_EFFECT * math.sqrt(m.size) * norm(m)
        if near and (m == m + 0.1 * dist.sigma * D[i] * dist.B[:, i]).all():
            reasons["noeffectaxis"] = i
        return reasons | condition_reasons(shortest, longest, self.tolerances)


def _decompose(C: Array) -> tuple[Array, Array, Array]:
    """Return B, D and C, with C raised to positive definite where rounding has made it otherwise."""
    values, B = np.linalg.eigh(C)
    if values[0] <= 0.0:
        floor = RANK * values[-1] - values[0]
        C = C + floor * np.eye(len(C))
        values = values + floor
    return B, np.sqrt(values), C

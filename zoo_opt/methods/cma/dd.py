"""dd-CMA-ES: the CMA-ES with adaptive diagonal decoding, which learns the scales of the coordinates in linear time."""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from zoo_opt.core.errors import positive
from zoo_opt.methods.cma.parameters import RANK, TINY, expected_length, raw_weights
from zoo_opt.methods.cma.runs import Distribution, ESState
from zoo_opt.methods.cma.stop import Tolerances, condition_reasons, coordinate_reasons
from zoo_opt.methods.cma.strategy import EvolutionStrategy

if TYPE_CHECKING:
    from numpy.random import Generator
    from numpy.typing import NDArray

    from zoo_opt.typing import Array

BETA_THRESHOLD = 2.0  # beta_thresh (31): beyond this root of C's condition number D learns more slowly; the paper's
MOST_TAKEN = 0.75  # the part of C's variance along an axis that one decomposition may take away (22); the paper's


@dataclass(frozen=True, slots=True, kw_only=True)
class DDDistribution(Distribution):
    """The search distribution N(m, sigma^2 D C D).

    Attributes
    ----------
    D : (d,) array
        The diagonal decoding: scales of the coordinates.
    root, B, E : (d, d), (d, d) and (d,) array
        The symmetric root of C = B diag(E)^2 B', a correlation matrix.
    Z : (d, d) array
        What C has learnt since its last decomposition, in the coordinates where C is the identity.
    p_D : (d,) array
        Evolution path of D.
    gamma_sigma, gamma_c, gamma_D : float
        How much of its stationary variance each path has.
    """

    D: Array
    root: Array
    B: Array
    E: Array
    Z: Array
    p_D: Array
    gamma_sigma: float = 0.0
    gamma_c: float = 0.0
    gamma_D: float = 0.0

    def std(self) -> Array:
        """See `Distribution.std`."""
        return self.D


@dataclass(frozen=True, slots=True)
class MatrixRates:
    """How fast a matrix of so many degrees of freedom is learnt, and the weights that go with it."""

    c_1: float
    c_mu: float
    c_c: float
    plus: Array  # (lambda,) c_mu w_i where positive, 0 elsewhere
    minus: Array  # (lambda,) n c_mu w_i where negative, 0 elsewhere
    total: float  # c_mu times the sum of all weights


@dataclass(frozen=True, slots=True)
class DDParameters:
    """Defaults of Akimoto and Hansen (2020), with their symbols, times the paces and the damping of the method."""

    w: Array  # (lambda,) positive weights that sum to 1, 0 elsewhere
    mu_w: float
    c_sigma: float
    d_sigma: float
    chi_n: float
    C: MatrixRates
    D: MatrixRates


@functools.lru_cache(maxsize=256)
def _parameters(n: int, popsize: int, pace_C: float, pace_D: float, damping: float) -> DDParameters:
    plus, minus = raw_weights(popsize)
    plus /= plus.sum()
    mu_w, mu_w_minus = 1 / float(plus @ plus), 0.0
    if minus.any():
        minus /= -minus.sum()
        mu_w_minus = 1 / float(minus @ minus)
    mu_prime = mu_w + 1 / mu_w - 2 + popsize / (2 * (popsize + 5))

    def rates(freedom: float, pace: float) -> MatrixRates:
        c_1 = pace / (2 * (freedom / n + 1) * (n + 1) ** 0.75 + mu_w / 2)
        c_mu = min(mu_prime * c_1, 1 - c_1)
        negative = min(1 + c_1 / c_mu, 1 + 2 * mu_w_minus / (mu_w + 2)) * minus
        total = c_mu * float(plus.sum() + negative.sum())
        return MatrixRates(c_1, c_mu, math.sqrt(mu_w * c_1) / 2, c_mu * plus, n * c_mu * negative, total)

    c_sigma = (mu_w + 2) / (n + mu_w + 5)
    return DDParameters(
        w=plus,
        mu_w=mu_w,
        c_sigma=c_sigma,
        d_sigma=damping * (1 + c_sigma + 2 * max(0.0, math.sqrt((mu_w - 1) / (n + 1)) - 1)),
        chi_n=expected_length(n),
        C=rates(n * (n + 1) / 2, pace_C),
        D=rates(n, pace_D),
    )


@dataclass(frozen=True, kw_only=True)
class DDCMAES(EvolutionStrategy):
    """CMA-ES with diagonal decoding (Akimoto and Hansen, Evolutionary Computation 28(3), 2020; arXiv 1905.05885).

    The covariance matrix is D C D. The scales D are learnt as fast as by `SepCMAES`, the correlations C as by `CMAES`,
    with rates made for many variables; the more correlated, the slower D. The defaults are faster than the paper's,
    which `paper` gives. Memory and the time of an evaluation are quadratic in d: for some dozens up to about a
    thousand variables.

    Parameters
    ----------
    sigma0 : float or 1-D array, default 0.3
        First standard deviation, of all variables or of each, in parameter units. The optimum should
        lie within x0 +- 3 sigma0.
    popsize : int or None, default None
        lambda, at least 2; None is 4 + floor(3 ln d).
    restarts : None, "ipop" or "bipop", default None
        What happens when a run has ended, as in `CMAES`. With restarts only the budget stops.
    bounds : None or (low, high), default None
        Box; each side a number or a 1-D array. Points beyond are evaluated at the nearest point of it, and ranked lower
        by how far they were. x0 must lie inside.
    restart_from : None or (low, high), default None
        Box that restarts draw their start from, uniformly; None is ``bounds``, and without these x0.
    tolerances : Tolerances
        Thresholds that end a run.
    pace_C, pace_D : float, default 2 and 1.5
        Learning rates of C and of D over the paper's.
    damping : float, default 0.5
        d_sigma over the paper's: the smaller, the faster the step size changes.
    lazy : float, default 4
        C is decomposed every max(1, floor(min(lazy / d, 0.1) / (c_1 + c_mu))) generations. The paper has 0.1 / d; at
        d = 160 no loss was seen with 4.

    Raises
    ------
    ValueError, TypeError
        If an argument is outside its range, or x0 outside ``bounds``; the message names it.
    """

    tolerances: Tolerances = Tolerances()
    # measured on bbob-largescale in 160 dimensions: docs/large-scale.md, "What differs from the paper", "What failed"
    pace_C: float = 2.0
    pace_D: float = 1.5
    damping: float = 0.5
    lazy: float = 4.0

    def __post_init__(self) -> None:
        EvolutionStrategy.__post_init__(self)
        for name in ("pace_C", "pace_D", "damping", "lazy"):
            positive(name, getattr(self, name))

    @classmethod
    def paper(cls, **options: Any) -> DDCMAES:
        """Return the method with the paper's learning rates, damping and decompositions.

        Parameters
        ----------
        **options
            Other hyper-parameters, such as ``sigma0``.
        """
        return cls(**{"pace_C": 1.0, "pace_D": 1.0, "damping": 1.0, "lazy": 0.1, **options})

    def begin(self, m: Array, sigma: float) -> DDDistribution:
        """See `EvolutionStrategy.begin`."""
        n = m.size
        eye, ones, zeros = np.eye(n), np.ones(n), np.zeros(n)
        return DDDistribution(
            m=m, sigma=sigma, D=ones, root=eye, B=eye, E=ones, Z=np.zeros((n, n)), p_sigma=zeros, p_c=zeros, p_D=zeros
        )

    def sample(self, state: ESState, rng: Generator, popsize: int, out: Array | None) -> tuple[Array, Array]:
        """See `EvolutionStrategy.sample`."""
        s: DDDistribution = state.distribution
        Z = rng.standard_normal((popsize, s.m.size))  # z_k ~ N(0, I)
        X = Z.dot(s.root)
        X *= s.sigma * s.D
        X += s.m  # x_k = m + sigma D C^1/2 z_k
        return X, Z

    def adapt(self, dist: DDDistribution, kept: Array, order: NDArray[np.intp], g: int) -> DDDistribution:
        """See `EvolutionStrategy.adapt`; the numbers are the paper's equations."""
        s, n = dist, dist.m.size
        p = self._parameters(n, len(order))
        Z = kept.take(order, axis=0)  # z_{i:lambda}

        # selection and recombination
        z_w = p.w.dot(Z)  # sum_i w_i z_{i:lambda}
        y_w = s.D * s.root.dot(z_w)
        m = s.m + s.sigma * y_w  # c_m = 1

        # step-size control
        p_sigma, gamma_sigma = _path(s.p_sigma, s.gamma_sigma, p.c_sigma, p.mu_w, z_w)
        square = float(p_sigma.dot(p_sigma))
        change = p.c_sigma / p.d_sigma * (math.sqrt(square) / p.chi_n - math.sqrt(gamma_sigma))
        sigma = s.sigma * math.exp(min(1.0, change))  # at most a factor of e, as in pycma

        h_sigma = square / gamma_sigma < (2 + 4 / (n + 1)) * n
        p_c, gamma_c = _path(s.p_c, s.gamma_c, p.C.c_c, p.mu_w, y_w if h_sigma else None)
        p_D, gamma_D = _path(s.p_D, s.gamma_D, p.D.c_c, p.mu_w, y_w if h_sigma else None)
        v_c, v_D = ((path / s.D).dot(s.B) / s.E for path in (p_c, p_D))
        v_c, v_D = s.B.dot(v_c), s.B.dot(v_D)  # C^-1/2 D^-1 p

        # what C has learnt
        lengths = np.maximum(np.vecdot(Z, Z), TINY)  # a negative weight is that of z |n^1/2 / z|
        learnt = (Z.T * (p.C.plus + p.C.minus / lengths)).dot(Z)  # (19)
        learnt += (p.C.c_1 * v_c)[:, None] * v_c
        learnt.ravel()[:: n + 1] -= p.C.total + p.C.c_1 * gamma_c
        learnt += s.Z

        # D
        delta = (p.D.plus + p.D.minus / lengths).dot(Z * Z) - p.D.total + p.D.c_1 * (v_D * v_D - gamma_D)  # (28)
        beta = max(1.0, float(s.E[-1] / s.E[0]) - BETA_THRESHOLD + 1)  # (31)
        D = s.D * np.exp(delta / (2 * beta))  # (29)

        root, B, E = s.root, s.B, s.E
        if g % self._interval(n, len(kept)) == 0:
            D, root, B, E = _decompose(D, root, learnt)
            learnt = np.zeros((n, n))
        return DDDistribution(
            m=m, sigma=sigma, D=D, root=root, B=B, E=E, Z=learnt, p_sigma=p_sigma, p_c=p_c, p_D=p_D,
            gamma_sigma=gamma_sigma, gamma_c=gamma_c, gamma_D=gamma_D,
        )  # fmt: skip

    def kept_of(self, dist: DDDistribution, X: Array) -> Array:
        """See `EvolutionStrategy.kept_of`."""
        return self.whitened(dist, X)

    def whitened(self, dist: DDDistribution, X: Array) -> Array:
        """See `EvolutionStrategy.whitened`: z = C^-1/2 D^-1 (x - m) / sigma."""
        Y = (X - dist.m) / (dist.sigma * dist.D)
        Z: Array = (Y.dot(dist.B) / dist.E).dot(dist.B.T)
        return Z

    def shape_reasons(self, dist: DDDistribution, sigma0: float, g: int) -> dict[str, Any]:
        """See `EvolutionStrategy.shape_reasons`."""
        reasons = coordinate_reasons(dist, float(dist.D.min()), float(dist.D.max()), sigma0, self.tolerances)
        return reasons | condition_reasons(float(dist.E[0]), float(dist.E[-1]), self.tolerances)

    def _parameters(self, n: int, popsize: int) -> DDParameters:
        return _parameters(n, popsize, self.pace_C, self.pace_D, self.damping)

    def _interval(self, n: int, popsize: int) -> int:
        """Return the generations from one decomposition to the next."""
        rates = self._parameters(n, popsize).C
        return max(1, int(min(self.lazy / n, 0.1) / (rates.c_1 + rates.c_mu)))


def _path(path: Array, gamma: float, c: float, mu_w: float, y_w: Array | None) -> tuple[Array, float]:
    """Return an evolution path and its gamma after a step ``y_w``, None where the path is stalled."""
    path, gamma = (1 - c) * path, (1 - c) ** 2 * gamma
    if y_w is not None:
        path += math.sqrt(c * (2 - c) * mu_w) * y_w
        gamma += c * (2 - c)
    return path, gamma


def _decompose(D: Array, root: Array, Z: Array) -> tuple[Array, Array, Array, Array]:
    """Return D, the root of C, B and E after C has become C^1/2 (I + alpha Z) C^1/2, scaled to a correlation matrix."""
    n = len(D)
    eye = np.eye(n)
    try:
        np.linalg.cholesky(Z + MOST_TAKEN * eye)  # no eigenvalue below -3/4: alpha = 1
        alpha = 1.0
    except np.linalg.LinAlgError:
        alpha = min(1.0, MOST_TAKEN / abs(float(np.linalg.eigvalsh(Z)[0])))  # (22)
    C = root.dot(eye + alpha * Z).dot(root)  # (21)
    scale = np.sqrt(C.diagonal())
    values, B = np.linalg.eigh(C / scale / scale[:, None])  # (35)
    E = np.sqrt(np.maximum(values, RANK * values[-1]))
    return D * scale, (B * E).dot(B.T), B, E  # (34)

"""Learning-rate adaptation of the CMA-ES: under noise, or on rugged ground, smaller steps of the distribution."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from zoo_opt.core.errors import fraction, positive
from zoo_opt.methods.cma.noise import NoiseHandling
from zoo_opt.methods.cma.parameters import RANK

if TYPE_CHECKING:
    from zoo_opt.methods.cma.full import FullDistribution
    from zoo_opt.typing import Array


@dataclass(frozen=True, slots=True)
class Rate:
    """A learning rate and what it is adapted from: moving averages of the steps and of their squared lengths."""

    eta: float
    E: Array
    V: float = 0.0


@dataclass(frozen=True, slots=True)
class Rates:
    """Memory of `LearningRateAdaptation`: the rates of m and of Sigma = sigma^2 C."""

    m: Rate
    Sigma: Rate


@dataclass(frozen=True, kw_only=True)
class LearningRateAdaptation(NoiseHandling):
    """Learning-rate adaptation (LRA-CMA-ES, Nomura, Akimoto and Ono 2023 [1]).

    The steps of the mean and of the covariance are multiplied by learning rates eta, which are adapted so that the
    signal-to-noise ratio of the steps stays at alpha eta: where steps contradict each other, they become small. The
    population stays as it is. It takes one eigendecomposition a generation, whatever `CMAES.lazy` says.

    Parameters
    ----------
    alpha : float, default 1.4
        Signal-to-noise ratio over the learning rate.
    beta_m, beta_Sigma : float, default 0.1 and 0.03
        Weights of a new step in the averages, in (0, 1).
    gamma : float, default 0.1
        How quickly a learning rate changes.

    References
    ----------
    [1] M. Nomura, Y. Akimoto, I. Ono. CMA-ES with learning rate adaptation: can CMA-ES with default population size
       solve multimodal and noisy problems? GECCO 2023, arXiv 2304.03473.
    """

    alpha: float = 1.4
    beta_m: float = 0.1
    beta_Sigma: float = 0.03
    gamma: float = 0.1

    def __post_init__(self) -> None:
        for name in ("alpha", "beta_m", "beta_Sigma", "gamma"):
            positive(name, getattr(self, name))
        fraction("beta_m", self.beta_m)
        fraction("beta_Sigma", self.beta_Sigma)

    def begin(self, n: int) -> Rates:
        """See `NoiseHandling.begin`."""
        return Rates(Rate(1.0, np.zeros(n)), Rate(1.0, np.zeros((n, n))))

    def adjust(
        self, memory: Rates, before: FullDistribution, after: FullDistribution
    ) -> tuple[Rates, FullDistribution]:
        """See `NoiseHandling.adjust`: algorithm 1 of the paper, with its symbols."""
        Sigma = before.sigma**2 * before.C
        delta_m = after.m - before.m
        delta_Sigma = after.sigma**2 * after.C - Sigma
        # local coordinates, in which the Fisher information is I
        inv_root = (before.B / (before.sigma * before.D)).dot(before.B.T)  # Sigma^-1/2
        local_m = inv_root.dot(delta_m)
        local_Sigma = inv_root.dot(delta_Sigma).dot(inv_root) / math.sqrt(2)
        if not (np.isfinite(local_m).all() and np.isfinite(local_Sigma).all()):
            return memory, after
        rate_m = self._adapted(memory.m, local_m, self.beta_m)
        rate_Sigma = self._adapted(memory.Sigma, local_Sigma, self.beta_Sigma)
        m = before.m + rate_m.eta * delta_m
        Sigma = Sigma + rate_Sigma.eta * delta_Sigma
        values, B = np.linalg.eigh((Sigma + Sigma.T) / 2)
        values = np.maximum(values, RANK * values[-1])
        sigma = math.exp(np.log(values).mean() / 2)  # det(Sigma)^(1/2d), so that det(C) = 1
        D = np.sqrt(values) / sigma
        C = (B * D**2).dot(B.T)
        sigma *= memory.m.eta / rate_m.eta  # the best step size is in proportion to 1 / eta_m
        return Rates(rate_m, rate_Sigma), replace(after, m=m, sigma=sigma, C=C, B=B, D=D, stale=0)

    def _adapted(self, rate: Rate, step: Array, beta: float) -> Rate:
        """Return the learning rate after ``step``, given in local coordinates."""
        E = (1 - beta) * rate.E + beta * step
        V = (1 - beta) * rate.V + beta * float(np.vdot(step, step))
        squared = float(np.vdot(E, E))
        if not squared < V:  # all steps were equal, or 0
            return Rate(rate.eta, E, V)
        snr = (squared - beta / (2 - beta) * V) / (V - squared)
        relative = min(max(snr / (self.alpha * rate.eta) - 1, -1.0), 1.0)
        return Rate(min(1.0, rate.eta * math.exp(min(self.gamma * rate.eta, beta) * relative)), E, V)

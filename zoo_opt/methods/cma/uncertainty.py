"""Uncertainty handling of the CMA-ES: noise is measured by evaluating candidates again, and answered."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from zoo_opt.core.errors import finite, fraction, positive
from zoo_opt.core.keys import NOISE, generator
from zoo_opt.methods.cma.noise import NoiseHandling, Repeats

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from zoo_opt.methods.cma.full import FullDistribution
    from zoo_opt.methods.cma.runs import ESState
    from zoo_opt.typing import Array


@dataclass(frozen=True, slots=True)
class Uncertainty:
    """Memory of `UncertaintyHandling`.

    Attributes
    ----------
    s : float
        The uncertainty, averaged; above 0 the ranks change by more than is accepted. NaN before the first measure.
    growth : float
        The population over the run's own.
    widen : float
        Factor on sigma that the last measure asks for.
    carry : float
        Part of a candidate that is left to evaluate again.
    repeats : Repeats or None
        What the next step evaluates again.
    sem : tuple of float
        Known standard errors of the open step's losses.
    """

    s: float = math.nan
    growth: float = 1.0
    widen: float = 1.0
    carry: float = 0.0
    repeats: Repeats | None = None
    sem: tuple[float, ...] = ()


@dataclass(frozen=True, kw_only=True)
class UncertaintyHandling(NoiseHandling):
    """Uncertainty handling for the CMA-ES (UH-CMA-ES, Hansen et al. 2009 [1]).

    Some candidates of each generation are evaluated again in the next step, with new ids whose ``of`` names the first
    ones. From how much their ranks change, the uncertainty s is measured as in the paper. Above 0, the population
    grows, and where it is at its limit the step size; else the population shrinks back to that of the run. (The paper
    evaluates each candidate several times where this draws more candidates.)

    Where standard errors are known, nothing is evaluated again: a second loss is drawn from them.

    Parameters
    ----------
    ratio : float, default 0.1
        r_lambda, the part of the candidates that is evaluated again, in [0, 1).
    theta : float, default 0.2
        The rank change that is accepted, in (0, 1]: quantile theta / 2 of all that could be.
    c_s : float, default 1
        Weight of a new measure in the average, in (0, 1].
    grow, shrink : float, default 1.2 and 0.8
        Factors on the population where s is above 0, at least 1, and where it is not, at most 1.
    limit : float, default 30
        The largest population over that of the run.
    widen : float or None, default None
        alpha_sigma, the factor on sigma once the population is at its limit; None is 1 + 2 / (d + 10).

    References
    ----------
    [1] N. Hansen, A. Niederberger, L. Guzzella, P. Koumoutsakos. A method for handling uncertainty in evolutionary
       optimization with an application to feedback control of combustion. IEEE Trans. Evol. Comput. 13, 2009.
    """

    ratio: float = 0.1  # r_lambda of the paper is max(0.1, 2 / lambda)
    theta: float = 0.2  # of the paper
    c_s: float = 1.0  # of the paper
    grow: float = 1.2  # measured on bbob-noisy, as is shrink: docs/noise.md, "What was measured"
    shrink: float = 0.8
    limit: float = 30.0  # chosen, not tuned
    widen: float | None = None  # that of the paper

    def __post_init__(self) -> None:
        fraction("ratio", self.ratio)
        for name in ("theta", "c_s", "shrink"):
            if positive(name, getattr(self, name)) > 1:
                raise ValueError(f"{name} must be in (0, 1], got {getattr(self, name)!r}")
        for name in ("grow", "limit"):
            if finite(name, getattr(self, name)) < 1:
                raise ValueError(f"{name} must be >= 1, got {getattr(self, name)!r}")
        if self.widen is not None:
            positive("widen", self.widen)

    def begin(self, n: int) -> Uncertainty:
        """See `NoiseHandling.begin`."""
        return Uncertainty()

    def popsize(self, state: ESState) -> int:
        """See `NoiseHandling.popsize`."""
        memory: Uncertainty = state.noise
        return round(memory.growth * state.run.popsize)

    def repeats(self, state: ESState) -> Repeats | None:
        """See `NoiseHandling.repeats`."""
        memory: Uncertainty = state.noise
        return memory.repeats

    def with_errors(self, state: ESState, sem: list[float]) -> Uncertainty:
        """See `NoiseHandling.with_errors`."""
        memory: Uncertainty = state.noise
        return replace(memory, sem=tuple(sem))

    def observe(self, state: ESState, X: Array, losses: list[float], step: int) -> tuple[Uncertainty, list[float]]:
        """See `NoiseHandling.observe`."""
        memory, popsize = state.noise, self.popsize(state)
        new = np.array(losses[:popsize])
        sem = np.array(memory.sem[:popsize])
        measure, repeats, carry = math.nan, None, memory.carry
        if len(sem) and not np.isnan(sem).any():
            again = new + math.sqrt(2) * sem * generator(state.key, step, NOISE).standard_normal(popsize)
            measure = uncertainty_measure(new, again, self.theta)
        elif memory.repeats is not None:
            first = np.array(memory.repeats.losses)
            again = np.full(len(first), np.nan)
            again[list(memory.repeats.rows)] = losses[popsize:]
            measure = uncertainty_measure(first, again, self.theta)
        if not len(sem):
            carry += self.ratio * popsize
            chosen = np.flatnonzero(~np.isnan(new))[: int(carry)]
            carry -= int(carry)
            if len(chosen):
                repeats = Repeats(X[chosen], tuple(chosen.tolist()), tuple(losses[:popsize]), len(losses))
        memory = replace(memory, carry=carry, repeats=repeats, sem=(), widen=1.0)
        return self._answer(memory, measure, X.shape[1]), losses[:popsize]

    def _answer(self, memory: Uncertainty, measure: float, n: int) -> Uncertainty:
        """Return the memory with the answer to a new measure, NaN where there is none."""
        if math.isnan(measure):
            return memory
        s = measure if math.isnan(memory.s) else (1 - self.c_s) * memory.s + self.c_s * measure
        if s <= 0:
            return replace(memory, s=s, growth=max(1.0, self.shrink * memory.growth))
        if memory.growth < self.limit:
            return replace(memory, s=s, growth=min(self.limit, self.grow * memory.growth))
        return replace(memory, s=s, widen=1 + 2 / (n + 10) if self.widen is None else self.widen)

    def adjust(
        self, memory: Uncertainty, before: FullDistribution, after: FullDistribution
    ) -> tuple[Uncertainty, FullDistribution]:
        """See `NoiseHandling.adjust`."""
        return memory, after if memory.widen == 1.0 else replace(after, sigma=after.sigma * memory.widen)


def uncertainty_measure(first: NDArray[np.float64], again: NDArray[np.float64], theta: float) -> float:
    """Return the uncertainty measure s of section III-A of the paper; NaN if nothing was evaluated twice.

    Parameters
    ----------
    first : (lambda,) array
        Losses, NaN where failed.
    again : (lambda,) array
        Losses of the same points, NaN where not evaluated again.
    theta : float
        The accepted rank change.
    """
    twice = np.flatnonzero(~(np.isnan(first) | np.isnan(again)))
    if not len(twice):
        return math.nan
    alive = np.flatnonzero(~np.isnan(first))
    both = np.concatenate([first[alive], again[twice]])  # L, lambda + lambda_reev values
    ranks = np.empty(len(both))
    ranks[both.argsort(kind="stable")] = np.arange(1, len(both) + 1)
    rank, rank_again = ranks[np.searchsorted(alive, twice)], ranks[len(alive) :]
    up = np.sign(rank_again - rank)
    delta = rank_again - rank - up  # how many values lie in between
    others = np.arange(1, len(both))  # 1, ..., lambda + lambda_reev - 1

    def accepted(R: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return Delta_theta^lim: quantile theta / 2 of |1 - R|, |2 - R|, ..."""
        return np.quantile(np.abs(others[:, None] - R), theta / 2, axis=0)

    s = 2 * np.abs(delta) - accepted(rank_again - (up > 0)) - accepted(rank - (up < 0))
    return float(s.mean())

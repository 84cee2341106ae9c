"""Restart policies of the CMA-ES: IPOP (Auger and Hansen 2005) and BIPOP (Hansen 2009)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from numpy.random import Generator


POLICIES = ("ipop", "bipop")
FIRST, SMALL, LARGE = "first", "small", "large"


@dataclass(frozen=True, slots=True)
class Run:
    """What a run is started with."""

    popsize: int
    sigma0: float
    generations: int
    kind: str = FIRST


@dataclass(frozen=True, slots=True)
class RunEnd:
    """A line of the log: a run that ended, after which step, with how many evaluations, and why."""

    run: Run
    step: int
    evaluations: int
    reasons: dict[str, Any] = field(default_factory=dict)


class Regime(NamedTuple):
    """Kind of the next run, how often the population has doubled by then, and the evaluations of all large runs."""

    kind: str
    doublings: int
    large: int


def next_run(policy: str, log: tuple[RunEnd, ...], rng: Generator) -> Run:
    """Return what the run after those in ``log`` is started with.

    IPOP doubles the population at each restart. BIPOP has two regimes and takes the one that has used fewer
    evaluations: large doubles the population at each of its runs; small draws a population between the first and
    the last large one and a smaller step size, and gets at most half of the evaluations of the large runs. The first
    run counts as small. The draws, lambda 2^(doublings u^2) and sigma0 100^-u, are those of Hansen 2009 as in pycma.
    """
    first = log[0].run
    kind, doublings, large = regime(policy, [(end.run.kind, end.evaluations) for end in log])
    if kind == LARGE:
        return Run(first.popsize * 2**doublings, first.sigma0, first.generations, LARGE)
    u_popsize, u_sigma = rng.random(2).tolist()
    popsize = small_popsize(first.popsize, doublings, u_popsize)
    generations = max(1, min(first.generations, large // (2 * popsize)))
    return Run(popsize, first.sigma0 * 10 ** (-2 * u_sigma), generations, SMALL)


def regime(policy: str, ended: Iterable[tuple[str, int]]) -> Regime:
    """Return what follows the runs that ``ended``, of which the kind and the evaluations are given."""
    small = large = doublings = 0
    for kind, evaluations in ended:
        if kind == LARGE:
            large, doublings = large + evaluations, doublings + 1
        else:
            small += evaluations
    if policy == "ipop" or small >= large:
        return Regime(LARGE, doublings + 1, large)
    return Regime(SMALL, doublings, large)


def small_popsize(popsize: int, doublings: int, u: float) -> int:
    """Return the population of a small run, where the first had ``popsize``; ``u`` is uniform on [0, 1)."""
    return int(popsize * (2**doublings) ** (u**2))

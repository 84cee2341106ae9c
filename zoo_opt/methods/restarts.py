"""Restart policies of the CMA-ES: IPOP (Auger and Hansen 2005) and BIPOP (Hansen 2009)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from numpy.random import Generator


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


def next_run(policy: str, log: tuple[RunEnd, ...], rng: Generator) -> Run:
    """Return what the run after those in ``log`` is started with.

    IPOP doubles the population at each restart. BIPOP has two regimes and takes the one that has used fewer
    evaluations: large doubles the population at each of its runs; small draws a population between the first and
    the last large one and a smaller step size, and gets at most half of the evaluations of the large runs. The first
    run counts as small.
    """
    first = log[0].run
    used = {SMALL: log[0].evaluations, LARGE: 0}
    doublings = 0
    for end in log[1:]:
        used[end.run.kind] += end.evaluations
        doublings += end.run.kind == LARGE
    if policy == "ipop" or used[SMALL] >= used[LARGE]:
        return Run(first.popsize * 2 ** (doublings + 1), first.sigma0, first.generations, LARGE)
    u_popsize, u_sigma = rng.random(2).tolist()
    popsize = int(first.popsize * (2**doublings) ** (u_popsize**2))
    generations = max(1, min(first.generations, used[LARGE] // (2 * popsize)))
    return Run(popsize, first.sigma0 * 10 ** (-2 * u_sigma), generations, SMALL)

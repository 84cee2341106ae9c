"""The state of an evolution strategy: its run now going, the runs before it, and its search distribution."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from zoo_opt.methods.cma.restarts import Run, RunEnd
from zoo_opt.methods.cma.stop import flat_generations, history_length, range_of

if TYPE_CHECKING:
    from zoo_opt.typing import Array, Key


@dataclass(frozen=True, slots=True, kw_only=True)
class Distribution:
    """A search distribution with mean m, step size sigma, and what adapts it, float64.

    Attributes
    ----------
    m, sigma : (d,) array, float
        Mean and step size.
    p_sigma, p_c : (d,) array
        Evolution paths of the step size and of the covariance matrix.
    """

    m: Array
    sigma: float
    p_sigma: Array
    p_c: Array

    def std(self) -> Array:
        """Return the standard deviation of each coordinate over sigma (d,)."""
        raise NotImplementedError


class Injected(NamedTuple):
    """Points that the strategy has not drawn, (k, d), and their losses."""

    X: Array
    losses: list[float]


def clipped(m: Array, X: Array, Z: Array) -> Array:
    """Return points X, in whitened coordinates Z, drawn to m until they are no farther than c_y (Hansen 2011).

    N. Hansen, Injecting external solutions into CMA-ES, arXiv 1110.4181: the length of C^-1/2 y is at most
    c_y = sqrt(n) + 2 n / (n + 2).
    """
    n = m.size
    c_y = math.sqrt(n) + 2 * n / (n + 2)
    length = np.sqrt(np.vecdot(Z, Z))
    near: Array = m + np.minimum(1.0, c_y / np.maximum(length, c_y))[:, None] * (X - m)
    return near


def joined(kept: Any, more: Any) -> Any:
    """Return the rows of both, of arrays or of tuples of arrays."""
    if isinstance(kept, tuple):
        return tuple(map(joined, kept, more))
    return np.concatenate([kept, more])


@dataclass(frozen=True, slots=True, kw_only=True)
class ESState:
    """State between two generations of `CMAES`, `SepCMAES` and `DDCMAES`, float64.

    Attributes
    ----------
    key : Key
        Where all draws come from.
    x0 : (d,) array
        Where runs start unless ``restart_from`` says otherwise.
    run : Run
        What the run now going was started with.
    distribution : Distribution
        The search distribution; each method has its own kind.
    noise : object
        The memory of the noise handling.
    g : int
        Generations of this run.
    evaluations : int
        Evaluations of this run.
    history : tuple of float
        Best loss of each of the recent generations, the newest first.
    first_range : float
        Range of the losses of the run's first generation that had one; 0 before it.
    flat : int
        Generations running with equal losses.
    injected : Injected or None
        What the next generation takes in beside its own candidates.
    reasons : dict
        Why the method has ended.
    log : tuple of RunEnd
        The runs that ended before this one.
    """

    key: Key
    x0: Array
    run: Run
    distribution: Any
    noise: Any = None
    g: int = 0
    evaluations: int = 0
    history: tuple[float, ...] = ()
    first_range: float = 0.0
    flat: int = 0
    injected: Injected | None = None
    reasons: dict[str, Any]
    log: tuple[RunEnd, ...]

    def next_generation(self, distribution: Any, noise: Any, ranked: list[float], evaluations: int) -> ESState:
        """Return the state after a generation of ``evaluations``, whose survivors had the losses ``ranked``."""
        length = history_length(self.x0.size, self.run.popsize)
        return ESState(
            key=self.key,
            x0=self.x0,
            run=self.run,
            distribution=distribution,
            noise=noise,
            g=self.g + 1,
            evaluations=self.evaluations + evaluations,
            history=(ranked[0], *self.history[: length - 1]),
            first_range=self.first_range or range_of(ranked),
            flat=flat_generations(self.flat, ranked),
            reasons=self.reasons,
            log=self.log,
        )

"""Evolution strategies with restarts and box bounds: all but the search distribution, which a subclass brings."""

from __future__ import annotations

import math
from abc import abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from zoo_opt.core.keys import generator
from zoo_opt.core.method import Asked
from zoo_opt.methods.cma.parameters import rank
from zoo_opt.methods.cma.restarts import Run, RunEnd
from zoo_opt.methods.cma.runs import MethodInRuns, RunState, recent
from zoo_opt.methods.cma.stop import Tolerances, has_no_effect, is_small

if TYPE_CHECKING:
    import numpy as np
    from numpy.random import Generator
    from numpy.typing import NDArray

    from zoo_opt.typing import Array, Key


@dataclass(frozen=True, slots=True)
class ESState(RunState):
    """State between two generations.

    Attributes
    ----------
    distribution : object
        The subclass's own part: the search distribution with mean ``m``, and what adapts it.
    """

    distribution: Any


class ESMemo(NamedTuple):
    """What the update needs of a generation: its step number, and what `sample` gave for `adapt`."""

    step: int
    kept: Any


@dataclass(frozen=True, kw_only=True)
class EvolutionStrategy(MethodInRuns):
    """An evolution strategy: a subclass says in four functions what its search distribution is and how it adapts.

    Those are the three here and `shape_reasons`. The hyper-parameters are those of `CMAES`, where they are explained.
    """

    tolerances: Tolerances = Tolerances()

    # ------------------------------------------------------------------------------------ what a subclass brings
    @abstractmethod
    def begin(self, m: Array, sigma: float) -> Any:
        """Return the distribution N(m, sigma^2 I) at the start of a run."""

    @abstractmethod
    def sample(self, dist: Any, rng: Generator, popsize: int, out: Array | None) -> tuple[Array, Any]:
        """Return X (popsize, d), drawn from ``dist``, and what `adapt` shall be given besides (None: X itself)."""

    @abstractmethod
    def adapt(self, dist: Any, kept: Any, order: NDArray[np.intp], g: int) -> Any:
        """Return the distribution after generation ``g``; ``order`` are the survivors' rows, best first.

        ``kept`` is what `sample` gave, with a row for every candidate.
        """

    # -------------------------------------------------------------------------------------------- see `Method`
    def start(self, key: Key, x0: Array, m: Array, run: Run, log: tuple[RunEnd, ...]) -> ESState:
        """See `MethodInRuns.start`."""
        return ESState(key, x0, run, 0, (), 0, 0, {}, log, self.begin(m, run.sigma0))

    def size(self, state: ESState) -> int:
        """See `Method.size`."""
        return state.run.popsize

    def ask(self, state: ESState, step: int, out: Array | None = None) -> Asked:
        """See `Method.ask`."""
        X, kept = self.sample(state.distribution, generator(state.key, step), state.run.popsize, out)
        if self.bounds is not None and kept is None:
            kept = X
        return Asked(self.inside(X), ESMemo(step, kept))

    def update(self, state: ESState, asked: Asked, losses: list[float]) -> ESState:
        """See `Method.update`."""
        step, kept = asked.memo
        order = rank(losses)
        if not len(order):
            return state
        s, g = state, state.g + 1
        dist = self.adapt(s.distribution, asked.X if kept is None else kept, order, g)
        ranked = [losses[k] for k in order]
        history, flat = recent(s, ranked)
        spent = s.evaluations + s.run.popsize
        after = ESState(s.key, s.x0, s.run, g, history, flat, spent, s.reasons, s.log, dist)
        return self.judged(after, step, ranked)

    def mean(self, state: ESState) -> Array:
        """See `Method.mean`."""
        return self.inside(state.distribution.m)


def axis_reasons(m: Array, sigma: float, std: Array, p_c: Array, sigma0: float, tol: Tolerances) -> dict[str, Any]:
    """Return the reasons that N(m, sigma^2 C) gives by its marginals; ``std`` is the root of the diagonal of C."""
    reasons: dict[str, Any] = {}
    length, least, most = math.sqrt(m.dot(m)), float(std.min()), float(std.max())
    if not (math.isfinite(sigma) and math.isfinite(length)):
        reasons["notfinite"] = sigma
        return reasons
    if sigma * most < tol.tolx and is_small(sigma, std, p_c, tol):
        reasons["tolx"] = tol.tolx
    if sigma * least < 1e-14 * length and has_no_effect(m, sigma * std):
        reasons["noeffectcoord"] = 0.2
    if sigma > tol.tolupsigma * sigma0 * most:
        reasons["tolupsigma"] = tol.tolupsigma
    return reasons

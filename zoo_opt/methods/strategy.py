"""Evolution strategies with restarts and box bounds: all but the search distribution, which a subclass brings."""

from __future__ import annotations

import math
from abc import abstractmethod
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from zoo_opt.errors import instance, integer, positive
from zoo_opt.keys import RESTART, generator
from zoo_opt.methods import box as boxes
from zoo_opt.methods.base import Method
from zoo_opt.methods.cma_parameters import default_popsize, rank
from zoo_opt.methods.cma_stop import (
    Tolerances,
    default_generations,
    flat_generations,
    has_no_effect,
    history_length,
    is_small,
    run_reasons,
)
from zoo_opt.methods.restarts import Run, RunEnd, next_run

if TYPE_CHECKING:
    from numpy.random import Generator
    from numpy.typing import NDArray

    from zoo_opt.typing import Array, Key


class Distribution(Protocol):
    """The search distribution N(m, sigma^2 C) and what adapts it."""

    @property
    def m(self) -> Array:
        """Mean (d,)."""
        ...


@dataclass(frozen=True, slots=True)
class ESState:
    """State between two generations.

    Attributes
    ----------
    key : Key
        Where all draws come from.
    x0 : (d,) array
        Where runs start unless ``restart_from`` says otherwise.
    run : Run
        What the run now going was started with.
    distribution : Distribution
        The subclass's own part.
    g : int
        Generations of this run.
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
    distribution: Any
    g: int
    history: tuple[float, ...]
    flat: int
    evaluations: int
    reasons: dict[str, Any]
    log: tuple[RunEnd, ...]


class ESQueries:
    """The recipe of a generation: its step number; what `sample` wants kept for `adapt` is added to it."""

    __slots__ = ("kept", "step")

    def __init__(self, step: int) -> None:
        self.step = step
        self.kept: Any = None


@dataclass(frozen=True, kw_only=True)
class EvolutionStrategy(Method):
    """An evolution strategy: a subclass says in four functions what its search distribution is and how it adapts.

    The hyper-parameters are those of `CMAES`, where they are explained.
    """

    sigma0: float = 0.3
    popsize: int | None = None
    restarts: str | None = None
    bounds: Any = None
    restart_from: Any = None
    tolerances: Tolerances = Tolerances()

    def __post_init__(self) -> None:
        positive("sigma0", self.sigma0)
        instance("tolerances", self.tolerances, Tolerances)
        if self.popsize is not None:
            integer("popsize", self.popsize, 2)
        if self.restarts not in (None, "ipop", "bipop"):
            raise ValueError(f"restarts must be None, 'ipop' or 'bipop', got {self.restarts!r}")
        for name in ("bounds", "restart_from"):
            if getattr(self, name) is not None:
                object.__setattr__(self, name, boxes.check_box(name, getattr(self, name)))

    @property
    def ends(self) -> bool:  # type: ignore[override]
        """Whether a run is not followed by another."""
        return self.restarts is None

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

    @abstractmethod
    def shape_reasons(self, dist: Any, sigma0: float) -> dict[str, Any]:
        """Return the reasons that the distribution gives to end the run."""

    # -------------------------------------------------------------------------------------------- see `Method`
    def init(self, x0: Array, key: Key) -> ESState:
        """See `Method.init`."""
        x0 = x0.astype(np.float64)
        for name in ("bounds", "restart_from"):
            if getattr(self, name) is not None:
                boxes.check_fits(name, getattr(self, name), x0.size)
        if self.bounds is not None and not boxes.contains(x0, self.bounds):
            raise ValueError(f"x0 must lie inside bounds {self.bounds}, got {x0}")
        popsize = self.popsize or default_popsize(x0.size)
        return self._start(key, x0, x0, Run(popsize, float(self.sigma0), default_generations(x0.size, popsize)), ())

    def size(self, state: ESState) -> int:
        """See `Method.size`."""
        return state.run.popsize

    def propose(self, state: ESState, step: int) -> ESQueries:
        """See `Method.propose`."""
        return ESQueries(step)

    def points(self, state: ESState, queries: ESQueries, out: Array | None = None) -> Array:
        """See `Method.points`."""
        rng = generator(state.key, queries.step)
        X, queries.kept = self.sample(state.distribution, rng, state.run.popsize, out)
        if self.bounds is None:
            return X
        if queries.kept is None:
            queries.kept = X
        return boxes.fold(X, self.bounds)

    def update(self, state: ESState, queries: ESQueries, X: Array, losses: list[float]) -> ESState:
        """See `Method.update`."""
        order = rank(losses)
        if not len(order):
            return state
        n, run, g = X.shape[1], state.run, state.g + 1
        kept = X if queries.kept is None else queries.kept
        dist = self.adapt(state.distribution, kept, order, g)
        ranked = [losses[k] for k in order]
        length = history_length(n, run.popsize)
        history = (ranked[0], *state.history[: length - 1])
        flat = flat_generations(state.flat, ranked)
        reasons = run_reasons(ranked, history, len(history) == length, flat, self.tolerances)
        reasons |= self.shape_reasons(dist, run.sigma0)
        if g >= run.generations:
            reasons["maxiter"] = run.generations
        after = ESState(
            state.key, state.x0, run, dist, g, history, flat, state.evaluations + run.popsize, state.reasons, state.log
        )
        return self._ended(after, queries.step, reasons) if reasons else after

    def mean(self, state: ESState) -> Array:
        """See `Method.mean`."""
        m: Array = state.distribution.m
        return m if self.bounds is None else boxes.fold(m, self.bounds)

    def stop(self, state: ESState) -> dict[str, Any]:
        """See `Method.stop`."""
        return dict(state.reasons)

    # --------------------------------------------------------------------------------------------------- runs
    def _start(self, key: Key, x0: Array, m: Array, run: Run, log: tuple[RunEnd, ...]) -> ESState:
        """Return the state at the start of ``run``."""
        return ESState(key, x0, run, self.begin(m, run.sigma0), 0, (), 0, 0, {}, log)

    def _ended(self, state: ESState, step: int, reasons: dict[str, Any]) -> ESState:
        """Return ``state`` marked as ended, or that at the start of the next run."""
        if state.reasons:  # asked on after its end: the log has it
            return replace(state, reasons=reasons)
        log = (*state.log, RunEnd(state.run, step, state.evaluations, reasons))
        if self.restarts is None:
            return replace(state, reasons=reasons, log=log)
        rng = generator(state.key, step, RESTART)
        run = next_run(self.restarts, log, rng)
        return self._start(state.key, state.x0, self._restart_point(state.x0, rng), run, log)

    def _restart_point(self, x0: Array, rng: Generator) -> Array:
        """Return where the next run starts."""
        box = self.bounds if self.restart_from is None else self.restart_from
        if box is None:
            return x0
        x = rng.uniform(*(np.broadcast_to(side, x0.shape) for side in box))
        return x if self.bounds is None else boxes.fold(x, self.bounds)


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

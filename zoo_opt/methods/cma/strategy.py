"""Evolution strategies with restarts and box bounds: all but the search distribution, which a subclass brings."""

from __future__ import annotations

import functools
from abc import abstractmethod
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from zoo_opt.core.errors import instance, integer
from zoo_opt.core.keys import RESTART, generator
from zoo_opt.core.method import Asked, Method
from zoo_opt.methods import box as boxes
from zoo_opt.methods.cma.levels.mixed import MixedVariables
from zoo_opt.methods.cma.noise import NO_HANDLING, NoiseHandling
from zoo_opt.methods.cma.parameters import default_popsize, rank
from zoo_opt.methods.cma.repair import penalised, repaired
from zoo_opt.methods.cma.restarts import POLICIES, Run, RunEnd, next_run
from zoo_opt.methods.cma.runs import ESState, Injected, clipped, joined
from zoo_opt.methods.cma.stop import Tolerances, default_generations, loss_reasons
from zoo_opt.methods.coordinates import lengths, scaled_by

if TYPE_CHECKING:
    from numpy.random import Generator
    from numpy.typing import NDArray

    from zoo_opt.typing import Array, Key


class Generation(NamedTuple):
    """What the update needs of a generation: its step number, and what `EvolutionStrategy.sample` kept for `adapt`.

    ``beyond`` is how far the candidates were beyond the bounds (see `repaired`), None without bounds.
    """

    step: int
    kept: Any
    beyond: Array | None = None


@dataclass(frozen=True, kw_only=True)
class EvolutionStrategy(Method):
    """An evolution strategy: a subclass says in four functions what its search distribution is and how it adapts.

    The hyper-parameters are those of `CMAES`, where they are explained; ``tolerances`` is a field of the subclass.
    """

    sigma0: Any = 0.3
    popsize: int | None = None
    restarts: str | None = None
    bounds: Any = None
    restart_from: Any = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "sigma0", lengths("sigma0", self.sigma0))
        instance("tolerances", self.tolerances, Tolerances)
        if self.popsize is not None:
            integer("popsize", self.popsize, 2)
        if self.restarts is not None and self.restarts not in POLICIES:
            raise ValueError(f"restarts must be None, 'ipop' or 'bipop', got {self.restarts!r}")
        if self.bounds is not None:
            object.__setattr__(self, "bounds", boxes.check_box("bounds", self.bounds))
        if self.restart_from is not None:
            object.__setattr__(self, "restart_from", boxes.check_finite_box("restart_from", self.restart_from))

    # ------------------------------------------------------------------------------------ what a subclass brings
    @property
    @abstractmethod
    def tolerances(self) -> Tolerances:
        """Thresholds that end a run."""

    @functools.cached_property
    def handling(self) -> NoiseHandling:
        """What is done about noise."""
        return NO_HANDLING

    @abstractmethod
    def begin(self, m: Array, sigma: float) -> Any:
        """Return the distribution N(m, sigma^2 I) at the start of a run."""

    @abstractmethod
    def sample(self, state: ESState, rng: Generator, popsize: int, out: Array | None) -> tuple[Array, Any]:
        """Return X (popsize, d), drawn from the distribution, and what `adapt` shall be given (None: X itself)."""

    @abstractmethod
    def adapt(self, dist: Any, kept: Any, order: NDArray[np.intp], g: int) -> Any:
        """Return the distribution after generation ``g``; ``order`` are the survivors' rows, best first.

        ``kept`` is what `sample` gave, with a row for every candidate.
        """

    @abstractmethod
    def whitened(self, dist: Any, X: Array) -> Array:
        """Return the points ``X`` (n, d) in coordinates in which the distribution is N(0, I)."""

    @abstractmethod
    def kept_of(self, dist: Any, X: Array) -> Any:
        """Return what `sample` would have kept, had it drawn the points ``X`` (n, d) from the distribution."""

    @abstractmethod
    def shape_reasons(self, dist: Any, sigma0: float, g: int) -> dict[str, Any]:
        """Return the reasons that the distribution gives to end a run that began with ``sigma0``."""

    # -------------------------------------------------------------------------------------------- see `Method`
    @property
    def ends(self) -> bool:  # type: ignore[override]
        """Whether a run is not followed by another."""
        return self.restarts is None

    def within(self, bounds: Any, grid: Any = None) -> Method:
        """See `Method.within`; with a grid, as a part of `MixedVariables`."""
        if not grid:
            return Method.within(self, bounds)
        return MixedVariables(method=self, grid=grid, bounds=bounds)

    def plan(self, x0: Array, budget: int | None) -> Method:
        """See `Method.plan`: with a step size for each variable it works in units of them."""
        if not isinstance(self.sigma0, tuple):
            return self
        if len(self.sigma0) != x0.size:
            raise ValueError(f"sigma0 must be a number or an array of length {x0.size}, got length {len(self.sigma0)}")
        sigma0 = float(np.exp(np.log(self.sigma0).mean()))
        return scaled_by(replace(self, sigma0=sigma0), x0, tuple(size / sigma0 for size in self.sigma0))

    def init(self, x0: Array, key: Key) -> ESState:
        """See `Method.init`."""
        if isinstance(self.sigma0, tuple):
            raise ValueError(f"sigma0 must be a number where no optimizer has planned the method, got {self.sigma0}")
        x0 = x0.astype(np.float64)
        if self.restart_from is not None:
            boxes.check_fits("restart_from", self.restart_from, x0.size)
        if self.bounds is not None:
            boxes.check_start(x0, self.bounds)
        popsize = self.popsize or default_popsize(x0.size)
        run = Run(popsize, float(self.sigma0), default_generations(x0.size, popsize))
        return self._start(key, x0, x0, run, ())

    def size(self, state: ESState) -> int:
        """See `Method.size`."""
        if self.handling is NO_HANDLING:
            return state.run.popsize
        repeats = self.handling.repeats(state)
        return self.handling.popsize(state) + (0 if repeats is None else len(repeats.rows))

    def ask(self, state: ESState, step: int, out: Array | None = None) -> Asked:
        """See `Method.ask`."""
        handling = self.handling
        X, kept = self.sample(state, generator(state.key, step), handling.popsize(state), out)
        beyond = None
        if self.bounds is not None:
            kept, dist = X if kept is None else kept, state.distribution
            X, beyond = repaired(X, self.bounds, dist.sigma * dist.std())
        repeats = handling.repeats(state)
        if repeats is None:
            return Asked(X, Generation(step, kept, beyond))
        again = [*[None] * len(X), *(row - repeats.size for row in repeats.rows)]
        return Asked(np.concatenate([X, repeats.X]), Generation(step, kept, beyond), again)

    def known(self, state: ESState, X: Array, losses: list[float]) -> ESState:
        """See `Method.known`: the best, at most half a population, are injected into the next generation (Hansen 2011).

        A strategy that handles noise takes none: it ranks by more than a loss.
        """
        if self.handling is not NO_HANDLING:
            return state
        X = X.astype(np.float64)
        if state.injected is not None:  # told before, for the same generation
            X, losses = np.concatenate([state.injected.X, X]), [*state.injected.losses, *losses]
        away = (self.whitened(state.distribution, X) != 0.0).any(axis=1)  # the mean itself has no direction
        best = [k for k in rank(losses) if away[k]][: max(1, state.run.popsize // 2)]
        return replace(state, injected=Injected(X[best], [losses[k] for k in best])) if best else state

    def told_sem(self, state: ESState, asked: Asked, sem: list[float]) -> ESState:
        """See `Method.told_sem`."""
        return replace(state, noise=self.handling.with_errors(state, sem))

    def update(self, state: ESState, asked: Asked, losses: list[float]) -> ESState:
        """See `Method.update`."""
        X, (step, kept, beyond) = asked.X, asked.memo
        handling, dist = self.handling, state.distribution
        noise, values = handling.observe(state, X, losses, step)
        kept, ranked_by, injected = X if kept is None else kept, losses, state.injected
        if injected is not None:
            ranked_by, values = [*losses, *injected.losses], [*values, *injected.losses]
            kept = joined(kept, self.kept_of(dist, clipped(dist.m, injected.X, self.whitened(dist, injected.X))))
        order = rank(values if beyond is None else penalised(values, beyond))
        if not len(order):
            return replace(state, noise=noise)
        after = self.adapt(dist, kept, order, state.g + 1)
        noise, after = handling.adjust(noise, dist, after)
        ranked = sorted([ranked_by[k] for k in order.tolist()])
        return self._judged(state.next_generation(after, noise, ranked, len(losses)), step, ranked)

    def mean(self, state: ESState) -> Array:
        """See `Method.mean`."""
        return self._inside(state.distribution.m)

    def stop(self, state: ESState) -> dict[str, Any]:
        """See `Method.stop`."""
        return dict(state.reasons)

    # --------------------------------------------------------------------------------------------------- runs
    def _start(self, key: Key, x0: Array, m: Array, run: Run, log: tuple[RunEnd, ...]) -> ESState:
        """Return the state at the start of ``run``, at ``m``."""
        noise = self.handling.begin(m.size)
        return ESState(
            key=key, x0=x0, run=run, distribution=self.begin(m, run.sigma0), noise=noise, reasons={}, log=log
        )

    def _judged(self, state: ESState, step: int, ranked: list[float]) -> ESState:
        """Return ``state`` if its run goes on after step ``step``, else marked as ended, or at the start of the next.

        ``ranked`` are the losses of the generation's survivors, best first.
        """
        run = state.run
        reasons = loss_reasons(state, ranked, self.tolerances)
        reasons |= self.shape_reasons(state.distribution, run.sigma0, state.g)
        if state.g >= run.generations:
            reasons["maxiter"] = run.generations
        if not reasons:
            return state
        if state.reasons:  # asked on after its end: the log has it
            return replace(state, reasons=reasons)
        log = (*state.log, RunEnd(run, step, state.evaluations, reasons))
        if self.restarts is None:
            return replace(state, reasons=reasons, log=log)
        rng = generator(state.key, step, RESTART)
        following = next_run(self.restarts, log, rng)
        return self._start(state.key, state.x0, self._restart_point(state.x0, rng), following, log)

    def _restart_point(self, x0: Array, rng: Generator) -> Array:
        """Return where the next run starts."""
        box = self.bounds if self.restart_from is None else self.restart_from
        if box is None:
            return x0
        return self._inside(boxes.uniform(rng, box, x0))

    def _inside(self, x: Array) -> Array:
        """Return ``x``, moved into the bounds if there are any."""
        return x if self.bounds is None else np.clip(x, *boxes.both(self.bounds, x.size))

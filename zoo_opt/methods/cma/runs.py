"""A search in runs, each ended by its tolerances and perhaps followed by another: what evolution strategies share."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from zoo_opt.core.errors import instance, integer, positive
from zoo_opt.core.keys import RESTART, generator
from zoo_opt.core.method import Method
from zoo_opt.methods import box as boxes
from zoo_opt.methods.cma.parameters import default_popsize
from zoo_opt.methods.cma.restarts import Run, RunEnd, next_run
from zoo_opt.methods.cma.stop import Tolerances, default_generations, flat_generations, history_length, run_reasons

if TYPE_CHECKING:
    from numpy.random import Generator

    from zoo_opt.typing import Array, Key


@dataclass(frozen=True, slots=True)
class RunState:
    """What is known of the runs between two generations; a subclass adds the search distribution.

    Attributes
    ----------
    key : Key
        Where all draws come from.
    x0 : (d,) array
        Where runs start unless ``restart_from`` says otherwise.
    run : Run
        What the run now going was started with.
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
    g: int
    history: tuple[float, ...]
    flat: int
    evaluations: int
    reasons: dict[str, Any]
    log: tuple[RunEnd, ...]


State = TypeVar("State", bound=RunState)


@dataclass(frozen=True, kw_only=True)
class MethodInRuns(Method):
    """A method that searches in runs inside a box.

    The hyper-parameters are those of `CMAES`, where they are explained. ``tolerances`` is a field of the subclass.
    """

    sigma0: float = 0.3
    popsize: int | None = None
    restarts: str | None = None
    bounds: Any = None
    restart_from: Any = None

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
    @abstractmethod
    def tolerances(self) -> Tolerances:
        """Thresholds that end a run."""

    @property
    def ends(self) -> bool:  # type: ignore[override]
        """Whether a run is not followed by another."""
        return self.restarts is None

    # ------------------------------------------------------------------------------------ what a subclass brings
    @abstractmethod
    def start(self, key: Key, x0: Array, m: Array, run: Run, log: tuple[RunEnd, ...]) -> Any:
        """Return the state at the start of ``run``, at ``m``."""

    @abstractmethod
    def shape_reasons(self, state: Any) -> dict[str, Any]:
        """Return the reasons that the search distribution gives to end the run."""

    # -------------------------------------------------------------------------------------------- see `Method`
    def init(self, x0: Array, key: Key) -> Any:
        """See `Method.init`."""
        x0 = x0.astype(np.float64)
        if self.restart_from is not None:
            boxes.check_fits("restart_from", self.restart_from, x0.size)
        if self.bounds is not None:
            boxes.check_start(x0, self.bounds)
        popsize = self.popsize or default_popsize(x0.size)
        run = Run(popsize, float(self.sigma0), default_generations(x0.size, popsize))
        return self.start(key, x0, x0, run, ())

    def stop(self, state: RunState) -> dict[str, Any]:
        """See `Method.stop`."""
        return dict(state.reasons)

    # --------------------------------------------------------------------------------------------------- runs
    def inside(self, x: Array) -> Array:
        """Return ``x``, reflected into the bounds if there are any."""
        return x if self.bounds is None else boxes.fold(x, self.bounds)

    def judged(self, state: State, step: int, ranked: list[float]) -> State:
        """Return ``state`` if its run goes on, else marked as ended, or the state at the start of the next run.

        Parameters
        ----------
        state : RunState
            The state after the generation, whose history has it.
        step : int
            Number of the step.
        ranked : list of float
            Losses of the survivors, best first.
        """
        run, tol = state.run, self.tolerances
        full = len(state.history) == history_length(state.x0.size, run.popsize)
        reasons = run_reasons(ranked, state.history, full, state.flat, tol)
        reasons |= self.shape_reasons(state)
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
        again: State = self.start(state.key, state.x0, self._restart_point(state.x0, rng), following, log)
        return again

    def _restart_point(self, x0: Array, rng: Generator) -> Array:
        """Return where the next run starts."""
        box = self.bounds if self.restart_from is None else self.restart_from
        if box is None:
            return x0
        return self.inside(rng.uniform(*(np.broadcast_to(side, x0.shape) for side in box)))


def recent(state: RunState, ranked: list[float]) -> tuple[tuple[float, ...], int]:
    """Return ``history`` and ``flat`` after a generation with the losses ``ranked``, best first."""
    length = history_length(state.x0.size, state.run.popsize)
    return (ranked[0], *state.history[: length - 1]), flat_generations(state.flat, ranked)

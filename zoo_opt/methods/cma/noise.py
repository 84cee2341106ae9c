"""What a CMA-ES does about noise, as a part that `CMAES` is composed with."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from zoo_opt.methods.cma.full import FullDistribution
    from zoo_opt.methods.cma.runs import ESState
    from zoo_opt.typing import Array


class Repeats(NamedTuple):
    """Candidates of a step that the next step evaluates again.

    Attributes
    ----------
    X : (r, d) array
        Their points.
    rows : tuple of int
        Their rows in their step.
    losses : tuple of float
        The losses of all new candidates of their step.
    size : int
        The candidates of their step, its own repeats included.
    """

    X: Array
    rows: tuple[int, ...]
    losses: tuple[float, ...]
    size: int


class NoiseHandling:
    """Noise handling of a CMA-ES: a frozen dataclass, whose memory is a part of the state. This one does nothing."""

    def begin(self, n: int) -> Any:
        """Return the memory at the start of a run in ``n`` dimensions."""
        return None

    def popsize(self, state: ESState) -> int:
        """Return the population of the next generation."""
        return state.run.popsize

    def injected(self, state: ESState) -> Array | None:
        """Return z (n,) of the last candidate, in coordinates in which candidates are N(0, I); None: random, too."""
        return None

    def repeats(self, state: ESState) -> Repeats | None:
        """Return what the next step evaluates again, None if nothing."""
        return None

    def with_errors(self, state: ESState, sem: list[float]) -> Any:
        """Return the memory with the standard errors of the open step, NaN where not known."""
        return state.noise

    def observe(self, state: ESState, X: Array, losses: list[float], step: int) -> tuple[Any, list[float]]:
        """Return the memory after step ``step``, and what its new candidates are ranked by.

        ``X`` and ``losses`` are those of the new candidates, then those of the repeats; NaN where failed.
        """
        return state.noise, losses

    def adjust(self, memory: Any, before: FullDistribution, after: FullDistribution) -> tuple[Any, FullDistribution]:
        """Return the memory and the distribution ``after`` a generation, as the plain CMA-ES has it, adjusted."""
        return memory, after


NO_HANDLING = NoiseHandling()

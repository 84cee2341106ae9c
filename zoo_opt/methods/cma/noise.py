"""What a CMA-ES does about noise, as a part that `CMAES` is composed with."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from zoo_opt.methods.cma.full import CMAState
    from zoo_opt.typing import Array, Key


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


class NoiseHandling(ABC):
    """Noise handling of a CMA-ES: a frozen dataclass, whose memory, a dataclass too, is a part of `CMAState`."""

    @abstractmethod
    def begin(self, n: int) -> Any:
        """Return the memory at the start of a run in ``n`` dimensions."""

    def popsize(self, memory: Any, popsize: int) -> int:
        """Return the population of the next generation, where the run's is ``popsize``."""
        return popsize

    def injected(self, state: CMAState) -> Array | None:
        """Return z (n,) of the last candidate, in coordinates in which candidates are N(0, I); None: random, too."""
        return None

    def repeats(self, memory: Any) -> Repeats | None:
        """Return what the next step evaluates again, None if nothing."""
        return None

    def told(self, memory: Any, sem: list[float]) -> Any:
        """Return the memory with the standard errors of a generation, NaN where not known."""
        return memory

    def heard(self, memory: Any, popsize: int, X: Array, losses: list[float], key: Key, step: int) -> Any:
        """Return the memory after step ``step``: ``popsize`` new candidates, then the repeats, NaN where failed."""
        return memory

    def ranked_by(self, state: CMAState, X: Array, losses: list[float]) -> list[float]:
        """Return what the new candidates are ranked by, NaN where failed."""
        return losses

    def adjusted(self, before: CMAState, after: CMAState) -> CMAState:
        """Return the state ``after`` a generation, as the plain CMA-ES has it, adjusted to the noise."""
        return after

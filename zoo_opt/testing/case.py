"""A method under test and what is expected of it, and the losses that it is tested on."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from zoo_opt.optimizer import Optimizer

if TYPE_CHECKING:
    from zoo_opt.core.batch import Candidate
    from zoo_opt.methods import Method
    from zoo_opt.typing import Array


@dataclass(frozen=True)
class Case:
    """A method and what is expected of it.

    Parameters
    ----------
    name : str
        Shown as the id of the test.
    method : Method
        What is tested.
    d : int, default 5
        Number of parameters.
    types : tuple of type, default ()
        Classes that a checkpoint of the method is made of, beside those of zoo_opt.
    keeps_float32 : bool, default True
        Whether a float32 x0 gives float32 candidates; float64 ones if not.
    steps : int, default 200
        Steps over which runs are compared bit for bit.
    evaluations : int, default 3000
        Budget of the runs on `sphere` and `ellipsoid`.
    reduction : float, default 0.01
        The largest best loss allowed after them, as a part of the loss at x0.
    draws : bool, default True
        Whether anything is random, so that another seed gives another run.
    """

    name: str
    method: Method
    d: int = 5
    types: tuple[type, ...] = ()
    keeps_float32: bool = True
    steps: int = 200
    evaluations: int = 3000
    reduction: float = 0.01
    draws: bool = True

    def __str__(self) -> str:
        return self.name

    def x0(self, dtype: type = np.float64) -> Array:
        """Return a new start (d,), from 1 to 2."""
        return np.linspace(1.0, 2.0, self.d).astype(dtype)

    def start(self, **options: Any) -> Optimizer:
        """Return an optimizer at `x0`; ``options`` are those of `Optimizer`."""
        return Optimizer(self.method, options.pop("x0", self.x0()), **{"rng": 11, **options})

    def solve(self, loss: Callable[[Array], float], **options: Any) -> Optimizer:
        """Return an optimizer that has spent its budget, `evaluations` unless told otherwise, on ``loss``."""
        opt = self.start(**{"budget": self.evaluations, **options})
        for _ in turns(opt.budget or self.evaluations, "the run has not ended"):
            if opt.stop():
                break
            batch = opt.ask()
            opt.tell(batch, [loss(x) for x in batch])
        return opt


def turns(most: int, failure: str) -> Iterator[None]:
    """Yield ``most`` times and once more to look at what came of it, then raise: no loop of the contract is endless."""
    for _ in range(most + 1):
        yield
    raise AssertionError(f"{failure} after {most} turns, each of which should have told at least one candidate")


def sphere(x: Array) -> float:
    """Return |x|^2."""
    return float(x @ x)


def ellipsoid(x: Array) -> float:
    """Return sum_i 10^(i / (d - 1)) x_i^2."""
    return float(10.0 ** np.linspace(0.0, 1.0, x.size) @ (x * x))


def rugged(candidate: Candidate) -> float:
    """Return a loss with ripples and noise that depends on the id; one in eleven has failed, one in 53 is infinite."""
    id_, x = candidate.id, candidate.x
    if id_ % 11 == 7:
        return math.nan
    if id_ % 53 == 20:
        return math.inf
    return ellipsoid(x) + 0.1 * float(np.sin(9.0 * x).sum()) + 0.01 * math.sin(1e4 * id_)


def hazy(candidate: Candidate) -> float | None:
    """Return a standard error that depends on the id; one in five is not known."""
    return None if candidate.id % 5 == 3 else 0.01 * (1 + candidate.id % 3)

"""Engines: three ways to evaluate what an optimizer asks for. Each yields outcomes, which the caller tells."""

from __future__ import annotations

import math
import os
import queue
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from zoo_opt.errors import integer
from zoo_opt.errors import loss as as_loss
from zoo_opt.optimizer import Optimizer

if TYPE_CHECKING:
    from zoo_opt.typing import Array


class Outcome(NamedTuple):
    """What came back for one candidate: a loss, or the exception that the objective raised."""

    id: int
    loss: float
    error: Exception | None = None


@dataclass(frozen=True)
class Call:
    """The user's objective in its calling form. It is what an executor pickles."""

    fun: Callable[..., Any]
    pass_step: bool
    vectorized: bool

    def __call__(self, x: Array, step: int, id_: int = -1) -> Any:
        """Return ``fun``'s value. The id makes every call of a run distinct to executors that cache."""
        return self.fun(x, step=step) if self.pass_step else self.fun(x)

    def single(self, x: Array, step: int) -> float:
        """Return the loss of one point, whatever the form."""
        if not self.vectorized:
            return as_loss(self(x, step))
        return as_loss(np.asarray(self(x[None], step)).reshape(-1)[0])


def one_by_one(opt: Optimizer, call: Call) -> Iterator[list[Outcome]]:
    """Evaluate in this thread."""
    while not opt.stop():
        batch = opt.ask()
        for i in range(len(batch)):
            candidate = batch[i]
            try:
                value = call(candidate.x, candidate.step, candidate.id)
            except Exception as error:
                yield [Outcome(candidate.id, math.nan, error)]
            else:
                yield [Outcome(candidate.id, as_loss(value))]


def whole_steps(opt: Optimizer, call: Call) -> Iterator[list[Outcome]]:
    """Evaluate the matrix of a step at once."""
    while not opt.stop():
        batch = opt.ask()
        try:
            values = call(batch.X, batch.step)
        except Exception as error:
            yield [Outcome(id_, math.nan, error) for id_ in batch.ids]
            continue
        losses = [as_loss(value) for value in np.asarray(values, dtype=object).reshape(-1)]
        if len(losses) != len(batch):
            raise ValueError(f"fun must return {len(batch)} losses for the matrix of a step, got {len(losses)}")
        yield [Outcome(id_, loss) for id_, loss in zip(batch.ids, losses, strict=True)]


def in_flight(opt: Optimizer, call: Call, executor: Any, workers: int | None) -> Iterator[list[Outcome]]:
    """Evaluate on an executor, with as many calls in flight as it has workers and the open steps have candidates."""
    limit = worker_count(executor) if workers is None else integer("workers", workers, 1)
    flying: dict[Any, int] = {}
    done: queue.SimpleQueue[Any] = queue.SimpleQueue()
    try:
        while True:
            while len(flying) < limit and not opt.stop():
                batch = opt.ask(1)
                if not len(batch):
                    break
                candidate = batch[0]
                future = executor.submit(call, candidate.x, candidate.step, candidate.id)
                flying[future] = candidate.id
                future.add_done_callback(done.put)
            if not flying:
                return
            arrived = [done.get()]
            while not done.empty():
                arrived.append(done.get())
            yield [_outcome(flying.pop(future), future) for future in arrived]
    finally:
        for future in flying:
            future.cancel()


def worker_count(executor: Any) -> int:
    """Return how many calls ``executor`` runs at a time; the number of cores where it does not tell."""
    if hasattr(executor, "_max_workers"):  # concurrent.futures, loky
        return max(1, int(executor._max_workers))
    client = getattr(executor, "_client", None)  # dask.distributed
    if client is not None:
        return max(1, int(sum(client.nthreads().values())))
    return os.cpu_count() or 1


def _outcome(id_: int, future: Any) -> Outcome:
    """Return what a finished call gave; a broken executor is raised, as it says nothing of the candidate."""
    from concurrent.futures import BrokenExecutor

    error = future.exception()
    if error is None:
        return Outcome(id_, as_loss(future.result()))
    if isinstance(error, Exception) and not isinstance(error, BrokenExecutor):
        return Outcome(id_, math.nan, error)
    raise error

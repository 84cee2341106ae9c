"""Engines: three ways to evaluate what an optimizer asks for. Each yields outcomes, which the caller tells."""

from __future__ import annotations

import os
import queue
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from zoo_opt.core.errors import integer
from zoo_opt.core.outcome import Outcome, failed, missing, succeeded
from zoo_opt.optimizer import Optimizer

if TYPE_CHECKING:
    from zoo_opt.typing import Array


@dataclass(frozen=True)
class Call:
    """The user's objective in its calling form. It is what an executor pickles."""

    fun: Callable[..., Any]
    pass_step: bool
    vectorized: bool
    sem: bool = False

    def __call__(self, x: Array, step: int, id_: int = -1) -> Any:
        """Return ``fun``'s value. The id makes every call of a run distinct to executors that cache."""
        return self.fun(x, step=step) if self.pass_step else self.fun(x)

    def outcome(self, id_: int, value: Any) -> Outcome:
        """Return the outcome of a call that returned ``value``."""
        return succeeded(id_, *_pair(value)) if self.sem else succeeded(id_, value)

    def outcomes(self, ids: Sequence[int], values: Any) -> list[Outcome]:
        """Return the outcomes of a vectorized call that returned ``values`` for candidates ``ids``."""
        losses, sems = _pair(values) if self.sem else (values, None)
        losses = _column("losses", losses, len(ids))
        sems = [None] * len(ids) if sems is None else _column("standard errors", sems, len(ids))
        return [succeeded(*each) for each in zip(ids, losses, sems, strict=True)]


def _pair(value: Any) -> tuple[Any, Any]:
    """Return the loss and the standard error of what an objective gave that gives both; None and NaN are failures."""
    if missing(value):
        return None, None
    if not isinstance(value, (tuple, list)) or len(value) != 2:
        raise TypeError(f"fun must return (loss, standard error) with sem=True, got {value!r}")
    return value[0], value[1]


def evaluate_one(call: Call, x: Array, step: int, executor: Any) -> Outcome:
    """Return the outcome of one point that is no candidate."""
    x = x.copy()
    x.flags.writeable = False
    arguments = (x[None] if call.vectorized else x, step, -1)
    try:
        value = call(*arguments) if executor is None else executor.submit(call, *arguments).result()
    except Exception as error:
        return failed(-1, error)
    return call.outcomes([-1], value)[0] if call.vectorized else call.outcome(-1, value)


def one_by_one(opt: Optimizer, call: Call) -> Iterator[list[Outcome]]:
    """Evaluate in this thread."""
    while not opt.stop():
        batch = opt.ask()
        for i in range(len(batch)):
            candidate = batch[i]
            try:
                value = call(candidate.x, candidate.step, candidate.id)
            except Exception as error:
                yield [failed(candidate.id, error)]
            else:
                yield [call.outcome(candidate.id, value)]


def whole_steps(opt: Optimizer, call: Call) -> Iterator[list[Outcome]]:
    """Evaluate the matrix of a step at once."""
    while not opt.stop():
        batch = opt.ask()
        try:
            values = call(batch.X, batch.step)
        except Exception as error:
            yield [failed(id_, error) for id_ in batch.ids]
        else:
            yield call.outcomes(batch.ids, values)


def _column(what: str, values: Any, n: int) -> list[Any]:
    """Return the ``n`` losses or standard errors that a vectorized objective gave."""
    column = list(np.asarray(values, dtype=object).reshape(-1))
    if len(column) != n:
        raise ValueError(f"fun must return {n} {what} for the matrix of a step, got {len(column)}")
    return column


def in_flight(opt: Optimizer, call: Call, executor: Any, workers: int | None) -> Iterator[list[Outcome]]:
    """Evaluate on an executor, with as many calls in flight as it has workers and the open steps have candidates."""
    limit = worker_count(executor) if workers is None else integer("workers", workers, 1)
    submitted: dict[Any, int] = {}
    done: queue.SimpleQueue[Any] = queue.SimpleQueue()
    try:
        while True:
            while len(submitted) < limit and not opt.stop():
                batch = opt.ask(1)
                if not len(batch):
                    break
                candidate = batch[0]
                future = executor.submit(call, candidate.x, candidate.step, candidate.id)
                submitted[future] = candidate.id
                future.add_done_callback(done.put)
            if not submitted:
                return
            future = done.get()
            yield [_outcome(call, submitted.pop(future), future)]
    finally:
        for future in submitted:
            future.cancel()


def worker_count(executor: Any) -> int:
    """Return how many calls ``executor`` runs at a time; the number of cores where it does not tell."""
    if hasattr(executor, "_max_workers"):  # concurrent.futures, loky
        return max(1, int(executor._max_workers))
    client = getattr(executor, "_client", None)  # dask.distributed
    if client is not None:
        return max(1, int(sum(client.nthreads().values())))
    return os.cpu_count() or 1


def _outcome(call: Call, id_: int, future: Any) -> Outcome:
    """Return what a finished call gave; a broken executor is raised, as it says nothing of the candidate."""
    from concurrent.futures import BrokenExecutor

    error = future.exception()
    if error is None:
        return call.outcome(id_, future.result())
    if isinstance(error, Exception) and not isinstance(error, BrokenExecutor):
        return failed(id_, error)
    raise error

"""Engines: three ways to evaluate what an optimizer asks for. Each yields outcomes, which the caller tells.

A candidate that was not served is evaluated again, for ``wait`` seconds of an outage; then an engine raises
`NotServed`. It raises `Refused` at once. Either way nothing is told of that candidate.
"""

from __future__ import annotations

import os
import queue
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from zoo_opt.core.batch import Candidate
from zoo_opt.core.errors import NotServed, Refused, integer
from zoo_opt.core.outcome import Outcome, failed, missing, refused, succeeded
from zoo_opt.optimizer import Optimizer
from zoo_opt.outage import WAIT, Outage, waited_for

if TYPE_CHECKING:
    from zoo_opt.typing import Array


_WIDER = ("pairs", "directions", "popsize")  # settings that make a step larger
_STEPS_SEEN = 10  # of a method that has none of them, whose steps may grow, before its workers are called idle; chosen


@dataclass(frozen=True)
class Call:
    """The user's objective in its calling form. It is what an executor pickles."""

    fun: Callable[..., Any]
    pass_step: bool
    vectorized: bool
    sem: bool = False
    args: tuple[Any, ...] = ()

    def __call__(self, x: Array, step: int, id_: int = -1) -> Outcome:
        """Return what a candidate gave. The id makes every call of a run distinct to executors that cache."""
        try:
            value = self._value(x, step)
        except (NotServed, Refused):
            raise
        except Exception as error:
            return failed(id_, error)
        try:
            loss, sem = _pair(value) if self.sem else (value, None)
        except TypeError as error:
            return refused(id_, error)
        return succeeded(id_, loss, sem)

    def matrix(self, X: Array, step: int, ids: Sequence[int]) -> list[Outcome]:
        """Return what the candidates ``X`` gave, in one call."""
        try:
            values = self._value(X, step)
        except (NotServed, Refused):
            raise
        except Exception as error:
            return [failed(id_, error) for id_ in ids]
        try:
            losses, sems = _pair(values) if self.sem else (values, None)
            losses = _column("losses", losses, len(ids))
            sems = [None] * len(ids) if sems is None else _column("standard errors", sems, len(ids))
        except (TypeError, ValueError, RuntimeError) as error:  # of a tensor too
            return [refused(id_, error) for id_ in ids]
        return [succeeded(*each) for each in zip(ids, losses, sems, strict=True)]

    def _value(self, x: Array, step: int) -> Any:
        return self.fun(x, *self.args, step=step) if self.pass_step else self.fun(x, *self.args)


def _pair(value: Any) -> tuple[Any, Any]:
    """Return the loss and the standard error of what an objective gave that gives both; None and NaN are failures."""
    if missing(value):
        return None, None
    if not isinstance(value, (tuple, list)) or len(value) != 2:
        raise TypeError(f"fun must return (loss, standard error) with sem=True, got {value!r}")
    return value[0], value[1]


def _column(what: str, values: Any, n: int) -> list[Any]:
    """Return the ``n`` losses or standard errors that a vectorized objective gave."""
    column = values if isinstance(values, (list, tuple)) else np.asarray(values)
    if isinstance(column, np.ndarray):
        if column.size == n and column.shape[:1] in ((n,), ()):  # (n,), (n, 1), or a number for one candidate
            return list(column.reshape(-1))
        got = f"an array of shape {column.shape}" if column.ndim else repr(values)
    else:
        if len(column) == n:
            return list(column)
        got = str(len(column))
    raise ValueError(f"fun must return {n} {what} for the matrix of a step, got {got}")


def evaluate_one(opt: Optimizer, call: Call, executor: Any, wait: float) -> Outcome:
    """Return the outcome of the mean, which is no candidate."""
    x, step = opt.mean.copy(), opt.nit
    x.flags.writeable = False

    def ask() -> list[Outcome]:
        if call.vectorized:
            return call.matrix(x[None], step, [-1])
        return [call(x, step) if executor is None else executor.submit(call, x, step, -1).result()]

    return waited_for(ask, wait)[0]


def one_by_one(opt: Optimizer, call: Call, wait: float = WAIT) -> Iterator[list[Outcome]]:
    """Evaluate in this thread."""
    while not opt.stop():
        batch = opt.ask()
        for id_, x in zip(batch.ids, batch, strict=True):
            if opt.reached:
                break
            try:
                outcome = call(x, batch.step, id_)
            except NotServed as error:
                yield _served(partial(_alone, call, x, batch.step, id_), error, wait, opt)
                continue
            yield [outcome]


def whole_steps(opt: Optimizer, call: Call, wait: float = WAIT) -> Iterator[list[Outcome]]:
    """Evaluate the matrix of a step at once."""
    while not opt.stop():
        batch = opt.ask()
        try:
            outcomes = call.matrix(batch.X, batch.step, batch.ids)
        except NotServed as error:
            outcomes = _served(partial(call.matrix, batch.X, batch.step, batch.ids), error, wait, opt)
        yield outcomes


def _alone(call: Call, x: Array, step: int, id_: int) -> list[Outcome]:
    return [call(x, step, id_)]


def _served(ask: Callable[[], list[Outcome]], error: NotServed, wait: float, opt: Optimizer) -> list[Outcome]:
    """Return what ``ask`` gives once it is served; nothing where the time of ``opt`` is over before."""
    outage = Outage(wait)
    while True:
        outage.pause(error, opt.seconds_left)
        if opt.reached:
            return []
        try:
            return ask()
        except NotServed as again:
            error = again


def in_flight(
    opt: Optimizer, call: Call, executor: Any, workers: int | None, wait: float = WAIT
) -> Iterator[list[Outcome]]:
    """Evaluate on an executor, with as many calls in flight as it has workers and the open steps have candidates.

    In an outage what is in flight is waited for, and then one call is made at a time until one is served.
    """
    limit = worker_count(executor) if workers is None else integer("workers", workers, 1)
    idle = _Idle(opt, limit)
    submitted: dict[Any, Candidate] = {}
    again: list[Candidate] = []  # those that were not served
    met: NotServed | Refused | None = None  # with what the last of them met
    outage = Outage(wait)
    done: queue.SimpleQueue[Any] = queue.SimpleQueue()
    try:
        while True:
            room = limit if met is None else 0 if submitted else 1
            if room and met is not None:
                if isinstance(met, Refused):
                    raise met
                outage.pause(met, opt.seconds_left)
            while len(submitted) < room and not (opt.reached if again else opt.stop()):
                if again:
                    candidate = again.pop(0)
                else:
                    idle.look()
                    batch = opt.ask(1)
                    if not len(batch):
                        break
                    candidate = batch[0]
                future = executor.submit(call, candidate.x, candidate.step, candidate.id)
                submitted[future] = candidate
                future.add_done_callback(done.put)
            if not submitted:
                return
            future = done.get()
            candidate = submitted.pop(future)
            try:
                outcome = future.result()
            except (NotServed, Refused) as error:
                again.append(candidate)
                outage = Outage(wait) if met is None else outage
                met = met if isinstance(met, Refused) else error
                continue
            except BaseException:  # the executor's own, as the objective's exceptions are in the outcome
                yield [other.result() for other in submitted if other.done() and _worked(other)]
                raise
            if room:  # else it was in flight when the outage began
                met = None
            yield [outcome]
    finally:
        for future in submitted:
            future.cancel()


class _Idle:
    """Warns once if there are more workers than the open steps have candidates, and says what would use them."""

    def __init__(self, opt: Optimizer, workers: int) -> None:
        self._opt, self._workers = opt, workers
        self._largest = 0  # step so far
        self._looking = True

    def look(self) -> None:
        """Look at the step that is placed next."""
        if not self._looking:
            return
        opt, method = self._opt, self._opt.method
        self._largest = max(self._largest, method.size(opt.state))
        room = self._largest * (1 + opt.lookahead)
        helps = ["lookahead"] * method.lookahead + [name for name in _WIDER if hasattr(method, name)]
        self._looking = room < self._workers and not helps and opt.nit < _STEPS_SEEN
        if self._looking or room >= self._workers:
            return
        advice = f"a larger {' or '.join(helps)}" if helps else "cma-es with a larger popsize"
        warnings.warn(
            f"{self._workers - room} of {self._workers} workers have nothing to do: {type(method).__name__} evaluates "
            f"{self._largest} candidates a step, with lookahead={opt.lookahead}; {advice} would use them",
            stacklevel=2,
        )


def _worked(future: Any) -> bool:
    return not future.cancelled() and future.exception() is None


def worker_count(executor: Any) -> int:
    """Return how many calls ``executor`` runs at a time; the number of cores where it does not tell."""
    if hasattr(executor, "_max_workers"):  # concurrent.futures, loky
        return max(1, int(executor._max_workers))
    client = getattr(executor, "_client", None)  # dask.distributed
    if client is not None:
        return max(1, int(sum(client.nthreads().values())))
    return os.cpu_count() or 1

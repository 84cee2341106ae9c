"""Probes of a step on the workers of an executor, each with a module of its own that takes in the same steps.

A task carries the steps that its worker is likely to lack. A worker that lacks more, as it died, joined late or was
busy with something else, says so, and gets all of them: it makes the start and replays the log.
"""

from __future__ import annotations

import itertools
import math
import secrets
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch

from zoo_opt.core.keys import Key
from zoo_opt.gradient.gains import Gain
from zoo_opt.methods.base import GradientMethod
from zoo_opt.torch.course import named_in
from zoo_opt.torch.late import Answer
from zoo_opt.torch.log import LogHead
from zoo_opt.torch.replica import Decided, Frame, Replica, loss_of, same_draws
from zoo_opt.torch.slots import Slots

NEWEST = 16  # steps that a task carries; chosen
TRIES = 5  # times that a probe is asked for, where workers say that they lack steps; chosen


class ReplicaError(RuntimeError):
    """A worker's parameters differ from those of the training: another start, other steps, or faulty hardware."""


class Training(NamedTuple):
    """What a worker's module is of."""

    token: str
    make: Callable[[], torch.nn.Module]
    method: GradientMethod
    head: LogHead


class ProbeTask(NamedTuple):
    """One probe of a step.

    Attributes
    ----------
    training : Training
    loss : callable
        ``loss(module, step)``.
    step : int
    place : dict
        Where the probe is.
    gain : Gain
        Of the step; c is the multiple of the grid.
    wanted : float
        The radius that was wanted.
    first : int
        Number of the first of the steps.
    steps : sequence of Decided
        What earlier steps decided.
    check : int or None
        The checksum that the parameters must have when the step has begun.
    attempt : int
        Makes each task distinct to executors that cache.
    """

    training: Training
    loss: Callable[[torch.nn.Module, int], Any]
    step: int
    place: dict[int, float]
    gain: Gain
    wanted: float
    first: int
    steps: Sequence[Decided]
    check: int | None
    attempt: int


class Lacks(NamedTuple):
    """The answer of a worker that has only so many steps."""

    steps: int


class Ahead(NamedTuple):
    """The answer of a worker that has made more steps than that of the probe: there is no way back."""

    steps: int


class _Asked(NamedTuple):
    """A probe whose answer is still to come after its step."""

    step: int
    probe: int
    future: Any


class Evaluators:
    """The probes of a training's steps on an executor.

    Parameters
    ----------
    executor
        With ``submit``.
    make, loss, method, head
        As in `Training` and `ProbeTask`.
    steps : list of Decided
        What all steps have decided, to which the caller appends.
    wait : float or None
        Seconds that a step waits for its probes; those that are later have failed.
    late : int
        Steps that what is later is kept for.

    Attributes
    ----------
    dropped : int
        Probes that were not waited for, and whose losses are no use any more.
    """

    def __init__(
        self,
        executor: Any,
        make: Any,
        loss: Any,
        method: GradientMethod,
        head: LogHead,
        steps: list[Decided],
        wait: float | None = None,
        late: int = 0,
    ) -> None:
        self._executor, self._loss, self._steps, self._wait = executor, loss, steps, wait
        self._training = Training(secrets.token_hex(8), make, method, head)
        self._attempt = itertools.count()
        self._late, self._pending, self.dropped = late, list[_Asked](), 0

    def losses(
        self, step: int, places: Sequence[dict[int, float]], gain: Gain, wanted: float, check: int | None
    ) -> list[float]:
        """Return the losses of a step's probes, NaN where late; whatever a loss raises is raised."""
        last = math.inf if self._wait is None else time.monotonic() + self._wait

        def submitted(place: dict[int, float], first: int) -> Any:
            steps = self._steps[first:step]
            task = ProbeTask(
                self._training, self._loss, step, place, gain, wanted, first, steps, check, next(self._attempt)
            )
            return self._executor.submit(evaluate, task)

        def answered(probe: int) -> Any:
            future = futures[probe]
            try:
                return future.result(None if last == math.inf else max(0.0, last - time.monotonic()))
            except TimeoutError:
                if future.done():  # raised by the loss
                    raise
                late.append(_Asked(step, probe, future))
                return math.nan

        newest, late = max(0, step - NEWEST), list[_Asked]()
        futures = [submitted(place, newest) for place in places]
        losses = []
        try:
            for probe, place in enumerate(places):
                answer = answered(probe)
                for attempt in range(TRIES + 1):
                    if not isinstance(answer, Lacks):
                        break
                    futures[probe] = submitted(place, min(answer.steps, newest) if attempt < TRIES else 0)
                    answer = answered(probe)
                if isinstance(answer, Ahead):
                    raise ReplicaError(f"a worker has made {answer.steps} steps of {step}")
                losses.append(answer)
        except BaseException:
            late = []
            raise
        finally:
            kept = {id(asked.future) for asked in late if self._late}
            for future in futures:
                if id(future) not in kept:
                    future.cancel()
        self._pending += late
        return losses

    def answers(self, step: int) -> list[Answer]:
        """Return the losses of earlier steps that have come since, at most ``late`` steps late, in order."""
        came, pending = [], []
        for asked in self._pending:
            if asked.step < step and asked.future.done() and step - asked.step <= self._late:
                answer = asked.future.result()
                if isinstance(answer, float):
                    came.append(Answer(asked.step, asked.probe, answer))
                else:  # its worker was not where the step is
                    self.dropped += 1
            elif step - asked.step >= self._late:
                asked.future.cancel()
                self.dropped += 1
            else:
                pending.append(asked)
        self._pending = pending
        return came

    def end(self) -> None:
        """Wait for nothing any more."""
        for asked in self._pending:
            asked.future.cancel()
        self.dropped += len(self._pending)
        self._pending = []


_LOCAL = threading.local()
_MAKING = threading.Lock()  # modules are made one after another


def evaluate(task: ProbeTask) -> float | Lacks | Ahead:
    """On a worker: the loss of a probe, or how many steps it has where those are too few, or more than there are."""
    module, replica = _mine(task.training)
    if replica.step < task.first:
        return Lacks(replica.step)
    if replica.step > task.step:
        return Ahead(replica.step)
    for decided in task.steps[replica.step - task.first :]:
        replica.repeat(decided)
    c = replica.begin(task.wanted)  # before the check: the grid makes room, in this probe of the step or in another
    if task.check is not None and replica.slots.checksum() != task.check:
        raise ReplicaError(f"the parameters of a worker differ from those of the training at step {task.step}")
    if c != task.gain.c:
        raise ReplicaError(f"the grid of a worker differs from that of the training at step {task.step}")
    try:
        replica.go(task.place, task.gain.c, task.gain)
        with same_draws(replica) as again:
            again()
            return loss_of(lambda: task.loss(module, task.step))
    finally:
        replica.home()


def _mine(training: Training) -> tuple[torch.nn.Module, Replica]:
    """Return this thread's module of a training, at the start if it has none."""
    if getattr(_LOCAL, "token", None) != training.token or _LOCAL.mine[1].torn:
        with _MAKING:
            module = training.make()
        replica = replica_of(module, training.method, training.head)
        _LOCAL.token, _LOCAL.mine = training.token, (module, replica)
    mine: tuple[torch.nn.Module, Replica] = _LOCAL.mine
    return mine


def replica_of(module: Any, method: GradientMethod | Frame, head: LogHead) -> Replica:
    """Return a replica of a module at the start; ReplicaError if that is not the one that was trained from."""
    frame = method if isinstance(method, Frame) else Frame.of(method.kit)
    slots = Slots(named_in(module))
    shapes = slots.shapes
    if shapes != head.shapes:
        other = next((pair for pair in zip(shapes, head.shapes, strict=False) if pair[0] != pair[1]), None)
        words = f"it has {other[0]} for {other[1]}" if other else f"{len(shapes)} parameters for {len(head.shapes)}"
        raise ReplicaError(f"module must be that of the log: {words}")
    replica = Replica(slots, frame, Key(*head.key))
    if slots.checksum() != head.start:
        raise ReplicaError("module must be the start of the training, its numbers are others")
    return replica

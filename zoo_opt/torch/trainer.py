"""Training a torch module in place by loss values."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, Self

import torch

from zoo_opt.core.errors import integer, positive
from zoo_opt.core.keys import make_key
from zoo_opt.gradient.gains import Gain
from zoo_opt.gradient.zo_gradient import ZOMemo
from zoo_opt.methods.base import GradientMethod
from zoo_opt.support.interrupts import interrupts_held
from zoo_opt.torch.course import Course, method_of, named_in
from zoo_opt.torch.late import LatePart, OpenSteps
from zoo_opt.torch.log import MOST_LATE, read_log
from zoo_opt.torch.parallel.ranks import GroupRanks
from zoo_opt.torch.parallel.workers import Evaluators
from zoo_opt.torch.replica import Decided, loss_of, same_draws
from zoo_opt.torch.slots import Slots
from zoo_opt.torch.stored_training import StoredTraining

if TYPE_CHECKING:
    from zoo_opt.typing import RNG

CHECK_EVERY = 64  # steps between two comparisons of the workers' parameters; chosen


class Step(NamedTuple):
    """What a step gave.

    Attributes
    ----------
    number : int
        0 for the first.
    loss : float
        The mean loss of its probes, NaN if all have failed; in a trial that of the parameters themselves.
    losses : list of float
        Those of its probes, NaN where failed.
    gain : Gain
        Its lr, c and momentum.
    skipped : bool
        Whether nothing was changed: too many probes have failed, or it was a trial of how long steps may be.
    """

    number: int
    loss: float
    losses: list[float]
    gain: Gain
    skipped: bool


class Trainer(StoredTraining):
    """Trains a module's own tensors by loss values: no gradient, no copy of the parameters, every bit repeatable.

    The method decides as it does in `zoo_opt.minimize`; perturbations and steps are drawn anew from the seed, block by
    block, whenever they are needed, so that memory stays that of inference and under 1 MB more (a float32 master
    more for parameters of half precision, a buffer more for momentum).

    Parameters
    ----------
    module : torch.nn.Module, or iterable of torch.nn.Parameter
        All parameters that require a gradient are trained, each memory once. They are rounded to a grid once, by at
        most 2^-22 of the largest in their tensor, which makes moves exact.
    method : GradientMethod or str, default "auto"
        `FZOO`, `SPSA`, `SPSAGC`, `SPSAGEASS` or `BAR`, without bounds, its draws `Rademacher`, `Gaussian` (of 16 bits,
        as `QuantileGaussian`) or `SegmentedUniform`; or a name. "auto" is `FZOO.untuned(trial=True)`.
    budget : int, optional
        Losses that the training is to take, which plans of "auto" and `fit` go by.
    rng : None, int, SeedSequence or Generator
        The seed.
    log : path-like, optional
        Where each step is written, about 12 bytes a probe. If the file is there already, its steps are made again from
        the module, which must be the start, and the training goes on from there.

    Attributes
    ----------
    method : GradientMethod
        With what was left to "auto" filled in.
    steps : int
        Steps so far.
    cost : Cost
        Forwards, failures, seconds, memory.
    lr_factor : float
        On the method's learning rate, for schedules of your own; it is part of the log.

    Raises
    ------
    TypeError, ValueError
        If an argument is none of these.
    CheckpointError
        If ``log`` is the log of another training, damaged, or in use.

    Examples
    --------
    >>> trainer = zo.torch.Trainer(model, "auto", budget=20_000, rng=0)  # doctest: +SKIP
    >>> for inputs, targets in loader:  # doctest: +SKIP
    ...     step = trainer.step(lambda: criterion(model(inputs), targets))
    """

    def __init__(
        self,
        module: torch.nn.Module | Iterable[torch.nn.Parameter],
        method: GradientMethod | str = "auto",
        *,
        budget: int | None = None,
        rng: RNG = None,
        log: str | os.PathLike[str] | None = None,
    ) -> None:
        if budget is not None:
            integer("budget", budget, 1)
        chosen = method_of(method)
        slots = Slots(named_in(module))
        start: Any = slots.extent()
        planned: Any = chosen.plan(start, budget)
        self._begun(module, Course(slots, planned, make_key(rng)), budget)
        if log is not None:
            self._go_on(log)

    # ------------------------------------------------------------------------------------------------- steps
    @property
    def steps(self) -> int:
        """Steps so far."""
        return self._course.steps

    @property
    def probes(self) -> int:
        """Losses of a step."""
        return self._course.n

    def stop(self) -> bool:
        """Return whether the budget has no room for another step."""
        return self.budget is not None and self.cost.forwards + self.probes > self.budget

    def step(self, loss: Callable[[], Any]) -> Step:
        """Make one step.

        Parameters
        ----------
        loss : callable
            ``loss()`` -> number or one-element tensor: the loss of the module as it is, of one minibatch for all
            probes of the step. It is called for each, without recording gradients; torch's random numbers are the same
            for all. NaN is a failed probe, which the method drops by its rule.

        Returns
        -------
        Step

        Raises
        ------
        Exception
            Whatever ``loss`` or the writing of the log raises; all is then as it was before the step. Ctrl-C waits
            for a move that goes on, so that the step is either made or not. Where something else ends a move in its
            middle (no memory, say), the next step and `save` raise RuntimeError.
        """
        course, started, forward = self._course, time.perf_counter(), 0.0
        self.check()
        memo, replica = course.begin(self.lr_factor), course.replica
        losses: list[float] = []
        try:
            with same_draws(replica) as again:
                for place in course.places(memo):
                    replica.go(place, memo.gain.c, memo.gain)
                    again()
                    before = time.perf_counter()
                    losses.append(loss_of(loss))
                    forward += time.perf_counter() - before
            step = self._finished(memo, losses)
        except BaseException:
            replica.home()
            raise
        self.cost.spent(forward, time.perf_counter() - started - forward)
        return step

    def fit(
        self,
        loss: Callable[[torch.nn.Module, int], Any],
        steps: int | None = None,
        *,
        executor: Any = None,
        make: Callable[[], torch.nn.Module] | None = None,
        wait: float | None = None,
        late: int = 0,
        group: Any = None,
        callback: Callable[[Step], Any] | None = None,
    ) -> Self:
        """Make steps until the budget is used up.

        Parameters
        ----------
        loss : callable
            ``loss(module, step)`` -> number or one-element tensor. Draw the minibatch from ``step``, which is the same
            for all probes of a step.
        steps : int, optional
            How many steps at most; needed where there is no budget.
        executor : optional
            Of `concurrent.futures`, or dask's ``client.get_executor(pure=False)``: its workers evaluate the probes of
            a step, each on a module of its own, which takes in the same steps and stays the same bit for bit.
        make : callable, optional
            ``make()`` -> the module at its start, on a worker; needed with an executor. What a worker of processes
            gets is pickled, as is ``loss``.
        wait : float, optional
            Seconds that a step waits for its probes on an executor. Those that are later count as failed in this step.
            By default it waits for all. The log repeats the training, another run need not.
        late : int, default 0
            Steps that a loss may be late to be used: the step in which it comes takes in its direction, with the slope
            and the scaling of its own step, into the mean over its own. What is later is dropped, and counted in
            `cost`. For ``wait``.
        group : torch.distributed.ProcessGroup, optional
            Processes that all call this alike, each with a trainer of its own of the same start, method and seed. Each
            evaluates some of the probes; they exchange losses alone and stay the same bit for bit. Its backend must
            take tensors of the CPU, as gloo does.
        callback : callable, optional
            ``callback(step)`` after each step; True ends the training, in all processes of a group.

        Returns
        -------
        Trainer
            Itself.

        Raises
        ------
        ReplicaError
            If a worker's parameters, or those of another process of the group, are not those of this process.
        RuntimeError
            If an error was raised in another process of the group, or one is gone: found at once where the backend
            sees it, at the latest after the group's timeout (of ``init_process_group``; 30 minutes by default).
        """
        if self.module is None:
            raise TypeError("module must be a torch.nn.Module for fit, got parameters alone")
        if steps is None and self.budget is None:
            raise ValueError("steps must be given where the trainer has no budget, got neither")
        if executor is not None and make is None:
            raise TypeError("make must be given with an executor: a function that returns the module at its start")
        if executor is not None and group is not None:
            raise TypeError("group must be None with an executor, got both")
        if wait is not None and (executor is None or not positive("wait", wait)):
            raise ValueError(f"wait must be None without an executor, got {wait!r}")
        if integer("late", late, 0) and wait is None:
            raise ValueError(f"late must be 0 without wait, got {late!r}")
        if late > MOST_LATE:
            raise ValueError(f"late must be at most {MOST_LATE}, got {late!r}")
        last = None if steps is None else self.steps + integer("steps", steps, 0)
        workers: Evaluators | GroupRanks | None = None
        module, course = self.module, self._course
        opened = course.opened(late)
        if make is not None and executor is not None:
            self._made = self._all_made()
            workers = Evaluators(executor, make, loss, self.method, course.head, self._made, wait, late)
        elif group is not None:
            workers = GroupRanks(group, module, course.replica, loss, course.head)
        failed = True
        try:
            while not self.stop() and (last is None or self.steps < last):
                if workers is None:
                    number = self.steps
                    step: Step | None = self.step(lambda number=number: loss(module, number))  # type: ignore[misc]
                else:
                    step = self._step_on(workers, opened)
                if step is None or (callback is not None and callback(step) is True):
                    break
            failed = False
        finally:
            if isinstance(workers, GroupRanks):
                workers.end(self.steps, failed)
            elif workers is not None:
                workers.end()
                self.cost.dropped += workers.dropped
        return self

    def _step_on(self, workers: Evaluators | GroupRanks, opened: OpenSteps) -> Step | None:
        """Make one step; None, without one, where another process of a group has ended the training.

        ``opened`` are the steps before whose losses may still come.
        """
        course, started = self._course, time.perf_counter()
        self.check()
        memo = course.begin(self.lr_factor)
        check = self.checksum() if self.steps % CHECK_EVERY == 0 else None
        try:
            losses = workers.losses(self.steps, course.places(memo), memo.gain, course.wanted, check)
            forward = time.perf_counter() - started
            if losses is None:
                course.replica.home()
                return None
            parts: list[LatePart] = []
            if isinstance(workers, Evaluators) and memo.radii is None:  # a trial moves nothing
                parts = opened.parts(workers.answers(self.steps))
            opened.keep(self.steps, memo, losses, course.memory)
            step = self._finished(memo, losses, parts)
        except BaseException:
            course.replica.home()
            raise
        self.cost.spent(forward, time.perf_counter() - started - forward)
        return step

    def _finished(self, memo: ZOMemo, losses: list[float], parts: Sequence[LatePart] = ()) -> Step:
        """Let the losses move the parameters, and write the log."""
        number = self.steps
        with interrupts_held():
            write = None if self._log is None else self._log.append
            record = self._course.finish(memo, losses, write=write, parts=parts)
            if self._made is not None:
                self._made.append(record.decided)
        told = losses if memo.radii is None else losses[:1]
        alive = [loss for loss in told if math.isfinite(loss)]
        mean = math.fsum(alive) / len(alive) if alive else math.nan
        return Step(number, mean, losses, memo.gain, not record.decided.weights)

    def _all_made(self) -> list[Decided]:
        """Return what all steps so far decided, which workers that join are told."""
        if self._made is not None and len(self._made) == self.steps:
            return self._made
        if self.steps == 0:
            return []
        if self._log is None:
            raise ValueError("log must be given to a trainer whose steps were not all made on the executor, got none")
        return [record.decided for record in read_log(self._log.path)[1]]

    def __repr__(self) -> str:
        return f"Trainer({self.method!r}, d={self._course.replica.slots.size}, steps={self.steps})"

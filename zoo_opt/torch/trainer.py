"""Training a torch module in place by loss values."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, NamedTuple, Self

import numpy as np
import torch

from zoo_opt.core.errors import finite, integer
from zoo_opt.core.keys import Key, make_key
from zoo_opt.gradient.gains import Gain, Observation
from zoo_opt.gradient.zo_gradient import LARGEST, ZOMemo
from zoo_opt.methods import make
from zoo_opt.methods.base import GradientMethod
from zoo_opt.methods.fzoo import FZOO
from zoo_opt.storage import checkpoint
from zoo_opt.torch.cost import Cost
from zoo_opt.torch.log import LogHead, StepRecord, TrainingLog, read_log
from zoo_opt.torch.replica import Decided, Frame, Replica, loss_of, placed, same_draws
from zoo_opt.torch.saved import grids_in, placed_again, saved
from zoo_opt.torch.slots import Slots
from zoo_opt.torch.workers import Evaluators

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
        The mean loss of its probes, NaN if all have failed.
    losses : list of float
        Those of its probes, NaN where failed.
    gain : Gain
        Its lr, c and momentum.
    skipped : bool
        Whether too many probes have failed, so that nothing was changed.
    """

    number: int
    loss: float
    losses: list[float]
    gain: Gain
    skipped: bool


class Trainer:
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
        as `QuantileGaussian`) or `SegmentedUniform`; or a name. "auto" is `FZOO.untuned()`.
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
        self.module = module if isinstance(module, torch.nn.Module) else None
        chosen = method_of(method)
        slots = Slots(named_in(module))
        start: Any = slots.extent()
        planned: Any = chosen.plan(start, budget)
        self._set_up(slots, planned, make_key(rng), budget)
        self._log: TrainingLog | None = None
        if log is not None:
            self._log = TrainingLog(log, self._head)
            for record in self._log.records:
                self._finish(self._begin(record.decided.c), record.losses, record.decided)
            self._log.records = []

    def _set_up(self, slots: Slots, method: GradientMethod, key: Key, budget: int | None) -> None:
        kit = method.kit
        self.method, self.budget, self.lr_factor = method, budget, 1.0
        self._kit, self._key, self._placed = kit, key, placed(kit)
        self._replica = Replica(slots, Frame.of(kit), key)
        self._gains, self._memory = kit.gains.start, ()
        self.cost = Cost(self._replica)
        self._made: list[Decided] | None = None  # kept while there are workers
        self._head = head_of(method, self._replica)

    # ------------------------------------------------------------------------------------------------- steps
    @property
    def steps(self) -> int:
        """Steps so far."""
        return self._replica.step

    @property
    def probes(self) -> int:
        """Losses of a step."""
        return self._kit.estimator.n

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
            Whatever ``loss`` raises; the parameters are then as they were before the step.
        """
        begun = self._begin()
        memo, replica = begun, self._replica
        losses: list[float] = []
        started = time.perf_counter()
        forward = 0.0
        devices = [slot.parameter.device for slot in replica.slots.all]
        try:
            with same_draws(self._key, self.steps, devices) as again:
                for place in self._placed_of(memo):
                    replica.go(place, memo.gain.c, memo.gain)
                    again()
                    before = time.perf_counter()
                    losses.append(loss_of(loss))
                    forward += time.perf_counter() - before
        except BaseException:
            replica.home()
            raise
        step = self._finish(begun, losses)
        self.cost.spent(forward, time.perf_counter() - started - forward)
        return step

    def fit(
        self,
        loss: Callable[[torch.nn.Module, int], Any],
        steps: int | None = None,
        *,
        executor: Any = None,
        make: Callable[[], torch.nn.Module] | None = None,
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
        callback : callable, optional
            ``callback(step)`` after each step; True ends the training.

        Returns
        -------
        Trainer
            Itself.

        Raises
        ------
        ReplicaError
            If a worker's parameters are not those of this process.
        """
        if self.module is None:
            raise TypeError("module must be a torch.nn.Module for fit, got parameters alone")
        if steps is None and self.budget is None:
            raise ValueError("steps must be given where the trainer has no budget, got neither")
        if executor is not None and make is None:
            raise TypeError("make must be given with an executor: a function that returns the module at its start")
        last = None if steps is None else self.steps + integer("steps", steps, 0)
        workers = None
        if make is not None and executor is not None:
            self._made = self._all_made()
            workers = Evaluators(executor, make, loss, self.method, self._head, self._made)
        module = self.module
        while not self.stop() and (last is None or self.steps < last):
            if workers is None:
                number = self.steps
                step = self.step(lambda number=number: loss(module, number))  # type: ignore[misc]
            else:
                step = self._step_on(workers)
            if callback is not None and callback(step) is True:
                break
        return self

    def _step_on(self, workers: Evaluators) -> Step:
        memo = self._begin()
        started = time.perf_counter()
        check = self._replica.slots.checksum() if self.steps % CHECK_EVERY == 0 else None
        losses = workers.losses(self.steps, self._placed_of(memo), memo.gain, self._wanted, check)
        forward = time.perf_counter() - started
        step = self._finish(memo, losses)
        self.cost.spent(forward, time.perf_counter() - started - forward)
        return step

    def _all_made(self) -> list[Decided]:
        """Return what all steps so far decided, which workers that join are told."""
        if self._made is not None or self.steps == 0:
            return self._made or []
        if self._log is None:
            raise ValueError("log must be given to a trainer whose steps were not all made on the executor, got none")
        return [record.decided for record in read_log(self._log.path)[1]]

    def _begin(self, wanted: float | None = None) -> ZOMemo:
        """Return the gains of the next step, c a multiple of the grid near to what was wanted."""
        t = self.steps
        gain = self._kit.gains.at(self._gains, t)
        self._wanted = float(np.float32(gain.c)) if wanted is None else wanted
        c = self._replica.begin(self._wanted)
        return ZOMemo(gain._replace(c=c, lr=finite("lr_factor", self.lr_factor) * gain.lr), self._repeats(t))

    def _repeats(self, t: int) -> bool:
        return self._kit.gains.repeats(self._gains, t)

    def _placed_of(self, memo: ZOMemo) -> list[dict[int, float]]:
        return [self._placed[0], self._placed[0], *self._placed[2:]] if memo.repeats else self._placed

    def _finish(
        self,
        memo: ZOMemo,
        losses: list[float],
        decided: Decided | None = None,
    ) -> Step:
        """Decide by the losses, move the parameters and, unless ``decided`` is from the log, write the log."""
        kit, gain, replica, number = self._kit, memo.gain, self._replica, self.steps
        decision = kit.decide(memo, losses, self._memory, LARGEST["f"])
        scaled = decision.scaled
        if kit.gains.observes and (scaled is not None or decision.slopes is None):
            seen = Observation(losses, gain, memo.repeats, kit.estimator)
            if scaled is not None:
                norm: Callable[[], float] = lambda: replica.norm(_single(scaled))  # noqa: E731
                seen = seen._replace(slopes=decision.slopes, factor=decision.factor, length=norm)
            self._gains = kit.gains.observe(self._gains, seen)
        if scaled is not None:
            self._memory = decision.memory
        new = self._decided(scaled, gain) if decided is None else decided
        replica.apply(new)
        if self._made is not None:
            self._made.append(new)
        if decided is None and self._log is not None:
            self._log.append(StepRecord(new, losses))
        finite_ = [loss for loss in losses if np.isfinite(loss)]
        self.cost.forwards += len(losses)
        self.cost.failures += sum(map(bool, np.isnan(losses)))
        mean = float(np.mean(finite_)) if finite_ else float("nan")
        return Step(number, mean, losses, gain, not new.weights)

    def _decided(self, scaled: list[float] | None, gain: Gain) -> Decided:
        """Return what a step does: under momentum the estimate and the gains, else its moves."""
        if scaled is None:
            return Decided(self._wanted, [])
        if self._replica.frame.has_momentum:
            return Decided(self._wanted, _single(scaled), gain.lr, gain.momentum)
        return Decided(self._wanted, _single([-gain.lr * weight for weight in scaled]))

    # ------------------------------------------------------------------------------------------------ storage
    def checksum(self) -> int:
        """Return a checksum of all trained numbers: equal for trainings that are the same bit for bit."""
        return self._replica.slots.checksum()

    def close(self) -> None:
        """Close the log."""
        if self._log is not None:
            self._log.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def state(self, values: bool = True) -> dict[str, Any]:
        """Return what a checkpoint holds: plain values and arrays. Without ``values`` only those of masters."""
        tree = saved(self._replica, values)
        own = {"method": self.method, "key": list(self._key), "budget": self.budget, "lr_factor": self.lr_factor}
        own |= {"gains": self._gains, "memory": self._memory, "head": self._head.line().decode()}
        return {**tree, **own, "forwards": self.cost.forwards, "failures": self.cost.failures}

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write a checkpoint, atomically: parameters, momentum and state; `load` goes on exactly from here.

        Raises
        ------
        TypeError
            If a schedule is not a dataclass of zoo_opt (a lambda, say).
        """
        checkpoint.write(path, self.state())

    @classmethod
    def load(
        cls,
        module: torch.nn.Module | Iterable[torch.nn.Parameter],
        path: str | os.PathLike[str],
        *,
        types: Iterable[type] = (),
    ) -> Self:
        """Return the trainer that was saved at ``path``, with the module's parameters as they were.

        Parameters
        ----------
        module
            As it was given to the trainer, in any state of training.
        path : path-like
        types : iterable of dataclasses, optional
            Classes of your own that the method's schedules are made of.

        Raises
        ------
        CheckpointError
            If it is no checkpoint of a trainer of this module.
        """
        return cls.restored(module, checkpoint.read(path, types))

    @classmethod
    def restored(cls, module: torch.nn.Module | Iterable[torch.nn.Parameter], tree: dict[str, Any]) -> Self:
        """Return the trainer of a `state`; what that has no values for must be in the module as it was."""
        self = cls.__new__(cls)
        named = named_in(module)
        self.module = module if isinstance(module, torch.nn.Module) else None
        slots = Slots(named, grids_in(tree, named))
        self._set_up(slots, tree["method"], Key(*tree["key"]), tree["budget"])
        placed_again(self._replica, tree)
        self._log, self._head = None, LogHead.read(tree["head"].encode(), "the checkpoint")
        self._gains, self._memory, self.lr_factor = tree["gains"], tuple(tree["memory"]), tree["lr_factor"]
        self.cost.forwards, self.cost.failures = tree["forwards"], tree["failures"]
        return self

    def __repr__(self) -> str:
        return f"Trainer({self.method!r}, d={self._replica.slots.size}, steps={self.steps})"


def named_in(module: Any) -> list[tuple[str, torch.nn.Parameter]]:
    """Return the parameters of a module, or those that are given, with names."""
    if isinstance(module, torch.nn.Module):
        return list(module.named_parameters())
    try:
        parameters = list(module)
    except TypeError:
        parameters = []
    if not parameters or not all(isinstance(parameter, torch.nn.Parameter) for parameter in parameters):
        raise TypeError(f"module must be a torch.nn.Module or parameters of one, got {type(module).__name__}")
    return [(str(i), parameter) for i, parameter in enumerate(parameters)]


def method_of(method: Any) -> GradientMethod:
    """Return the method that was given or named."""
    named = (FZOO.untuned() if method == "auto" else make(method)) if isinstance(method, str) else method
    if not isinstance(named, GradientMethod):
        raise TypeError(f"method must be FZOO, SPSA, SPSAGC, SPSAGEASS or BAR, or 'auto', got {named!r}")
    if named.bounds is not None:
        raise ValueError(f"bounds must be None where a module is trained in place, got {named.bounds!r}")
    return named


def head_of(method: GradientMethod, replica: Replica) -> LogHead:
    """Return what a log of this training begins with; the replica is at the start."""
    shapes = [[s.name, list(s.parameter.shape), str(s.parameter.dtype)] for s in replica.slots.all]
    estimator, frame = method.kit.estimator, replica.frame
    return LogHead(
        key=list(replica.key),
        kind=frame.kind.name,
        rule=type(frame.rule).__name__,
        method=checkpoint.fingerprint(method),
        n=estimator.n,
        q=estimator.q,
        start=replica.slots.checksum(),
        shapes=shapes,
    )


def _single(numbers: list[float]) -> list[float]:
    """Return the numbers rounded to single precision."""
    rounded: list[float] = np.array(numbers, np.float32).tolist()
    return rounded

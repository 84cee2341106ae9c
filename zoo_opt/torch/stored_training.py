"""What a `Trainer` is between two steps, on the disk and in other forms."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import Any, Self

import torch

from zoo_opt.core.errors import CheckpointError
from zoo_opt.methods.base import GradientMethod
from zoo_opt.storage import checkpoint
from zoo_opt.torch.cost import Cost
from zoo_opt.torch.course import Course, named_in
from zoo_opt.torch.log import TrainingLog
from zoo_opt.torch.replica import Decided
from zoo_opt.torch.slots import moved


class StoredTraining:
    """The parts of a `Trainer`: what it trains, the course, the cost, and the log."""

    module: torch.nn.Module | None
    method: GradientMethod
    budget: int | None
    lr_factor: float
    cost: Cost
    _course: Course
    _log: TrainingLog | None = None
    _made: list[Decided] | None = None  # what steps decided, kept while there are workers

    def _begun(self, module: Any, course: Course, budget: int | None) -> None:
        self.module = module if isinstance(module, torch.nn.Module) else None
        self._course, self.method, self.budget, self.lr_factor = course, course.method, budget, 1.0
        self.cost = Cost(course)

    def checksum(self) -> int:
        """Return a checksum of all trained numbers: equal for trainings that are the same bit for bit."""
        return self._course.replica.slots.checksum()

    def close(self) -> None:
        """Close the log."""
        if self._log is not None:
            self._log.close()

    def check(self) -> None:
        """Raise RuntimeError if a step was interrupted, or the module has other parameters now than those trained."""
        replica = self._course.replica
        replica.check()
        if self.module is not None:
            now = dict(self.module.named_parameters())
            for slot in replica.slots.all:
                if now.get(slot.name) is not slot.parameter:
                    raise moved(slot.name)

    def __getstate__(self) -> Any:
        """Refuse to be copied or pickled: a copy would not share the parameters' memory with a module."""
        raise TypeError(f"a {type(self).__name__} cannot be copied or pickled: use save and load")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _go_on(self, path: str | os.PathLike[str]) -> None:
        """Open the log, and make again what it has beyond the steps so far."""
        log, steps = TrainingLog(path, self._course.head), self._course.steps
        if len(log.records) < steps:
            log.close()
            raise CheckpointError(
                f"{os.fspath(path)} ends at step {len(log.records)}, before the checkpoint at {steps}"
            )
        try:
            for record in log.records[steps:]:
                self._course.repeat(record)
        except BaseException:
            log.close()
            raise
        log.records = []
        self._log = log

    def state(self, values: bool = True) -> dict[str, Any]:
        """Return what a checkpoint holds: plain values and arrays. Without ``values`` only those of masters."""
        return {**self._course.tree(values), "budget": self.budget, "lr_factor": self.lr_factor}

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
        log: str | os.PathLike[str] | None = None,
        types: Iterable[type] = (),
    ) -> Self:
        """Return the trainer that was saved at ``path``, with the module's parameters as they were.

        Parameters
        ----------
        module
            As it was given to the trainer, in any state of training.
        path : path-like
        log : path-like, optional
            The log of this training, which goes on; what it has beyond the checkpoint is made again.
        types : iterable of dataclasses, optional
            Classes of your own that the method's schedules are made of.

        Raises
        ------
        CheckpointError
            If it is no checkpoint of a trainer of this module, or the log is not of this training or ends before it.
        """
        self = cls.restored(module, checkpoint.read(path, types))
        if log is not None:
            self._go_on(log)
        return self

    @classmethod
    def restored(cls, module: torch.nn.Module | Iterable[torch.nn.Parameter], tree: dict[str, Any]) -> Self:
        """Return the trainer of a `state`; what that has no values for must be in the module as it was."""
        self = cls.__new__(cls)
        course = Course.of_tree(tree, named_in(module))
        self._begun(module, course, tree["budget"])
        self.lr_factor = tree["lr_factor"]
        return self

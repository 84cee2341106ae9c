"""Probes of a step over the processes of `torch.distributed`, which exchange losses alone."""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import distributed

from zoo_opt.gradient.gains import Gain
from zoo_opt.torch.log import LogHead
from zoo_opt.torch.parallel.workers import ReplicaError
from zoo_opt.torch.replica import Replica, loss_of, same_draws

_GOES_ON, _FAILED, _ENDED = 0.0, 1.0, 2.0  # what a process tells the others


class GroupRanks:
    """The processes of a group, each of which has the module, makes the same steps, and evaluates some of the probes.

    Parameters
    ----------
    group : torch.distributed.ProcessGroup
        Whose backend takes tensors of the CPU, such as gloo.
    module : torch.nn.Module
    replica : Replica
        Of this process.
    loss : callable
        ``loss(module, step)``.
    head : LogHead
        Of this process; that of all must be the same.

    Attributes
    ----------
    over : bool
        Whether a process has ended the training, as all know then.

    Raises
    ------
    ValueError
        If this process is not of the group.
    ReplicaError
        If the processes train another thing.
    """

    def __init__(
        self,
        group: Any,
        module: torch.nn.Module,
        replica: Replica,
        loss: Callable[[torch.nn.Module, int], Any],
        head: LogHead,
    ) -> None:
        self._group, self._module, self._replica, self._loss = group, module, replica, loss
        self._rank, self._size = distributed.get_rank(group), distributed.get_world_size(group)
        if self._rank < 0:
            raise ValueError("group must be one that this process is of, got another")
        self._width, self.over = -(-head.n // self._size), False
        if len({row[0] for row in self._exchanged([zlib.crc32(head.line())])}) > 1:  # rows are then of one length
            raise ReplicaError("the processes must have the same trainings, got others in some")

    def losses(
        self, step: int, places: Sequence[dict[int, float]], gain: Gain, wanted: float, check: int | None
    ) -> list[float] | None:
        """Return the losses of a step's probes, of which probe k was evaluated by process k modulo their number.

        None if another process has ended the training.

        Raises
        ------
        ReplicaError
            If the processes are at other steps, or have other parameters where ``check`` is told.
        Exception
            What the loss raises in this process; RuntimeError where another has raised an error, or is gone.
        """
        own: list[float] = []
        failure: BaseException | None = None
        try:
            with same_draws(self._replica) as again:
                for place in places[self._rank :: self._size]:
                    self._replica.go(place, gain.c, gain)
                    again()
                    own.append(loss_of(lambda: self._loss(self._module, step)))
        except Exception as error:  # the others wait for this process
            failure = error
        told = self._told(_GOES_ON if failure is None else _FAILED, step, check or 0, own)
        if failure is not None:
            raise failure
        if self.over:
            return None
        for i, what in enumerate(("steps", f"parameters at step {step}"), start=1):
            if len({row[i] for row in told}) > 1:
                raise ReplicaError(f"the processes must have the same {what}, got others in some")
        return [told[k % self._size][3 + k // self._size] for k in range(len(places))]

    def end(self, step: int, failed: bool) -> None:
        """Tell the others, unless they know, that this process ends the training before ``step``; they end too."""
        if not self.over:
            self._told(_FAILED if failed else _ENDED, step, 0, [])

    def _told(self, word: float, step: int, check: int, own: list[float]) -> list[list[float]]:
        """Exchange rows of a word, a step, a checksum and losses; raise RuntimeError where another has failed."""
        own = own + [math.nan] * (self._width - len(own))
        self.over = True  # if this raises
        told = self._exchanged([word, step, check, *own])
        failed = [rank for rank, row in enumerate(told) if row[0] == _FAILED and rank != self._rank]
        if failed:
            raise RuntimeError(f"an error was raised in process {failed[0]} at step {step}, which ends the training")
        self.over = any(row[0] != _GOES_ON for row in told)
        return told

    def _exchanged(self, row: list[float]) -> list[list[float]]:
        """Return the rows of all processes, as long in each; checksums of 32 bits are exact in double precision."""
        mine = torch.tensor(row, dtype=torch.float64)
        rows = [torch.empty_like(mine) for _ in range(self._size)]
        try:
            distributed.all_gather(rows, mine, group=self._group)
        except RuntimeError as error:
            raise RuntimeError(
                "another process of the group has gone, or was later than the group's timeout (init_process_group)"
            ) from error
        return [each.tolist() for each in rows]

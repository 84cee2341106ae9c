"""The trained module from its start and a log."""

from __future__ import annotations

import os
from collections.abc import Iterable

import torch

from zoo_opt.core.errors import CheckpointError, integer
from zoo_opt.gradient.updates import Plain, UpdateRule
from zoo_opt.methods.spsa import GradientCorrection
from zoo_opt.methods.spsa_geass import Nesterov
from zoo_opt.torch.directions import KINDS
from zoo_opt.torch.log import read_log
from zoo_opt.torch.parallel.workers import replica_of
from zoo_opt.torch.replica import Frame

RULES: dict[str, type[UpdateRule]] = {rule.__name__: rule for rule in (Plain, GradientCorrection, Nesterov)}


def replay(
    module: torch.nn.Module | Iterable[torch.nn.Parameter], log: str | os.PathLike[str], steps: int | None = None
) -> int:
    """Make the trained module again: bit for bit that of the training, without a loss.

    Parameters
    ----------
    module : torch.nn.Module, or iterable of torch.nn.Parameter
        As it was given to the trainer, at the start of the training; its parameters are changed in place.
    log : path-like
        What `Trainer` wrote, also while it goes on or where it was killed.
    steps : int, optional
        How many steps to make; all by default.

    Returns
    -------
    int
        Steps that were made.

    Raises
    ------
    CheckpointError
        If it is no log, or damaged before its last record.
    ReplicaError
        If the module is not the start of the training.
    """
    head, records = read_log(log)
    if head.rule not in RULES or head.kind not in KINDS:
        raise CheckpointError(f"{os.fspath(log)} is of a rule that this zoo_opt does not know, {head.rule}")
    replica = replica_of(module, Frame(KINDS[head.kind], RULES[head.rule]()), head)
    chosen = records if steps is None else records[: integer("steps", steps, 0)]
    for decided, _ in chosen:
        replica.repeat(decided)
    return len(chosen)

"""The one trainer of all white-box comparators: minibatches, schedule, early stopping, exact resume.

Whatever is trained is a `Trainable`; the trainer knows nothing of images. Every random draw is a function of the
recipe's seed, the epoch and the step, and after each epoch a checkpoint is written, so that a run that was killed goes
on from its last whole epoch and ends in the same weights, bit for bit (on one machine and torch build).
"""

from __future__ import annotations

import csv
import io
import math
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import asdict, astuple, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import torch

from zoo_opt.checkpoint import write_atomically
from zoo_opt.errors import CheckpointError

from .recipe import Epoch, Progress, Recipe, Validation

Report = Callable[[Epoch, Recipe], None]
Tensors = dict[str, torch.Tensor]


class Trainable(ABC):
    """What `fit` trains.

    Attributes
    ----------
    name : str
        What it is, with every setting that the result depends on: a checkpoint of another name is refused.
    size : int
        Number of training samples.
    """

    name: str
    size: int

    @abstractmethod
    def tensors(self) -> Mapping[str, torch.Tensor]:
        """Everything that training changes: the parameters (``requires_grad``) and, beside them, changing buffers."""

    @abstractmethod
    def loss(self, rows: np.ndarray, seed: tuple[int, ...]) -> torch.Tensor:
        """Mean loss over these training samples, a scalar to differentiate; draws are a function of ``seed``."""

    @abstractmethod
    def validate(self) -> Validation:
        """Loss and Dice on the validation split, the same draws every time."""

    def train(self, mode: bool) -> None:  # noqa: B027 - most have nothing to switch
        """Switch dropout and the like on (True) or off."""


@dataclass(frozen=True)
class Fitted:
    """What a training came to. The `Trainable` holds the weights of the best epoch.

    Attributes
    ----------
    history : tuple of Epoch
        Epoch 0 is the start, before any step.
    best_epoch : int
    best_dice : float
        On validation.
    stopped : str
        ``"plateau"`` (no better Dice for `Recipe.stop_after` epochs) or ``"epochs"`` (all were made).
    seconds : float
        CPU time, of all sittings.
    trained : int
        Number of parameters trained.
    """

    history: tuple[Epoch, ...]
    best_epoch: int
    best_dice: float
    stopped: str
    seconds: float
    trained: int


def fit(task: Trainable, recipe: Recipe, *, out: Path | None = None, report: Report | None = None) -> Fitted:
    """Train until the validation Dice gets no better, and leave the best epoch's weights in place.

    Parameters
    ----------
    task : Trainable
    recipe : Recipe
    out : path or None
        Folder for ``train.ckpt``, from which a later call goes on, and ``train.csv``, a line per epoch.
    report : callable or None
        Called as ``report(epoch, recipe)`` after each epoch, and for the start.

    Returns
    -------
    Fitted

    Raises
    ------
    CheckpointError
        If the checkpoint in `out` is of another training, or cannot be read.
    FloatingPointError
        If a training loss is not finite.
    """
    run = _Run(task, recipe, None if out is None else Path(out) / "train.ckpt")
    if not run.resume():
        run.validated(0, math.nan, math.nan, 0.0, report)
    while not (stopped := run.progress.stopped(run.history[-1].epoch, recipe)):
        run.epoch(report)
    run.restore_best()
    return Fitted(
        tuple(run.history),
        run.progress.best_epoch,
        run.progress.best_dice,
        stopped,
        sum(epoch.seconds for epoch in run.history),
        sum(p.numel() for p in run.parameters),
    )


class _Run:
    """A training that is under way."""

    def __init__(self, task: Trainable, recipe: Recipe, path: Path | None) -> None:
        self.task, self.recipe, self.path = task, recipe, path
        self.tensors = dict(task.tensors())
        self.parameters = [t for t in self.tensors.values() if t.requires_grad]
        if not self.parameters:
            raise ValueError(f"{task.name} has no parameter to train")
        kind = torch.optim.AdamW if recipe.optimizer == "adamw" else torch.optim.Adam
        self.optimizer = kind(self.parameters, lr=recipe.lr, weight_decay=recipe.weight_decay)
        self.device = self.parameters[0].device
        scaled = recipe.precision == "float16" and self.device.type == "cuda"
        self.scaler = torch.amp.GradScaler(self.device.type, enabled=scaled)
        self.progress = Progress()
        self.history: list[Epoch] = []
        self.best: Tensors = {}
        self.steps = math.ceil(task.size / recipe.batch)  # of an epoch

    def epoch(self, report: Report | None) -> None:
        """One pass over the samples, then validation and a checkpoint."""
        epoch, start = self.history[-1].epoch + 1, time.process_time()
        order = np.random.default_rng([self.recipe.seed, epoch]).permutation(self.task.size)
        losses, lr = [], math.nan
        self.task.train(True)
        for i in range(self.steps):
            rows = order[i * self.recipe.batch : (i + 1) * self.recipe.batch]
            step = (epoch - 1) * self.steps + i
            lr = self.recipe.rate(step, self.steps * self.recipe.epochs, self.progress.drops)
            losses.append(self._step(rows, lr, (self.recipe.seed, epoch, i)) * len(rows))
        self.task.train(False)
        self.validated(epoch, lr, sum(losses) / self.task.size, start, report)

    def _step(self, rows: np.ndarray, lr: float, seed: tuple[int, ...]) -> float:
        for group in self.optimizer.param_groups:
            group["lr"] = lr
        self.optimizer.zero_grad(set_to_none=True)
        with seeded(seed, self.device), self._autocast():
            loss = self.task.loss(rows, seed)
        if not torch.isfinite(loss):
            raise FloatingPointError(f"{self.task.name}: the loss is {loss.item()} at {seed}: a lower lr may help")
        self.scaler.scale(loss).backward()
        if self.recipe.clip is not None:
            self.scaler.unscale_(self.optimizer)
            torch.nn.utils.clip_grad_norm_(self.parameters, self.recipe.clip)
        self.scaler.step(self.optimizer)
        self.scaler.update()
        return float(loss.detach())

    def _autocast(self) -> AbstractContextManager[Any]:
        if self.recipe.precision == "float32":
            return nullcontext()
        return torch.autocast(self.device.type, dtype=getattr(torch, self.recipe.precision))

    def validated(self, epoch: int, lr: float, loss: float, start: float, report: Report | None) -> None:
        """Look at the validation split, note the epoch and write it all down."""
        start = start or time.process_time()
        self.task.train(False)
        with torch.no_grad():
            found = self.task.validate()
        if self.progress.see(epoch, found, self.recipe):
            self.best = {name: tensor.detach().clone() for name, tensor in self.tensors.items()}
        seconds = round(time.process_time() - start, 3)
        self.history.append(Epoch(epoch, lr, loss, found.loss, found.dice, seconds))
        self._save()
        if report:
            report(self.history[-1], self.recipe)

    def restore_best(self) -> None:
        """Put the best epoch's weights in place."""
        _put(self.best, self.tensors)

    def _identity(self) -> dict[str, Any]:
        shapes = {name: list(tensor.shape) for name, tensor in self.tensors.items()}
        return {"name": self.task.name, "size": self.task.size, "recipe": asdict(self.recipe), "shapes": shapes}

    def _save(self) -> None:
        if self.path is None:
            return
        self.path.parent.mkdir(parents=True, exist_ok=True)
        buffer = io.BytesIO()
        state = {
            "identity": self._identity(),
            "tensors": {name: tensor.detach() for name, tensor in self.tensors.items()},
            "best": self.best,
            "optimizer": self.optimizer.state_dict(),
            "scaler": self.scaler.state_dict(),
            "progress": asdict(self.progress),
            "history": [astuple(epoch) for epoch in self.history],
        }
        torch.save(state, buffer)
        write_atomically(self.path, buffer.getbuffer())
        text = io.StringIO()
        table = csv.writer(text, lineterminator="\n")
        table.writerow(field.name for field in fields(Epoch))
        table.writerows(astuple(epoch) for epoch in self.history)
        write_atomically(self.path.with_suffix(".csv"), text.getvalue().encode())

    def resume(self) -> bool:
        """Go back to the checkpoint, if there is one; return whether there was."""
        if self.path is None or not self.path.exists():
            return False
        try:
            state = torch.load(self.path, map_location=self.device, weights_only=True)
            theirs = state["identity"]
        except Exception as error:
            raise CheckpointError(f"{self.path} is not a training's checkpoint, or it is corrupt: {error}") from error
        ours = self._identity()
        for key in ours:
            if ours[key] != theirs[key]:
                raise CheckpointError(
                    f"{self.path} is of another training: its {key} is {theirs[key]!r}, this one's is {ours[key]!r}"
                )
        _put(state["tensors"], self.tensors)
        self.best = state["best"]
        self.optimizer.load_state_dict(state["optimizer"])
        self.scaler.load_state_dict(state["scaler"])
        self.progress = Progress(**state["progress"])
        self.history = [Epoch(*row) for row in state["history"]]
        return True


@contextmanager
def seeded(seed: Sequence[int], device: torch.device | None = None) -> Iterator[None]:
    """Make torch's draws a function of ``seed`` alone, and put the global generators back afterwards."""
    with torch.random.fork_rng(devices=[device] if device is not None and device.type == "cuda" else []):
        torch.manual_seed(int(np.random.default_rng(list(seed)).integers(2**62)))
        yield


def _put(values: Tensors, into: Tensors) -> None:
    with torch.no_grad():
        for name, tensor in into.items():
            tensor.copy_(values[name])

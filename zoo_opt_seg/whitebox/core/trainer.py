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
from contextlib import contextmanager
from dataclasses import asdict, astuple, dataclass, fields
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from zoo_opt.core.errors import CheckpointError
from zoo_opt.storage.atomic import write_atomically
from zoo_opt_seg.whitebox.core.memory import PeakMemory
from zoo_opt_seg.whitebox.core.recipe import Epoch, Progress, Recipe, Validation

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
    data : str
        What tells the samples from others of the same name and number; see `data_digest`. "": nothing does.
    """

    name: str
    size: int
    data: str = ""

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
    """The result of a training. The `Trainable` holds the weights of the best epoch or of the last, by `Recipe.keep`.

    Attributes
    ----------
    history : tuple of Epoch
        Epoch 0 is the start, before any step.
    best_epoch : int
        The one that was kept.
    best_dice : float
        Its Dice on validation.
    stopped : str
        ``"plateau"`` (no better Dice for `Recipe.stop_after` epochs) or ``"epochs"`` (all were made).
    seconds : float
        Of training and validation, resumed ones included: CPU time, or on a GPU time by the clock.
    trained : int
        Number of parameters trained.
    memory : int
        Bytes at the peak of training and validation, the greatest where it was resumed.
    memory_kind : str
        What they are: one of the three of `zoo_opt_seg.whitebox.core.memory`.
    """

    history: tuple[Epoch, ...]
    best_epoch: int
    best_dice: float
    stopped: str
    seconds: float
    trained: int
    memory: int = 0
    memory_kind: str = ""

    @property
    def seconds_per_epoch(self) -> float:
        """Mean over the epochs made, their validation included; NaN if there are none."""
        made = [epoch.seconds for epoch in self.history if epoch.epoch]
        return sum(made) / len(made) if made else math.nan


def fit(task: Trainable, recipe: Recipe, *, out: Path | None = None, report: Report | None = None) -> Fitted:
    """Train until the validation Dice gets no better, and leave the best epoch's weights in place (`Recipe.keep`).

    Parameters
    ----------
    task : Trainable
    recipe : Recipe
    out : path or None
        Folder for ``train.ckpt``, from which a later call goes on, and ``train.csv``, a line per epoch.
    report : callable or None
        Called as ``report(epoch, recipe)`` after each epoch, and for the start: a progress bar or TensorBoard, see
        `zoo_opt_seg.whitebox.core.reports`.

    Returns
    -------
    Fitted

    Raises
    ------
    CheckpointError
        If the checkpoint in `out` is of another training, or cannot be read.
    FloatingPointError
        If a training loss is not finite, or all epochs' validation Dice are NaN and the best is to be kept.
    """
    run = _Run(task, recipe, None if out is None else Path(out) / "train.ckpt")
    if not run.resume():
        run.validated(0, math.nan, math.nan, None, report)
    run.meter = PeakMemory(run.device)  # from here: what the first forward loads has been loaded
    while not (stopped := run.progress.stopped(run.history[-1].epoch, recipe)):
        run.epoch(report)
    if not run.best:
        raise FloatingPointError(f"{task.name}: no epoch has a validation Dice; keep='last' needs none")
    copy_tensors(run.best, run.tensors)
    best, seconds = run.progress, sum(epoch.seconds for epoch in run.history)
    trained, memory = sum(p.numel() for p in run.parameters), (run.memory, run.meter.kind)
    return Fitted(tuple(run.history), best.best_epoch, best.best_dice, stopped, seconds, trained, *memory)


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
        self.gpu = self.device.type == "cuda"
        halved = recipe.precision == "bfloat16" or (recipe.precision == "float16" and self.gpu)
        self.autocast = torch.autocast(self.device.type, getattr(torch, recipe.precision), halved)
        self.scaler = torch.amp.GradScaler(self.device.type, enabled=halved and recipe.precision == "float16")
        self.meter: PeakMemory | None = None
        self.memory = 0
        self.progress = Progress()
        self.history: list[Epoch] = []
        self.best: Tensors = {}
        self.steps = math.ceil(task.size / recipe.batch)  # of an epoch

    def epoch(self, report: Report | None) -> None:
        """One pass over the samples, then validation and a checkpoint."""
        epoch, start = self.history[-1].epoch + 1, self._clock()
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
        with seeded(seed, self.device), self.autocast:
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

    def _clock(self) -> float:
        """CPU seconds, which other processes do not change; by the clock where a GPU does the work."""
        if not self.gpu:
            return time.process_time()
        torch.cuda.synchronize(self.device)
        return time.perf_counter()

    def validated(self, epoch: int, lr: float, loss: float, start: float | None, report: Report | None) -> None:
        """Look at the validation split, note the epoch and write it all down."""
        start = self._clock() if start is None else start
        self.task.train(False)
        with torch.no_grad():
            validation = self.task.validate()
        if self.progress.see(epoch, validation, self.recipe):
            self.best = {name: tensor.detach().clone() for name, tensor in self.tensors.items()}
        seconds = round(self._clock() - start, 3)
        self.memory = max(self.memory, self.meter.bytes() if self.meter else 0)
        self.history.append(Epoch(epoch, lr, loss, validation.loss, validation.dice, seconds))
        self._save()
        if report:
            report(self.history[-1], self.recipe)

    def _identity(self) -> dict[str, Any]:
        shapes = {name: list(tensor.shape) for name, tensor in self.tensors.items()}
        about = {"name": self.task.name, "size": self.task.size, "data": self.task.data}
        return {**about, "recipe": asdict(self.recipe), "shapes": shapes}

    def _save(self) -> None:
        if self.path is None:
            return
        self.path.parent.mkdir(parents=True, exist_ok=True)
        state = {
            "identity": self._identity(),
            "tensors": {name: tensor.detach() for name, tensor in self.tensors.items()},
            "best": self.best,
            "optimizer": self.optimizer.state_dict(),
            "scaler": self.scaler.state_dict(),
            "progress": asdict(self.progress),
            "history": [astuple(epoch) for epoch in self.history],
            "memory": self.memory,
        }
        write_atomically(self.path, partial(torch.save, state))  # a copy in memory would show in the peak
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
            self._go_back(torch.load(self.path, map_location=self.device, weights_only=True))
        except CheckpointError:
            raise
        except Exception as error:  # whatever torch makes of what `_save` has never written
            raise CheckpointError(
                f"{self.path} is not a training's checkpoint, or it is corrupt: {error}; delete it to train anew"
            ) from error
        return True

    def _go_back(self, state: Any) -> None:
        """Take over what `_save` wrote, if it is of this training."""
        ours, theirs = self._identity(), state["identity"]
        theirs["recipe"] = asdict(Recipe(**theirs["recipe"]))  # of before a setting was there: its default
        theirs.setdefault("data", ours["data"])  # likewise
        for key in ours:
            if ours[key] != theirs[key]:
                raise CheckpointError(
                    f"{self.path} is of another training: its {key} is {theirs[key]!r}, this one's is {ours[key]!r}"
                )
        copy_tensors(state["tensors"], self.tensors)
        self.best = state["best"]
        self.optimizer.load_state_dict(state["optimizer"])
        self.scaler.load_state_dict(state["scaler"])
        self.progress = Progress(**state["progress"])
        self.history = [Epoch(*row) for row in state["history"]]
        self.memory = state.get("memory", 0)  # absent from checkpoints of before it was measured


@contextmanager
def seeded(seed: Sequence[int], device: torch.device | None = None) -> Iterator[None]:
    """Make torch's draws a function of ``seed`` alone, and put the global generators back afterwards."""
    with torch.random.fork_rng(devices=[device] if device is not None and device.type == "cuda" else []):
        torch.manual_seed(int(np.random.default_rng(list(seed)).integers(2**62)))
        yield


def copy_tensors(values: Mapping[str, torch.Tensor], into: Mapping[str, torch.Tensor]) -> None:
    """Copy values into tensors of the same names, in place."""
    with torch.no_grad():
        for name, tensor in into.items():
            tensor.copy_(values[name])

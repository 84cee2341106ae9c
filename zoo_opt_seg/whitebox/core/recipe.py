"""Settings of the trainer: the optimiser, its learning rate over time, and when to stop."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from zoo_opt.core.errors import finite, fraction, integer, non_negative, one_of, positive

OPTIMIZERS = ("adamw", "adam")
SCHEDULES: dict[str, Callable[[Recipe, float, int], float]] = {  # factors of lr: the share of steps done, the drops
    "constant": lambda recipe, done, drops: 1,
    "polynomial": lambda recipe, done, drops: max(0.0, 1 - done) ** recipe.power,
    "plateau": lambda recipe, done, drops: recipe.factor**drops,
}
KEEPS = ("best", "last")
PRECISIONS = ("float32", "bfloat16", "float16")


@dataclass(frozen=True)
class Recipe:
    """How a white-box comparator is trained.

    Parameters
    ----------
    epochs : int
        Passes over the training samples, at most.
    batch : int
        Images per step; the last batch of an epoch has what is left.
    optimizer : str
        ``"adamw"`` or ``"adam"`` (whose weight decay is added to the gradient).
    lr : float
        Learning rate, before warm-up and schedule.
    weight_decay : float
    warmup : int
        Steps over which the learning rate rises linearly from ``lr / warmup`` to ``lr``.
    schedule : str
        ``"constant"``; ``"polynomial"``, lr * (1 - t / T)^power with t steps of T after the warm-up; or ``"plateau"``,
        lr multiplied by `factor` whenever the validation loss has not been lower for `patience` epochs.
    power, factor : float
        Of the schedules.
    patience : int
        Of the plateau, in epochs.
    min_delta : float
        By how much a validation loss must be lower, or a Dice higher, to count.
    stop_after : int or None
        Epochs without a better validation Dice after which training ends; None: all epochs are made.
    keep : str
        ``"best"``: training ends with the weights of the epoch with the best validation Dice. ``"last"``: with those of
        the last epoch, for those without a validation split, whose figures may then be NaN; `stop_after` must be None.
    clip : float or None
        Greatest 2-norm of the gradient; a longer one is scaled down to it.
    precision : str
        ``"float32"``, or mixed with ``"bfloat16"`` or ``"float16"``: with scaled losses on a GPU; without one, where
        16-bit floats have no such scaling, all is float32.
    seed : int
        Of order, augmentation, points and dropout.

    Raises
    ------
    TypeError, ValueError
        If a setting is not of this form.
    """

    epochs: int = 200
    batch: int = 16
    optimizer: str = "adamw"
    lr: float = 1e-3
    weight_decay: float = 1e-3
    warmup: int = 0
    schedule: str = "plateau"
    power: float = 0.9
    factor: float = 0.3
    patience: int = 5
    min_delta: float = 1e-4
    stop_after: int | None = 20
    keep: str = "best"
    clip: float | None = None
    precision: str = "float32"
    seed: int = 0

    def __post_init__(self) -> None:
        for name, low in (("epochs", 1), ("batch", 1), ("warmup", 0), ("patience", 1), ("seed", 0)):
            integer(name, getattr(self, name), low)
        positive("lr", self.lr)
        finite("power", self.power)
        for name in ("weight_decay", "min_delta"):
            non_negative(name, getattr(self, name))
        fraction("factor", self.factor)
        if self.stop_after is not None:
            integer("stop_after", self.stop_after, 1)
        if self.clip is not None:
            positive("clip", self.clip)
        choices = {"optimizer": OPTIMIZERS, "schedule": SCHEDULES, "keep": KEEPS, "precision": PRECISIONS}
        for name, allowed in choices.items():
            one_of(name, getattr(self, name), allowed)
        if self.keep == "last" and self.stop_after is not None:
            raise ValueError(f"stop_after must be None to keep the last epoch, got {self.stop_after}")

    def rate(self, step: int, steps: int, drops: int) -> float:
        """Learning rate of a step.

        Parameters
        ----------
        step, steps : int
            Number of the step, from 0, and how many there are in all epochs.
        drops : int
            How often a plateau has been met.
        """
        if step < self.warmup:
            return self.lr * (step + 1) / self.warmup
        done = (step - self.warmup) / max(1, steps - self.warmup)
        return self.lr * SCHEDULES[self.schedule](self, done, drops)


@dataclass(frozen=True)
class Validation:
    """What a model does on the validation split: mean loss per image, and mean Dice."""

    loss: float
    dice: float


@dataclass(frozen=True)
class Epoch:
    """A row of the training's history; `seconds` as in `Fitted`."""

    epoch: int
    lr: float
    train_loss: float
    loss: float
    dice: float
    seconds: float


@dataclass
class Progress:
    """Where a training is: what the schedule and early stopping look at.

    Attributes
    ----------
    best_dice, best_epoch
        Highest validation Dice so far, and when (0: before training); those of the last epoch if that is kept.
    lowest, waiting
        Lowest validation loss so far, and epochs since.
    drops
        Plateaus met.
    """

    best_dice: float = -1.0
    best_epoch: int = 0
    lowest: float = float("inf")
    waiting: int = 0
    drops: int = 0

    def see(self, epoch: int, validation: Validation, recipe: Recipe) -> bool:
        """Take in an epoch's validation; return whether its weights are those to keep so far."""
        if validation.loss < self.lowest - recipe.min_delta:
            self.lowest, self.waiting = validation.loss, 0
        elif epoch:
            self.waiting += 1
            if self.waiting >= recipe.patience:
                self.drops, self.waiting = self.drops + 1, 0
        better = recipe.keep == "last" or validation.dice > self.best_dice + (recipe.min_delta if epoch else 0.0)
        if better:
            self.best_dice, self.best_epoch = validation.dice, epoch
        return better

    def stopped(self, epoch: int, recipe: Recipe) -> str:
        """Why training ends after this epoch: "plateau", "epochs", or "" if it does not."""
        if recipe.stop_after is not None and epoch - self.best_epoch >= recipe.stop_after:
            return "plateau"
        return "epochs" if epoch >= recipe.epochs else ""

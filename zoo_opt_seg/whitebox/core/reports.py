"""Watching a training: a progress bar, TensorBoard, or several of them; each is a ``report`` of `fit`."""

from __future__ import annotations

import contextlib
import math
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from zoo_opt.support.loading import require
from zoo_opt.support.progress import bar
from zoo_opt_seg.whitebox.core.recipe import Epoch, Recipe
from zoo_opt_seg.whitebox.core.trainer import Report


def together(*reports: Report | None) -> Report:
    """Return one report that calls these in turn, those that are None left out."""
    present = [report for report in reports if report is not None]

    def report(epoch: Epoch, recipe: Recipe) -> None:
        for one in present:
            one(epoch, recipe)

    return report


@contextlib.contextmanager
def epochs_bar(what: str = "training", show: bool = True) -> Iterator[Report]:
    """Yield a report that draws a progress bar on standard error: epochs, losses, validation Dice, time per epoch.

    Parameters
    ----------
    what : str
        Said at the left.
    show : bool
        False: nothing is drawn.

    Raises
    ------
    ImportError
        If rich is not installed.
    """
    with bar(what, "epochs", None, show) as update:

        def report(epoch: Epoch, recipe: Recipe) -> None:
            figures = {"loss {:.4f}": epoch.train_loss, "validation {:.4f}": epoch.loss, "Dice {:.3f}": epoch.dice}
            update(epoch.epoch, {**figures, "{:.1f} s": epoch.seconds}, recipe.epochs)

        yield report


class TensorBoard:
    """A report that writes each epoch's figures for TensorBoard, under ``training/`` and ``validation/``.

    A resumed training continues the same curves. Points of later epochs that a killed process wrote are removed.

    Parameters
    ----------
    folder : path
        Where the event files go.

    Raises
    ------
    ImportError
        If tensorboard is not installed.
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self._make = require("torch.utils.tensorboard", "tensorboard", extra="seg").SummaryWriter
        self._folder = Path(folder)
        self._writer: Any = None

    def __call__(self, epoch: Epoch, recipe: Recipe) -> None:
        """Write the figures of an epoch."""
        if self._writer is None:
            self._writer = self._make(str(self._folder), purge_step=epoch.epoch)
        figures = {
            "training/loss": epoch.train_loss,
            "training/learning rate": epoch.lr,
            "training/seconds": epoch.seconds,
            "validation/loss": epoch.loss,
            "validation/Dice": epoch.dice,
        }
        for name, value in figures.items():
            if not math.isnan(value):  # before the first step there is no training loss
                self._writer.add_scalar(name, value, epoch.epoch)
        self._writer.flush()

    def close(self) -> None:
        """Close the files."""
        if self._writer is not None:
            self._writer.close()
            self._writer = None

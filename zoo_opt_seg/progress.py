"""A progress bar for `adapt`: calls, loss, validation Dice, time left."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Iterator


@contextlib.contextmanager
def bar(total: int, show: bool) -> Iterator[Callable[[int, float, float], None]]:
    """Yield ``update(calls, loss, dice)``; without ``show`` it does nothing.

    Raises
    ------
    ImportError
        If ``show`` and rich is not installed.
    """
    if not show:
        yield lambda calls, loss, dice: None
        return
    try:
        from rich import console, progress
    except ImportError:
        raise ImportError('progress needs rich: pip install "zoo-opt[progress]", or give --quiet') from None
    columns = (
        progress.TextColumn("{task.description}"),
        progress.BarColumn(),
        progress.MofNCompleteColumn(),
        progress.TextColumn("calls"),
        progress.TimeRemainingColumn(),
        progress.TextColumn("{task.fields[figures]}"),
    )
    with progress.Progress(*columns, console=console.Console(stderr=True)) as display:
        task = display.add_task("adapting", total=total, figures="")

        def update(calls: int, loss: float, dice: float) -> None:
            figures = [] if math.isnan(loss) else [f"loss {loss:.4f}"]
            figures += [] if math.isnan(dice) else [f"validation Dice {dice:.3f}"]
            display.update(task, completed=calls, figures=", ".join(figures))

        yield update

"""A progress bar on standard error, with figures at its right: for `adapt` and for trainings."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator, Mapping
from typing import Protocol


class Update(Protocol):
    """Brings a bar up to date."""

    def __call__(self, done: int, figures: Mapping[str, float], total: int | None = None) -> None:
        """Show that so much is done, and figures by their formats, such as "loss {:.4f}"; NaNs are left out."""


@contextlib.contextmanager
def bar(what: str, unit: str, total: int | None, show: bool) -> Iterator[Update]:
    """Yield what brings the bar up to date; without ``show`` it does nothing.

    Parameters
    ----------
    what, unit : str
        Said before the bar, and after its numbers.
    total : int or None
        None: an update says it.
    show : bool

    Raises
    ------
    ImportError
        If ``show`` and rich is not installed.
    """
    if not show:
        yield lambda done, figures, total=None: None
        return
    try:
        from rich import console, progress
    except ImportError:
        raise ImportError('progress needs rich: pip install "zoo-opt[progress]", or do without a bar') from None
    columns = (
        progress.TextColumn("{task.description}"),
        progress.BarColumn(),
        progress.MofNCompleteColumn(),
        progress.TextColumn(unit),
        progress.TimeRemainingColumn(),
        progress.TextColumn("{task.fields[figures]}"),
    )
    with progress.Progress(*columns, console=console.Console(stderr=True)) as display:
        task = display.add_task(what, total=total, figures="")

        def update(done: int, figures: Mapping[str, float], total: int | None = None) -> None:
            said = ", ".join(text.format(value) for text, value in figures.items() if not math.isnan(value))
            display.update(task, completed=done, total=total, figures=said)

        yield update

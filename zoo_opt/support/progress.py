"""A progress bar for `minimize`."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

from zoo_opt.optimizer import Optimizer


@contextlib.contextmanager
def bar(opt: Optimizer, show: bool) -> Iterator[Callable[[], None]]:
    """Yield a function that brings the bar up to date; without ``show`` it does nothing.

    Raises
    ------
    ImportError
        If ``show`` and rich is not installed.
    """
    if not show:
        yield lambda: None
        return
    try:
        from rich import progress
    except ImportError:
        raise ImportError('progress=True needs rich: pip install "zoo-opt[progress]"') from None
    columns = (
        progress.TextColumn("{task.description}"),
        progress.BarColumn(),
        progress.MofNCompleteColumn(),
        progress.TimeRemainingColumn(),
        progress.TextColumn("best {task.fields[best]:.6g}"),
    )
    with progress.Progress(*columns) as display:
        task = display.add_task("evaluations", total=opt.budget, completed=opt.nfev, best=opt.best.loss)
        yield lambda: display.update(task, completed=opt.nfev, best=opt.best.loss)

"""A progress bar for a bench: on a terminal a live line with the time left, elsewhere a line now and then."""

from __future__ import annotations

import sys
import time
from typing import Any

from ..interop.peer import require


class Progress:
    """Context manager that `run_suite` calls as ``progress(done, total, entry)``.

    Parameters
    ----------
    title : str
        What is running.
    """

    def __init__(self, title: str) -> None:
        rich = require("rich.progress", "rich")
        self._console = require("rich.console", "rich").Console(stderr=True)
        self._bar = rich.Progress(
            rich.TextColumn("{task.description}"),
            rich.BarColumn(),
            rich.MofNCompleteColumn(),
            rich.TimeElapsedColumn(),
            rich.TextColumn("left"),
            rich.TimeRemainingColumn(elapsed_when_finished=False),
            rich.TextColumn("[dim]{task.fields[last]}"),
            console=self._console,
            speed_estimate_period=600,
            disable=not self._console.is_terminal,
        )
        self._task = self._bar.add_task(title, total=None, last="")
        self._title = title
        self._start = time.perf_counter()
        self._told = -1

    def __enter__(self) -> Progress:
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def __call__(self, done: int, total: int, entry: dict[str, Any] | None) -> None:
        """Show that `done` of `total` runs are finished, `entry` the last of them."""
        last = f"{entry['method']} · {entry['problem']}" if entry else ""
        self._bar.update(self._task, completed=done, total=total, last=last)
        if self._console.is_terminal:
            return
        tenth = 10 * done // max(total, 1)
        if tenth != self._told:
            self._told = tenth
            elapsed = time.perf_counter() - self._start
            print(f"{self._title}: {done} of {total} runs, {elapsed:.0f} s", file=sys.stderr, flush=True)

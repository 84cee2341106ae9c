"""A progress bar for a bench: on a terminal a live line with the time left, elsewhere a line now and then."""

from __future__ import annotations

import sys
import time
from typing import Any

from zoo_opt.support.loading import require

PLAIN_EVERY = 300  # seconds: where there is no terminal, a line at every tenth of the runs and at least so often


class Progress:
    """Context manager that `run_suite` calls as ``progress(done, total, left, entry)``.

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
            _time_left(rich),
            rich.TextColumn("[dim]{task.fields[last]}"),
            console=self._console,
            disable=not self._console.is_terminal,
        )
        self._task = self._bar.add_task(title, total=None, last="", end=None)
        self._title = title
        self._start = self._told_at = time.perf_counter()
        self._told = -1

    def __enter__(self) -> Progress:
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def __call__(self, done: int, total: int, left: float | None, entry: dict[str, Any] | None) -> None:
        """Show that `done` of `total` runs are finished, `entry` the last of them, and `left` seconds are expected."""
        now = time.perf_counter()
        last = f"{entry['method']} · {entry['problem']}" if entry else ""
        end = None if left is None else now + left
        self._bar.update(self._task, completed=done, total=total, last=last, end=end)
        if self._console.is_terminal:
            return
        tenth = 10 * done // max(total, 1)
        if tenth != self._told or now - self._told_at > PLAIN_EVERY:
            self._told, self._told_at = tenth, now
            line = f"{self._title}: {done} of {total} runs, {duration(now - self._start)}"
            line += f", about {duration(left)} left" if left and done < total else ""
            print(line, file=sys.stderr, flush=True)


def duration(seconds: float) -> str:
    """Seconds for people: "41 s", "12 min", "3 h 20 min"."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 100 else f"{minutes // 60} h {minutes % 60} min"


def _time_left(rich: Any) -> Any:
    """A column that counts down to the expected end between two runs."""

    class TimeLeft(rich.ProgressColumn):  # type: ignore[misc]
        def render(self, task: Any) -> Any:
            end = task.fields["end"]
            text = "" if end is None or task.finished else f"{duration(max(0.0, end - time.perf_counter()))} left"
            return require("rich.text", "rich").Text(text, style="progress.remaining")

    return TimeLeft()

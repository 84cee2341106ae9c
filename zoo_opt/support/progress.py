"""Progress bars: of `minimize`, of `adapt`, of trainings, and of a bench or table with many runs.

rich is imported when a bar is drawn.
"""

from __future__ import annotations

import contextlib
import math
import sys
import time
from collections.abc import Iterator, Mapping
from typing import Any

from zoo_opt.support.loading import require

PLAIN_EVERY = 300  # seconds: where there is no terminal, a line at every tenth of the runs and at least so often


class ShowProgress:
    """Brings a bar up to date; without one it does nothing.

    Parameters
    ----------
    display : rich.progress.Progress, optional
    task : int, optional
        Number of the bar in the display.
    """

    def __init__(self, display: Any = None, task: Any = None) -> None:
        self._display, self._task = display, task

    def __call__(
        self,
        done: int,
        figures: Mapping[str, float] = {},
        total: int | None = None,
        *,
        note: str = "",
        left: float | None = None,
    ) -> None:
        """Show that so much is done.

        Parameters
        ----------
        done : int
        figures : mapping of str to float
            What is shown at the right, by formats such as "loss {:.4f}"; NaNs are left out.
        total : int, optional
            Instead of the bar's.
        note : str
            What is shown after the figures.
        left : float, optional
            Seconds that are expected until the end; without, an estimate from the pace so far.
        """
        if self._display is not None:
            said = [form.format(value) for form, value in figures.items() if not math.isnan(value)]
            text = ", ".join([*said, note] if note else said)
            end = None if left is None else time.perf_counter() + left
            self._display.update(self._task, completed=done, total=total, said=text, end=end)


@contextlib.contextmanager
def bar(what: str, unit: str, total: int | None, show: bool, *, stderr: bool = True) -> Iterator[ShowProgress]:
    """Yield what brings the bar up to date; without ``show`` it does nothing.

    Parameters
    ----------
    what, unit : str
        Said before the bar, and after its numbers.
    total : int or None
        None: an update says it.
    show : bool
    stderr : bool
        Whether it is drawn on standard error or on standard output.

    Raises
    ------
    ImportError
        If ``show`` and rich is not installed; the message says what to install.
    """
    if not show:
        yield ShowProgress()
        return
    require("rich", extra="progress")
    from rich import console, progress, text

    class TimeLeft(progress.ProgressColumn):
        """The time that is expected to be left, counted down between updates."""

        def render(self, task: progress.Task) -> text.Text:
            end = task.fields["end"]
            left = task.time_remaining if end is None else max(0.0, end - time.perf_counter())
            shown = "" if left is None or task.finished else f"{duration(left)} left"
            return text.Text(shown, style="progress.remaining")

    columns = (
        progress.TextColumn("{task.description}", markup=False),
        progress.BarColumn(),
        progress.MofNCompleteColumn(),
        progress.TextColumn(unit, markup=False),
        progress.TimeElapsedColumn(),
        TimeLeft(),
        progress.TextColumn("{task.fields[said]}", markup=False),
    )
    with progress.Progress(*columns, console=console.Console(stderr=stderr)) as display:
        yield ShowProgress(display, display.add_task(what, total=total, said="", end=None))


class Progress:
    """Shows many runs, called as ``progress(done, total, left, entry)``: on a terminal a bar, else a line now and then.

    Parameters
    ----------
    title : str
        What is running.
    """

    def __init__(self, title: str) -> None:
        self._title = title
        self._start = self._line_at = time.perf_counter()
        self._tenth = -1

    def __enter__(self) -> Progress:
        self._terminal = sys.stderr.isatty()
        self._bar = bar(self._title, "runs", None, self._terminal)
        self._update = self._bar.__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        self._bar.__exit__(*error)

    def __call__(self, done: int, total: int, left: float | None, entry: Mapping[str, Any] | None) -> None:
        """Show that `done` of `total` runs are finished, `entry` the last of them, and `left` seconds are expected."""
        if self._terminal:
            names = [name for name in ("label", "method", "problem") if entry and name in entry]
            last = " · ".join(str(entry[name]) for name in names) if entry else ""
            self._update(done, total=total, note=last, left=left)
            return
        now, tenth = time.perf_counter(), 10 * done // max(total, 1)
        if tenth != self._tenth or now - self._line_at > PLAIN_EVERY:
            self._tenth, self._line_at = tenth, now
            print(runs_line(self._title, done, total, now - self._start, left), file=sys.stderr, flush=True)


def runs_line(title: str, done: int, total: int, seconds: float, left: float | None) -> str:
    """Return how far many runs are after so many seconds; nothing is said of a time left that is over."""
    said = f", about {duration(left)} left" if left is not None and left > 0.0 and done < total else ""
    return f"{title}: {done} of {total} runs, {duration(seconds)}{said}"


def duration(seconds: float) -> str:
    """Seconds for people: "41 s", "12 min", "3 h 20 min"."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 100 else f"{minutes // 60} h {minutes % 60} min"

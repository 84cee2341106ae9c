"""Progress bars: of `minimize`, of `adapt`, of trainings, and of a bench or table with many runs.

rich is imported when a bar is drawn.
"""

from __future__ import annotations

import contextlib
import math
import sys
import time
from collections.abc import Iterator, Mapping
from typing import Any, TextIO

from zoo_opt.support.loading import require

PLAIN_EVERY = 300  # seconds: where there is no terminal, a line at every tenth of the whole and at least so often


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
            text = ", ".join([*_shown(figures), note] if note else _shown(figures))
            end = None if left is None else time.perf_counter() + left
            self._display.update(self._task, completed=done, total=total, said=text, end=end, visible=True)


class ShowLines(ShowProgress):
    """Writes lines where there is no terminal: at each tenth of the whole, every five minutes, and at the end.

    Parameters
    ----------
    what, unit : str
        Said before and after the numbers.
    total : int or None
    stream : text file
        Where the lines go.
    """

    def __init__(self, what: str, unit: str, total: int | None, stream: TextIO) -> None:
        super().__init__()
        self._what, self._unit, self._total, self._stream = what, unit, total, stream
        self._start = self._line_at = time.perf_counter()
        self._tenth, self._waiting = -1, ""

    def __call__(
        self,
        done: int,
        figures: Mapping[str, float] = {},
        total: int | None = None,
        *,
        note: str = "",
        left: float | None = None,
    ) -> None:
        """Write a line if it is time for one; ``note``, which is another each time, is left out."""
        self._total = self._total if total is None else total
        now, whole = time.perf_counter(), self._total
        figured = "".join(f", {text}" for text in _shown(figures))
        self._waiting = progress_line(self._what, self._unit, done, whole, now - self._start, left) + figured
        tenth = -1 if whole is None else 10 * done // max(whole, 1)
        if tenth != self._tenth or now - self._line_at > PLAIN_EVERY:
            self._tenth, self._line_at = tenth, now
            self.close()

    def close(self) -> None:
        """Write the last state, unless it has been written."""
        if self._waiting:
            print(self._waiting, file=self._stream, flush=True)
            self._waiting = ""


def _shown(figures: Mapping[str, float]) -> list[str]:
    """Figures in their formats."""
    return [form.format(value) for form, value in figures.items() if not math.isnan(value)]


@contextlib.contextmanager
def bar(what: str, unit: str, total: int | None, show: bool, *, stderr: bool = True) -> Iterator[ShowProgress]:
    """Yield what brings the bar up to date; without ``show`` it does nothing, without a terminal it writes lines.

    Before the first update nothing is shown.

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
    from rich import console, progress, table, text

    class TimeLeft(progress.ProgressColumn):
        """The time that is expected to be left, counted down between updates."""

        def render(self, task: progress.Task) -> text.Text:
            end = task.fields["end"]
            left = task.time_remaining if end is None else max(0.0, end - time.perf_counter())
            shown = "" if left is None or task.finished else f"{duration(left)} left"
            return text.Text(shown, style="progress.remaining")

    class Said(progress.ProgressColumn):
        """The figures, cut off where the terminal has no room for them."""

        def render(self, task: progress.Task) -> text.Text:
            return text.Text(task.fields["said"], no_wrap=True, overflow="ellipsis")

    screen = console.Console(stderr=stderr)
    whole: dict[str, Any] = {"table_column": table.Column(no_wrap=True)}
    columns = (
        progress.TextColumn("{task.description}", markup=False, **whole),
        progress.BarColumn(bar_width=max(8, min(40, screen.width // 3 - 18))),
        progress.MofNCompleteColumn(**whole),
        progress.TextColumn(unit, markup=False, **whole),
        progress.TimeElapsedColumn(**whole),
        TimeLeft(**whole),
        Said(),
    )
    if not (screen.is_terminal or screen.is_jupyter):
        lines = ShowLines(what, unit, total, sys.stderr if stderr else sys.stdout)
        try:
            yield lines
        finally:
            lines.close()
        return
    with progress.Progress(*columns, console=screen) as display:
        yield ShowProgress(display, display.add_task(what, total=total, visible=False, said="", end=None))


class Progress:
    """Shows many runs, called as ``progress(done, total, left, entry)``: on a terminal a bar, else a line now and then.

    Parameters
    ----------
    title : str
        What is running.
    """

    def __init__(self, title: str) -> None:
        self._title = title

    def __enter__(self) -> Progress:
        terminal = sys.stderr.isatty()
        self._bar = bar(self._title, "runs", None, terminal)
        update = self._bar.__enter__()
        self._update = update if terminal else ShowLines(self._title, "runs", None, sys.stderr)
        return self

    def __exit__(self, *error: Any) -> None:
        self._bar.__exit__(*error)

    def __call__(self, done: int, total: int, left: float | None, entry: Mapping[str, Any] | None) -> None:
        """Show that `done` of `total` runs are finished, `entry` the last of them, and `left` seconds are expected."""
        names = [name for name in ("label", "method", "problem") if entry and name in entry]
        last = " · ".join(str(entry[name]) for name in names) if entry else ""
        self._update(done, total=total, note=last, left=left)


def progress_line(what: str, unit: str, done: int, total: int | None, seconds: float, left: float | None) -> str:
    """Return how far something is after so many seconds; nothing is said of a time left that is over."""
    said = f", about {duration(left)} left" if left is not None and left > 0.0 and done != total else ""
    number = str(done) if total is None else f"{done} of {total}"
    return f"{what}: {f'{number} {unit}'.rstrip()}, {duration(seconds)}{said}"


def duration(seconds: float) -> str:
    """Seconds for people: "41 s", "12 min", "3 h 20 min"."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 100 else f"{minutes // 60} h {minutes % 60} min"

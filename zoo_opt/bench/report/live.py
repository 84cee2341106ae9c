"""A bench while it runs: a table in the terminal, a row for every method."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from zoo_opt.bench.engine.job import Entry, Job
from zoo_opt.bench.engine.record import Record
from zoo_opt.bench.report.terminal import FIGURES, fraction, short_text, text_table
from zoo_opt.bench.statistics.hits import grouped, hits_of
from zoo_opt.support.loading import require
from zoo_opt.support.progress import Progress, progress_line

FLOOR = 1e-8  # of a figure in a geometric mean, as in the tables
PER_SECOND = 2  # times that the table is drawn


@dataclass
class LiveRow:
    """A method of a group: what its runs so far add up to."""

    total: int
    done: int = 0
    errors: int = 0
    nfev: int = 0
    seconds: float = 0.0
    area: float = 0.0
    targets: float = 0.0
    finals: int = 0
    final: float = 0.0  # sum
    log_final: float = 0.0  # sum of log10; NaN once a figure was negative
    figure: str = ""

    def add(self, entry: Entry) -> None:
        """Count a run that ended."""
        hits = hits_of([entry])
        self.done += 1
        self.errors += bool(entry["error"])
        self.nfev += entry["nfev"]
        self.seconds += entry["seconds"]
        self.area += float(hits.areas.sum())
        self.targets += float(hits.targets.sum())
        self.figure = entry["curve_of"]
        value = entry["figures"].get(self.figure)
        if value is not None and math.isfinite(value):
            self.finals += 1
            self.final += value
            self.log_final += math.log10(max(value, FLOOR)) if value >= 0 else math.nan

    @property
    def measure(self) -> str:
        """The area under the ECDF over the runs so far; without targets, the mean final figure, as in the tables."""
        if self.targets:
            return fraction(self.area / self.targets)
        if not self.finals:
            return "-"
        negative = math.isnan(self.log_final)
        return short_text(self.final / self.finals if negative else 10 ** (self.log_final / self.finals))

    @property
    def pace(self) -> str:
        """Evaluations for a second of CPU time."""
        return f"{self.nfev / self.seconds:,.0f}" if self.nfev and self.seconds else "-"


class LiveTable:
    """Shows a bench: on a terminal the methods of the group that runs now, elsewhere a line now and then.

    Called as ``progress(done, total, left, entry)``, after `start`. Its time per run does not grow with their number;
    the table is drawn by a thread, `PER_SECOND` times a second.

    Parameters
    ----------
    title : str
        What is running.
    """

    def __init__(self, title: str) -> None:
        self._title = title
        self._rows: dict[tuple[str, str], LiveRow] = {}
        self._group = ""
        self._done = self._total = 0
        self._start = time.perf_counter()
        self._end: float | None = None  # expected

    def __enter__(self) -> LiveTable:
        self._lines = None if sys.stderr.isatty() else Progress(self._title).__enter__()
        if self._lines is None:
            console = require("rich.console", "rich").Console(stderr=True)
            self._live = require("rich.live", "rich").Live(
                get_renderable=self.table, console=console, refresh_per_second=PER_SECOND, transient=True
            )
            self._live.__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        (self._lines or self._live).__exit__(*error)
        if self._lines is None and self._total:  # nothing of a bench that was refused
            print(self._heading(), file=sys.stderr)

    def start(self, jobs: Collection[Job], record: Record) -> None:
        """Take note of all jobs, and of those that the record holds already."""
        by_row = grouped(jobs, lambda job: (job.head["group"], job.head["method"]))
        self._rows = {name: LiveRow(len(own)) for name, own in by_row.items()}
        for key in record.finished() & {job.key for job in jobs}:
            entry = record.runs[key]
            self._rows[entry["group"], entry["method"]].add(entry)
        self._group = next((group for (group, _), row in self._rows.items() if row.done < row.total), "")

    def __call__(self, done: int, total: int, left: float | None, entry: Mapping[str, Any] | None) -> None:
        """Show that `done` of `total` runs are finished, `entry` the last of them, and `left` seconds are expected."""
        if self._lines:
            return self._lines(done, total, left, entry)
        self._done, self._total = done, total
        self._end = None if left is None else time.perf_counter() + left
        if entry:
            self._group = entry["group"]
            self._rows[entry["group"], entry["method"]].add(dict(entry))
        return None

    def _heading(self) -> str:
        now = time.perf_counter()
        left = None if self._end is None else self._end - now  # below 0 where a run takes longer than was expected
        return progress_line(self._title, "runs", self._done, self._total, now - self._start, left)

    def table(self) -> Any:
        """The heading, and the rows of the group as a table for rich."""
        own = {method: row for (group, method), row in list(self._rows.items()) if group == self._group}
        figure = next((row.figure for row in own.values() if row.figure), "")
        measure = "area" if any(row.targets for row in own.values()) else FIGURES.get(figure, figure)
        errors = any(row.errors for row in own.values())
        cells = [
            [method, f"{row.done}", f"{row.total - row.done}", row.measure, row.pace, *([str(row.errors)] * errors)]
            for method, row in own.items()
        ]
        headings = ["method", "done", "left", f"{measure} so far".strip(), "evals / s", *(["errors"] * errors)]
        text = require("rich.text", "rich").Text
        parts = [text(self._heading()), text_table(self._group, headings, cells)] if own else [text(self._heading())]
        return require("rich.console", "rich").Group(*parts)

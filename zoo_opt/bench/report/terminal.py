"""The results as tables in the terminal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from zoo_opt.bench.engine.record import Record
from zoo_opt.bench.statistics.bootstrap import Interval
from zoo_opt.bench.statistics.hits import Run, by_group
from zoo_opt.bench.statistics.stats import Summary, summaries
from zoo_opt.support.loading import require

ONE_LINE = 40  # letters of a method's name in a table that is never broken; chosen: longer ones would hide all figures
FIGURES = {"train_loss": "train loss", "test_accuracy": "accuracy", "precision": "precision"}
NOTE = (
    "n: problems that the method ran, those that ran fewer than others stand last; targets: (problem, target, seed) "
    "triples reached; area: under their ECDF over log evaluations, with its 95 % bootstrap interval over problems "
    "(seeds of a single problem); final: geometric mean over problems of the median over seeds, clipped at 1e-8; "
    "µs/eval: CPU time per evaluation, the objective's included"
)


def short_text(value: float | None, digits: int = 3) -> str:
    """A number for people: "inf" where it overflowed, "-" where there is none."""
    if value is None or np.isnan(value):
        return "-"
    return f"{value:.{digits}g}"


def signed_text(value: float, decimals: int = 3) -> str:
    """A difference with its sign."""
    if np.isnan(value):
        return "-"
    return f"{value:+.{decimals}f}" if value else "0"


def percent(value: float) -> str:
    """A fraction in percent."""
    return "-" if np.isnan(value) else f"{100 * value:.1f}%"


def fraction(value: float) -> str:
    """A number from 0 to 1 with three decimals."""
    return "-" if np.isnan(value) else f"{value:.3f}".removeprefix("0")


def interval_text(interval: Interval) -> str:
    """The bounds of an interval of fractions, such as ".120-.135"; "-" where it has none."""
    if np.isnan(interval.low):
        return "-"
    return f"{fraction(interval.low)}-{fraction(interval.high)}"


def score_name(runs: list[Run]) -> str:
    """Heading of the score column of a group."""
    figure = runs[0]["curve_of"]
    return f"final {FIGURES.get(figure, figure)}"


def heading(runs: list[Run]) -> str:
    """What a group is: its problems, seeds and budget."""
    problems = len({run["problem"] for run in runs})
    seeds = len({run["seed"] for run in runs})
    budgets = {run["budget"] for run in runs}
    per_dim = {run["budget"] / run["dim"] for run in runs}
    budget = f"{per_dim.pop():g} d" if len(budgets) > 1 and len(per_dim) == 1 else "/".join(map(str, sorted(budgets)))
    return (
        f"{runs[0]['group']}: {problems} problem{'s' * (problems > 1)}, {seeds} seed{'s' * (seeds > 1)}, "
        f"{budget} evaluations"
    )


def summary_cells(runs: list[Run], own: Sequence[Summary]) -> tuple[list[str], list[list[str]]]:
    """Headings and rows of a group's summary, as text."""
    extras = list(dict.fromkeys(name for summary in own for name in summary.extra))
    errors = any(summary.errors for summary in own)
    headings = ["method", "n", "targets", "area", "95 %", score_name(runs), *(FIGURES.get(e, e) for e in extras)]
    rows = [
        [
            s.method,
            str(s.problems),
            percent(s.reached),
            fraction(s.area),
            interval_text(s.area_interval),
            short_text(s.score),
            *(short_text(s.extra.get(e)) for e in extras),
            f"{s.microseconds:.0f}" if s.microseconds >= 100 else short_text(s.microseconds),
            *([str(s.errors or "")] if errors else []),
        ]
        for s in own
    ]
    return headings + ["µs/eval"] + ["errors"] * errors, rows


def text_table(title: str, headings: Sequence[str], rows: Sequence[Sequence[str]]) -> Any:
    """A table for rich: the first column to the left, the others to the right. No bracket in a text is markup."""
    box, escape = require("rich.box", "rich"), require("rich.markup", "rich").escape
    table_class = require("rich.table", "rich").Table
    title = escape(title)
    table = table_class(title=title, title_justify="left", box=box.SIMPLE_HEAD, show_edge=False, padding=(0, 0, 0, 1))
    short = all(len(row[0]) <= ONE_LINE for row in rows)
    for i, name in enumerate(headings):
        table.add_column(escape(name), justify="right" if i else "left", no_wrap=not i and short)
    for row in rows:
        table.add_row(*map(escape, row))
    return table


def print_summary(record: Record, console: Any = None) -> None:
    """Print one table per group, best method first.

    Parameters
    ----------
    record : Record
    console : rich.console.Console or None
        None prints to the standard output.
    """
    console = console or require("rich.console", "rich").Console()
    for of_group in by_group(record.runs.values()).values():
        console.print(text_table(heading(of_group), *summary_cells(of_group, summaries(of_group))))
        console.print()
    console.print(NOTE, style="dim")

"""The results as tables in the terminal."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..interop.peer import require
from .record import Record
from .stats import Run, summaries

FIGURES = {"train_loss": "train loss", "test_accuracy": "accuracy", "precision": "precision"}


def say(value: float | None, digits: int = 3) -> str:
    """A number for people: "inf" where it overflowed, "-" where there is none."""
    if value is None or np.isnan(value):
        return "-"
    return f"{value:.{digits}g}"


def score_name(runs: list[Run]) -> str:
    """Heading of the score column of a group."""
    figure = runs[0]["curve_of"]
    return f"final {FIGURES.get(figure, figure)}"


def print_summary(record: Record, console: Any = None) -> None:
    """Print one table per group, best method first.

    Parameters
    ----------
    record : Record
    console : rich.console.Console or None
        None prints to the standard output.
    """
    rich_table = require("rich.table", "rich")
    console = console or require("rich.console", "rich").Console()
    runs = list(record.runs.values())
    for group in dict.fromkeys(run["group"] for run in runs):
        of_group = [run for run in runs if run["group"] == group]
        found = summaries(of_group)
        problems = len({run["problem"] for run in of_group})
        seeds = len({run["seed"] for run in of_group})
        budget = "/".join(str(b) for b in sorted({run["budget"] for run in of_group}))
        table = rich_table.Table(
            title=f"{group}: {problems} problem{'s' * (problems > 1)}, {seeds} seeds, {budget} evaluations",
            title_justify="left",
        )
        table.add_column("method", no_wrap=True)
        extras = list(dict.fromkeys(name for summary in found for name in summary.extra))
        for heading in (
            "targets",
            "area",
            score_name(of_group),
            *(FIGURES.get(e, e) for e in extras),
            "µs/eval",
            "errors",
        ):
            table.add_column(heading, justify="right")
        for s in found:
            table.add_row(
                s.method,
                f"{100 * s.reached:.1f} %",
                say(s.area),
                say(s.score),
                *(say(s.extra.get(e)) for e in extras),
                say(s.microseconds),
                str(s.errors) if s.errors else "",
            )
        console.print(table)
    console.print(
        "targets: (problem, target, seed) triples reached; area: under their ECDF over log "
        "evaluations; final: geometric mean over problems of the median over seeds, clipped "
        "at 1e-8; µs/eval: CPU time per evaluation, the objective's included",
        style="dim",
    )

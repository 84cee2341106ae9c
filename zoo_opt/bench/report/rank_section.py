"""Mean ranks in a report, for groups of tasks that have no scale in common."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from zoo_opt.bench.report.page import esc, table
from zoo_opt.bench.report.terminal import short_text
from zoo_opt.bench.statistics.hits import Run, by_group
from zoo_opt.bench.statistics.mean_ranks import ranks_of

PREFIX = "real-"


def has_ranks(runs: Sequence[Run]) -> bool:
    """Whether all of these runs are on real tasks, of which there are several."""
    problems = {run["problem"] for run in runs}
    return len(problems) > 1 and all(problem.startswith(PREFIX) for problem in problems)


def rank_rows(runs: Sequence[Run]) -> tuple[list[str], list[list[str]]]:
    """Headings and rows, best mean rank first: the mean, and the final figure of every task with its rank."""
    found = ranks_of(runs)
    order = np.argsort(np.where(np.isnan(found.mean), np.inf, found.mean), kind="stable")
    headings = ["median final precision (rank)", "mean rank", *(name.removeprefix(PREFIX) for name in found.problems)]

    def cell(m: int, p: int) -> str:
        value, rank = found.final[m, p], found.ranks[m, p]
        return "-" if np.isnan(value) else short_text(value) + ("" if np.isnan(rank) else f" ({rank:g})")

    body = [
        [found.methods[m], "-" if np.isnan(found.mean[m]) else f"{found.mean[m]:.2f}"]
        + [cell(m, p) for p in range(len(found.problems))]
        for m in order
    ]
    return headings, body


def rank_tables(runs: Sequence[Run]) -> str:
    """A section of the page with the ranks of every group of real tasks; "" where there is none."""
    groups = [own for own in by_group(runs).values() if has_ranks(own)]
    if not groups:
        return ""
    parts = [f"<h3>{esc(own[0]['group'])}</h3>{table(*rank_rows(own))}" for own in groups]
    return (
        '<section id="ranks"><h2>Ranks on the tasks</h2><p class="sub">Of the median over the seeds, among methods '
        f"that ran all tasks; equal ones share a rank. Filters do not change it.</p>{''.join(parts)}</section>"
    )

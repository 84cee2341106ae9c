"""The tables of a record as Markdown: those of the README and of the documentation are made by it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from zoo_opt.bench.engine.record import Record
from zoo_opt.bench.report.profile_figures import profile_rows
from zoo_opt.bench.report.rank_section import has_ranks, rank_rows
from zoo_opt.bench.report.terminal import (
    FIGURES,
    NOTE,
    fraction,
    heading,
    percent,
    short_text,
    signed_text,
    summary_cells,
)
from zoo_opt.bench.statistics.data_profile import has_profiles
from zoo_opt.bench.statistics.ert import case_of, performance_profile, running_times
from zoo_opt.bench.statistics.group_parts import subgroups
from zoo_opt.bench.statistics.hits import Run, by_group
from zoo_opt.bench.statistics.method_pairs import MethodPair, paired_tests
from zoo_opt.bench.statistics.stats import rows, summaries

ERT_TARGETS = (1e1, 1e0, 1e-1, 1e-3, 1e-5, 1e-7)  # of COCO's own tables, less one
FACTORS = (1, 2, 5, 10, 100)
FEW = 4  # problems up to which each one's final figures are a table; of more, the parts of the group are
LONG = 200  # lines up to which a table of expected running times is put in


def write_markdown(record: Record, path: Path) -> None:
    """Write `markdown_tables` to a file, making its folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(markdown_tables(record), encoding="utf-8")


def markdown_tables(record: Record) -> str:
    """All tables of a record.

    For every group: the summary; the area under the ECDF by dimension and class of functions, or with few problems the
    final figures with the spread of the seeds; of real tasks the ranks, of Moré and Wild's problems the data profile;
    every method against the best one; the performance profile; and expected running times unless they are too many.

    Raises
    ------
    ValueError
        If the record holds no run.
    """
    if not record.runs:
        raise ValueError("the record holds no run to make tables of")
    parts = [f"<!-- zoo-opt report --markdown: {record.sessions[-1]['title']} -->" if record.sessions else ""]
    for of_group in by_group(record.runs.values()).values():
        own = summaries(of_group)
        parts += [f"### {heading(of_group)}", markdown_table(*summary_cells(of_group, own))]
        if len({run["problem"] for run in of_group}) > FEW:
            parts += [area_table(of_group)]
        else:
            parts += [final_table(of_group)]
        if has_ranks(of_group):
            parts += [markdown_table(*rank_rows(of_group))]
        if has_profiles(of_group):
            parts += [markdown_table(*profile_rows(of_group))]
        if len(own) > 1:
            parts += [paired_table(paired_tests(of_group)), profile_table(of_group)]
        if len({(run["method"], case_of(run, pool=True)) for run in of_group}) <= LONG:
            parts += [ert_table(of_group)]
    return "\n\n".join(part for part in [*parts, NOTE + "."] if part) + "\n"


def area_table(runs: Sequence[Run]) -> str:
    """Area under the ECDF of every method in every part of a group; "" where it has no targets or no parts.

    A method that ran fewer of a part's problems than others has their number beside its figure.
    """
    parts = subgroups(runs)
    if len(parts) == 1 or not any(run["targets"] for run in runs):
        return ""
    of_part = {name: {s.method: s for s in summaries(own)} for name, own in parts.items()}
    count = {name: next(iter(own.values())).all_problems for name, own in of_part.items()}

    def cell(name: str, method: str) -> str:
        s = of_part[name].get(method)
        if s is None:
            return "-"
        return fraction(s.area) + ("" if s.complete else f" ({s.problems})")

    headings = ["area under the ECDF", *(f"{name} ({count[name]})" for name in parts)]
    return markdown_table(headings, [[method, *(cell(name, method) for name in parts)] for method in of_part["all"]])


def final_table(runs: Sequence[Run]) -> str:
    """Final figures of every method on every problem: median and quartiles, mean and standard deviation over seeds."""
    figure = FIGURES.get(runs[0]["curve_of"], runs[0]["curve_of"])
    in_order = sorted(rows(runs), key=lambda row: (row.problem, row.median))
    extras = list(dict.fromkeys(name for row in in_order for name in row.extra))
    body = [
        [
            row.problem,
            row.method,
            str(row.seeds),
            short_text(row.median),
            f"{short_text(row.low)} to {short_text(row.high)}",
        ]
        + [short_text(row.mean) + ("" if np.isnan(row.sd) else f" ± {short_text(row.sd, 2)}")]
        + [short_text(row.extra.get(name)) for name in extras]
        for row in in_order
    ]
    names = [FIGURES.get(name, name) for name in extras]
    return markdown_table(
        ["problem", "method", "seeds", f"final {figure}", "quartiles", "mean ± sd", *names], body, left=2
    )


def paired_table(pairs: Sequence[MethodPair]) -> str:
    """Methods against one of them, over what both ran."""
    if not pairs:
        return ""
    measure = "area" if pairs[0].measure == "area" else "final figure, " + pairs[0].measure.removesuffix(" final")
    return markdown_table(
        [
            f"against {pairs[0].against}",
            pairs[0].units,
            "targets",
            f"gain, {measure}",
            "95 %",
            "better",
            "worse",
            "p (Holm)",
        ],
        [
            [
                pair.method,
                str(pair.problems if pair.units == "problems" else pair.runs),
                " / ".join(percent(value) for value in pair.reached),
                signed_text(pair.gain.estimate),
                f"{signed_text(pair.gain.low)} to {signed_text(pair.gain.high)}",
                str(pair.wins),
                str(pair.losses),
                short_text(pair.p_holm, 2),
            ]
            for pair in pairs
        ],
    )


def profile_table(runs: Sequence[Run]) -> str:
    """Fraction of the (problem, target) pairs that each method reached within so many times the least ERT."""
    if not any(run["targets"] for run in runs):
        return ""
    profile = performance_profile(running_times(runs))
    values = profile.at(FACTORS)
    order = sorted(range(len(profile.methods)), key=lambda m: -values[m].sum())
    body = [[profile.methods[m], *(fraction(v) for v in values[m])] for m in order]
    left_out = [[method, *("-" for _ in FACTORS)] for method in profile.left_out]
    headings = [f"of {len(profile.cases)} problems' targets within ERT x", *map(str, FACTORS)]
    return markdown_table(headings, body + left_out)


def ert_table(runs: Sequence[Run], targets: Sequence[float] | None = None) -> str:
    """Expected running times / d; COCO's functions are pooled over instances. Where runs failed: (successes/runs).

    Parameters
    ----------
    runs : sequence of dict
        Of one group.
    targets : sequence of float or None
        Some of those that the problems have; None takes those of COCO's tables (less 10^-2), or else up to six.
    """
    recorded = sorted({t for run in runs for t in run["targets"]}, reverse=True)
    if not recorded:
        return ""
    if targets is None:
        usual = [t for t in recorded if any(math.isclose(t, u, rel_tol=1e-9) for u in ERT_TARGETS)]
        targets = usual if len(usual) == len(ERT_TARGETS) else recorded[:: -(-len(recorded) // 6)]
    times = running_times(runs, targets, pool=True)
    dim = {case_of(run, pool=True): run["dim"] for run in runs}

    def cell(c: int, m: int, t: int) -> str:
        ert, hits, n = times.ert[m, c, t], times.successes[m, c, t], times.runs[m, c]
        if np.isnan(ert):
            return "-"
        return (f"{ert / dim[times.cases[c]]:.3g}" if hits else "inf") + ("" if hits == n else f" ({hits}/{n})")

    body = [
        [case, method, *(cell(c, m, t) for t in range(len(times.targets)))]
        for c, case in enumerate(times.cases)
        for m, method in enumerate(times.methods)
        if times.runs[m, c]
    ]
    return markdown_table(["ERT / d", "method", *(f"{t:g}" for t in times.targets)], body, left=2)


def markdown_table(
    headings: Sequence[str], body: Iterable[Sequence[str]], *, left: int = 1, rules: tuple[str, str] = ("---", "---:")
) -> str:
    """A Markdown table, its first columns aligned left, the others right; `rules` mark the two in its second line."""
    lines = [headings, [rules[i >= left] for i in range(len(headings))], *body]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)

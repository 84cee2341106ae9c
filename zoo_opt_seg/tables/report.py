"""A table's record as Markdown: figures with their spread, the paper's beside, costs, and paired tests."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

from zoo_opt.bench.engine.record import Record
from zoo_opt.bench.report.markdown import markdown_table
from zoo_opt.bench.statistics.bootstrap import Interval
from zoo_opt_seg.blackbox.registry import BLACK_BOXES
from zoo_opt_seg.data.draws import asked_by
from zoo_opt_seg.tables.statistics import (
    FIGURES,
    RowTest,
    Spread,
    best_floor,
    cells_of,
    gap_closed,
    on_other_data,
    row_tests,
    spread,
    spread_over_seeds,
)
from zoo_opt_seg.tables.suite import Row, TableGroup, TableSuite, on_volumes

NONE = "·"  # a cell that has not been done
TITLES = {"dice": "Dice", "iou": "IoU", "hd95": "HD95"}
DIGITS = {"dice": 3, "iou": 3, "hd95": 1}
LEGEND = "{figures} ({unit}): mean over {over}, ± standard deviation over seeds.{brackets}"
BRACKETS = " In brackets what the paper reports, on its own data and model."
ORGANS = "Dice / HD95 ({unit}) of each organ, mean over test volumes, ± standard deviation over seeds.{brackets}"
TESTS = """\
Against {reference}: difference in Dice and HD95 with its 95 % paired bootstrap interval over test images (each the mean
over seeds and prompts), and p of Wilcoxon's signed-rank test, corrected after Holm for the rows of a domain. Images
that share a patient or sequence, and nuclei of one image, are resampled and ranked together.{gap}"""
MEMORY = "Peak MB: {kinds}; median over cells."
GAP = (
    " Gap: part of the way in Dice from {floor} to {ceiling}, beside that of the best floor, a row that trains nothing "
    "or asks nobody; not shown where no floor was measured."
)
Runs = Sequence[Mapping[str, Any]]


@dataclass(frozen=True)
class Cost:
    """A column beside the figures, there if some cell of the group has something to say in it."""

    title: str
    known: Callable[[Mapping[str, Any]], bool]
    text: Callable[[Runs], str]


COSTS = (
    Cost("calls", lambda run: run["calls"] > 0, lambda runs: _range([run["calls"] for run in runs])),
    Cost("calls a question", lambda run: run.get("calls_each", 0) > 1, lambda runs: _per_question(runs)),
    Cost("trained parameters", lambda run: run["trained"] > 0, lambda runs: _range([run["trained"] for run in runs])),
    Cost("CPU min", lambda run: run["seconds"] is not None, lambda runs: _median(runs, "seconds", 60, 1)),
    Cost("peak MB", lambda run: run.get("memory") is not None, lambda runs: _median(runs, "memory", 1e6, 0)),
    Cost(
        "gate",
        lambda run: _gate(run) is not None,
        lambda runs: spread_text(spread([*filter(None, map(_gate, runs))]), 2),
    ),
)


def markdown(suite: TableSuite, record: Record, missing: Mapping[str, str] | None = None) -> str:
    """The whole result as Markdown.

    Parameters
    ----------
    suite : TableSuite
    record : Record
        Its runs are the cells.
    missing : mapping
        By domain, why its cells could not be done.
    """
    last = record.sessions[-1] if record.sessions else {}
    parts = [f"<!-- zoo-opt-seg table: {suite.title} -->", f"## {suite.title}", suite.description, suite.note]
    if last:
        commits = dict.fromkeys(session.get("commit", "") or "unknown" for session in record.sessions)
        parts.append(
            f"Code: {', '.join(c[:12] + ('+' if c.endswith('+') else '') for c in commits)}. Machine: "
            f"{last['machine']['processor']}. torch {last['versions'].get('torch', '?')}."
        )
    parts += [f"Not run here: {domain} ({why})." for domain, why in (missing or {}).items()]
    for group in suite.groups:
        parts += [heading(group), group.note, *group_tables(group, record)]
    for paper in suite.published:
        rows = [[label, *figures] for label, figures in paper.rows.items()]
        parts += [f"### {paper.title}", table(["", *paper.columns], rows)]
    return "\n\n".join(part.strip() for part in parts if part and part.strip()) + "\n"


def heading(group: TableGroup) -> str:
    """The group's name with what all of its rows share."""
    box = group.black_box.get("model_type", group.black_box["use"])
    seeds = f"{len(group.seeds)} seed{'s' * (len(group.seeds) > 1)}"
    calls = f"{group.calls:,} calls, " if any(row.use == "adapt" for row in group.rows) else ""
    return f"### {group.name}\n\n{calls}black box {box}, {group.size} px, {seeds}"


def group_tables(group: TableGroup, record: Record) -> list[str]:
    """The figures, and the tests where the group has a reference."""
    parts = [results_table(group, record), legend(group, record)]
    done = _done(group, record)
    if kinds := dict.fromkeys(run["memory_kind"] for run in done if run.get("memory") is not None):
        parts.append(MEMORY.format(kinds=", or ".join(kinds)))
    notes = [f"- {row.label}: {row.note}" for row in group.rows if row.note]
    if notes:
        parts.append("\n".join(notes))
    if any("organs" in run for run in done):
        brackets = BRACKETS if any(row.published_organs for row in group.rows) else ""
        parts += [organs_table(group, record), ORGANS.format(unit=_unit(done), brackets=brackets)]
    tests = [test for domain in group.domains for test in row_tests(group, domain, record.runs)]
    parts += [
        f"Not compared on {domain}, as the data have changed since: {', '.join(rows)}. `--again` repeats a row."
        for domain in group.domains
        if (rows := on_other_data(group, domain, record.runs))
    ]
    if tests:
        gap = GAP.format(floor=group.floor, ceiling=group.ceiling) if group.floor and group.ceiling else ""
        parts += [tests_table(group, tests, record), TESTS.format(reference=group.reference, gap=gap)]
    return parts


def results_table(group: TableGroup, record: Record) -> str:
    """Rows by domains, and what they cost."""
    done = _done(group, record)
    costs = [cost for cost in COSTS if any(map(cost.known, done))]
    lines = []
    for row in group.rows:
        cells = {domain: cells_of(group, row, domain, record.runs) for r, domain in group.places() if r is row}
        runs = [run for by_seed in cells.values() for run in by_seed.values()]
        figures = [figure_cell(group, row, domain, record) if domain in cells else "" for domain in group.domains]
        lines.append([row.label, *figures, *(cost.text(runs) for cost in costs)])
    return table(["", *group.domains, *(cost.title for cost in costs)], lines)


def legend(group: TableGroup, record: Record) -> str:
    """What the figures are."""
    if any(on_volumes(row.use) for row in group.rows):
        over = "organs and test volumes"
    else:
        use = group.black_box["use"]
        prompted_by = BLACK_BOXES.find(use).prompted_by if use in BLACK_BOXES else ""
        asked = (prompted_by.removesuffix("s") or "prompt") + "s" * (group.repeats > 1)
        over = f"test images and {group.repeats} random {asked} each"
        over = f"test images with {asked_by(group.points, group.repeats)}" if group.points else over
    figures, unit = " / ".join(TITLES[name] for name in group.figures), _unit(_done(group, record))
    brackets = BRACKETS if any(row.published for row in group.rows) else ""
    return LEGEND.format(figures=figures, unit=unit, over=over, brackets=brackets)


def organs_table(group: TableGroup, record: Record) -> str:
    """Rows by organs, where cells are measured on volumes."""
    lines, header = [], list[str]()
    for row, domain in group.places():
        runs = list(cells_of(group, row, domain, record.runs).values())
        if not runs or "organs" not in runs[0]:
            continue
        header = list(runs[0]["organs"])
        known, line = row.published_organs.get(domain, {}), [row.label]
        for organ in header:
            dice, hd95 = (spread([run["organs"][organ][i] for run in runs]) for i in (0, 1))
            line.append(
                f"{spread_text(dice, 3)} / {spread_text(hd95, 1)}" + (f" [{known[organ]:g}]" if organ in known else "")
            )
        lines.append(line)
    return table(["", *header], lines)


def _done(group: TableGroup, record: Record) -> list[Mapping[str, Any]]:
    return [run for row, domain in group.places() for run in cells_of(group, row, domain, record.runs).values()]


def _per_question(runs: Runs) -> str:
    """What an answer about a test image costs; a dash where the record does not say."""
    values = [run["calls_each"] for run in runs if run.get("calls_each") is not None]
    return " to ".join(f"{value:g}" for value in sorted({min(values), max(values)})) if values else NONE


def _unit(runs: Runs) -> str:
    return " and ".join(
        dict.fromkeys({"voxel": "voxels"}.get(u, u) for u in (run.get("unit", "pixels") for run in runs))
    )


def _median(runs: Runs, name: str, unit: float, digits: int) -> str:
    values = [run[name] / unit for run in runs if run.get(name) is not None]
    return f"{median(values):,.{digits}f}" if values else NONE


def _gate(run: Mapping[str, Any]) -> float | None:
    """The ladder's gate where it is learnt; 0 and 1 are of one encoder alone."""
    gate = run.get("gate")
    return gate if gate is not None and 0 < gate < 1 else None


def figure_cell(group: TableGroup, row: Row, domain: str, record: Record) -> str:
    """Dice / HD95 with spread, and the published figures in brackets."""
    cells = cells_of(group, row, domain, record.runs)
    texts = [spread_text(spread_over_seeds(cells, name), DIGITS[name]) for name in group.figures]
    text = " / ".join(texts) if cells else NONE
    if 0 < len(cells) < len(group.seeds):
        text += f" ({len(cells)} of {len(group.seeds)} seeds)"
    if domain in row.published:
        text += f" [{' / '.join(f'{value:g}' for value in row.published[domain])}]"
    return text


def tests_table(group: TableGroup, tests: Iterable[RowTest], record: Record) -> str:
    """Each row against the reference, domain by domain."""
    rows, between, lines = {row.label: row for row in group.rows}, bool(group.floor and group.ceiling), []
    for test in tests:
        dice, hd95 = ((interval_text(test.gain[name], DIGITS[name]), p_text(test.p[name])) for name in FIGURES)
        floor, most = best_floor(group, test.domain, record.runs)
        gap = part_text(gap_closed(group, rows[test.row], test.domain, record.runs)) if floor else NONE
        beside = [f"{part_text(most)}, {floor}" if floor else NONE] if between else []
        images = str(test.images) + (f" in {test.groups}" if test.groups < test.images else "")
        lines.append([test.domain, test.row, *dice, *hd95, gap, *beside, images])
    return table(["domain", "row", "Dice", "p", "HD95", "p", "gap", *["best floor"] * between, "images"], lines)


def table(headings: Sequence[str], body: Iterable[Sequence[str]]) -> str:
    """A Markdown table with the marks of alignment that the recorded pages have."""
    return markdown_table(headings, body, rules=(":--", "--:"))


def spread_text(value: Spread, digits: int) -> str:
    """The mean, and the deviation where there is one."""
    if math.isnan(value.mean):
        return NONE
    return f"{value.mean:.{digits}f}" + ("" if math.isnan(value.sd) else f" ± {value.sd:.{digits}f}")


def interval_text(value: Interval, digits: int) -> str:
    """The difference with its sign and bounds."""
    return f"{value.estimate:+.{digits}f} [{value.low:+.{digits}f}, {value.high:+.{digits}f}]"


def p_text(p: float) -> str:
    """A p value with two digits, small ones as a bound."""
    return NONE if math.isnan(p) else "< 1e-4" if p < 1e-4 else f"{p:.2g}"


def part_text(part: float) -> str:
    """A fraction in per cent."""
    return NONE if math.isnan(part) else f"{100 * part:.0f} %"


def _range(values: Sequence[int]) -> str:
    if not values:
        return NONE
    low, high = min(values), max(values)
    return f"{low:,}" if low == high else f"{low:,} to {high:,}"

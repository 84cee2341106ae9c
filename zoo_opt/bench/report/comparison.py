"""Two records of the same suite side by side: what became better, what worse, and whether it is more than chance."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import Any

from zoo_opt.bench.engine.record import Record
from zoo_opt.bench.report.terminal import FIGURES, fraction, percent, short_text, signed_text, text_table
from zoo_opt.bench.statistics.hits import Run, grouped
from zoo_opt.bench.statistics.pairs import PairedTest, corrected, matched, pair_units, tested
from zoo_opt.bench.statistics.stats import ecdf_area, summaries
from zoo_opt.bench.suite_record import current
from zoo_opt.support.loading import require


@dataclass(frozen=True)
class Change:
    """One problem in A and in B: `gain` is positive where B is better.

    Attributes
    ----------
    problem : str
        Or the seed, where `Difference.units` says so.
    a, b : float
        Area under the ECDF where the problems have targets, mean over the matched runs; else the final figure, their
        geometric mean.
    gain : float
        ``b - a`` of areas; ``log10(a / b)`` of final figures, which are better when lower.
    """

    problem: str
    a: float
    b: float
    gain: float


@dataclass(frozen=True, kw_only=True)
class Difference(PairedTest):
    """One method of one group in A and in B, over the runs that both hold (problem, seed and budget alike).

    Attributes
    ----------
    group, method : str
    identical : int
        Matched runs with the same evaluations, hits and figures.
    only_a, only_b : int
        Runs without a partner; they count nowhere else.
    area, final : (float, float)
        In A and in B: area under the ECDF (NaN without targets), final figure (geometric mean over problems of the
        median over seeds).
    figure : str
        What `final` is of, such as ``"precision"``.
    changes : tuple of Change
        Every problem, from the largest gain to the largest loss.
    """

    group: str
    method: str
    identical: int
    only_a: int
    only_b: int
    area: tuple[float, float]
    final: tuple[float, float]
    figure: str
    changes: tuple[Change, ...]


def compare(a: Record, b: Record) -> list[Difference]:
    """Match the runs of two records by (group, problem, method, seed, budget) and compare them.

    Keys are not compared: they change with a library's version, and that is what one wants to compare.

    Parameters
    ----------
    a, b : Record
        The earlier and the later result.

    Returns
    -------
    list of Difference
        One for every (group, method) with a run in both, in the order of A.

    Raises
    ------
    ValueError
        If the two have no run in common.
    """
    old, new = (grouped(current(x).runs.values(), itemgetter("group", "method")) for x in (a, b))
    differences: list[Difference] = []
    for group in dict.fromkeys(group for group, _ in old):
        methods = [name for g, name in old if g == group and (g, name) in new]
        of_group = [_difference(group, m, old[group, m], new[group, m]) for m in methods]
        differences += corrected([d for d in of_group if d.runs])
    if not differences:
        raise ValueError("the two results have no run in common: no group, method, problem, seed and budget alike")
    return differences


def _difference(group: str, method: str, a: list[Run], b: list[Run]) -> Difference:
    x, y = matched(a, b)
    c = pair_units(x, y)
    both = sorted(zip(c.names, c.a, c.b, c.gains, strict=True), key=lambda row: -row[3])
    back = (lambda v: 10.0**v) if c.measure == "log10 final" else float
    return Difference(
        **tested(x, y, c),
        group=group,
        method=method,
        identical=sum(same(p, q) for p, q in zip(x, y, strict=True)),
        only_a=len(a) - len(x),
        only_b=len(b) - len(x),
        area=(ecdf_area(x), ecdf_area(y)),
        final=(_score(x), _score(y)),
        figure=a[0]["curve_of"],
        changes=tuple(Change(name, float(back(u)), float(back(v)), float(gain)) for name, u, v, gain in both),
    )


def same(a: Run, b: Run) -> bool:
    """Whether two runs did the same: evaluations, hits, and figures to the 6 digits that a shortened record keeps."""
    return a["nfev"] == b["nfev"] and a["hits"] == b["hits"] and _digits(a) == _digits(b)


def _digits(run: Run) -> dict[str, str]:
    return {name: "inf" if value is None else f"{value:.5e}" for name, value in run["figures"].items()}


def _score(runs: list[Run]) -> float:
    return summaries(runs)[0].score if runs else float("nan")


def print_comparison(differences: Sequence[Difference], console: Any = None, *, most: int = 3) -> None:
    """Print one table per group, and the `most` problems that changed most in either direction.

    Parameters
    ----------
    differences : sequence of Difference
    console : rich.console.Console or None
        None prints to the standard output.
    most : int
        Problems named for every method, in either direction.
    """
    console = console or require("rich.console", "rich").Console()
    for group, own in grouped(differences, lambda d: d.group).items():
        final = f"final {FIGURES.get(own[0].figure, own[0].figure)}"
        headings = ["method", "runs", "same", "targets", "area", final, "gain of B", "95 %", "p"]
        console.print(text_table(f"{group}: A above B", headings, [[d.method, *_cells_of(d)] for d in own]))
        for d in own:
            for line in _lines(d, most):
                console.print(line, style="dim", highlight=False)
        console.print()
    console.print(
        "runs: matched by problem, method, seed and budget; same: identical ones; gain of B: of the area under the "
        "ECDF or, without targets, of log10 of the final figure; 95 %: bootstrap over problems (seeds of a single "
        "problem); p: Wilcoxon's signed-rank test over the same, corrected after Holm for the number of methods",
        style="dim",
    )


def _cells_of(d: Difference) -> list[str]:
    alone = "".join(f"\n+{n} in {where}" for n, where in ((d.only_a, "A"), (d.only_b, "B")) if n)
    low, high = signed_text(d.gain.low), signed_text(d.gain.high)
    return [
        f"{d.runs}{alone}",
        str(d.identical),
        "\n".join(percent(v) for v in d.reached),
        "\n".join(fraction(v) for v in d.area),
        "\n".join(short_text(v) for v in d.final),
        signed_text(d.gain.estimate),
        low if low == high else f"{low}\n{high}",
        short_text(d.p_holm, 2),
    ]


def _lines(d: Difference, most: int) -> list[str]:
    """The problems that changed most: better ones, worse ones."""
    better = [c for c in d.changes if c.gain > 0][:most]
    worse = [c for c in reversed(d.changes) if c.gain < 0][:most]
    one = fraction if d.measure == "area" else short_text
    unit = "seed " if d.units == "seeds" else ""
    return [
        f"{d.method}, {word}: " + ", ".join(f"{unit}{c.problem} {one(c.a)} to {one(c.b)}" for c in changes)
        for word, changes in (("better", better), ("worse", worse))
        if changes
    ]

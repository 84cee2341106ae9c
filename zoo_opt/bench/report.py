"""One self-contained HTML file from a record: Python computes and writes tables, a small script draws charts."""

from __future__ import annotations

import html
import json
import math
from collections.abc import Iterable, Sequence
from importlib import resources
from pathlib import Path
from typing import Any

from ..interop.peer import require
from .record import Record
from .solvers import PEERS
from .stats import Run, curve_band, ecdf, rows, summaries
from .table import FIGURES, say, score_name


def write_report(record: Record, path: Path) -> None:
    """Write the report.

    Parameters
    ----------
    record : Record
        With at least one run.
    path : Path
        HTML file to write; it needs no network and no other file.

    Raises
    ------
    ValueError
        If the record holds no run.
    """
    if not record.runs:
        raise ValueError("the record holds no run to report")
    plotly_js = require("plotly.offline", "plotly").get_plotlyjs()
    runs = list(record.runs.values())
    session: dict[str, Any] = record.sessions[-1] if record.sessions else {}
    groups = [[run for run in runs if run["group"] == name] for name in dict.fromkeys(run["group"] for run in runs)]
    charts = [group_charts(group) for group in groups]
    fields = {
        "title": esc(session.get("title", "Benchmark")),
        "description": esc(session.get("description", "")),
        "facts": _facts(runs, session),
        "groups": "\n".join(_group_section(i, group, session) for i, group in enumerate(groups)),
        "settings": _settings(runs, session),
        "errors": _errors(runs),
        "provenance": _provenance(record),
        "css": _asset("report.css"),
        "js": _asset("report.js"),
        "plotly": plotly_js,
        "data": json.dumps(charts, allow_nan=False).replace("<", "\\u003c"),
    }
    page = _asset("report.html")
    head, *parts = page.split("{{")
    text = head + "".join(fields[name] + rest for name, rest in (part.split("}}", 1) for part in parts))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def _asset(name: str) -> str:
    return (resources.files("zoo_opt.bench") / "assets" / name).read_text(encoding="utf-8")


def esc(value: object) -> str:
    """`value` as HTML text."""
    return html.escape(str(value))


# --- what the charts show -------------------------------------------------------------------------------------------


def group_charts(runs: Sequence[Run]) -> dict[str, Any]:
    """The numbers of a group's charts, by method: ECDF, and a band per problem."""
    methods = list(dict.fromkeys(run["method"] for run in runs))
    problems = list(dict.fromkeys(run["problem"] for run in runs))
    figure = runs[0]["curve_of"]
    by = {
        (m, p): [r for r in runs if r["method"] == m and r["problem"] == p and not r["error"]]
        for m in methods
        for p in problems
    }
    curves = {p: {m: _band(by[m, p], figure) for m in methods if by[m, p]} for p in problems}
    return {
        "methods": [{"name": m, "ours": is_ours(next(r["use"] for r in runs if r["method"] == m))} for m in methods],
        "figure": FIGURES.get(figure, figure),
        "budget": max(r["budget"] for r in runs),
        "ecdf": {m: _steps([r for r in runs if r["method"] == m]) for m in methods}
        if any(r["targets"] for r in runs)
        else None,
        "curves": curves,
    }


def is_ours(use: str) -> bool:
    """Whether a method's ``use`` names one of zoo_opt's own."""
    return ":" not in use and use not in PEERS


def _steps(runs: Sequence[Run]) -> dict[str, list[float]]:
    budgets, fractions = ecdf(runs)
    end = max(run["budget"] / run["dim"] for run in runs)
    x, y = [*budgets.tolist(), end], fractions.tolist()
    return {"x": _short(x), "y": _short([*y, y[-1] if y else 0.0])}


def _band(runs: Sequence[Run], figure: str) -> dict[str, list[float | None]]:
    band = curve_band(runs)
    floor = 1e-9 if figure == "precision" else -math.inf  # a logarithmic axis has no zero
    names = ("low", "median", "high")
    lines: dict[str, Any] = {n: _short(max(v, floor) for v in getattr(band, n).tolist()) for n in names}
    return {"x": _short(band.evaluations.tolist())} | lines


def _short(values: Iterable[float]) -> list[Any]:
    """Four digits are enough to draw; what is infinite is left out (null)."""
    return [float(f"{v:.4g}") if math.isfinite(v) else None for v in values]


# --- tables ---------------------------------------------------------------------------------------------------------


def table(headings: Sequence[str], body: Iterable[Sequence[Any]], *, sortable: bool = True, tall: bool = False) -> str:
    """An HTML table; numbers are aligned right and carry their exact value for sorting."""
    cells = []
    for row in body:
        line = []
        for value in row:
            if isinstance(value, tuple):  # (number, text)
                line.append(f'<td class="n" data-v="{value[0]!r}">{esc(value[1])}</td>')
            elif isinstance(value, float | int):
                line.append(f'<td class="n" data-v="{value!r}">{say(value)}</td>')
            else:
                line.append(f"<td>{value if isinstance(value, Markup) else esc(value)}</td>")
        cells.append("<tr>" + "".join(line) + "</tr>")
    heads = "".join(f"<th>{esc(h)}</th>" for h in headings)
    kind = ' class="sortable"' if sortable else ""
    box = "scroll tall" if tall else "scroll"
    rows_html = "".join(cells)
    inner = f"<thead><tr>{heads}</tr></thead><tbody>{rows_html}</tbody>"
    return f'<div class="{box}"><table{kind}>{inner}</table></div>'


class Markup(str):
    """Text that is HTML already."""


def _who(method: str, use: str) -> Markup:
    badge = '<span class="ours">zoo-opt</span>' if is_ours(use) else '<span class="peer">peer</span>'
    return Markup(f"{esc(method)} {badge}")


def _group_section(index: int, runs: list[Run], session: dict[str, Any]) -> str:
    """Summary, charts and final table of one group; the script fills the empty boxes."""
    use = {run["method"]: run["use"] for run in runs}
    found = summaries(runs)
    extras = list(dict.fromkeys(name for s in found for name in s.extra))
    summary = table(
        [
            "method",
            "targets reached",
            "area under ECDF",
            score_name(runs),
            *(FIGURES.get(e, e) for e in extras),
            "CPU µs / evaluation",
        ],
        [
            [_who(s.method, use[s.method]), (s.reached, f"{100 * s.reached:.1f} %"), s.area, s.score]
            + [s.extra.get(e, math.nan) for e in extras]
            + [s.microseconds]
            for s in found
        ],
    )
    final = table(
        [
            "problem",
            "method",
            "median",
            "lower quartile",
            "upper quartile",
            *(FIGURES.get(e, e) for e in extras),
            "targets",
            "evaluations",
            "CPU seconds",
        ],
        [
            [r.problem, _who(r.method, use[r.method]), r.median, r.low, r.high]
            + [r.extra.get(e, math.nan) for e in extras]
            + [(r.reached, f"{100 * r.reached:.0f} %"), (r.evaluations, f"{r.evaluations:.0f}"), r.seconds]
            for r in sorted(rows(runs), key=lambda r: (r.problem, r.median))
        ],
        tall=len(runs) > 40,
    )
    problems = list(dict.fromkeys(run["problem"] for run in runs))
    seeds = sorted({run["seed"] for run in runs})
    budgets = "/".join(f"{b:,}" for b in sorted({run["budget"] for run in runs}))
    boxes = "".join(f'<div class="chart small" data-problem="{esc(p)}"></div>' for p in problems)
    figure = FIGURES.get(runs[0]["curve_of"], runs[0]["curve_of"])
    of = f"{len(problems)} problem{'s' * (len(problems) > 1)}"
    note = session.get("notes", {}).get(runs[0]["group"], "")
    return f"""<section class="group" data-group="{index}">
<h2>{esc(runs[0]["group"])}</h2>
<p class="sub">{of} · seeds {esc(", ".join(map(str, seeds)))} · {budgets} evaluations each</p>
<p class="sub">{esc(note)}</p>
{summary}
<div class="chips" role="group" aria-label="methods to show"></div>
<h3>Targets reached over the budget</h3>
<div class="chart ecdf"></div>
<h3>Convergence: {esc(figure)}, median and quartiles over seeds</h3>
<div class="grid">{boxes}</div>
<h3>Final {esc(figure)}</h3>
{final}
</section>"""


def _settings(runs: Sequence[Run], session: dict[str, Any]) -> str:
    seen = {(run["group"], run["method"]): run for run in runs}
    body = [
        [group, _who(method, run["use"]), run["use"], json.dumps(run["options"]), run.get("note", "")]
        for (group, method), run in seen.items()
    ]
    return table(["group", "method", "use", "settings", "how chosen"], body, sortable=False)


def _errors(runs: Sequence[Run]) -> str:
    bad = [run for run in runs if run["error"]]
    if not bad:
        return ""
    items = "".join(
        f"<li>{esc(r['method'])} on {esc(r['problem'])}, seed {r['seed']}<pre>{esc(r['error'])}</pre></li>" for r in bad
    )
    return f"<h2>Runs that failed</h2><ul>{items}</ul>"


def _facts(runs: Sequence[Run], session: dict[str, Any]) -> str:
    spent = sum(run["nfev"] for run in runs)
    facts = [
        f"{len(runs)} runs",
        f"{spent:,} evaluations",
        f"{sum(run['seconds'] for run in runs):,.0f} s of CPU time",
        session.get("started", "")[:10],
        f"zoo-opt {session.get('versions', {}).get('zoo-opt', '(source tree)')}",
    ]
    return "".join(f"<li>{esc(fact)}</li>" for fact in facts if fact)


def _provenance(record: Record) -> str:
    parts = []
    for session in record.sessions[-1:]:
        versions = " · ".join(f"{k} {v}" for k, v in session["versions"].items())
        machine = session["machine"]
        parts.append(
            table(
                ["what", "value"],
                [
                    ["command", Markup(f"<code>{esc(session['command'])}</code>")],
                    [
                        "started",
                        session["started"]
                        + (f" (resumed {len(record.sessions) - 1} times)" if len(record.sessions) > 1 else ""),
                    ],
                    ["versions", versions],
                    ["machine", f"{machine['processor']}, {machine['cores']} cores, {machine['system']}"],
                    [
                        "seeds",
                        ", ".join(str(s) for s in sorted({run["seed"] for run in record.runs.values()})),
                    ],
                    ["threads", "one per run"],
                ],
                sortable=False,
            )
        )
        name, toml = esc(session["suite"]), esc(session["toml"])
        parts.append(f"<details><summary>The suite, {name}.toml</summary><pre>{toml}</pre></details>")
    return "\n".join(parts)

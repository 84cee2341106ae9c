"""The parts of a report that no filter changes, as HTML: facts, settings, failures, how it was made."""

from __future__ import annotations

import html
import json
from collections.abc import Iterable, Sequence
from typing import Any

from zoo_opt.bench.engine.record import Record
from zoo_opt.bench.report.data import is_ours
from zoo_opt.bench.report.terminal import short_text
from zoo_opt.bench.statistics.hits import Run
from zoo_opt.bench.statistics.stats import Summary
from zoo_opt.support.secrets import hidden

MOST_ERRORS = 50  # shown in full; a suite that always fails would fill the page


class Markup(str):
    """Text that is HTML already."""


def esc(value: object) -> str:
    """`value` as HTML text."""
    return value if isinstance(value, Markup) else html.escape(str(value))


def table(headings: Sequence[str], body: Iterable[Sequence[object]]) -> Markup:
    """An HTML table; numbers are aligned right and shown with three digits."""
    head = "".join(f'<th scope="col">{esc(heading)}</th>' for heading in headings)
    rows = "".join("<tr>" + "".join(_cell(value) for value in row) + "</tr>" for row in body)
    return Markup(f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></div>')


def _cell(value: object) -> str:
    return f'<td class="n">{short_text(value)}</td>' if isinstance(value, float) else f"<td>{esc(value)}</td>"


def who(method: str, use: str) -> Markup:
    """A method's name with a badge that says whose it is."""
    badge = '<span class="ours">zoo-opt</span>' if is_ours(use) else '<span class="peer">peer</span>'
    return Markup(f'<span class="who">{esc(method)} {badge}</span>')


def facts(runs: Sequence[Run], session: dict[str, Any]) -> str:
    """What was run, in a few list items."""
    seconds = sum(run["seconds"] for run in runs)
    spent = [(seconds / 3600, "h"), (seconds / 60, "min"), (seconds, "s")]
    time, unit = next(((t, u) for t, u in spent if t >= 2), spent[-1])
    groups, problems, methods = (len({run[name] for run in runs}) for name in ("group", "problem", "method"))
    items = [
        _count(groups, "group"),
        _count(problems, "problem"),
        _count(methods, "method"),
        _count(len(runs), "run"),
        _count(sum(run["nfev"] for run in runs), "evaluation"),
        f"{time:,.0f} {unit} of CPU time",
        session.get("started", "")[:10],
        f"zoo-opt {session.get('versions', {}).get('zoo-opt', '(source tree)')}",
    ]
    return "".join(f"<li>{esc(item)}</li>" for item in items if item)


def _count(n: int, what: str) -> str:
    return f"{n:,} {what}{'' if n == 1 else 's'}"


def plain(own: Sequence[Summary]) -> str:
    """The summary of every group as a table, for a reader without JavaScript."""
    parts = []
    for group in dict.fromkeys(summary.group for summary in own):
        body = [[s.method, 100 * s.reached, s.area, s.score, s.microseconds] for s in own if s.group == group]
        headings = ["method", "targets reached, %", "area under ECDF", "final", "CPU µs / evaluation"]
        parts.append(f"<h3>{esc(group)}</h3>{table(headings, body)}")
    return "\n".join(parts)


def settings(runs: Sequence[Run]) -> str:
    """Every method's settings in every group, and how they were chosen."""
    seen = {(run["group"], run["method"]): run for run in runs}
    parts = []
    for group in dict.fromkeys(group for group, _ in seen):
        body = [
            [who(method, run["use"]), run["use"], Markup(f"<code>{esc(_options(run))}</code>"), run.get("note", "")]
            for (of, method), run in seen.items()
            if of == group
        ]
        inner = table(["method", "use", "settings", "how chosen"], body)
        parts.append(f"<details><summary>{esc(group)}</summary>{inner}</details>")
    return "\n".join(parts)


def _options(run: Run) -> str:
    return ", ".join(f"{name} = {json.dumps(value)}" for name, value in run["options"].items())


def errors(runs: Sequence[Run]) -> str:
    """The runs that failed, with what they said; nothing if none did."""
    bad = [run for run in runs if run["error"]]
    if not bad:
        return ""
    items = "".join(
        f"<li>{esc(r['method'])} on {esc(r['problem'])}, seed {r['seed']}<pre>{esc(hidden(r['error']))}</pre></li>"
        for r in bad[:MOST_ERRORS]
    )
    more = f"<p>The first {MOST_ERRORS} of {len(bad)}.</p>" if len(bad) > MOST_ERRORS else ""
    return f'<section id="failed"><h2>Runs that failed</h2>{more}<ul>{items}</ul></section>'


def provenance(record: Record) -> str:
    """Command, versions, machine, seeds and the suite's text: what it takes to repeat the bench."""
    if not record.sessions:
        return "<p>The record does not say.</p>"
    session, starts = record.sessions[-1], len(record.sessions)
    machine = session.get("machine", {})
    again = f" (resumed {_count(starts - 1, 'time')})" if starts > 1 else ""
    entries = {
        "command": Markup(f"<code>{esc(hidden(session['command']))}</code>") if session.get("command") else "",
        "started": f"{session.get('started', '')}{again}",
        "versions": " · ".join(f"{name} {version}" for name, version in session.get("versions", {}).items()),
        "machine": ", ".join(str(machine[k]) for k in ("processor", "system") if k in machine)
        + (f", {_count(machine['cores'], 'core')}" if machine.get("cores") else ""),
        "seeds": ", ".join(str(seed) for seed in sorted({run["seed"] for run in record.runs.values()})),
        "threads": "one per run",
    }
    name, toml = esc(session.get("suite", "suite")), esc(hidden(session.get("toml", "")))
    text = f"<details><summary>The suite, {name}.toml</summary><pre>{toml}</pre></details>" if toml else ""
    return f"{table(['what', 'value'], [[k, v] for k, v in entries.items() if v])}\n{text}"

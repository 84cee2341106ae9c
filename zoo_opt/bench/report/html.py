"""One self-contained HTML file from a record: Python embeds the runs, a script computes and draws from them."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from zoo_opt.bench.engine.record import Record
from zoo_opt.bench.report.data import intervals, pack
from zoo_opt.bench.report.line_looks import looks
from zoo_opt.bench.report.page import errors, esc, facts, plain, provenance, settings
from zoo_opt.bench.report.profile_figures import profiles
from zoo_opt.bench.report.rank_section import rank_tables
from zoo_opt.bench.report.template import fill, scripts
from zoo_opt.bench.statistics.stats import summaries

SCRIPTS = ("dom", "model", "statistics", "chart", "save", "rows", "table", "overview", "views", "compare", "report")


def write_report(record: Record, path: Path, earlier: Record | None = None) -> None:
    """Write the report.

    Parameters
    ----------
    record : Record
        With at least one run.
    path : Path
        HTML file to write; it needs no network and no other file.
    earlier : Record or None
        A result to compare with, embedded without its curves. Any other can be loaded in the browser.

    Raises
    ------
    ValueError
        If the record, or `earlier`, holds no run.
    """
    for name, given in (("record", record), ("earlier", earlier)):
        if given is not None and not given.runs:
            raise ValueError(f"{name} must hold a run to report, got none")
    session: dict[str, Any] = record.sessions[-1] if record.sessions else {}
    runs = list(record.runs.values())
    own, styles = summaries(runs), looks(runs)
    drawn = {"intervals": intervals(own), "looks": {name: asdict(look) for name, look in styles.items()}}
    fields = {
        "title": esc(session.get("title", "Benchmark")),
        "description": esc(session.get("description", "")),
        "facts": facts(runs, session),
        "plain": plain(own),
        "profiles": rank_tables(runs) + profiles(runs, styles),
        "errors": errors(runs),
        "settings": settings(runs),
        "provenance": provenance(record),
        "js": scripts(*SCRIPTS),
        "data": _embedded(pack(record) | drawn),
        "earlier": _embedded(pack(earlier, curves=False)) if earlier else "",
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(fill("zoo_opt.bench.report", "report", fields), encoding="utf-8")


def _embedded(data: dict[str, Any]) -> str:
    """`data` as JSON that no HTML parser mistakes for a tag."""
    return json.dumps(data, allow_nan=False, separators=(",", ":")).replace("<", "\\u003c")

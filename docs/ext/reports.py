"""The interactive reports of the recorded benchmarks, beside the pages: reports/bbob.html and so on."""

from __future__ import annotations

from pathlib import Path

from sphinx.application import Sphinx

from zoo_opt.bench.engine.record import read_record
from zoo_opt.bench.report.html import write_report
from zoo_opt.bench.suite_record import current

SUITES = ("bbob", "bbob-mixint", "noisy", "largescale", "digits", "tasks")


def write_reports(app: Sphinx, error: Exception | None) -> None:
    """Write a report for each record that is newer than its report."""
    if error is not None or app.builder.format != "html":
        return
    out = Path(app.outdir) / "reports"
    out.mkdir(exist_ok=True)
    for suite in SUITES:
        record = Path(app.srcdir).parent / "benchmarks" / "results" / f"{suite}.jsonl.xz"
        report = out / f"{suite}.html"
        if not report.is_file() or report.stat().st_mtime < record.stat().st_mtime:
            write_report(current(read_record(record)), report)


def setup(app: Sphinx) -> dict[str, bool]:
    """Connect to sphinx."""
    app.connect("build-finished", write_reports)
    return {"parallel_read_safe": True}

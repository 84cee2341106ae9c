"""``zoo-opt bench``, ``bench compare``, ``report``, ``plot`` and ``export``: from a suite to what it showed."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from zoo_opt.cli.exits import UsageError

if TYPE_CHECKING:
    from zoo_opt.bench.engine.record import Record


def do_bench(arguments: argparse.Namespace) -> int:
    """Run a suite, or what is left of it, then report."""
    from zoo_opt.bench.engine.record import read_record
    from zoo_opt.bench.report.live import LiveTable
    from zoo_opt.bench.suite import load_suite
    from zoo_opt.bench.suite_record import current
    from zoo_opt.bench.suite_runner import run_suite

    if arguments.trust:
        sys.path.insert(0, os.getcwd())  # for problems and methods named "module:function"
    suite = load_suite(arguments.suite, trust=arguments.trust)
    out = Path(arguments.out or Path("results") / suite.name)
    for label in arguments.only + arguments.again:
        if label not in suite.labels:
            raise UsageError(f"no method of {suite.name} is labelled {label!r}; it has {', '.join(suite.labels)}")
    record = out / "runs.jsonl"
    with LiveTable(suite.title) as progress:
        run_suite(
            suite,
            record,
            workers=_workers(arguments),
            executor=arguments.executor,
            only=arguments.only,
            again=arguments.again,
            started=progress.start,
            progress=progress,
            resume=not arguments.restart,
        )
    counted = current(read_record(record), [task.key for task in suite.tasks()])
    return _report(counted, record, out / "report.html")


def _workers(arguments: argparse.Namespace) -> int:
    """How many processes or dask workers; every core, but no more than 8, unless the user says."""
    from zoo_opt.bench.engine.executors import check_executor

    try:
        check_executor(arguments.executor)
    except ValueError as error:
        raise UsageError(f"--{error}") from None
    workers: int | None = arguments.workers
    if workers is None:
        return min(8, os.cpu_count() or 1)
    if arguments.executor not in ("processes", "dask"):
        raise UsageError(f"--workers goes with --executor processes or dask, not with {arguments.executor}")
    if workers < 1:
        raise UsageError(f"--workers must be 1 or more, got {workers}")
    return workers


def do_compare(arguments: argparse.Namespace) -> int:
    """Say what became better and worse from one result to another."""
    from zoo_opt.bench.report.comparison import compare, print_comparison
    from zoo_opt.bench.report.html import write_report

    earlier, later = (_read(name)[0] for name in (arguments.earlier, arguments.later))
    print_comparison(compare(earlier, later))
    if arguments.html:
        write_report(later, Path(arguments.html), earlier=earlier)
        print(f"\nreport: {arguments.html}")
    return 0


def do_report(arguments: argparse.Namespace) -> int:
    """Report from a record."""
    record, path = _read(arguments.record)
    if arguments.reference:
        from zoo_opt.bench.report.references import with_references

        record = with_references(record)
    stem = path.name.partition(".jsonl")[0]
    beside = path.with_name("report.html" if stem == "runs" else f"{stem}.html")
    html = Path(arguments.html) if arguments.html else beside
    earlier = _read(arguments.earlier)[0] if arguments.earlier else None
    if arguments.markdown:
        from zoo_opt.bench.report.markdown import write_markdown

        write_markdown(record, Path(arguments.markdown))
    return _report(record, path, html, earlier=earlier)


def do_export(arguments: argparse.Namespace) -> int:
    """Write a record in another form."""
    if not (arguments.record or arguments.coco):
        raise UsageError("nothing to do: give --record FILE, --coco DIR or both")
    record, path = _read(arguments.results)
    if arguments.record:
        from zoo_opt.bench.suite_record import write_record

        target = Path(arguments.record)
        write_record(record, target)
        print(f"{target}: {len(record.runs)} runs, {target.stat().st_size:,} bytes (from {path.stat().st_size:,})")
    if arguments.coco:
        from zoo_opt.bench.report.coco_log import export_coco

        for folder in export_coco(record, Path(arguments.coco)):
            print(folder)
    return 0


def do_plot(arguments: argparse.Namespace) -> int:
    """Draw a figure of a record."""
    from zoo_opt.bench.report.drawing import draw, save

    record, _ = _read(arguments.record)
    path = Path(arguments.output)
    save(draw(record, arguments.kind, group=arguments.group, methods=arguments.only), path)
    print(path)
    return 0


def _read(name: str) -> tuple[Record, Path]:
    """The current runs of a bench's folder or record, and the record's path."""
    from zoo_opt.bench.engine.record import read_record
    from zoo_opt.bench.suite_record import current

    path = Path(name)
    path = path / "runs.jsonl" if path.is_dir() else path
    if not path.is_file():
        raise UsageError(f"no record of a bench at {path}")
    return current(read_record(path)), path


def _report(record: Record, path: Path, html: Path, *, earlier: Record | None = None) -> int:
    """Tables and HTML; status 1 if a run failed."""
    from zoo_opt.bench.engine.record import last_line
    from zoo_opt.bench.report.html import write_report
    from zoo_opt.bench.report.terminal import print_summary

    print_summary(record)
    write_report(record, html, earlier=earlier)
    failed = [run for run in record.runs.values() if run["error"]]
    for entry in failed:
        print(
            f"failed: {entry['method']} on {entry['problem']}, seed {entry['seed']}: {last_line(entry['error'])}",
            file=sys.stderr,
        )
    print(f"\nrecord: {path}\nreport: {html}  (one file, opens offline in any browser)")
    return 1 if failed else 0

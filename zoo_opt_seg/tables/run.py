"""Tables of the paper and of ours: ``zoo-opt-seg table SUITE.toml``. Runs the cells, goes on after a kill, reports."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from zoo_opt.bench.engine.record import Record, last_line, read_record, write_lines
from zoo_opt.bench.engine.runner import OnProgress, run_jobs
from zoo_opt.bench.engine.session import Experiment
from zoo_opt.support.progress import Progress
from zoo_opt.support.secrets import hidden
from zoo_opt_seg.tables.cells import job_of, to_repeat
from zoo_opt_seg.tables.reader import SuiteError, load_table, read_table
from zoo_opt_seg.tables.report import markdown
from zoo_opt_seg.tables.sources import absent, place_from
from zoo_opt_seg.tables.suite import Cell, Place, TableSuite

__all__ = ["main", "read_results", "run_table"]

PACKAGES = (
    *("zoo-opt", "numpy", "scipy", "torch", "torchvision", "segment-anything", "timm", "open_clip_torch", "peft"),
    *("transformers", "monai", "scikit-image", "safetensors"),
)
TABLE = """\
Run a table suite: rows (prompts and methods, or comparators) by domains and seeds, and print it as Markdown.

Finished cells are kept in DIR/runs.jsonl as they finish: after an interruption the same command goes on where it
stopped, inside a cell too. Domains whose data, or groups whose weights, are not on this machine are left out, visibly.
RESULT.jsonl, RESULT.jsonl.xz or DIR in place of SUITE only reports.

A suite names what is registered (`zoo-opt-seg list`). One that names functions, "module:function", or the command of a
process, has code run: read it, then give --trust. The functions must declare themselves, by
@zoo_opt.bench.factory("black box") or "data".

examples:
  zoo-opt-seg table benchmarks/baps_table1.toml --workers 2 --data-root data
  zoo-opt-seg table benchmarks/baps_table3.toml --only SPSA BAR --domains disc skin --seeds 0
  zoo-opt-seg table benchmarks/results/baps_table1.jsonl.xz --markdown table.md
  zoo-opt-seg table benchmarks/baps_table1.toml --record benchmarks/results/baps_table1.jsonl.xz
"""


def parser() -> argparse.ArgumentParser:
    """The argument parser of ``zoo-opt-seg table``."""
    top = argparse.ArgumentParser(
        "zoo-opt-seg table", description=TABLE, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    top.add_argument("suite", metavar="SUITE", help="a table suite (TOML), or a result to report on")
    top.add_argument("--out", metavar="DIR", help="where results go (default: results/<suite>)")
    top.add_argument("--workers", type=int, default=1, metavar="N", help="processes, with one thread each (default: 1)")
    for option, what in (("--only", "run these rows only, now"), ("--again", "repeat the cells of these rows")):
        top.add_argument(option, nargs="+", action="extend", default=[], metavar="LABEL", help=what)
    top.add_argument("--domains", nargs="+", action="extend", default=[], help="run these domains only, now")
    top.add_argument("--groups", nargs="+", action="extend", default=[], help="run these groups only, now")
    top.add_argument("--seeds", nargs="+", action="extend", default=[], type=int, help="run these seeds only, now")
    top.add_argument("--data-root", metavar="DIR", help="folder of the data sets (default: $ZOO_OPT_DATA)")
    top.add_argument("--weights", metavar="DIR", help="folder of checkpoints (default: $ZOO_OPT_WEIGHTS)")
    top.add_argument("--trust", action="store_true", help='run what the file names as "module:function", from here too')
    top.add_argument("--markdown", metavar="FILE", help="write the tables here (default: DIR/table.md)")
    top.add_argument("--record", metavar="FILE", help="write a small record to keep (.jsonl, .jsonl.xz or .jsonl.gz)")
    return top


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit status (0 done, 1 some cell failed, 2 wrong usage)."""
    arguments = parser().parse_args(argv)
    if arguments.trust:
        sys.path.insert(0, os.getcwd())  # for what is named "module:function"
    path = Path(arguments.suite)
    try:
        if path.is_dir() or path.suffix in (".jsonl", ".xz", ".gz"):
            suite, record = read_results(path)
            out = path if path.is_dir() else path.parent
            missing: dict[str, str] = {}
        else:
            suite = load_table(path, trust=arguments.trust)
            out = Path(arguments.out or Path("results") / suite.name)
            record, missing = _run(suite, out, arguments)
    except (SuiteError, ValueError) as error:
        print(f"zoo-opt-seg table: {hidden(str(error))}", file=sys.stderr)
        return 2
    except (ImportError, OSError) as error:  # in use by another, no scheduler, a disk that is full
        print(f"zoo-opt-seg table: {hidden(str(error))}; the same command goes on from here", file=sys.stderr)
        return 1
    text = markdown(suite, record, missing)
    target = Path(arguments.markdown) if arguments.markdown else out / "table.md" if path.suffix == ".toml" else None
    if target is not None:
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text, encoding="utf-8")
    if arguments.record:
        write_small_record(record, Path(arguments.record))
    print(text)
    failed = [run for run in record.runs.values() if run["error"]]
    written = f"; table: {target}" if target else ""
    print(f"{len(record.runs) - len(failed)} of {len(suite.cells())} cells done{written}", file=sys.stderr)
    for run in failed:
        print(f"{run['method']} on {run['problem']}, seed {run['seed']}: {last_line(run['error'])}", file=sys.stderr)
    return 1 if failed else 0


def _run(suite: TableSuite, out: Path, arguments: argparse.Namespace) -> tuple[Record, dict[str, str]]:
    for option, wanted, known in (
        ("--only", arguments.only + arguments.again, suite.labels),
        ("--domains", arguments.domains, [*dict.fromkeys(domain for g in suite.groups for domain in g.domains)]),
        ("--groups", arguments.groups, [group.name for group in suite.groups]),
    ):
        if unknown := [name for name in wanted if name not in known]:
            raise SuiteError(f"{suite.name} has no {unknown[0]!r} for {option}; it has {', '.join(known)}")

    def chosen(group: str, cell: Cell) -> bool:
        wanted = (arguments.groups, arguments.only, arguments.domains, arguments.seeds)
        values = (group, cell.row.label, cell.domain, cell.seed)
        return all(value in some for value, some in zip(values, wanted, strict=True) if some)

    given: dict[str, Any] = {"workers": arguments.workers, "chosen": chosen, "again": arguments.again}
    given |= place_from(data_root=arguments.data_root, weights=arguments.weights)
    missing: dict[str, str] = {}
    with Progress(suite.title) as progress:
        run_table(suite, out, progress=progress, missing=missing, **given)
    return _current(suite, read_record(out / "runs.jsonl")), missing


def run_table(
    suite: TableSuite,
    out: Path,
    *,
    workers: int = 1,
    chosen: Callable[[str, Cell], bool] = lambda group, cell: True,
    again: Iterable[str] = (),
    data_root: str | None = None,
    weights: str | None = None,
    progress: OnProgress | None = None,
    missing: dict[str, str] | None = None,
) -> int:
    """Run what the record does not hold yet.

    Parameters
    ----------
    suite : TableSuite
    out : Path
        Folder of ``runs.jsonl``, and of a folder for each cell from which it resumes.
    workers : int
        Processes with one thread each; 0 runs in this process.
    chosen : callable
        ``chosen(group name, cell)``: whether to run it now.
    again : iterable of str
        Labels of rows whose finished cells are repeated, as are cells of other embedded weights.
    data_root, weights : str or None
        Folders of the data sets, each in one of its own name, and of checkpoints.
    progress : callable or None
        Called as ``progress(done, total, seconds left or None, entry or None)``.
    missing : dict or None
        Filled with why the cells of a domain, or of a row on it, cannot be done here: no data, no weights.

    Returns
    -------
    int
        Number of cells done now.
    """
    place = Place(str(out), data_root, weights)
    wanted = {c.key: c for g in suite.groups for c in g.cells(place) if chosen(g.name, c)}
    here = _present(wanted.values(), {} if missing is None else missing)
    about = Experiment(suite.about, "zoo-opt-seg", PACKAGES, Path(__file__).resolve().parents[1])
    jobs, repeated = [job_of(cell) for cell in here], partial(to_repeat, here, labels=again)
    return run_jobs(jobs, out / "runs.jsonl", about, workers=workers, again=repeated, progress=progress)


def _present(cells: Iterable[Cell], missing: dict[str, str]) -> list[Cell]:
    """The cells that can be done on this machine; why not, of the others, goes into `missing`, by domain or row."""
    known: dict[str, dict[tuple[str, str], str]] = {}  # domain: row and black box: reason
    present = []
    for cell in cells:
        reasons, what = known.setdefault(cell.domain, {}), (cell.row.label, str(cell.black_box))
        if what not in reasons:
            reasons[what] = absent(cell)
        if not reasons[what]:
            present.append(cell)
    for domain, reasons in known.items():
        alike = len(set(reasons.values())) == 1  # of all rows
        missing |= {domain if alike else f"{label}, {domain}": why for (label, _), why in reasons.items() if why}
    return present


def _current(suite: TableSuite, record: Record) -> Record:
    """The part of a record that belongs to the suite, in its order."""
    keys = [cell.key for cell in suite.cells()]
    sessions = sorted(record.sessions, key=lambda session: session.get("suite") == suite.name)  # its own are the last
    return Record(sessions, {key: record.runs[key] for key in keys if key in record.runs}, record.torn)


def read_results(path: Path) -> tuple[TableSuite, Record]:
    """The suite and the cells that a result holds: a folder, or a record in it or written by ``--record``.

    Raises
    ------
    ValueError
        If it holds none.
    """
    record = read_record(path / "runs.jsonl" if path.is_dir() else path)
    tables = [session for session in record.sessions if session.get("table")]
    if not tables:
        raise ValueError(f"{path} is no result of a table")
    suite = read_table(tables[-1]["toml"], tables[-1]["suite"])
    return suite, _current(suite, record)


def write_small_record(record: Record, path: Path) -> None:
    """Write what a table is made of, compressed if the name says so.

    Sessions, settings and, for each test image, Dice and HD95; of errors the last line.
    """
    sessions = [entry | {"toml": ""} for entry in record.sessions[:-1]] + record.sessions[-1:]
    runs = [run | {"error": last_line(run["error"])} for run in record.runs.values()]
    write_lines([*sessions, *runs], path)


if __name__ == "__main__":
    raise SystemExit(main())

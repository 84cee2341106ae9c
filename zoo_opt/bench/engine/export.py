"""A small record to keep beside the code or to send: what tables, statistics, reports and comparisons need."""

from __future__ import annotations

import gzip
import json
import lzma
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from zoo_opt.bench.engine.record import Record, current
from zoo_opt.bench.problems.counting import curve_marks
from zoo_opt.storage.checkpoint import write_atomically

DIGITS = 6  # of the figures, seconds and the best loss
CURVE_DIGITS = 4
CURVE_EVERY = 3  # of the marks at which a curve was recorded, one in so many is kept


def write_record(record: Record, path: Path) -> None:
    """Write a record without what no reader needs; `read_record` reads it like the whole one.

    Kept exactly: settings, seeds, budgets, versions, machine, suite, evaluations, targets and the evaluations that
    first reached them, so that ECDF, areas, expected running times and tests come out the same. Rounded: figures and
    seconds to 6 digits. Dropped: runs that a later one replaced; of each convergence curve two points in three, of the
    rest all but 4 digits; of an error all but its last line.

    Parameters
    ----------
    record : Record
    path : path
        To write; compressed if its name ends in ``.xz`` or ``.gz``. The same record gives the same bytes.
    """
    record = current(record)
    write_lines([*record.sessions, *(_small(run) for run in record.runs.values())], path)


def write_lines(lines: Iterable[Mapping[str, Any]], path: Path) -> None:
    """Write JSON lines atomically, compressed by the name's ending ``.xz`` or ``.gz``: same lines, same bytes."""
    text = "".join(json.dumps(line, separators=(",", ":"), allow_nan=False) + "\n" for line in lines).encode()
    if path.suffix == ".xz":
        text = lzma.compress(text, preset=9 | lzma.PRESET_EXTREME)
    elif path.suffix == ".gz":
        text = gzip.compress(text, mtime=0)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, text)


def _small(run: dict[str, Any]) -> dict[str, Any]:
    return run | {
        "best": rounded(run["best"]),
        "figures": {name: rounded(value) for name, value in run["figures"].items()},
        "curve": [(n, rounded(value, CURVE_DIGITS)) for n, value in thinned(run["curve"], run["budget"])],
        "error": run["error"] and run["error"].rstrip().rpartition("\n")[2],
    }


def rounded(value: float | None, digits: int = DIGITS) -> float | None:
    """`value` with so many significant digits; None stays None."""
    return None if value is None else float(f"{value:.{digits}g}")


def thinned(curve: Sequence[Sequence[Any]], budget: int) -> list[Sequence[Any]]:
    """The points that decide the curve's value at every third of its marks, and the last one."""
    at = [point[0] for point in curve]
    kept = set(np.searchsorted(at, curve_marks(budget)[::CURVE_EVERY], side="right") - 1) | {len(at) - 1}
    return [curve[i] for i in sorted(kept) if i >= 0]

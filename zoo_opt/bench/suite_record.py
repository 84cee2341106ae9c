"""The record of a suite: what of it counts now, in what order, and a small copy to keep beside the code or to send."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from zoo_opt.bench.engine.record import Record, last_line, write_lines
from zoo_opt.bench.problems.counting import curve_marks
from zoo_opt.bench.task import evaluations
from zoo_opt.support.json_files import plain

DIGITS = 6  # of the figures, seconds and the best loss
CURVE_DIGITS = 4
CURVE_EVERY = 3  # of the marks at which a curve was recorded, one in so many is kept


def current(record: Record, keys: Iterable[str] | None = None) -> Record:
    """The part of a record to report on, in the suite's order, however the runs came in.

    Parameters
    ----------
    record : Record
    keys : iterable of str or None
        Of the runs wanted, such as those of a suite's tasks. None takes what belongs to the suite of the last session,
        with its settings, seeds and budgets; where a library's version has changed, the later run.
    """
    if keys is None:
        groups = _groups(record)
        runs = [run for run in record.runs.values() if not groups or _is_of(groups, run)]
        keys = {(r["group"], r["problem"], r["method"], r["seed"], r["budget"]): r["key"] for r in runs}.values()
    wanted = set(keys)
    return Record(record.sessions, {r["key"]: r for r in in_order(record) if r["key"] in wanted}, record.torn)


def _groups(record: Record) -> dict[str, tuple[dict[str, Any], list[dict[str, Any]]]]:
    """The groups of the last session's suite by name, each with its methods, as they stand in the file."""
    suite = tomllib.loads(record.sessions[-1].get("toml", "") if record.sessions else "")
    shared = suite.get("method", [])
    return {group["name"]: (group, [*shared, *group.get("method", [])]) for group in suite.get("group", [])}


def _is_of(groups: Mapping[str, tuple[dict[str, Any], list[dict[str, Any]]]], run: Mapping[str, Any]) -> bool:
    """Whether the suite has this run, with these settings."""
    group, methods = groups.get(run["group"], ({}, []))
    return any(
        method.get("label", method["use"]) == run["method"]
        and (method["use"], plain(method.get("options", {}))) == (run["use"], run["options"])
        and run["seed"] in group["seeds"]
        and run["budget"] == evaluations(group, run["dim"])
        for method in methods
    )


def in_order(record: Record) -> list[dict[str, Any]]:
    """The runs by group, dimension, problem (f2 before f10) and method as they stand in the suite, and seed."""
    groups = _groups(record)
    of_group = {name: i for i, name in enumerate(groups)}
    of_method = {
        (name, method.get("label", method["use"])): i
        for name, (_, methods) in groups.items()
        for i, method in enumerate(methods)
    }
    last = len(groups) + len(of_method)  # what the suite no longer has

    def rank(run: Mapping[str, Any]) -> tuple[Any, ...]:
        group, method, problem = run["group"], run["method"], run["problem"]
        digits = [(name, int(part or 0)) for name, part in re.findall(r"(\D*)(\d*)", problem)]
        place = (of_group.get(group, last), group, run["dim"], digits)
        return (*place, of_method.get((group, method), last), method, run["seed"], run["budget"], run["key"])

    return sorted(record.runs.values(), key=rank)


def canonical(record: Record) -> list[dict[str, Any]]:
    """The runs of a record as they are however they were done: in the suite's order, without the time they took.

    Two benches of one suite, versions being equal, have equal canonical records, whatever the executor, the number of
    workers and the interruptions.
    """
    return [{name: value for name, value in run.items() if name != "seconds"} for run in in_order(record)]


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


def _small(run: dict[str, Any]) -> dict[str, Any]:
    return run | {
        "best": rounded(run["best"]),
        "figures": {name: rounded(value) for name, value in run["figures"].items()},
        "curve": [(n, rounded(value, CURVE_DIGITS)) for n, value in thinned(run["curve"], run["budget"])],
        "error": last_line(run["error"]),
    }


def rounded(value: float | None, digits: int = DIGITS) -> float | None:
    """`value` with so many significant digits; None stays None."""
    return None if value is None else float(f"{value:.{digits}g}")


def thinned(curve: Sequence[Sequence[Any]], budget: int) -> list[Sequence[Any]]:
    """The points that decide the curve's value at every third of its marks, and the last one."""
    at = [point[0] for point in curve]
    kept = set(np.searchsorted(at, curve_marks(budget)[::CURVE_EVERY], side="right") - 1) | {len(at) - 1}
    return [curve[i] for i in sorted(kept) if i >= 0]

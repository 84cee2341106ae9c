"""The record of a bench: JSON lines, appended and fsynced run by run, so that an interruption loses nothing finished.

Lines are ``{"kind": "session", ...}`` (one per start: suite, versions, machine, command), ``{"kind": "run", ...}``,
and ``{"kind": "again", "keys": [...]}``: the lines above with these keys count no longer, their runs are repeated.
"""

from __future__ import annotations

import gzip
import itertools
import json
import lzma
import math
import os
import platform
import re
import sys
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

from zoo_opt.bench.suite import FORMAT, Suite
from zoo_opt.storage.append import locked
from zoo_opt.storage.checkpoint import sync_folder

PACKAGES = (
    "zoo-opt",
    "numpy",
    "cma",
    "cmaes",
    "nevergrad",
    "coco-experiment",
    "noisyopt",
    "scikit-learn",
    "gymnasium",
    "scipy",
    "statsmodels",
    "distributed",
)


@dataclass
class Record:
    """What a record file holds.

    Attributes
    ----------
    sessions : list of dict
        One per start of the bench.
    runs : dict
        Finished runs by key, and those that ended in an error if no later try succeeded.
    torn : bool
        Whether the last line was cut short, and left out.
    """

    sessions: list[dict[str, Any]] = field(default_factory=list)
    runs: dict[str, dict[str, Any]] = field(default_factory=dict)
    torn: bool = False

    def finished(self) -> set[str]:
        """Keys of the runs that need not be repeated."""
        return {key for key, run in self.runs.items() if not run.get("error")}


def read_record(path: Path) -> Record:
    """Read a record; a torn last line is left out, a broken line elsewhere or another format refused.

    Parameters
    ----------
    path : path
        JSON lines; compressed if its name ends in ``.gz`` or ``.xz``.

    Raises
    ------
    ValueError
        If the file is not a record of this format.
    """
    record = Record()
    try:
        content = _OPEN.get(path.suffix, Path.read_bytes)(path)
    except (EOFError, gzip.BadGzipFile, lzma.LZMAError) as error:
        raise ValueError(f"{path} is not a whole {path.suffix} file: {error}") from error
    *lines, rest = content.split(b"\n")
    record.torn = len(rest) > 0  # no newline follows: the write was interrupted
    for number, line in enumerate(lines, 1):
        try:
            entry = json.loads(line)
            kind = entry["kind"]
        except (ValueError, TypeError, KeyError) as error:
            raise ValueError(f"{path}: line {number} is not an entry of a benchmark's record: {error}") from error
        if kind == "session":
            if entry.get("format") != FORMAT:
                raise ValueError(
                    f"{path}: record format {entry.get('format')!r}, expected {FORMAT}; choose another --out"
                )
            record.sessions.append(entry)
        elif kind == "run":
            record.runs[entry["key"]] = entry
        elif kind == "again":
            for key in entry["keys"]:
                record.runs.pop(key, None)
    return record


_OPEN = {
    ".gz": lambda path: gzip.decompress(path.read_bytes()),
    ".xz": lambda path: lzma.decompress(path.read_bytes()),
}


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
    text = record.sessions[-1].get("toml", "") if record.sessions else ""
    return {group["name"]: (group, group["method"]) for group in tomllib.loads(text).get("group", [])}


def _is_of(groups: Mapping[str, tuple[dict[str, Any], list[dict[str, Any]]]], run: Mapping[str, Any]) -> bool:
    """Whether the suite has this run, with these settings."""
    group, methods = groups.get(run["group"], ({}, []))
    return any(
        method.get("label", method["use"]) == run["method"]
        and (method["use"], plain(method.get("options", {}))) == (run["use"], run["options"])
        and run["seed"] in group["seeds"]
        and run["budget"] == group.get("budget", group.get("budget_per_dim", 0) * run["dim"])
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


def _aside(path: Path) -> Path:
    """Return a free name beside ``path``: ``*.old``, ``*.old2``, ``*.old3``, ..."""
    numbers = itertools.chain([""], itertools.count(2))
    names = (path.with_name(f"{path.name}.old{number}") for number in numbers)
    return next(name for name in names if not name.exists())


class Recorder:
    """Appends entries to a record file, each on the disk before `write` returns.

    Parameters
    ----------
    path : path
        Made if absent, locked until `close`; what an interrupted write left after the last newline is cut off.
    fresh : bool
        Put a file that is there aside, as ``*.old``, ``*.old2`` and so on.

    Raises
    ------
    OSError
        If another process writes to the file.
    """

    def __init__(self, path: Path, *, fresh: bool = False) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._open(path)
        if fresh and path.stat().st_size:
            path.replace(_aside(path))
            self.close()
            self._open(path)
        self._cut_torn_line()
        sync_folder(path.parent)

    def _open(self, path: Path) -> None:
        self._file = path.open("ab+")
        if not locked(self._file):
            self._file.close()
            raise OSError(f"{path} is in use by another bench")

    def _cut_torn_line(self) -> None:
        self._file.seek(0)
        whole = self._file.read().rfind(b"\n") + 1
        self._file.truncate(whole)
        self._file.seek(whole)

    def write(self, entry: Mapping[str, Any]) -> None:
        """Append one entry."""
        self._file.write(json.dumps(plain(entry), allow_nan=False).encode() + b"\n")
        self._file.flush()
        os.fsync(self._file.fileno())

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def __enter__(self) -> Recorder:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def plain(value: Any) -> Any:
    """`value` with what JSON cannot say made sayable: infinities and NaN become null, numpy's numbers Python's."""
    if isinstance(value, Mapping):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [plain(v) for v in value]
    if hasattr(value, "item"):
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value if isinstance(value, str | int | float | bool | None) else repr(value)


def session_entry(suite: Suite, command: list[str] | None = None) -> dict[str, Any]:
    """What a reader needs to repeat the bench: suite, versions, machine and command."""
    return {
        "kind": "session",
        "format": FORMAT,
        "suite": suite.name,
        "title": suite.title,
        "description": suite.description,
        "notes": {group.name: group.note for group in suite.groups},
        "toml": suite.text,
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": " ".join(["zoo-opt", *(sys.argv[1:] if command is None else command)]),
        "versions": {"python": platform.python_version(), **versions()},
        "machine": {"system": platform.platform(), "processor": processor(), "cores": os.cpu_count()},
    }


def versions() -> dict[str, str]:
    """Installed versions of ours and of the packages that a bench leans on."""
    found = {}
    for name in PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def processor() -> str:
    """The processor's name as Linux has it, else what Python knows."""
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()

"""The record of a bench: JSON lines, appended and fsynced run by run, so that an interruption loses nothing finished.

Lines are ``{"kind": "session", ...}`` (one per start: suite, versions, machine, command) and ``{"kind": "run", ...}``.
"""

from __future__ import annotations

import json
import math
import os
import platform
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

from .suite import FORMAT, Suite

PACKAGES = (
    "zoo-opt",
    "numpy",
    "cma",
    "cmaes",
    "nevergrad",
    "coco-experiment",
    "scikit-learn",
    "scipy",
    "plotly",
    "rich",
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

    Raises
    ------
    ValueError
        If the file is not a record of this format.
    """
    record = Record()
    *lines, rest = path.read_bytes().split(b"\n")
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
    return record


class Recorder:
    """Appends entries to a record file, each on the disk before `write` returns."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = path.open("ab+")
        self._cut_torn_line()

    def _cut_torn_line(self) -> None:
        """Remove what an interrupted write left after the last newline."""
        self._file.seek(0)
        whole = self._file.read().rfind(b"\n") + 1
        self._file.truncate(whole)
        self._file.seek(whole)

    def write(self, entry: Mapping[str, Any]) -> None:
        """Append one entry."""
        self._file.write(json.dumps(_plain(entry), allow_nan=False).encode() + b"\n")
        self._file.flush()
        os.fsync(self._file.fileno())

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def __enter__(self) -> Recorder:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _plain(value: Any) -> Any:
    """`value` with what JSON cannot say made sayable: infinities and NaN become null, numpy's numbers Python's."""
    if isinstance(value, Mapping):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(v) for v in value]
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

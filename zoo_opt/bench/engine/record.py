"""The record of jobs: JSON lines, appended and fsynced job by job, so that an interruption loses nothing finished.

Lines are ``{"kind": "session", ...}`` (one per start: experiment, versions, machine, command), ``{"kind": "run",
...}``, and ``{"kind": "again", "keys": [...]}``: the lines above with these keys count no longer, their jobs are
repeated.
"""

from __future__ import annotations

import gzip
import itertools
import json
import lzma
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from zoo_opt.storage.append import AppendFile
from zoo_opt.storage.atomic import write_atomically
from zoo_opt.storage.lock import Lock
from zoo_opt.support.json_files import is_json_object, json_line, plain, read_json_lines
from zoo_opt.support.memory import JSON_EXPANDS, MAX_BYTES, max_bytes
from zoo_opt.support.packed import read_packed
from zoo_opt.support.secrets import hidden

Entry = dict[str, Any]  # a line of the record
FORMAT = 1  # a record of another format is refused
_MOST = 2**33  # bytes of memory; chosen: the largest record of this repository takes a sixteenth of it


@dataclass
class Record:
    """What a record file holds.

    Attributes
    ----------
    sessions : list of dict
        One per start.
    runs : dict
        Finished runs by key, and those that ended in an error if no later try succeeded.
    torn : bool
        Whether the last line was cut short, and left out.
    """

    sessions: list[Entry] = field(default_factory=list)
    runs: dict[str, Entry] = field(default_factory=dict)
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
        If the file is not a record of this format, or is larger than the environment variable ``ZOO_OPT_MAX_BYTES``
        allows (8 GiB of memory).
    """
    record, most = Record(), max_bytes(_MOST)
    content = read_packed(path, most // JSON_EXPANDS)
    if content is None:
        raise ValueError(
            f"{path} is too large: its lines would take more than {most} bytes of memory, the limit, which the "
            f"environment variable {MAX_BYTES} raises"
        )
    complaint = ": line {} is not an entry of a benchmark's record"
    entries, record.torn = read_json_lines(path, content, complaint=complaint)  # torn: the last write was interrupted
    for number, entry in enumerate(entries, 1):
        match entry:
            case {"kind": "session"}:
                if entry.get("format") != FORMAT:
                    got = entry.get("format")
                    raise ValueError(f"{path}: record format {got!r}, expected {FORMAT}; choose another --out")
                record.sessions.append(entry)
            case {"kind": "run", "key": str(key)}:
                record.runs[key] = entry
            case {"kind": "again", "keys": list(keys)}:
                for key in keys:
                    record.runs.pop(key, None)
            case {"kind": kind} if kind not in ("run", "again"):  # of a later version
                continue
            case _:
                raise ValueError(f"{path}{complaint.format(number)}: it must have a kind, and the key of a run")
    return record


def _aside(path: Path) -> Path:
    """Return a free name beside ``path``: ``*.old``, ``*.old2``, ``*.old3``, ..."""
    numbers = itertools.chain([""], itertools.count(2))
    names = (path.with_name(f"{path.name}.old{number}") for number in numbers)
    return next(name for name in names if not name.exists())


class RecordFile(AppendFile):
    """A record to append to; each entry is on the disk before `write` returns.

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
        lock = Lock(
            path.with_name(path.name + ".lock"), lambda holder: OSError(f"{path} is in use by another bench{holder}")
        )
        try:
            if fresh and path.exists() and path.stat().st_size:
                path.replace(_aside(path))
            super().__init__(path, whole=is_json_object, lock=lock)
        except BaseException:
            lock.release()
            raise

    def write(self, entry: Mapping[str, Any]) -> None:
        """Append one entry."""
        self.append(json.dumps(plain(entry), allow_nan=False).encode() + b"\n")


def write_lines(lines: Iterable[Mapping[str, Any]], path: Path) -> None:
    """Write JSON lines atomically, compressed by the name's ending ``.xz`` or ``.gz``: same lines, same bytes."""
    text = b"".join(map(json_line, lines))
    if path.suffix == ".xz":
        text = lzma.compress(text, preset=9 | lzma.PRESET_EXTREME)
    elif path.suffix == ".gz":
        text = gzip.compress(text, mtime=0)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, text)


def last_line(error: str | None) -> str | None:
    """What a traceback ends with; None of none."""
    return error and hidden(error.rstrip().rpartition("\n")[2])

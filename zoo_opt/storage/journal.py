"""A journal of losses beside a checkpoint: what was paid for survives a kill.

``<path>`` is an optimizer's checkpoint; ``<path>.journal`` has a line for each loss told since: id, loss in
hexadecimal, why it failed, its standard error where that was told, and a checksum. A line is on the disk before the
loss is told. To resume, the lines are told to the loaded optimizer, which is deterministic; candidates that it has
been told already are passed over.
"""

from __future__ import annotations

import json
import math
import os
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, NamedTuple

from zoo_opt.core.errors import CheckpointError
from zoo_opt.storage.checkpoint import sync_folder


class Entry(NamedTuple):
    """One evaluation: the candidate, its loss or why it failed, and the standard error, NaN where not told."""

    id: int
    loss: float
    reason: str
    sem: float = math.nan


class Journal:
    """Append-only file of evaluations."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        new = not self.path.exists()
        self._file = self.path.open("ab")
        if not locked(self._file):
            self._file.close()
            raise CheckpointError(f"{self.path} is in use by another run")
        if new:
            sync_folder(self.path.parent)

    def add(self, entries: list[Entry]) -> None:
        """Append ``entries``; when this returns they are on the disk."""
        self._file.write(b"".join(_line(entry) for entry in entries))
        self._file.flush()
        os.fsync(self._file.fileno())

    def clear(self) -> None:
        """Forget all entries, once a checkpoint holds them."""
        self._file.truncate(0)
        self._file.flush()
        os.fsync(self._file.fileno())

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def entries(path: str | os.PathLike[str]) -> Iterator[Entry]:
    """Yield the entries at ``path``, none if there is no file.

    A last line that was cut by a kill is passed over, since its loss was never told.

    Raises
    ------
    CheckpointError
        If any other line is corrupt.
    """
    try:
        data = Path(path).read_bytes()
    except FileNotFoundError:
        return
    *lines, _cut = data.split(b"\n")
    for number, line in enumerate(lines, start=1):
        body, _, check = line.rpartition(b" ")
        if not body or check != _checksum(body):
            raise CheckpointError(f"{os.fspath(path)} is corrupt at line {number}")
        id_, loss, reason, *sem = json.loads(body)
        yield Entry(id_, math.nan if loss is None else float.fromhex(loss), reason, *map(float.fromhex, sem))


def repair(path: str | os.PathLike[str]) -> None:
    """Cut off an unfinished last line, so that new lines can follow."""
    with open(path, "r+b") as file:
        data = file.read()
        file.truncate(data.rfind(b"\n") + 1)


def locked(file: BinaryIO) -> bool:
    """Lock ``file`` until it is closed, where the system can; return whether nobody else had."""
    try:
        import fcntl
    except ImportError:  # not a POSIX system
        return True
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def _line(entry: Entry) -> bytes:
    loss = None if math.isnan(entry.loss) else float(entry.loss).hex()
    sem = [] if math.isnan(entry.sem) else [float(entry.sem).hex()]
    body = json.dumps([entry.id, loss, entry.reason, *sem]).encode()
    return body + b" " + _checksum(body) + b"\n"


def _checksum(body: bytes) -> bytes:
    return b"%08x" % zlib.crc32(body)

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
from typing import NamedTuple

from zoo_opt.core.errors import CheckpointError
from zoo_opt.storage.append import AppendFile


class Entry(NamedTuple):
    """One evaluation: the candidate, its loss or why it failed, and the standard error, NaN where not told."""

    id: int
    loss: float
    reason: str
    sem: float = math.nan


class Journal(AppendFile):
    """Append-only file of evaluations."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        super().__init__(path, in_use=CheckpointError(f"{os.fspath(path)} is in use by another run"))

    def add(self, entries: list[Entry]) -> None:
        """Append ``entries``; when this returns they are on the disk."""
        self.append(b"".join(_line(entry) for entry in entries))


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


def _line(entry: Entry) -> bytes:
    loss = None if math.isnan(entry.loss) else float(entry.loss).hex()
    sem = [] if math.isnan(entry.sem) else [float(entry.sem).hex()]
    body = json.dumps([entry.id, loss, entry.reason, *sem]).encode()
    return body + b" " + _checksum(body) + b"\n"


def _checksum(body: bytes) -> bytes:
    return b"%08x" % zlib.crc32(body)

"""The log of a training, from which its start and the log alone make the trained model again, bit for bit.

A line of JSON says what the records are of; then each step is a record of bytes, 12 a probe for two probes a step::

    u16 losses, whose highest bit says that they are double     u16 weights     f32 c     f32 weights ...
    f32 or f64 losses ...     f64 lr, f64 momentum, where there is momentum
    where the highest bit of weights says so: u16 late directions, u16 the same with all bits turned, so that damage
    is seen, and for each u16 steps back, u16 direction, f32 weight     u32 checksum

The checksum is that of the record and of all before it. Numbers are little-endian.
"""

from __future__ import annotations

import json
import math
import os
import struct
import zlib
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from zoo_opt.core.errors import CheckpointError
from zoo_opt.storage.append import AppendFile
from zoo_opt.storage.lock import Lock
from zoo_opt.torch.replica import Decided, Late

_MAGIC = "zoo-opt torch log"
_VERSION = 2
_DOUBLE = _LATE = 0x8000
_TURNED = 0xFFFF
_HEAD, _GAINS, _SUM = struct.Struct("<HHf"), struct.Struct("<dd"), struct.Struct("<I")
_LATE_HEAD, _LATE_EACH = struct.Struct("<HH"), struct.Struct("<HHf")
MOST_LATE = 0xFFFF  # steps
_SYNC_EVERY = 32  # steps, after which what was written is on the disk, whatever happens to the machine; chosen


class StepRecord(NamedTuple):
    """One step: what it decided, and the losses of its probes, NaN where failed."""

    decided: Decided
    losses: list[float]


@dataclass(frozen=True)
class LogHead:
    """What the records of a log are of.

    Attributes
    ----------
    key : list of int
        The key of all draws.
    kind : str
        Of the directions.
    rule : str
        What moves the parameters.
    method : int
        A checksum of the method and its settings.
    n, q : int
        Probes and directions of a step.
    start : int
        A checksum of the parameters at the start.
    shapes : list of list
        Name, shape and type of each.
    """

    key: list[int]
    kind: str
    rule: str
    method: int
    n: int
    q: int
    start: int
    shapes: list[list[Any]]

    @property
    def has_momentum(self) -> bool:
        """Whether records have the gains of a rule with momentum."""
        return self.rule != "Plain"

    def line(self) -> bytes:
        """Return it as the first line of a log."""
        return json.dumps({"format": _MAGIC, "version": _VERSION, **asdict(self)}).encode() + b"\n"

    @classmethod
    def read(cls, content: bytes, name: str) -> LogHead:
        """Return the head of a log; CheckpointError if there is none."""
        try:
            fields = json.loads(content[: content.index(b"\n")])
            format_, version = fields.pop("format"), fields.pop("version")
            head = cls(**fields)
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
            raise CheckpointError(f"{name} is not a log of zoo_opt.torch, or its first line is corrupt") from error
        if format_ != _MAGIC or version != _VERSION:
            raise CheckpointError(f"{name} has format {format_} {version}, this zoo_opt reads {_MAGIC} {_VERSION}")
        return head


def packed_record(record: StepRecord, head: LogHead, before: int) -> tuple[bytes, int]:
    """Return the bytes of a record after one of checksum ``before``, and its own checksum."""
    decided, losses = record
    with np.errstate(over="ignore"):
        exact = all(math.isnan(loss) or float(np.float32(loss)) == loss for loss in losses)
    count = len(losses) | (0 if exact else _DOUBLE)
    weights = len(decided.weights) | (_LATE if decided.late else 0)
    body = _HEAD.pack(count, weights, decided.c) + np.array(decided.weights, "<f4").tobytes()
    body += np.array(losses, "<f4" if exact else "<f8").tobytes()
    body += _GAINS.pack(decided.lr, decided.momentum) if head.has_momentum else b""
    if decided.late:
        body += _LATE_HEAD.pack(len(decided.late), _TURNED - len(decided.late))
        body += b"".join(_LATE_EACH.pack(*late) for late in decided.late)
    checksum = zlib.crc32(body, before)
    return body + _SUM.pack(checksum), checksum


class _Shape(NamedTuple):
    """How long the parts of a record are: numbers of weights, bytes of a loss, and where its parts begin."""

    weights: int
    width: int
    places: tuple[int, int, int, int]  # losses, gains, late directions, checksum

    @classmethod
    def of(cls, content: bytes, head: LogHead, start: int) -> _Shape | None:
        """Return that of the record at ``start``, as far as it is there; None where there is none."""
        if len(content) < start + _HEAD.size:
            return None
        count, weights, _ = _HEAD.unpack_from(content, start)
        has_late, weights, width = weights & _LATE, weights & ~_LATE, 8 if count & _DOUBLE else 4
        if (count & ~_DOUBLE) != head.n or weights not in (0, head.q):
            return None
        at_losses = start + _HEAD.size + 4 * weights
        at_gains = at_losses + width * head.n
        at_late = at_sum = at_gains + (_GAINS.size if head.has_momentum else 0)
        if has_late:
            at_late += _LATE_HEAD.size
            late, turned = 0, _TURNED
            if len(content) >= at_late:
                late, turned = _LATE_HEAD.unpack_from(content, at_late - _LATE_HEAD.size)
            if turned != _TURNED - late:
                return None
            at_sum = at_late + late * _LATE_EACH.size
        return cls(weights, width, (at_losses, at_gains, at_late, at_sum))


def records_in(content: bytes, head: LogHead, start: int = 0, before: int = 0) -> Iterator[tuple[StepRecord, int, int]]:
    """Return the records from ``start`` on with where each ends and its checksum, until one is not whole."""
    while (shape := _Shape.of(content, head, start)) is not None:
        at_losses, at_gains, at_late, at_sum = shape.places
        if len(content) < at_sum + _SUM.size:
            return
        before = zlib.crc32(content[start:at_sum], before)
        if _SUM.unpack_from(content, at_sum)[0] != before:
            return
        c = _HEAD.unpack_from(content, start)[2]
        lr, momentum = _GAINS.unpack_from(content, at_gains) if head.has_momentum else (0.0, 0.0)
        w = np.frombuffer(content, "<f4", shape.weights, start + _HEAD.size).tolist()
        losses = np.frombuffer(content, f"<f{shape.width}", head.n, at_losses).tolist()
        late = [Late(*each) for each in _LATE_EACH.iter_unpack(content[at_late:at_sum])]
        start = at_sum + _SUM.size
        yield StepRecord(Decided(c, w, lr, momentum, late), losses), start, before


def read_log(path: str | os.PathLike[str]) -> tuple[LogHead, list[StepRecord]]:
    """Return the head and the records of a log; a last record that was cut off is passed over.

    Raises
    ------
    CheckpointError
        If it is no log, or damaged before its last record.
    OSError
        If it cannot be read.
    """
    head, records, _, _ = _read(Path(path).read_bytes(), os.fspath(path))
    return head, records


def _read(content: bytes, name: str) -> tuple[LogHead, list[StepRecord], int, int]:
    """Return head, records, the length of what is whole, and the last checksum."""
    head = LogHead.read(content, name)
    end = content.index(b"\n") + 1
    checksum = zlib.crc32(content[:end])
    records: list[StepRecord] = []
    for record, end, checksum in records_in(content, head, end, checksum):  # noqa: B020, B007
        records.append(record)
    if len(content) - end > _longest(content[end:], head):
        raise CheckpointError(f"{name} is corrupt after step {len(records)}, before its last record; put a copy back")
    return head, records, end, checksum


def _longest(tail: bytes, head: LogHead) -> int:
    """Return how long the record at the start of ``tail``, which is not whole, may have been."""
    shape = _Shape.of(tail, head, 0)
    if shape is not None:
        return shape.places[-1] + _SUM.size
    weights = 4 * head.q  # its first bytes are damaged
    return _HEAD.size + weights + 8 * head.n + (_GAINS.size if head.has_momentum else 0) + _SUM.size


class TrainingLog:
    """The log of a training that goes on, its only writer.

    Parameters
    ----------
    path : path-like
        Made if absent; else it must be the log of this training, and its records are kept.
    head : LogHead
        What it is to be the log of.

    Attributes
    ----------
    records : list of StepRecord
        What it held when it was opened.

    Raises
    ------
    CheckpointError
        If it is the log of another training, damaged before its last record, or in use.
    """

    def __init__(self, path: str | os.PathLike[str], head: LogHead) -> None:
        self.path = path = Path(path)
        lock = Lock(path.with_name(f"{path.name}.lock"), lambda who: CheckpointError(f"{path} is in use{who}"))
        try:
            self.head = head
            self.records: list[StepRecord] = []
            self._checksum = zlib.crc32(head.line())
            self._steps = 0
            self._file = AppendFile(path, kept=lambda content: self._kept(content, os.fspath(path)), lock=lock)
        except BaseException:
            lock.release()
            raise
        if not self._started:
            self._file.append(head.line())

    def _kept(self, content: bytes, name: str) -> int:
        """Take in what is there, and return the length of what is whole."""
        self._started = b"\n" in content  # else nothing, or a first line that was cut off
        if not self._started:
            if not self.head.line().startswith(content):
                raise CheckpointError(f"{name} is not a log of zoo_opt.torch, and is left as it is")
            return 0
        head, self.records, end, self._checksum = _read(content, name)
        if head != self.head:
            mine, its = asdict(self.head), asdict(head)
            other = ", ".join(field for field in mine if mine[field] != its[field])
            raise CheckpointError(f"{name} is the log of another training: {other} differ")
        return end

    def append(self, record: StepRecord) -> None:
        """Write one step."""
        data, checksum = packed_record(record, self.head, self._checksum)
        self._file.append(data, sync=self._steps % _SYNC_EVERY == 0)
        self._steps, self._checksum = self._steps + 1, checksum

    def close(self) -> None:
        """Close it; what was written is on the disk."""
        if self._file.is_open:
            self._file.append(b"")
        self._file.close()

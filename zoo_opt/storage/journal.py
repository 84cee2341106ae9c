"""The lines of a journal: id, loss in hexadecimal, why it failed, its standard error where that was told, when it was
told, the traceback of the first failure of its kind, and a checksum.
"""

from __future__ import annotations

import json
import math
import zlib
from pathlib import Path

from zoo_opt.core.errors import CheckpointError
from zoo_opt.core.outcome import Outcome, Raised
from zoo_opt.storage.append import whole_part


def read_journal(path: Path) -> list[Outcome]:
    """Return the outcomes that the journal holds, none if there is no file.

    A last line that was cut off, or is not as it was written, is passed over: its call was in flight.

    Raises
    ------
    CheckpointError
        If another line is not as it was written.
    """
    content = path.read_bytes() if path.exists() else b""
    lines = content[: whole_part(content, is_whole)].split(b"\n")[:-1]
    outcomes = []
    for number, line in enumerate(lines, start=1):
        outcome = _outcome(line)
        if outcome is None:
            raise CheckpointError(
                f"{path} is corrupt at line {number} of {len(lines)}; put a copy back, or delete that line and those "
                "after it, and their calls are made again"
            )
        outcomes.append(outcome)
    return outcomes


def journal_line(outcome: Outcome, is_first: bool) -> bytes:
    """Return the line of an outcome, with the traceback if it is the first failure of its kind."""
    text = [outcome.raised.text] if is_first and outcome.raised else []
    numbers = [_hex(number) for number in (outcome.loss, outcome.sem, outcome.time)]
    body = json.dumps([outcome.id, numbers[0], outcome.reason, *numbers[1:], *text]).encode()
    return body + b" " + _checksum(body) + b"\n"


def is_whole(line: bytes) -> bool:
    """Return whether a line, without its newline, is as it was written."""
    return _outcome(line) is not None


def _outcome(line: bytes) -> Outcome | None:
    body, _, check = line.rpartition(b" ")
    if not body or check != _checksum(body):
        return None
    try:
        id_, loss, reason, *rest = json.loads(body)
        sem, time, text = [*rest, None, None, None][:3]  # lines of an earlier release have fewer
        raised = None if text is None else Raised(RuntimeError(text), str(text))
        return Outcome(int(id_), _number(loss), str(reason), _number(sem), raised, _number(time))
    except (ValueError, TypeError, OverflowError, RecursionError):  # nothing that `journal_line` has made
        return None


def _hex(number: float) -> str | None:
    return None if math.isnan(number) else float(number).hex()


def _number(text: str | None) -> float:
    return math.nan if text is None else float.fromhex(text)


def _checksum(body: bytes) -> bytes:
    return b"%08x" % zlib.crc32(body)

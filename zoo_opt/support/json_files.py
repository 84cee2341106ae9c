"""JSON files and files of JSON lines, with one message for those that cannot be read."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any


def read_json(path: Path, error: type[ValueError] = ValueError, complaint: str = " is not JSON, or truncated") -> Any:
    """Return what a JSON file holds.

    Parameters
    ----------
    path : Path
    error : type
        What is raised if the file is not JSON.
    complaint : str
        What its message says after the path and before the reason.

    Raises
    ------
    OSError
        If the file cannot be opened.
    """
    try:
        return json.loads(path.read_bytes())
    except (ValueError, RecursionError) as cause:
        raise error(f"{path}{complaint} ({' '.join(str(cause).split())})") from None


def read_json_lines(
    path: Path,
    content: bytes | None = None,
    error: type[ValueError] = ValueError,
    complaint: str = " is corrupt at line {}",
) -> tuple[list[dict[str, Any]], bool]:
    """Return the objects of a file with one JSON object per line, and whether its last line was cut off.

    Parameters
    ----------
    path : Path
    content : bytes, optional
        What the file holds, where it was read already.
    error : type
        What is raised for a line that is no JSON object; a last line that is none, or has no newline, was cut off by a
        crash and is left out instead.
    complaint : str
        What its message says after the path, with a place for the line's number.

    Returns
    -------
    lines : list of dict
    cut : bool
    """
    *whole, rest = (path.read_bytes() if content is None else content).split(b"\n")
    cut = bool(rest) or bool(whole and not is_json_object(whole[-1]))
    if cut and not rest:
        whole.pop()
    lines = []
    for number, text in enumerate(whole, start=1):
        line = _parsed(text)
        if not isinstance(line, dict):
            raise error(f"{path}{complaint.format(number)}: it must be a JSON object, got {text[:40]!r}")
        lines.append(line)
    return lines, cut


def is_json_object(line: bytes) -> bool:
    """Return whether a line is a JSON object; a last one that is not counts as cut off."""
    return isinstance(_parsed(line), dict)


def _parsed(text: bytes) -> Any:
    """Return the value of JSON, None of what is none."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def json_line(line: Mapping[str, Any]) -> bytes:
    """Return one line of a file of JSON lines."""
    return json.dumps(plain(line), separators=(",", ":")).encode() + b"\n"


def plain(value: Any) -> Any:
    """`value` as JSON can hold it: infinities and NaN become null, numpy's numbers and arrays Python's."""
    if isinstance(value, Mapping):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [plain(v) for v in value]
    if hasattr(value, "tolist"):
        return plain(value.tolist())
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value if isinstance(value, str | int | float | bool | None) else repr(value)

"""Text files beside the images: JSON, and lists of names."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from zoo_opt.support import json_files
from zoo_opt_seg.data.errors import DataError, reading
from zoo_opt_seg.data.limits import check_bytes

_GROWTH = 8  # bytes of Python's objects for a byte of JSON, at most about (measured: a list of short lists)


def read_json(path: Path, what: str, missing: str | None = None) -> Any:
    """Return what a JSON file of a data set holds.

    Parameters
    ----------
    path : Path
    what : str
        What it tells, in the plural, for the messages.
    missing : str, optional
        What is missing without it; "file of " and `what` unless told.

    Raises
    ------
    DataError
        If there is no such file, it cannot be read, or would take more memory than the limit.
    """
    if not path.is_file():
        raise DataError(f"{path}: the {missing or f'file of {what}'} is missing")
    with reading(path, what):
        check_bytes(path, _GROWTH * path.stat().st_size, f"the {what}")
        return json_files.read_json(path, DataError, f": the {what} cannot be read")


def read_names(path: Path, what: str) -> list[str]:
    """Return the words of a text file.

    Raises
    ------
    DataError
        If there is no such file, it cannot be read, or would take more memory than the limit.
    """
    if not path.is_file():
        raise DataError(f"{path}: the {what} is missing")
    with reading(path, what):
        check_bytes(path, _GROWTH * path.stat().st_size, f"the {what}")
        return path.read_text("utf-8").split()

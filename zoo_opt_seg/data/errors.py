"""The error of a data set that cannot be used."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType
from typing import Any

from zoo_opt.support import json_files
from zoo_opt.support.loading import require


class DataError(ValueError):
    """A data set that cannot be used: a missing, unpaired, corrupt, wrongly sized or empty file, which it names."""


def reason(error: BaseException) -> str:
    """What an error of a reader says, on one line."""
    return " ".join(str(error).split()) or type(error).__name__


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
        If there is no such file, or it cannot be read.
    """
    try:
        return json_files.read_json(path, DataError, f": the {what} cannot be read")
    except FileNotFoundError:
        raise DataError(f"{path}: the {missing or f'file of {what}'} is missing") from None
    except OSError as error:
        raise DataError(f"{path}: the {what} cannot be read ({reason(error)})") from None


def needed(module: str, package: str, file: object) -> ModuleType:
    """Import what a file needs to be read, or say so.

    Raises
    ------
    DataError
        If it is not installed.
    """
    try:
        return require(module, package, extra="seg")
    except ImportError:
        raise DataError(f"{file}: reading it needs {package}, which is not installed (it is in zoo-opt[seg])") from None

"""The error of a data set that cannot be used."""

from __future__ import annotations

import importlib
from types import ModuleType


class DataError(ValueError):
    """A data set that cannot be used: a missing, unpaired, corrupt, wrongly sized or empty file, which it names."""


def reason(error: BaseException) -> str:
    """What an error of a reader says, on one line."""
    return " ".join(str(error).split()) or type(error).__name__


def needed(module: str, package: str, file: object) -> ModuleType:
    """Import what a file needs to be read, or say so.

    Raises
    ------
    DataError
        If it is not installed.
    """
    try:
        return importlib.import_module(module)
    except ImportError:
        raise DataError(f"{file}: reading it needs {package}, which is not installed (it is in zoo-opt[seg])") from None

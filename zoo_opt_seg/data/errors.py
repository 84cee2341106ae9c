"""The error of a data set that cannot be used, and the one place where what readers raise becomes it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from types import ModuleType

from zoo_opt.support.loading import require


class DataError(ValueError):
    """A data set that cannot be used: a missing, unpaired, corrupt, wrongly sized or empty file, which it names."""


def reason(error: BaseException) -> str:
    """What an error of a reader says, on one line."""
    return " ".join(str(error).split()) or type(error).__name__


@contextlib.contextmanager
def reading(file: object, what: str) -> Iterator[None]:
    """Turn whatever a library raises for a damaged file into a DataError that names it.

    Parameters
    ----------
    file : path or the like
    what : str
        What it holds, for the message.
    """
    try:
        yield
    except DataError:
        raise
    except FileNotFoundError:
        raise DataError(f"{file}: the {what} file is missing") from None
    except Exception as error:  # damaged headers raise whatever their values lead to
        raise DataError(f"{file}: the {what} cannot be read ({reason(error)})") from None


def needed(module: str, package: str, file: object, extra: str = "seg") -> ModuleType:
    """Import what a file needs to be read, or say so.

    Raises
    ------
    DataError
        If it is not installed.
    """
    try:
        return require(module, package, extra=extra)
    except ImportError:
        raise DataError(
            f"{file}: reading it needs {package}, which is not installed (it is in zoo-opt[{extra}])"
        ) from None

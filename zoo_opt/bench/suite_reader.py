"""Reading a suite file's tables: typed keys, and a message with the place for every mistake."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


class SuiteError(ValueError):
    """A suite file that cannot be used; the message names the file, the place and what was expected."""


REQUIRED: Any = object()


class Reader:
    """Takes typed keys from a table and objects to what is missing, of the wrong type or unknown."""

    def __init__(self, where: str, table: Any) -> None:
        if not isinstance(table, Mapping):
            raise SuiteError(f"{where}: expected a table, got {table!r}")
        self.where, self.table = where, dict(table)
        self.known: list[str] = []

    def take(self, key: str, kind: type, default: Any) -> Any:
        """The value of `key`, which must be a `kind`; `default` if it is not there."""
        self.known.append(key)
        if key not in self.table:
            if default is REQUIRED:
                raise SuiteError(f"{self.where}: {key!r} is missing (expected a {kind.__name__})")
            return default
        value = self.table.pop(key)
        if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
            raise SuiteError(f"{self.where}: {key!r} must be a {kind.__name__}, got {value!r}")
        return value

    def done(self) -> None:
        """Object to what is left."""
        if self.table:
            raise SuiteError(f"{self.where}: unknown key {sorted(self.table)[0]!r}; expected {', '.join(self.known)}")

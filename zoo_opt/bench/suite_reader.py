"""Reading a suite file's tables: typed keys, and a message with the place for every mistake."""

from __future__ import annotations

import dataclasses
import tomllib
from collections.abc import Mapping
from types import UnionType
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

from zoo_opt.support.secrets import literal_secret


class SuiteError(ValueError):
    """A suite file that cannot be used; the message names the file, the place and what was expected."""


REQUIRED: Any = object()
T = TypeVar("T")


class Reader:
    """Takes typed keys from a table and objects to what is missing, of the wrong type or unknown."""

    def __init__(self, where: str, table: Any) -> None:
        if not isinstance(table, Mapping):
            raise SuiteError(f"{where} must be a table, got {table!r}")
        self.where, self.table = where, dict(table)
        self.known: list[str] = []

    @classmethod
    def of_file(cls, where: str, content: bytes) -> Reader:
        """The table that a file holds, which a record will keep as it is: no secret may stand in it."""
        reader = cls.of_toml(where, content)
        if line := literal_secret(content.decode()):
            raise reader.error(f"the file must hold no secret, as records keep it: $NAME in its place, got {line!r}")
        return reader

    @classmethod
    def of_toml(cls, where: str, text: str | bytes) -> Reader:
        """The table that a file's content holds."""
        try:
            return cls(where, tomllib.loads(text if isinstance(text, str) else text.decode()))
        except (ValueError, RecursionError) as error:  # a number of too many digits, or tables in tables without end
            raise SuiteError(f"{where}: not valid TOML: {error}") from error

    def error(self, message: str) -> SuiteError:
        """The message with the place before it."""
        return SuiteError(f"{self.where}: {message}")

    def take(self, key: str, kind: type, default: Any) -> Any:
        """The value of `key`, which must be a `kind`; `default` if it is not there."""
        self.known.append(key)
        if key not in self.table:
            if default is REQUIRED:
                raise self.error(f"{key!r} is missing (it must be a {kind.__name__})")
            return default
        value = self.table.pop(key)
        if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
            raise self.error(f"{key!r} must be a {kind.__name__}, got {value!r}")
        return value

    def readers(self, key: str, name: str, default: Any = REQUIRED) -> list[Reader]:
        """A reader for each table of the array `key`; `name` is what a message calls one of them."""
        tables = self.take(key, list, default)
        return [Reader(f"{self.where}, {name} {i}", table) for i, table in enumerate(tables, 1)]

    def fill(self, kind: type[T], **known: Any) -> T:
        """An instance of a dataclass: the `known` fields, and the others from the keys of their names; no other keys.

        A field without a default is a key that must be there; a tuple is a list in the file.
        """
        types = get_type_hints(kind)
        for field in dataclasses.fields(kind):  # type: ignore[arg-type]
            if field.name not in known:
                type_ = types[field.name]
                type_ = get_args(type_)[0] if isinstance(type_, UnionType) else get_origin(type_) or type_
                made = field.default_factory() if field.default_factory is not dataclasses.MISSING else field.default
                default = REQUIRED if made is dataclasses.MISSING else made
                value = self.take(field.name, list if type_ is tuple else type_, default)
                known[field.name] = tuple(value) if type_ is tuple else value
        self.done()
        return kind(**known)

    def done(self) -> None:
        """Object to what is left."""
        if self.table:
            raise self.error(f"unknown key {sorted(self.table)[0]!r}; expected {', '.join(self.known)}")

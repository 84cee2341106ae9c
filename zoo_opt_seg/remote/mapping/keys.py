"""Keys of a mapping's tables, each checked as it is taken."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from zoo_opt.bench.suite_reader import REQUIRED, Reader
from zoo_opt_seg.remote.mapping.paths import JsonPath


def part(reader: Reader, key: str, default: Any = REQUIRED) -> Reader:
    """Return a reader of the table of a key."""
    return Reader(f"{reader.where}, {key}", reader.take(key, dict, default))


def one_of(reader: Reader, key: str, known: Sequence[str], default: Any) -> str:
    """Return one of the texts that are known."""
    value: str = reader.take(key, str, default)
    if value not in known:
        raise reader.error(f"{key!r} must be one of {', '.join(known)}, got {value!r}")
    return value


def count(reader: Reader, key: str, default: int) -> int:
    """Return a whole number >= 0."""
    value: int = reader.take(key, int, default)
    if value < 0:
        raise reader.error(f"{key!r} must be >= 0, got {value}")
    return value


def texts(reader: Reader, key: str) -> list[str]:
    """Return a list of texts."""
    values: list[Any] = reader.take(key, list, [])
    for value in values:
        if not isinstance(value, str):
            raise reader.error(f"{key!r} must be a list of texts, got {value!r:.40} in it")
    return values


def statuses(reader: Reader, key: str, low: int, high: int) -> list[int]:
    """Return a list of statuses of HTTP."""
    values: list[Any] = reader.take(key, list, [])
    for value in values:
        if type(value) is not int or not low <= value <= high:
            raise reader.error(f"{key!r} must be statuses of HTTP from {low} to {high}, got {value!r:.40}")
    return values


def path_at(reader: Reader, key: str, default: Any) -> JsonPath | None:
    """Return the path that a key writes, None where it is not there and need not be."""
    text = reader.take(key, str, default)
    return None if text is None else as_path(reader, key, text)


def as_path(reader: Reader, key: str, text: str) -> JsonPath:
    """Return the path that a text writes; ``key`` is for messages."""
    try:
        return JsonPath.of(text)
    except ValueError as error:
        raise reader.error(f"{key!r}: {error}") from None

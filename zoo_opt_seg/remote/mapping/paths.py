"""A small language for places in JSON: names, numbers, and ``*`` for each of them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from zoo_opt_seg.blackbox.protocol import Unanswerable
from zoo_opt_seg.remote.codecs.reading import json_value, shown

_NUMBER = re.compile(r"-?[0-9]{1,9}")
ALL = "*"


@dataclass(frozen=True)
class JsonPath:
    """A place in JSON, or several.

    Parameters
    ----------
    steps : tuple of str
        Each a name in an object, a number in a list (from its end if negative), or ``*``: each value of it.

    Notes
    -----
    A text on the way is read as JSON itself, as some services put JSON into texts.

    Examples
    --------
    >>> JsonPath.of("predictions.*.mask").all({"predictions": [{"mask": 1}, {"mask": 2}]}, "the reply")
    [1, 2]
    """

    steps: tuple[str, ...] = ()

    @classmethod
    def of(cls, text: str) -> JsonPath:
        """Return the path that a text writes with dots; "" is all of the value.

        Raises
        ------
        ValueError
            If a step is empty.
        """
        steps = tuple(text.split(".")) if text else ()
        if "" in steps:
            raise ValueError(f"a path must be names, numbers and * with dots between them, got {text!r}")
        return cls(steps)

    def __str__(self) -> str:
        return ".".join(self.steps)

    def all(self, value: Any, what: str) -> list[Any]:
        """Return all values there, in order.

        Raises
        ------
        Unanswerable
            If a name or a number is missing; a ``*`` of nothing is nothing.
        """
        return list(self._walk(value, 0, what))

    def one(self, value: Any, what: str) -> Any:
        """Return the one value there.

        Raises
        ------
        Unanswerable
            If there is none, or there are several.
        """
        found = self.all(value, what)
        if len(found) != 1:
            raise Unanswerable(f"{what} must have one value at {str(self)!r}, got {len(found)}")
        return found[0]

    def find(self, value: Any) -> Any:
        """Return the first value there, None if there is none."""
        try:
            return next(self._walk(value, 0, ""), None)
        except Unanswerable:
            return None

    def _walk(self, value: Any, at: int, what: str) -> Iterator[Any]:
        for place in range(at, len(self.steps)):
            step = self.steps[place]
            if isinstance(value, str):
                value = json_value(value, f"{what} at {'.'.join(self.steps[:place])!r}")
            if step == ALL and isinstance(value, (list, dict)):
                for item in value if isinstance(value, list) else value.values():
                    yield from self._walk(item, place + 1, what)
                return
            if isinstance(value, dict) and step in value:
                value = value[step]
            elif isinstance(value, list) and _NUMBER.fullmatch(step) and -len(value) <= int(step) < len(value):
                value = value[int(step)]
            else:
                raise Unanswerable(f"{what} has no {'.'.join(self.steps[: place + 1])!r}, it has {shown(value)} there")
        yield value

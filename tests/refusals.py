"""What is refused, as rows of a table: an error with its message, or many of them as one test."""

from collections.abc import Callable
from typing import Any

import pytest


def raises(error: Any, message: str | None, call: Callable[..., object], *args: object, **options: object) -> Any:
    """The call raises this error, with a message that matches if one is given; returns it: `pytest.raises` in a row."""
    with pytest.raises(error, match=message) as caught:
        call(*args, **options)
    return caught.value


def refused(call: Callable[..., object], *rows: tuple[Any, ...], error: Any = ValueError, **always: object) -> Any:
    """A test with a case for each row, (given, message) or (given, error, message): the call refuses what is given.

    That is a dict of options, a tuple of arguments, or a single argument; ``always`` are options of every case.
    """

    @pytest.mark.parametrize(("given", "kind", "message"), [(row[0], *(error, *row[1:])[-2:]) for row in rows])
    def test(given: Any, kind: Any, message: str) -> None:
        options = given if isinstance(given, dict) else {}
        args = given if isinstance(given, tuple) else () if options is given else (given,)
        raises(kind, message, call, *args, **(always | options))

    return test

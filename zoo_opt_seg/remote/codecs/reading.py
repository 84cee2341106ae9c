"""What comes over the wire may be anything: it is read within limits, and what cannot be read is a `Unanswerable`."""

from __future__ import annotations

import base64
import binascii
import contextlib
import json
import re
from collections.abc import Iterator
from typing import Any

from zoo_opt.support.secrets import hidden
from zoo_opt_seg.blackbox.protocol import Unanswerable
from zoo_opt_seg.data.errors import DataError, reason
from zoo_opt_seg.data.limits import check_bytes

GROWTH = 8  # bytes of Python's objects for a byte of JSON, at most about
_SHOWN = 60  # letters of what came that a message shows, of so many that are looked at for secrets
_LOOKED = 1000
_WORDS = 300  # letters of another library's message
_URL_SAFE = str.maketrans("-_", "+/")  # RFC 4648, 5
_DATA_URI = re.compile(r"data:([\w.+-]*/?[\w.+-]*)((?:;[\w.+=-]+)*?)(;base64)?,")


@contextlib.contextmanager
def readable(what: str) -> Iterator[None]:
    """Turn whatever a reader raises into a `Unanswerable` of one sentence that names what was read.

    Parameters
    ----------
    what : str
        Such as "the mask of the reply".
    """
    try:
        yield
    except Unanswerable:
        raise
    except DataError as error:
        raise Unanswerable(hidden(reason(error)[:_WORDS])) from None
    except Exception as error:  # damaged bytes raise whatever their values lead to
        raise Unanswerable(f"{what} cannot be read ({hidden(reason(error)[:_WORDS])})") from None


def shown(value: Any) -> str:
    """Return a short description of a value for a message: its kind, and of what is short itself."""
    if isinstance(value, dict):
        names = ", ".join(sorted(map(str, value))[:8])
        return f"an object of {names:.{_SHOWN}}" if names else "an empty object"
    if isinstance(value, list):
        return f"a list of {len(value)}"
    if isinstance(value, str):
        return f"the text {hidden(value[:_LOOKED])[:_SHOWN]!r}" + ("..." if len(value) > _SHOWN else "")
    if isinstance(value, bytes):
        return f"{len(value)} bytes"
    return f"{value!r:.{_SHOWN}}" if isinstance(value, (float, bool)) or value is None else f"a {type(value).__name__}"


def json_value(content: bytes | str, what: str) -> Any:
    """Return what JSON says.

    Raises
    ------
    Unanswerable
        If it is none, or would take more memory than the limit.
    """
    with readable(what):
        check_bytes(what, GROWTH * len(content), "it")
        try:
            return json.loads(content)
        except (ValueError, RecursionError):
            start = content[:_LOOKED].decode(errors="replace") if isinstance(content, bytes) else content[:_LOOKED]
            raise Unanswerable(f"{what} is not JSON, it begins with {hidden(start)[:_SHOWN]!r}") from None


def bytes_of(value: Any, what: str) -> bytes:
    """Return the bytes that a value of JSON stands for: base64, or a data URI; bytes are returned as they are.

    Raises
    ------
    Unanswerable
        If it is neither.
    """
    if isinstance(value, bytes):
        return value
    if not isinstance(value, str):
        raise Unanswerable(f"{what} must be base64 or a data URI, got {shown(value)}")
    text = value
    if value[:5].lower() == "data:":
        head = _DATA_URI.match(value[:200])
        if head is None or head[3] is None:
            raise Unanswerable(f"{what} must be a data URI of base64, got {shown(value)}")
        text = value[head.end() :]
    try:
        return base64.b64decode("".join(text.split()).translate(_URL_SAFE), validate=True)
    except (binascii.Error, ValueError):
        raise Unanswerable(f"{what} must be base64 or a data URI, got {shown(value)}") from None

"""How much memory what a file says may ask for: checked before it is taken, and raised by an environment variable."""

from __future__ import annotations

import os

MAX_BYTES = "ZOO_OPT_MAX_BYTES"
JSON_EXPANDS = 32  # bytes of memory for one of JSON; measured: `{"":0},` takes 28


def max_bytes(default: int) -> int:
    """Return the limit that the environment variable sets, or the default.

    Raises
    ------
    ValueError
        If the variable is not a whole number > 0.
    """
    given = os.environ.get(MAX_BYTES, "")
    if not given:
        return default
    if not (given.isascii() and given.isdecimal()) or int(given) < 1:
        raise ValueError(f"the environment variable {MAX_BYTES} must be a whole number > 0, got {given!r}")
    return int(given)

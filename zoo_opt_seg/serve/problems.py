"""What a server answers where it has no mask: a status of HTTP and one sentence."""

from __future__ import annotations

import math
from collections.abc import Mapping

from zoo_opt.core.errors import NotServed, Refused
from zoo_opt.support.secrets import hidden

_LONGEST = 300  # characters of a sentence


class Problem(Exception):
    """A question that is answered by a status and a sentence.

    Parameters
    ----------
    status : int
    message : str
        One sentence; secrets in it are hidden, and what is long is cut.
    headers : mapping of str to str, optional
    """

    def __init__(self, status: int, message: str, headers: Mapping[str, str] | None = None) -> None:
        shown = " ".join(hidden(message).split())
        self.status, self.headers = status, dict(headers or {})
        self.message = shown if len(shown) <= _LONGEST else f"{shown[:_LONGEST]}..."
        super().__init__(self.message)


def busy(message: str, status: int = 429, after: float | None = None) -> Problem:
    """Return a problem that may pass: it says after how many seconds to ask again."""
    seconds = 1 if after is None or not math.isfinite(after) else max(1, math.ceil(after))
    return Problem(status, message, {"Retry-After": str(seconds)})


def problem_of(error: Exception) -> Problem:
    """Return what to answer for an exception of a model: 503 in an outage, 403 where it refuses, else 500."""
    if isinstance(error, Problem):
        return error
    if isinstance(error, NotServed):
        return busy(f"the model is out of service: {error}", 503, error.retry_after)
    if isinstance(error, Refused):
        return Problem(403, f"the model refuses: {error}")
    return Problem(500, f"the model failed on this image: {type(error).__name__}: {error}")

"""Outages: what counts as one, and how long a run waits for its end.

An outage begins with an evaluation that is not served and ends with the next one that is. The run asks again after
0.1 s at most, and each time after twice as long at most, up to 30 s: how much of that it waits is drawn anew, so that
many who wait for one service do not come back together. Where the service says when (`NotServed.retry_after`), it asks
then. It waits so for ``wait`` seconds from the begin of an outage; where the next time to ask would be later, it asks a
last time at their end, or, where the service says that this is too early, not at all.
"""

from __future__ import annotations

import contextlib
import datetime
import errno
import logging
import math
import random
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from zoo_opt.core.errors import NotServed, Refused, real
from zoo_opt.support.secrets import hidden

T = TypeVar("T")
_log = logging.getLogger("zoo_opt.outage")

WAIT = 60.0  # seconds, where nothing is said: a restart of a service is over by then; chosen
_FIRST, _LONGEST = 0.1, 30.0  # seconds between two questions; chosen

# Exceptions of packages that are not imported here, by the first part of their module's name; what inherits from them
# counts too. Of httpx it is all of the transport but what is wrong with the address itself.
_HTTPX = {"TimeoutException", "NetworkError", "RemoteProtocolError", "ProxyError"}
_BY_NAME = {
    "requests": {"ConnectionError", "Timeout", "ChunkedEncodingError"},
    "httpx": _HTTPX,
    "httpx2": _HTTPX,
    "urllib3": {"TimeoutError", "ProtocolError", "NewConnectionError"},
    "aiohttp": {"ClientConnectionError", "ClientPayloadError", "ServerTimeoutError"},
    "socket": {"gaierror"},
    "http": {"IncompleteRead", "BadStatusLine"},
}
_HTTP = {"HTTPError", "HTTPStatusError", "ClientResponseError"}  # exceptions that have a status
_NETWORK = {errno.ENETDOWN, errno.ENETUNREACH, errno.EHOSTDOWN, errno.EHOSTUNREACH}
# Statuses of HTTP (RFC 9110, 6585) that may heal, and those that no repeat changes. 500 is the model's own failure.
HEAL = {408, 425, 429, 502, 503, 504}
REFUSE = {401, 402, 403, 404, 405, 410}
# A share of a pause, in [0, 1): of the system's own source, so that no run's random numbers depend on an outage.
_share = random.SystemRandom().random


class Outage:
    """One outage.

    Parameters
    ----------
    wait : float
        Seconds that it is waited for.
    """

    def __init__(self, wait: float) -> None:
        self._wait, self._begin, self._delay = wait, time.monotonic(), _FIRST

    def pause(self, error: NotServed, most: float = math.inf) -> None:
        """Sleep until it is time to ask again, ``most`` seconds at most; raise ``error`` where it has lasted too long.

        Parameters
        ----------
        error : NotServed
            What the last question met with.
        most : float
        """
        left = self._wait - (time.monotonic() - self._begin)
        after = error.retry_after
        if left <= 0.0 or (after is not None and after > left):
            raise error
        if self._delay == _FIRST:
            _log.warning("not served: %s; waiting for %g s at most", hidden(str(error)), self._wait)
        delay = min(self._delay * _share() if after is None else max(after, _FIRST), left, most)
        self._delay = min(2.0 * self._delay, _LONGEST)
        time.sleep(min(max(delay, 0.0), threading.TIMEOUT_MAX))


def check_wait(wait: Any) -> float:
    """Return ``wait``, seconds >= 0 that may be infinite, as a float, or raise."""
    seconds = real("wait", wait)
    if seconds < 0.0:
        raise ValueError(f"wait must be >= 0, got {wait!r}")
    return seconds


def waited_for(ask: Callable[[], T], wait: float = WAIT) -> T:
    """Return what ``ask()`` gives, which is asked again for ``wait`` seconds of an outage."""
    outage = None
    while True:
        try:
            return ask()
        except NotServed as error:
            outage = outage or Outage(wait)
            outage.pause(error)


# ------------------------------------------------------------------------------------------------- what counts as one
@dataclass(frozen=True)
class Service:
    """An objective that asks a service; made by `as_service`."""

    fun: Callable[..., Any]

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Return what the objective gives."""
        with recognised():
            return self.fun(*args, **kwargs)


def as_service(fun: Callable[..., Any]) -> Callable[..., Any]:
    """Return an objective whose connection errors and timeouts are outages, not failed evaluations.

    `minimize` takes an exception of a plain objective for a failed evaluation, that of a solver which ran out of time
    at this very point included: asked for again, such a point would hold up the run for ever. So an objective that asks
    a service says so by this wrapper, or raises `NotServed` and `Refused` itself; black boxes of ``zoo_opt_seg`` are
    services without it.

    - `NotServed`: ConnectionError, TimeoutError, a network or host that cannot be reached, and the transport errors of
      urllib, http.client, requests, httpx, urllib3 and aiohttp; the statuses 408, 425, 429, 502, 503 and 504 that
      ``raise_for_status`` or urllib raise, with the seconds of a ``Retry-After``.
    - `Refused`: the statuses 401, 402, 403, 404, 405 and 410.

    Parameters
    ----------
    fun : callable
        As in `minimize`. It is pickled for an executor as it would be alone.

    Returns
    -------
    callable

    Examples
    --------
    >>> import zoo_opt as zo
    >>> def ask(x):
    ...     raise ConnectionRefusedError("nobody listens")
    >>> try:
    ...     zo.minimize(zo.as_service(ask), [0.0], budget=20, rng=0, wait=0)
    ... except zo.NotServed as error:
    ...     print(error)
    ConnectionRefusedError: nobody listens
    """
    if not callable(fun):
        raise TypeError(f"fun must be callable, got {fun!r}")
    return Service(fun)


@contextlib.contextmanager
def recognised() -> Iterator[None]:
    """Raise what `as_service` recognises as `NotServed` or `Refused`, all else as it is."""
    try:
        yield
    except (NotServed, Refused):
        raise
    except Exception as error:
        known = service_error(error)
        if known is None:
            raise
        raise known from error


def service_error(error: BaseException) -> NotServed | Refused | None:
    """Return what an exception says of a service, see `as_service`; None if it says nothing of one."""
    if isinstance(error, (NotServed, Refused)):
        return error
    words = hidden(f"{type(error).__name__}: {error}")
    if any(kind.__name__ in _HTTP for kind in type(error).__mro__):
        response = getattr(error, "response", None)  # of requests and httpx; those of urllib and aiohttp are their own
        status, headers = _head(error if response is None else response)
        if status in REFUSE:
            return Refused(words)
        if status in HEAL:
            return NotServed(words, retry_after=retry_after(headers))
        if status is not None:
            return None
    inner = getattr(error, "reason", None)  # of urllib.error.URLError
    return NotServed(words) if _of_network(error) or _of_network(inner) else None


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Return the seconds of a ``Retry-After`` (RFC 9110, 10.2.3: seconds, or a date), None without one.

    A date counts from the response's own ``Date``, so that this machine's clock does not matter, where there is one.
    """
    text = headers.get("Retry-After") or headers.get("retry-after")
    if not text:
        return None
    try:
        return max(0.0, float(text))
    except ValueError:
        pass
    then, now = _instant(text), _instant(headers.get("Date") or headers.get("date") or "")
    return None if then is None else max(0.0, then - (time.time() if now is None else now))


def _instant(date: str) -> float | None:
    """Return a date of HTTP in seconds since 1970, None if it is none; one without a zone is of UTC, as all are."""
    import email.utils

    try:
        found = email.utils.parsedate_to_datetime(date)
        return (found if found.tzinfo else found.replace(tzinfo=datetime.UTC)).timestamp()
    except (ValueError, TypeError, OverflowError):
        return None


def _head(response: Any) -> tuple[int | None, Mapping[str, str]]:
    """The status and headers of a response of HTTP."""
    names = ("status_code", "status", "code")
    status = next((value for name in names if isinstance(value := getattr(response, name, None), int)), None)
    return status, getattr(response, "headers", None) or {}


def _of_network(error: Any) -> bool:
    """Whether an exception is one of the network; a name that is not found may be found later."""
    unreachable = isinstance(error, OSError) and error.errno in _NETWORK
    return unreachable or isinstance(error, (ConnectionError, TimeoutError)) or _named(error)


def _named(error: Any) -> bool:
    return any(kind.__name__ in _BY_NAME.get(kind.__module__.split(".")[0], ()) for kind in type(error).__mro__)

"""How fast a service is asked."""

from __future__ import annotations

import threading
import time


class Rate:
    """A token bucket that holds one token, so that what it lets through is evenly spaced. Threads share it.

    Parameters
    ----------
    each_second : float or None
        Tokens a second; None lets everything through.
    """

    def __init__(self, each_second: float | None) -> None:
        self._gap = 0.0 if each_second is None else 1.0 / each_second
        self._next, self._lock = 0.0, threading.Lock()

    def reserve(self) -> float:
        """Take a token, and return the seconds until it is there."""
        with self._lock:
            now = time.monotonic()
            at = max(self._next, now)
            self._next = at + self._gap
            return at - now

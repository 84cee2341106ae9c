"""How a server ends: what is in flight is answered, what is new is told that it ends."""

from __future__ import annotations

import asyncio
import signal
import threading
from types import FrameType
from typing import Any

from zoo_opt_seg.serve.desk import Desk

GRACE = 30.0  # seconds that requests in flight have; chosen


class Ending:
    """While it lasts, SIGTERM and SIGINT have new requests refused, and reach the server when none is in flight.

    The same signal a second time reaches it at once. Another one changes nothing: a terminal's Ctrl-C is followed by
    the SIGTERM of the parent of several processes. Entered by the loop that answers; in other threads than the main
    one, where signals cannot be had, it does nothing.

    Parameters
    ----------
    desk : Desk
    """

    def __init__(self, desk: Desk) -> None:
        self._desk, self._loop = desk, asyncio.get_running_loop()
        self._before: dict[int, Any] = {}
        self._first = 0
        self._waiting: asyncio.Task[None] | None = None

    def __enter__(self) -> None:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGTERM, signal.SIGINT):
                self._before[number] = signal.signal(number, self._asked)

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _asked(self, number: int, _: FrameType | None) -> None:
        if not self._first:
            self._first, self._desk.ending = number, True
            self._loop.call_soon_threadsafe(self._start, number)
        elif number == self._first:
            self._pass_on(number)

    def _start(self, number: int) -> None:
        self._waiting = self._loop.create_task(self._wait(number))

    async def _wait(self, number: int) -> None:
        until = self._loop.time() + GRACE
        while self._desk.open and self._loop.time() < until:
            await asyncio.sleep(0.05)
        self._pass_on(number)

    def _pass_on(self, number: int) -> None:
        handler = self._before.get(number)
        if callable(handler):
            handler(number, None)

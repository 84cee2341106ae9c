"""Running the application: one process, or several that share an address."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import tempfile
from typing import Any

import uvicorn
from fastapi import FastAPI
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.supervisors import Multiprocess

from zoo_opt_seg.serve import guard
from zoo_opt_seg.serve.metrics import FOLDER

_LAST = 5  # seconds that connections have to close after the last answer; chosen
_HEAD = 10  # seconds in which the head of a request must come, from the connection or its first byte on; chosen
_START = 120  # seconds in which a process must have started, and answer its parent; chosen


def bound(host: str, port: int) -> socket.socket:
    """Return a socket that listens at an address; port 0 takes a free one.

    Raises
    ------
    OSError, OverflowError
        If it cannot, or there is no such port.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # asyncio sends small parts at once (TCP_NODELAY) only where the protocol is said; else an answer waits 40 ms
    sock = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind((host, port))
        sock.listen(128)  # from here on nobody is refused: who comes before the model is there waits
    except BaseException:
        sock.close()
        raise
    sock.set_inheritable(True)
    return sock


def is_loopback(host: str) -> bool:
    """Return whether only programs of this machine reach an address."""
    return host in ("localhost", "::1") or host.startswith("127.")


def run(app: FastAPI, sock: socket.socket) -> None:
    """Serve until SIGTERM or SIGINT, and return when what was in flight is answered."""
    before = {number: signal.signal(number, _nothing) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        server_of(app).run(sockets=[sock])  # it sends itself the signal again at its end
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def server_of(app: FastAPI) -> uvicorn.Server:
    """Return the server of an application, for a thread of yours: it ends when ``should_exit`` is set."""
    return uvicorn.Server(_config(app))


def run_several(factory: str, sock: socket.socket, workers: int) -> None:
    """Serve by several processes that accept at one socket; one that dies is started anew.

    Parameters
    ----------
    factory : str
        ``"module:function"`` that returns the application, called in each process.
    sock : socket
    workers : int
    """
    with tempfile.TemporaryDirectory(prefix="zoo-opt-seg-") as counts:
        os.environ[FOLDER] = counts  # before prometheus_client is imported in the processes
        try:
            Multiprocess(_config(factory, workers), sockets=[sock]).run()
        finally:
            del os.environ[FOLDER]


def _config(app: FastAPI | str, workers: int = 1) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        factory=isinstance(app, str),
        workers=workers,
        http=_Impatient,
        ws="none",
        lifespan="on",
        log_level="error",
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=_LAST,
        timeout_worker_healthcheck=_START,
    )


class _Impatient(H11Protocol):
    """Closes connections on which nothing is asked, or too slowly; what idles between requests uvicorn closes.

    Where there are too many, the one on which nothing has come for longest goes, so that those who only connect keep
    nobody out.
    """

    _after: Any = ()  # the request, or None before the first one, after which a head is waited for
    _since = 0.0  # when something came the last time

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._wait_for_head()
        if len(self.connections) > guard.MOST:
            idle = [one for one in self.connections if isinstance(one, _Impatient) and one is not self and one._idles]
            if idle:
                oldest = min(idle, key=lambda one: one._since)
                self.connections.discard(oldest)
                oldest.transport.close()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self._wait_for_head()

    @property
    def _idles(self) -> bool:
        return self.cycle is None or self.cycle.response_complete

    def _wait_for_head(self) -> None:
        self._since = self.loop.time()
        if self._after is not self.cycle and self._idles:
            self._after = self.cycle
            self.loop.call_later(_HEAD, self._close_if_none_came, self.cycle)

    def _close_if_none_came(self, last: Any) -> None:
        if self.cycle is last:
            self.transport.close()


def _nothing(*_: object) -> None:
    """A signal that has done its work."""

"""Connections to services: pooled, verified, and each read and write of them within the time of its exchange.

Built on httpcore, the engine of httpx: it sends what it is given once, follows no redirect, keeps no cookie, logs no
address, and takes a network backend of one's own, without which no time could be set for an exchange as a whole.
"""

from __future__ import annotations

import base64
import contextlib
import functools
import os
import socket
import ssl
import threading
import time
import urllib.parse
import urllib.request
import weakref
from typing import Any

from zoo_opt.support.loading import require

IDLE = 2.0  # seconds that an unused connection is kept; chosen: servers close theirs after 5 s or later


class Deadlines(threading.local):
    """Until when this thread may read and write, on the clock of `time.monotonic`."""

    until = float("inf")

    def left(self, at_most: float | None) -> float:
        """Return the seconds that an operation may take."""
        left = self.until - time.monotonic()
        return left if at_most is None else min(left, at_most)


class Connections:
    """Connections to any number of hosts, made where they are needed. Threads share them.

    Parameters
    ----------
    most : int
        To one host at a time.
    ca : path, optional
        Certificates to verify hosts by, in place of the system's.
    """

    def __init__(self, most: int, ca: str | os.PathLike[str] | None = None) -> None:
        self._core = _httpcore()
        self._deadlines = Deadlines()
        self._streams: weakref.WeakSet[Any] = weakref.WeakSet()
        self._backend = _backend(self._core)(self._deadlines, self._streams)
        self._context = self._core.default_ssl_context() if ca is None else ssl.create_default_context(cafile=ca)
        self._most, self._pools, self._lock = most, {}, threading.Lock()  # type: ignore[var-annotated]

    @contextlib.contextmanager
    def stream(self, method: str, url: str, headers: list[tuple[str, str]], content: bytes, **times: float) -> Any:
        """Send one request, once, and yield the response, whose body is not read yet.

        Parameters
        ----------
        method, url, headers, content
        **times : float
            ``connect`` and ``read`` in seconds, ``until`` on the clock of `time.monotonic`.
        """
        self._deadlines.until = times["until"]
        seconds = {"connect": times["connect"], "read": times["read"], "write": times["read"], "pool": None}
        with self._pool(url).stream(
            method, url, headers=headers, content=content, extensions={"timeout": seconds}
        ) as response:
            yield response

    def abort(self) -> None:
        """End what is in flight: whoever waits for an answer is told that the connection is closed."""
        for stream in list(self._streams):
            stream.abort()

    def close(self) -> None:
        """Close all connections that are not in use."""
        with self._lock:
            pools, self._pools = self._pools, {}
        for pool in pools.values():
            pool.close()

    def _pool(self, url: str) -> Any:
        parts = urllib.parse.urlsplit(url)
        place = parts.scheme, parts.netloc
        with self._lock:
            if place not in self._pools:
                self._pools[place] = self._made(_proxy_for(parts))
            return self._pools[place]

    def _made(self, proxy: str) -> Any:
        how: dict[str, Any] = {"ssl_context": self._context, "max_connections": None, "keepalive_expiry": IDLE}
        how |= {"max_keepalive_connections": self._most, "network_backend": self._backend}
        if not proxy:
            return self._core.ConnectionPool(**how)
        parts = urllib.parse.urlsplit(proxy)
        plain = parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()
        headers = {}
        if parts.username is not None:
            words = f"{urllib.parse.unquote(parts.username)}:{urllib.parse.unquote(parts.password or '')}"
            headers = {"Proxy-Authorization": "Basic " + base64.b64encode(words.encode()).decode()}
        return self._core.HTTPProxy(proxy_url=plain, proxy_headers=headers, **how)


def _httpcore() -> Any:
    return require("httpcore2", "httpcore2", "remote")


def _proxy_for(parts: urllib.parse.SplitResult) -> str:
    """Return the proxy that the environment names for an address; "" for none."""
    proxies = urllib.request.getproxies()
    proxy = proxies.get(parts.scheme) or proxies.get("all") or ""
    return "" if not proxy or urllib.request.proxy_bypass(parts.hostname or "") else proxy


@functools.cache
def _backend(core: Any) -> Any:
    """Return the network backend's class, which needs httpcore's."""

    class Stream(core.NetworkStream):  # type: ignore[misc,name-defined]
        """A connection whose operations end when the exchange's time is over."""

        def __init__(self, inner: Any, deadlines: Deadlines, streams: weakref.WeakSet[Any]) -> None:
            self._inner, self._deadlines, self._streams = inner, deadlines, streams
            streams.add(self)

        def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
            return self._inner.read(max_bytes, self._left(timeout, core.ReadTimeout))

        def write(self, buffer: bytes, timeout: float | None = None) -> None:
            self._inner.write(buffer, self._left(timeout, core.WriteTimeout))

        def start_tls(self, ssl_context: Any, server_hostname: Any = None, timeout: float | None = None) -> Any:
            left = self._left(timeout, core.ConnectTimeout)
            return Stream(self._inner.start_tls(ssl_context, server_hostname, left), self._deadlines, self._streams)

        def get_extra_info(self, info: str) -> Any:
            return self._inner.get_extra_info(info)

        def close(self) -> None:
            self._inner.close()

        def abort(self) -> None:
            """Wake whoever reads."""
            with contextlib.suppress(OSError):
                self._inner.get_extra_info("socket").shutdown(socket.SHUT_RDWR)

        def _left(self, timeout: float | None, late: type[Exception]) -> float:
            left = self._deadlines.left(timeout)
            if left <= 0.0:
                raise late("the time for this question is over")
            return left

    class Backend(core.NetworkBackend):  # type: ignore[misc,name-defined]
        """Makes such connections."""

        def __init__(self, deadlines: Deadlines, streams: weakref.WeakSet[Any]) -> None:
            self._inner, self._deadlines, self._streams = core.SyncBackend(), deadlines, streams

        def connect_tcp(self, host: str, port: int, timeout: float | None = None, **more: Any) -> Any:
            left = self._deadlines.left(timeout)
            if left <= 0.0:
                raise core.ConnectTimeout("the time for this question is over")
            stream = self._inner.connect_tcp(host, port, timeout=left, **more)
            return Stream(stream, self._deadlines, self._streams)

    return Backend

"""What stands before every route: who may ask, how much may be sent and how slowly, and that an answer is sent."""

from __future__ import annotations

import asyncio
import base64
import binascii
import hmac
import json
import logging
import time
from collections.abc import Mapping
from urllib.parse import urlsplit

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from zoo_opt.support.secrets import hidden
from zoo_opt_seg.serve.desk import Desk
from zoo_opt_seg.serve.problems import Problem, busy

OPEN = ("/v2/health/live", "/v2/health/ready", "/docs", "/openapi.json")  # paths that need no token
MOST = 512  # requests at a time, and connections on which none is there yet; chosen: half of the usual open files
_DRAIN = 2.0  # seconds that are spent on what is sent after a question was refused, so that its answer is read; chosen
_ASKED = 'Basic realm="zoo-opt-seg"'  # by which a browser asks its user; Bearer is taken as well
_SHARE = 4  # largest bodies that all requests together may hold
_log = logging.getLogger("zoo_opt_seg.serve")


class Guard:
    """Middleware of ASGI.

    Parameters
    ----------
    app : ASGI application
    desk : Desk
        Its limits, metrics, and whether it is ending.
    token : str
        Asked for as ``Authorization: Bearer TOKEN``, or as the password of ``Basic``; "" lets everybody ask.
    """

    def __init__(self, app: ASGIApp, desk: Desk, token: str = "") -> None:
        self.app, self.desk, self._token = app, desk, token.encode()
        self._held = self._asked = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        begin, status = time.perf_counter(), 0

        async def sending(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        self._asked += 1
        body, read = _Body(scope, receive, self), False
        try:
            self._check(scope, body.headers)
            await body.read()
            read = True
            self.desk.open += 1  # from here on the end of the server waits for it
            await self.app(scope, body.replay, sending)
        except _Gone:
            status = 499  # nobody is there to be answered
        except Problem as problem:
            await body.drain()
            await _respond(sending, problem)
        except Exception as error:
            _log.error("%s: %s", type(error).__name__, hidden(str(error)))
            if not status:
                await _respond(sending, Problem(500, "the server failed on this request"))
        finally:
            self._asked -= 1
            self.desk.open -= read
            self._held -= body.held
            route = getattr(scope.get("route"), "path", "other")
            self.desk.metrics.answered(route, status, time.perf_counter() - begin)

    def hold(self, n: int) -> None:
        """Take so many bytes of the memory for bodies; a Problem if it is not there."""
        if self._held + n > _SHARE * self.desk.limits.body:
            raise busy("the server holds as much of other requests as it may")
        self._held += n

    def _check(self, scope: Scope, headers: Mapping[str, str]) -> None:
        """Raise a Problem for a request that is not let in."""
        if self.desk.ending and scope["path"] not in OPEN:
            raise busy("the server is ending", 503)
        if self._asked > MOST:
            raise busy(f"the server has {MOST} requests", 503)
        if not _is_own(headers.get("origin", ""), headers.get("host", "")):
            raise Problem(403, "the server is not for pages of other sites")
        said = headers.get("authorization", "")
        if self._token and scope["path"] not in OPEN and not self._knows(said):
            message = (
                "the token in the header Authorization is not the server's"
                if said
                else "the token must be given, as a bearer's in the header Authorization"
            )
            raise Problem(401, message, {"WWW-Authenticate": _ASKED})

    def _knows(self, said: str) -> bool:
        """Return whether a header has the token, in a time that does not depend on where it differs."""
        kind, _, given = said.partition(" ")
        word = given.strip().encode("utf-8", "surrogateescape")
        if kind.lower() == "basic":
            try:
                word = base64.b64decode(word, validate=True).partition(b":")[2]
            except binascii.Error:
                word = b""
        return hmac.compare_digest(word, self._token) and kind.lower() in ("bearer", "basic")


class _Gone(Exception):
    """The client has hung up."""


class _Body:
    """A request's body: read whole before the application sees it, so that it cannot be slow or large there."""

    def __init__(self, scope: Scope, receive: Receive, guard: Guard) -> None:
        self.headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        self.held = 0
        self._receive, self._guard, self._limits = receive, guard, guard.desk.limits
        self._content, self._whole, self._given = bytearray(), False, False

    async def read(self) -> None:
        """Read it; a Problem if it is too large or too slow."""
        said = self.headers.get("content-length", "0")
        if not (said.isascii() and said.isdecimal()):
            raise Problem(400, f"Content-Length must be a number of bytes, got {said!r:.40}")
        if len(said) > 18 or int(said) > self._limits.body:
            raise self._too_large()
        try:
            async with asyncio.timeout(self._limits.seconds):
                while not self._whole:
                    await self._more()
        except TimeoutError:
            raise Problem(408, f"the request must arrive within {self._limits.seconds:g} s") from None

    async def _more(self) -> None:
        part = await self._part()
        if len(self._content) + len(part) > self._limits.body:
            raise self._too_large()
        self._guard.hold(len(part))
        self.held += len(part)
        self._content += part

    async def _part(self) -> bytes:
        message = await self._receive()
        if message["type"] == "http.disconnect":
            raise _Gone
        self._whole = not message.get("more_body", False)
        part: bytes = message.get("body", b"")
        return part

    async def drain(self) -> None:
        """Throw away for a moment what still comes, else the client may not get to read why it was refused."""
        self._content = bytearray()
        if "expect" in self.headers:  # it waits to be told to send
            return
        try:
            async with asyncio.timeout(_DRAIN):
                while not self._whole:
                    await self._part()
        except (TimeoutError, _Gone):
            pass

    async def replay(self) -> Message:
        """Give the application the body as one message, then what comes of the connection."""
        if self._given:
            return await self._receive()
        self._given = True
        content, self._content = bytes(self._content), bytearray()
        return {"type": "http.request", "body": content, "more_body": False}

    def _too_large(self) -> Problem:
        return Problem(413, f"the request must have at most {self._limits.body} bytes")


def _is_own(origin: str, host: str) -> bool:
    """Return whether a request comes from a page of this server, or from none."""
    try:
        return not origin or urlsplit(origin).netloc == host
    except ValueError:
        return False


async def _respond(send: Send, problem: Problem) -> None:
    """Send a problem as JSON, and close the connection."""
    content = json.dumps({"error": problem.message}).encode()
    headers = {**problem.headers, "Content-Type": "application/json", "Content-Length": str(len(content))}
    headers["Connection"] = "close"
    pairs = [(name.lower().encode(), value.encode("latin-1", "replace")) for name, value in headers.items()]
    await send({"type": "http.response.start", "status": problem.status, "headers": pairs})
    await send({"type": "http.response.body", "body": content})

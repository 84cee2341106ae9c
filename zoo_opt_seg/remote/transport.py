"""One attempt at one request: sent once, its reply read up to a limit, its status judged.

Nothing is retried here: what may heal is `NotServed`, and `zoo_opt_seg.blackbox.Served` waits and asks again.
"""

from __future__ import annotations

import contextlib
import re
import ssl
import time
import urllib.parse
import zlib
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from zoo_opt.core.errors import NotServed, Refused
from zoo_opt.outage import HEAL, REFUSE, retry_after
from zoo_opt.support import secrets
from zoo_opt.support.secrets import hidden
from zoo_opt_seg.blackbox.protocol import BlackBoxError, Unanswerable
from zoo_opt_seg.remote.connections import Connections
from zoo_opt_seg.remote.exchange import Adapter, Reply, Request, presentable
from zoo_opt_seg.remote.rate import Rate
from zoo_opt_seg.remote.signing import signer
from zoo_opt_seg.remote.terms import Terms

_HOPS = 5  # redirects that a fetch follows; chosen
_BAD = {400, 413, 414, 415, 422, 431}  # statuses of a request that the service will never take
_OPEN = {"accept", "accept-language", "content-type", "prefer", "user-agent"}  # headers whose values are no secrets
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")


class NotSent(NotServed):
    """No connection came about, so that nothing was sent and nothing paid."""


class Lost(NotServed):
    """The request was sent, at least in part, and no answer came: it is perhaps paid."""


class Transport:
    """Sends the requests of one adapter. Threads share it.

    Parameters
    ----------
    adapter : Adapter
    terms : Terms
    pause : callable
        ``pause(seconds)`` waits, and raises where the box is to end.

    Raises
    ------
    ValueError
        If the adapter's address is none, a header's value is not there, its signature cannot be made, or there is a
        header where the signature would be.
    ImportError
        If the extra ``remote`` is not installed, or ``aws`` where requests are signed.
    """

    def __init__(self, adapter: Adapter, terms: Terms, pause: Callable[[float], None] = time.sleep) -> None:
        self._adapter, self._terms, self._pause = adapter, terms, pause
        self._origin = origin(adapter.url)
        self._headers = [(name, _Header(name, value)) for name, value in terms.headers.items()]
        if adapter.sign and "authorization" in map(str.lower, terms.headers):
            raise ValueError(
                f"headers must hold no Authorization where requests are signed by {adapter.sign}: sign=none sends yours"
            )
        self._sign = signer(adapter.sign, adapter.url) if adapter.sign else None
        self._requests, self._images = Rate(terms.rate), Rate(terms.images_rate)
        self._connections = Connections(terms.workers, terms.ca)

    def wait(self, images: int, until: float) -> None:
        """Wait until a request may be sent that asks about so many images.

        Raises
        ------
        NotServed
            If that is later than ``until``, on the clock of `time.monotonic`.
        """
        seconds = max([self._requests.reserve(), *(self._images.reserve() for _ in range(images))])
        self.pause(seconds, until)

    def pause(self, seconds: float, until: float) -> None:
        """Wait so long; raise NotServed where that is later than ``until``."""
        if time.monotonic() + seconds > until:
            raise NotServed(f"{self._who} was not asked in time: {self._terms.total:g} s are over")
        self._pause(max(seconds, 0.0))

    def send(self, request: Request, until: float) -> Reply:
        """Send a request once and return what comes, whatever its status.

        Parameters
        ----------
        request : Request
        until : float
            When the time of the exchange is over, on the clock of `time.monotonic`.

        Raises
        ------
        NotSent, Lost
            See there.
        Refused
            If the host's certificate cannot be verified.
        Unanswerable
            If the reply is longer than `Terms.most_bytes`, or its compression is damaged or of another kind.
        ValueError
            If the address is none of HTTP.
        """
        url, with_credentials = request.url, True
        for _ in range(_HOPS + 1):
            reply = self._sent(request, url, until, with_credentials)
            target = reply.headers.get("location", "")
            if request.paid or reply.status not in (301, 302, 303, 307, 308) or not target:
                return reply
            before, url, with_credentials = url, self._redirected(url, target), False
            if origin(before)[0] == "https" and origin(url)[0] != "https":
                raise Refused(f"{self._who} redirects from https to {_host(url)} without it")
        raise BlackBoxError(f"{self._who} redirects more than {_HOPS} times")

    def judge(self, request: Request, reply: Reply) -> None:
        """Raise what a reply's status says, where it is an error's.

        Raises
        ------
        NotServed, Refused
            For the statuses of `zoo_opt.as_service` and those that the adapter names; a redirect of what is paid.
        Unanswerable
            If the service will never take the request.
        BlackBoxError
            For any other status from 400 on.
        """
        status = reply.status
        if status < 300:
            return
        said = self._complaint(reply)
        words = f"{self._who} answered {status}" + (f": {said}" if said else "")
        if status in self._adapter.retry or (status in HEAL and status not in self._adapter.refuse):
            raise NotServed(words, retry_after=retry_after(reply.headers))
        if status in REFUSE or status in self._adapter.refuse:
            raise Refused(words)
        if status < 400:
            where = _host(self._redirected(request.url, reply.headers.get("location", "")))
            raise Refused(
                f"{self._who} answered {status}, a redirect to {where}, which is not followed: give that address"
            )
        raise (Unanswerable if status in _BAD else BlackBoxError)(words)

    def abort(self) -> None:
        """End what is in flight; it is `Lost`."""
        self._connections.abort()

    def close(self) -> None:
        """Close the connections."""
        self._connections.close()

    @property
    def _who(self) -> str:
        return f"the service {hidden(self._adapter.name)}"

    def _complaint(self, reply: Reply) -> str:
        try:
            said = self._adapter.complaint(reply)
        except Exception:  # whatever comes of what a service says
            said = ""
        return presentable(said)

    def _redirected(self, url: str, target: str) -> str:
        """Return where a redirect leads to; Refused where that is no address of HTTP, or none that may be asked."""
        try:
            there = urllib.parse.urljoin(url, target)
            origin(there)
            _ascii(there)
        except ValueError:
            raise Refused(f"{self._who} redirects to what is no address of http or https: {target!r:.80}") from None
        if not self._adapter.may_fetch(there):
            raise Refused(f"{self._who} redirects to {_host(there)}, from which nothing is fetched")
        return there

    def _sent(self, request: Request, url: str, until: float, with_credentials: bool) -> Reply:
        import httpcore2 as core

        own = with_credentials and origin(url) == self._origin
        headers = [("Host", _host(url)), ("User-Agent", "zoo-opt"), ("Accept-Encoding", "gzip")]
        given = [*request.headers.items(), *((name, header.value()) for name, header in self._headers if own)]
        names = {name.lower() for name, _ in given}
        headers = [*(pair for pair in headers if pair[0].lower() not in names), *given]
        if request.content or request.method not in ("GET", "HEAD"):
            headers.append(("Content-Length", str(len(request.content))))
        if own and self._sign is not None:
            headers += self._sign(request.method, _ascii(url), request.content, _signed(headers)).items()
        times = {"connect": self._terms.connect, "read": self._terms.read, "until": until}
        failed: type[NotServed] = Lost
        try:
            with self._connections.stream(request.method, _ascii(url), headers, request.content, **times) as response:
                names_and_values = {n.decode("latin-1").lower(): v.decode("latin-1") for n, v in response.headers}
                encoding = names_and_values.get("content-encoding", "").strip().lower()
                content = self._body(response.iter_stream(), encoding)
                return Reply(response.status, names_and_values, content)
        except core.UnsupportedProtocol as error:
            raise ValueError(f"an address must be of http or https, got {hidden(url)!r}") from error
        except (core.ConnectError, core.ConnectTimeout, core.ProxyError, core.PoolTimeout) as error:
            if why := _unsafe(error):
                raise Refused(f"{self._who} {hidden(why)}") from None
            failed, words = NotSent, f"{type(error).__name__}: {error}"
        except core.LocalProtocolError:
            raise ValueError(f"{self._who} cannot be sent the headers {', '.join(sorted(names))}") from None
        except (core.TimeoutException, core.NetworkError, core.RemoteProtocolError, OSError) as error:
            words = f"{type(error).__name__}: {error}"
        raise failed(f"{self._who} did not answer: {hidden(words)}")

    def _body(self, parts: Iterable[bytes], encoding: str) -> bytes:
        """Return the whole body, unpacked, as long as it is within the limit."""
        most, content, came = self._terms.most_bytes, bytearray(), 0
        unpack = zlib.decompressobj(47) if encoding in ("gzip", "x-gzip", "deflate") else None
        if unpack is None and encoding not in ("", "identity"):
            raise Unanswerable(f"{self._who} answered in the encoding {encoding!r:.40}, asked for was gzip or none")
        try:
            for part in parts:
                came += len(part)
                content += part if unpack is None else unpack.decompress(part, most + 1 - len(content))
                if max(came, len(content)) > most:
                    raise Unanswerable(f"{self._who} answered with more than {most:,} bytes")
        except zlib.error as error:
            raise Unanswerable(f"{self._who} answered with a damaged {encoding} body: {error}") from None
        if unpack is not None and came and (unpack.unused_data or not unpack.eof):
            what = "of more than one part" if unpack.eof else "that is cut off"
            raise Unanswerable(f"{self._who} answered with a {encoding} body {what}")
        return bytes(content)


def origin(url: str) -> tuple[str, str, int]:
    """Return scheme, host and port of an address of HTTP.

    Raises
    ------
    ValueError
        If it is none, or holds a user's name or password, which would go wherever the address goes.
    """
    try:
        parts = urllib.parse.urlsplit(url)
        port = parts.port or {"http": 80, "https": 443}[parts.scheme]
        if not parts.hostname or _CONTROL.search(url) or " " in url:
            raise ValueError
    except (ValueError, KeyError):
        raise ValueError(f"an address must be of http or https, got {hidden(url)!r:.200}") from None
    if "@" in parts.netloc:
        raise ValueError(f"an address must hold no name or password, give a header instead, got {hidden(url)!r:.200}")
    return parts.scheme, parts.hostname, port


def _host(url: str) -> str:
    return _ascii(urllib.parse.urlsplit(url).netloc.rpartition("@")[2])


def _ascii(url: str) -> str:
    """Return an address with what is no ASCII as IDNA and UTF-8 have it."""
    if url.isascii():
        return url
    parts = urllib.parse.urlsplit(url)
    host = parts.netloc.encode("idna").decode()
    rest = (urllib.parse.quote(part, safe="/%?&=:;,@+$!*'()~") for part in (parts.path, parts.query))
    return parts._replace(netloc=host, path=next(rest), query=next(rest)).geturl()


class _Header:
    """A header of the terms; one whose value stands in a file is read anew for each request, as tokens expire."""

    def __init__(self, name: str, given: str) -> None:
        self._name, self._given, self._value = name, given, _value(name, given)

    def value(self) -> str:
        """Return the value; the one before while its file is being written."""
        if self._given.startswith("@"):
            with contextlib.suppress(ValueError):
                self._value = _value(self._name, self._given)
        return self._value


def _signed(headers: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Return the headers that a signature holds: what the body is, and to whom it goes."""
    return {name: value for name, value in headers if name.lower() in ("host", "content-type")}


def _value(name: str, given: str) -> str:
    """Return the value of a header, ``$NAME`` from the environment and ``@FILE`` from the file; known as a secret."""
    if given.startswith("@"):
        try:
            value = Path(given[1:]).read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise ValueError(f"headers: the value of {name} cannot be read from a file: {error}") from None
        if not value:
            raise ValueError(f"headers: the value of {name} must stand in its file, which is empty")
    else:
        value = secrets.filled(given)
    if given.startswith("@") or name.lower() not in _OPEN:
        secrets.remember(value)
        secrets.remember(value.partition(" ")[2])
    if not value.isascii() or _CONTROL.search(value):
        raise ValueError(f"headers: the value of {name} must be ASCII in one line")
    return value


def _unsafe(error: BaseException | None) -> str:
    """Return why no repeat makes a connection safe: its certificate, or no TLS at all; "" where that was not it."""
    while error is not None:
        if isinstance(error, ssl.SSLCertVerificationError):
            return f"cannot be verified: {error.verify_message or error}"
        if isinstance(error, ssl.SSLError) and error.reason in ("WRONG_VERSION_NUMBER", "HTTP_REQUEST"):
            return "does not speak TLS there: an address without it begins with http://"
        error = error.__cause__ or error.__context__
    return ""


def headers_of(pairs: Iterable[str]) -> Mapping[str, str]:
    """Return headers from texts ``NAME: VALUE``."""
    found = {}
    for pair in pairs:
        name, colon, value = pair.partition(":")
        if not colon or not name.strip():
            raise ValueError(f"a header must be 'NAME: VALUE', got {hidden(pair)!r}")
        found[name.strip()] = value.strip()
    return found

"""Which addresses may be asked: the service's own, and of those that a reply names the hosts that are allowed."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from urllib.parse import SplitResult, urlsplit

from zoo_opt.support.secrets import hidden
from zoo_opt_seg.blackbox.protocol import Unanswerable


def checked_address(url: str, what: str) -> SplitResult:
    """Return an address in its parts.

    Raises
    ------
    ValueError
        If it is none of http or https with a host, or has credentials in it.
    """
    try:
        parts = urlsplit(url)
        known = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:
        known = False
    if not known or not url.isprintable() or not url.isascii() or any(c in url for c in ' "<>\\^`{|}'):
        raise ValueError(f"{what} must be an address that begins with http:// or https://, got {hidden(url)!r:.120}")
    if parts.username is not None or parts.password is not None:
        raise ValueError(f"{what} must have no credentials in it: give them as a header")
    return parts


def allowed_address(url: object, own: SplitResult, hosts: Sequence[str], what: str) -> str:
    """Return an address that a reply names, if it may be asked.

    Parameters
    ----------
    url : object
    own : SplitResult
        The service's.
    hosts : sequence of str
        That are allowed beside it; ``*.HOST`` is each below it.
    what : str
        For messages.

    Raises
    ------
    Unanswerable
        If it is none, has another host, or is plain http where the service's own is not.
    """
    if not isinstance(url, str):
        raise Unanswerable(f"{what} must be an address, got a {type(url).__name__}")
    try:
        parts = checked_address(url, what)
    except ValueError as error:
        raise Unanswerable(str(error)) from None
    same = (parts.scheme, parts.hostname, parts.port) == (own.scheme, own.hostname, own.port)
    if not same and not any(_fits(parts.hostname or "", host) for host in hosts):
        raise Unanswerable(
            f"{what} is on the host {parts.hostname!r:.80}, from which nothing is fetched: answer.hosts names "
            "the hosts that are allowed"
        )
    if not same and parts.scheme != "https" and own.scheme == "https":
        raise Unanswerable(f"{what} is not of https, as the service is")
    return url


def is_safe_for_secrets(parts: SplitResult) -> bool:
    """Return whether a secret sent there is seen by nobody else: by https, or within this machine."""
    if parts.scheme == "https" or parts.hostname == "localhost":
        return True
    try:
        return ipaddress.ip_address(parts.hostname or "").is_loopback
    except ValueError:
        return False


def _fits(host: str, pattern: str) -> bool:
    return host.endswith(pattern[1:]) and len(host) > len(pattern) - 1 if pattern[:2] == "*." else host == pattern

"""The bytes of a request's body."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from zoo_opt_seg.remote.exchange import Request
from zoo_opt_seg.remote.mapping.forms import SentBody
from zoo_opt_seg.remote.mapping.templates import ABSENT, as_json, filled_in


def request_of(sent: SentBody, values: Mapping[str, Any], who: str, **more: Any) -> Request:
    """Return the request that a mapping describes.

    Parameters
    ----------
    sent : SentBody
    values : mapping
        Of its places.
    who : str
        For messages.
    **more
        Of `Request`.

    Raises
    ------
    ValueError
        If its body is longer than the service takes.
    """
    content, kind = _body(sent, values)
    if sent.most_bytes and len(content) > sent.most_bytes:
        raise ValueError(
            f"{who} takes {sent.most_bytes} bytes at most, the request has {len(content)}: ask with smaller images"
        )
    url = filled_in(sent.url, {name: _in_address(value) for name, value in values.items()})
    return Request(url, content, {"Content-Type": kind, **sent.headers}, sent.method, **more)


def _in_address(value: Any) -> Any:
    if value is ABSENT:
        return ""
    return quote(value if isinstance(value, str) else as_json(value), safe="") if not isinstance(value, bytes) else ""


def _body(sent: SentBody, values: Mapping[str, Any]) -> tuple[bytes, str]:
    """Return the body and its type."""
    filled = filled_in(sent.template, values)
    if sent.body == "raw":
        return filled, "image/png"
    if sent.body == "json":
        return as_json(filled).encode(), "application/json"
    return _multipart(filled)


def _multipart(fields: Mapping[str, Any]) -> tuple[bytes, str]:
    """Return fields in the form of RFC 7578: bytes as a PNG file, a text as it is, all else as JSON.

    What separates them follows from what they are, so that the same question has the same bytes.
    """
    parts = []
    for name, value in fields.items():
        head = f'Content-Disposition: form-data; name="{quote(name, safe=" !#$&+-.^_`|~[]")}"'
        if isinstance(value, bytes):
            head += '; filename="image.png"\r\nContent-Type: image/png'
        else:
            value = (value if isinstance(value, str) else as_json(value)).encode()
        parts.append(head.encode() + b"\r\n\r\n" + value)
    boundary = hashlib.sha256(b"\n".join(parts)).hexdigest()
    between = f"--{boundary}".encode()
    content = b"".join(between + b"\r\n" + part + b"\r\n" for part in parts) + between + b"--\r\n"
    return content, f"multipart/form-data; boundary={boundary}"

"""Exchanges driven by hand: each request of an adapter is answered by a stub, and seen."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import numpy as np
from seg.remote.mapping.services import Answer, Asked

from zoo_opt_seg.prompts import Prompts
from zoo_opt_seg.remote.exchange import Adapter, Reply, Request

Stub = Callable[[Asked], Answer]


def asked(request: Request) -> Asked:
    """A request as a server sees it."""
    parts = urlsplit(request.url)
    headers = {name.lower(): value for name, value in request.headers.items()}
    return Asked(request.method, parts.path + (f"?{parts.query}" if parts.query else ""), headers, request.content)


@dataclass
class Driven:
    """What came of one exchange."""

    mask: Any = None
    requests: list[Request] = field(default_factory=list)

    @property
    def paid(self) -> int:
        return sum(request.paid for request in self.requests)


def drive(adapter: Adapter, stub: Stub, image: Any, prompts: Prompts, job: str = "", stop: int = 100) -> Driven:
    """Ask about one image; statuses of errors are not the stub's to give here."""
    done = Driven()
    exchange = adapter.question(image, prompts, job)
    try:
        request = next(exchange)
        while len(done.requests) < stop:
            done.requests.append(request)
            status, headers, content = stub(asked(request))
            assert status < 400, content
            request = exchange.send(Reply(status, {k.lower(): v for k, v in headers.items()}, content))
    except StopIteration as end:
        done.mask = np.asarray(end.value)
    return done

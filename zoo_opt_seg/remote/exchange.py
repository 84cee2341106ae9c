"""What an adapter and the transport tell each other: requests, replies, and the exchange that one question is.

An adapter knows a service's schema and nothing of connections: it is pure, asks for requests and reads replies. The
transport knows connections, limits and the ledger, and nothing of masks.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Generator, Mapping
from dataclasses import dataclass, field
from typing import Any

from zoo_opt.support.secrets import hidden
from zoo_opt_seg.prompts import Array, Prompts

_SAID = 10_000  # letters of what a service says that are looked at; chosen


@dataclass(frozen=True)
class Request:
    """One request of HTTP.

    Parameters
    ----------
    url : str
    content : bytes
        The body.
    headers : mapping of str to str
        Without credentials, which the transport adds for the hosts that may have them.
    method : str
    paid : bool
        Whether the service may charge for it. It is written down in the ledger before it is sent, and counts for the
        caps; what only fetches (the state of a job, a result, metadata) is not.
    after : float
        Seconds to wait before it is sent, as between two looks at a job.
    job : str
        What the answer can be fetched by later without paying again (the address of a job), written down before this
        request is sent; "" for none.
    """

    url: str
    content: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    method: str = "POST"
    paid: bool = True
    after: float = 0.0
    job: str = ""


@dataclass(frozen=True)
class Reply:
    """A reply of HTTP: a status that is no error, with the whole body.

    Parameters
    ----------
    status : int
    headers : mapping of str to str
        Names in small letters.
    content : bytes
    """

    status: int
    headers: Mapping[str, str]
    content: bytes


Exchange = Generator[Request, Reply, Array]
"""The requests of one question, each answered by its reply; it returns the mask (H, W), float32 or bool."""


class Adapter(ABC):
    """The schema of a service.

    Attributes
    ----------
    name : str
        Its identity in caches and records: all that the answers depend on (address, model, options), no credentials.
    url : str
        An address of the service: credentials (`zoo_opt_seg.remote.terms.Terms.headers`) go to its scheme, host and
        port and nowhere else.
    prompted_by : {"points", "boxes", "text"} or None
        As of a `BlackBox`.
    hard : bool or None
        Whether it answers with bool masks; None is not known.
    retry, refuse : frozenset of int
        Statuses of HTTP that may heal, and those that no repeat changes, beside those of `zoo_opt.as_service`.
    sign : str
        How requests are signed, see `zoo_opt_seg.remote.signing.signer`; "" where they are not.
    """

    name: str
    url: str
    prompted_by: str | None = None
    hard: bool | None = None
    retry: frozenset[int] = frozenset()
    refuse: frozenset[int] = frozenset()
    sign: str = ""

    @abstractmethod
    def question(self, image: Array, prompts: Prompts, job: str = "") -> Exchange:
        """Return the exchange that asks about one image.

        Parameters
        ----------
        image : (H, W, 3) array
            uint8, or float32 in [0, 1].
        prompts : Prompts
            One row, in pixels of the image.
        job : str
            What an earlier attempt at this question has written down as its `Request.job`: the exchange goes on there.

        Raises
        ------
        ValueError
            If the service cannot be asked so (a kind of prompt that it does not have); before anything is sent.
        BlackBoxError
            From the generator, if a reply cannot be read; `NotServed` and `Refused` where a reply says so.
        """

    def complaint(self, reply: Reply) -> str:
        """Return what the service says in a reply with an error's status, in a few words; "" if nothing."""
        return ""

    def may_fetch(self, url: str) -> bool:
        """Return whether a redirect to an address may be followed, without credentials, by what is not paid."""
        return True

    def check(self, ask: Any) -> None:  # noqa: B027  most services say nothing of themselves
        """Hold the settings against what the service says of itself, once, before the first question.

        Parameters
        ----------
        ask : callable
            Takes an unpaid `Request` and returns its `Reply`.

        Raises
        ------
        ValueError
            If they do not fit; the message says what the service has.
        """


def presentable(said: Any, most: int = 300) -> str:
    """Return what a service says in one line: without secrets, or what a terminal or a file of UTF-8 does not take."""
    words = " ".join(str(said)[:_SAID].split())
    return "".join(letter if letter.isprintable() else "?" for letter in hidden(words))[:most]

"""The terms by which a service is asked: how fast, how long, how much."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from zoo_opt.core.errors import integer, non_negative, positive

_HEADER = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")


@dataclass(frozen=True, kw_only=True)
class Terms:
    """By which terms a service is asked; what is None has no limit.

    Parameters
    ----------
    workers : int
        Questions in flight at most, >= 1.
    rate : float, optional
        Requests a second at most, evenly spaced.
    images_rate : float, optional
        Images a second at most, evenly spaced.
    connect, read, total : float
        Seconds: for a connection, between two parts of an answer, and for an exchange as a whole.
    ledger : path, optional
        File in which every attempt is written down; several runs may share it.
    price : float
        Of an image, in units of money.
    most_calls, most_money, most_seconds : float, optional
        Caps on what the ledger's attempts come to in all, those of other runs included: raised before what would exceed
        them is sent.
    repeats : int
        How often a question is asked again whose answer never came, though it may have been paid.
    most_bytes : int
        Of a reply.
    headers : mapping of str to str
        Sent to the service's own host only. ``$NAME`` in a value stands for the environment's, and ``@FILE`` for what
        the file holds.
    ca : path, optional
        Certificates to verify the host by, in place of the usual ones.
    run : str
        What the ledger calls this run. Two processes that ask at the same time should not have the same name.

    Raises
    ------
    TypeError, ValueError
        If a limit is not of its form; the message names it.
    """

    workers: int = 4
    rate: float | None = None
    images_rate: float | None = None
    connect: float = 10.0
    read: float = 60.0
    total: float = 600.0
    ledger: str | os.PathLike[str] | None = None
    price: float = 0.0
    most_calls: int | None = None
    most_money: float | None = None
    most_seconds: float | None = None
    repeats: int = 1
    most_bytes: int = 1 << 28
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    ca: str | os.PathLike[str] | None = None
    run: str = ""

    def __post_init__(self) -> None:
        for name, least in (("workers", 1), ("repeats", 0), ("most_bytes", 1)):
            integer(name, getattr(self, name), least)
        for name in ("rate", "images_rate", "connect", "read", "total"):
            if getattr(self, name) is not None:
                positive(name, getattr(self, name))
        non_negative("price", self.price)
        if self.most_calls is not None:
            integer("most_calls", self.most_calls, 0)
        for name in ("most_money", "most_seconds"):
            if getattr(self, name) is not None:
                non_negative(name, getattr(self, name))
        for name, value in self.headers.items():
            if not (isinstance(name, str) and isinstance(value, str) and _HEADER.fullmatch(name)):
                raise ValueError(f"headers must be texts by names of letters, digits and dashes, got {name!r}")

"""The terms by which a service is asked: how fast, how long, how much."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, kw_only=True)
class Terms:
    """By which terms a service is asked; what is None has no limit.

    Parameters
    ----------
    workers : int
        Questions in flight at most, >= 1.
    rate : float, optional
        Requests a second at most.
    images_rate : float, optional
        Images a second at most.
    connect, read, total : float
        Seconds: for a connection, between two parts of an answer, and for an exchange as a whole.
    ledger : path, optional
        File in which every attempt is written down; several runs may share it.
    price : float
        Of an image, in units of money.
    most_calls, most_money, most_seconds : float, optional
        Caps on what the ledger's attempts come to in all: raised before what would exceed them is sent.
    repeats : int
        How often a question is asked again whose answer never came, though it may have been paid.
    most_bytes : int
        Of a reply.
    headers : mapping of str to str
        Sent to the service's own host only; ``$NAME`` in a value stands for the environment's.
    ca : path, optional
        Certificates to verify the host by, in place of the usual ones.
    run : str
        What the ledger calls this run.
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
    headers: Mapping[str, str] = field(default_factory=dict)
    ca: str | os.PathLike[str] | None = None
    run: str = ""

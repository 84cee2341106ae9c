"""The ledger: every attempt at a question that may be paid is written down before it is sent, and after.

A file of JSON lines that is only appended to, for any number of runs and processes, locked while a line is written::

    {"zoo-opt-seg ledger": 1}
    {"begin": ID, "at": TIME, "run": RUN, "model": NAME, "question": HASH, "images": 1, "price": 0.005, "number": 1}
    {"end": ID, "how": "answered", "status": 200, "bytes": 9000, "seconds": 0.05}
    {"job": ADDRESS, "run": RUN, "question": HASH}

An attempt that begins and does not end, because its process was killed, counts as perhaps paid. A line is with the
system before its request is sent, so that no kill loses it, and on the disk some milliseconds later: one ``fsync``
takes all lines that came since the one before.
"""

from __future__ import annotations

import contextlib
import itertools
import secrets
import threading
import time
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from zoo_opt.core.errors import CheckpointError, Refused
from zoo_opt.support.json_files import json_line
from zoo_opt.support.secrets import hidden
from zoo_opt_seg.blackbox.protocol import BlackBoxGone, Unanswerable
from zoo_opt_seg.remote.books import Books, Spent
from zoo_opt_seg.remote.ledger_file import LedgerFile
from zoo_opt_seg.remote.terms import Terms


class CapReached(Refused):
    """What would be sent would exceed a cap of the terms; it was not sent."""


@dataclass(frozen=True)
class Attempt:
    """An attempt that has begun."""

    id: str
    question: str
    began: float


class Ledger:
    """What was asked of one service in one run, among all that its file holds. Threads share it.

    Parameters
    ----------
    terms : Terms
        Of these ``ledger``, the file, made if absent, or None: then it is kept in memory; ``run``, ``price``,
        ``repeats`` and the caps.
    model : str
        The service's name.

    Raises
    ------
    CheckpointError
        If the file is no ledger, or a line of it is damaged. A last line that was cut off is taken away.
    OSError
        If it cannot be opened.
    """

    def __init__(self, terms: Terms, model: str) -> None:
        self._terms, self._run, self._model = terms, hidden(terms.run), hidden(model)
        self._session, self._numbers = secrets.token_hex(4), itertools.count(1)
        self._books, self._lock = Books(), threading.RLock()
        self._file = None if terms.ledger is None else LedgerFile(Path(terms.ledger), self._books)

    @property
    def spent(self) -> Spent:
        """What the attempts of this run come to."""
        with self._lock:
            return self._books.total(self._run)

    @property
    def seconds_each(self) -> float:
        """Seconds that a call of this model took on average; 0 where none has ended."""
        with self._lock:
            return self._books.seconds_each(self._model)

    def begin(self, question: str, images: int) -> Attempt:
        """Write down that an attempt is about to be sent, and return it.

        Parameters
        ----------
        question : str
            What tells it from others.
        images : int
            That it is about, each of the terms' price.

        Raises
        ------
        Unanswerable
            If the question was sent so often without an answer that it is not sent again.
        CapReached
            If it would exceed a cap.
        BlackBoxGone
            If it cannot be written down.
        """
        with self._lock, self._up_to_date():
            lost = self.check(question)
            self._admit(images)
            id_ = f"{self._session}-{next(self._numbers)}"
            price = round(images * self._terms.price, 9)
            line: dict[str, Any] = {
                "begin": id_,
                "at": datetime.now(UTC).isoformat(timespec="milliseconds"),
                "run": self._run,
            }
            line |= {"model": self._model, "question": question, "images": images, "price": price, "number": lost + 1}
            self._write(line)
        return Attempt(id_, question, time.monotonic())

    def end(self, attempt: Attempt, how: str, status: int = 0, size: int = 0, why: str = "") -> None:
        """Write down how an attempt ended: see `zoo_opt_seg.remote.books`.

        Where that cannot be written, it is known in this process, and counts as perhaps paid for all others.
        """
        line: dict[str, Any] = {"end": attempt.id, "how": how}
        line |= {"status": status} if status else {}
        line |= {"bytes": size, "seconds": round(time.monotonic() - attempt.began, 4)}
        line |= {"why": hidden(why)[:300]} if why else {}
        self._note(line)

    def job(self, question: str) -> str:
        """Return by what the answer to a question can be fetched without paying again; "" if nothing is known."""
        with self._lock:
            return self._books.job(self._run, question)

    def keep_job(self, question: str, job: str, lost: bool = False) -> None:
        """Write down by what the answer can be fetched, "" where that is over; ``lost``: and there was no answer."""
        line = {"job": job, "run": self._run, "question": question}
        self._note({**line, "lost": 1} if lost else line)

    def check(self, question: str, why: str = "") -> int:
        """Return how often a question was sent and not answered; raise Unanswerable where it is not sent again.

        Why there was no answer the last time goes into its message.
        """
        with self._lock:
            lost = self._books.lost(self._run, question, self._session)
        if lost > self._terms.repeats:
            times = "once" if lost == 1 else f"{lost} times"
            raise Unanswerable(
                f"{self._model} was asked about this image {times} and never answered: it was perhaps paid {times}, "
                f"and is not asked again (repeats, --ask-again, is {self._terms.repeats})"
                + (f"; at last {why}" if why else "")
            )
        return lost

    def close(self) -> None:
        """Close the file; all lines are on the disk."""
        if self._file is not None:
            self._file.close()

    def _admit(self, images: int) -> None:
        """Raise CapReached where an attempt must not be sent."""
        terms = self._terms
        if terms.most_calls is None and terms.most_money is None and terms.most_seconds is None:
            return
        spent, money = self._books.total(), images * terms.price
        seconds = self._books.seconds_each() * (self._books.in_flight + 1)  # of it, and of what has not ended
        caps = (
            ("calls", terms.most_calls, spent.calls + 1, spent.calls),
            ("money", terms.most_money, spent.money + money - 1e-9, spent.money),
            ("seconds", terms.most_seconds, spent.seconds + max(seconds, 1e-9), spent.seconds),
        )
        for what, most, then, now in caps:
            if most is not None and then > most:
                where = "" if terms.ledger is None else " in the ledger"
                raise CapReached(
                    f"most_{what} is {most:g} and {now:g} are spent{where}: nothing more is sent until it is raised"
                )

    def _note(self, line: Mapping[str, Any]) -> None:
        try:
            with self._lock, self._up_to_date():
                self._write(line)
        except (BlackBoxGone, CheckpointError) as error:
            with self._lock:
                self._books.add(line)
            warnings.warn(f"what was paid for cannot be written down: {error}", RuntimeWarning, stacklevel=3)

    def _write(self, line: Mapping[str, Any]) -> None:
        if "end" not in line:
            Books().add(line)  # what is no line of a ledger must not come into its file
        if self._file is not None:
            self._file.append(json_line(line))
        self._books.add(line)

    def _up_to_date(self) -> contextlib.AbstractContextManager[None]:
        return contextlib.nullcontext() if self._file is None else self._file.held()

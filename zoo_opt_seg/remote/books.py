"""What the lines of a ledger come to: sums by run, model and day, what is open, and what was lost."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

# How an attempt ended. What is not paid: nothing was sent, or the service did not take the request.
ANSWERED, FAILED, LOST, UNSENT, UNSERVED, REFUSED = "answered", "failed", "lost", "unsent", "not served", "refused"
PAID = {ANSWERED, FAILED, LOST}
ENDS = {*PAID, UNSENT, UNSERVED, REFUSED}
_MOST = 1e15  # of any number in a ledger; chosen


@dataclass
class Spent:
    """What attempts come to.

    Attributes
    ----------
    calls : int
        Attempts that are paid, or perhaps.
    images : int
        That these were about.
    money : float
        What these cost.
    perhaps : int
        Those of them whose answer never came, and those that have begun and not ended.
    failed : int
        Those of them that were answered by an error, or by what cannot be read.
    unserved, refused, unsent : int
        Attempts that were not paid: the service had no time or refused, or there was no connection.
    seconds : float
        From sending to the answer or its failing, of all that ended.
    bytes : int
        Of answers.
    """

    calls: int = 0
    images: int = 0
    money: float = 0.0
    perhaps: int = 0
    failed: int = 0
    unserved: int = 0
    refused: int = 0
    unsent: int = 0
    seconds: float = 0.0
    bytes: int = 0

    def __add__(self, other: Spent) -> Spent:
        """Return the sums of both."""
        return Spent(*(getattr(self, item.name) + getattr(other, item.name) for item in fields(Spent)))

    def plain(self) -> dict[str, Any]:
        """Return it as JSON holds it."""
        return {**asdict(self), "money": round(self.money, 6), "seconds": round(self.seconds, 3)}


Key = tuple[str, str]  # run and question


@dataclass
class _Open:
    """An attempt that has not ended."""

    key: Key
    sums: Spent
    images: int
    price: float


class Books:
    """The sums of a ledger, kept as its lines come.

    Attributes
    ----------
    sums : dict
        `Spent` by (run, model, day).
    """

    def __init__(self) -> None:
        self.sums: dict[tuple[str, str, str], Spent] = {}
        self._open: dict[str, _Open] = {}
        self._open_of: dict[Key, set[str]] = {}
        self._lost: dict[Key, int] = {}
        self._jobs: dict[Key, str] = {}

    def add(self, line: Mapping[str, Any]) -> None:
        """Take a line in.

        Raises
        ------
        ValueError
            If it is none of a ledger.
        """
        if "begin" in line:
            self._begin(line)
        elif "end" in line:
            self._end(line)
        elif "job" in line:
            key = _text(line, "run"), _text(line, "question")
            if job := _text(line, "job"):
                self._jobs[key] = job
            else:
                self._jobs.pop(key, None)
            if _number(line, "lost", whole=True, default=0):
                self._lost[key] = self._lost.get(key, 0) + 1
        else:
            raise ValueError(f"expected begin, end or job, got {sorted(map(str, line))!r:.80}")

    def _begin(self, line: Mapping[str, Any]) -> None:
        id_, day = _text(line, "begin"), _text(line, "at")[:10]
        images, price = int(_number(line, "images", whole=True)), _number(line, "price")
        run = _text(line, "run")
        sums = self.sums.setdefault((run, _text(line, "model"), day), Spent())
        if id_ in self._open:
            raise ValueError(f"the attempt {id_!r:.40} began twice")
        key = run, _text(line, "question")
        self._open[id_] = _Open(key, sums, images, price)
        self._open_of.setdefault(key, set()).add(id_)
        sums.calls += 1
        sums.perhaps += 1
        sums.images += images
        sums.money += price

    def _end(self, line: Mapping[str, Any]) -> None:
        id_, how = _text(line, "end"), _text(line, "how")
        seconds, size = _number(line, "seconds", default=0), _number(line, "bytes", whole=True, default=0)
        if how not in ENDS:
            raise ValueError(f"how an attempt ended must be one of {', '.join(sorted(ENDS))}, got {how!r:.40}")
        attempt = self._open.pop(id_, None)
        if attempt is None:
            raise ValueError(f"the attempt {id_!r:.40} ends and has not begun")
        key, sums = attempt.key, attempt.sums
        sums.seconds += seconds
        sums.bytes += int(size)
        others = self._open_of.get(key, set())
        others.discard(id_)
        if how == LOST:
            self._lost[key] = self._lost.get(key, 0) + 1
        else:
            sums.perhaps -= 1
        if how not in PAID:
            sums.calls -= 1
            sums.images -= attempt.images
            sums.money -= attempt.price
        sums.failed += how == FAILED
        sums.unserved += how == UNSERVED
        sums.refused += how == REFUSED
        sums.unsent += how == UNSENT
        if how in (ANSWERED, FAILED):  # the answer is there: what was lost before is no reason any more
            self._lost.pop(key, None)
            others.clear()
        if not others:
            self._open_of.pop(key, None)

    def lost(self, run: str, question: str, but: str) -> int:
        """Return how often a question of a run was sent and not answered, since it was last answered.

        Attempts whose names begin with ``but`` are not lost while they are open.
        """
        key = run, question
        return self._lost.get(key, 0) + sum(not id_.startswith(but) for id_ in self._open_of.get(key, ()))

    def job(self, run: str, question: str) -> str:
        """Return by what the answer to a question can be fetched, "" if nothing is known."""
        return self._jobs.get((run, question), "")

    def total(self, run: str | None = None) -> Spent:
        """Return the sums of all, or of one run."""
        return added(sums for (name, _, _), sums in self.sums.items() if run in (None, name))


def added(many: Iterable[Spent]) -> Spent:
    """Return the sums of all of them."""
    return sum(many, Spent())


def _text(line: Mapping[str, Any], name: str) -> str:
    value = line.get(name)
    if not isinstance(value, str) or len(value) > 10_000:
        raise ValueError(f"{name} must be a text, got {value!r:.40}")
    return value


def _number(line: Mapping[str, Any], name: str, whole: bool = False, default: float | None = None) -> float:
    value = line.get(name, default)
    good = isinstance(value, int if whole else (int, float)) and not isinstance(value, bool)
    if not (good and 0 <= value <= _MOST and math.isfinite(value)):  # type: ignore[operator,arg-type]
        raise ValueError(f"{name} must be a {'whole ' * whole}number from 0 on, got {value!r:.40}")
    return value  # type: ignore[return-value]

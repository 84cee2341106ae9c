"""What the lines of a ledger come to: sums by run, model and day, what is open, and what was lost."""

from __future__ import annotations

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


class Books:
    """The sums of a ledger, kept as its lines come.

    Attributes
    ----------
    sums : dict
        `Spent` by (run, model, day).
    """

    def __init__(self) -> None:
        self.sums: dict[tuple[str, str, str], Spent] = {}
        self._open: dict[str, tuple[Key, Spent, int, float]] = {}  # with the images and the price
        self._open_of: dict[Key, tuple[str, ...]] = {}
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
            self._begin(*_values(line, _BEGIN))
        elif "end" in line:
            self._end(*_values(line, _END))
        elif "job" in line:
            self._job(*_values(line, _JOB))
        else:
            raise ValueError(f"expected begin, end or job, got {sorted(map(str, line))!r:.80}")

    def _begin(self, id_: str, at: str, run: str, model: str, question: str, images: int, price: float) -> None:
        if id_ in self._open:
            raise ValueError(f"the attempt {id_!r:.40} began twice")
        group, key = (run, model, at[:10]), (run, question)
        sums = self.sums.get(group)
        if sums is None:
            sums = self.sums[group] = Spent()
        self._open[id_] = key, sums, images, price
        self._open_of[key] = (*self._open_of.get(key, ()), id_)
        sums.calls += 1
        sums.perhaps += 1
        sums.images += images
        sums.money += price

    def _end(self, id_: str, how: str, seconds: float, size: int) -> None:
        if how not in ENDS:
            raise ValueError(f"how an attempt ended must be one of {', '.join(sorted(ENDS))}, got {how!r:.40}")
        if id_ not in self._open:
            raise ValueError(f"the attempt {id_!r:.40} ends and has not begun")
        key, sums, images, price = self._open.pop(id_)
        sums.seconds += seconds
        sums.bytes += size
        others = tuple(other for other in self._open_of.pop(key, ()) if other != id_)
        if how == LOST:
            self._lost[key] = self._lost.get(key, 0) + 1
        else:
            sums.perhaps -= 1
        if how not in PAID:
            sums.calls -= 1
            sums.images -= images
            sums.money -= price
        sums.failed += how == FAILED
        sums.unserved += how == UNSERVED
        sums.refused += how == REFUSED
        sums.unsent += how == UNSENT
        if how in (ANSWERED, FAILED):  # the answer is there: what was lost before is no reason any more
            self._lost.pop(key, None)
        elif others:
            self._open_of[key] = others

    def _job(self, job: str, run: str, question: str, lost: int) -> None:
        key = run, question
        if job:
            self._jobs[key] = job
        else:
            self._jobs.pop(key, None)
        if lost:
            self._lost[key] = self._lost.get(key, 0) + 1

    def lost(self, run: str, question: str, but: str) -> int:
        """Return how often a question of a run was sent and not answered, since it was last answered.

        Attempts whose names begin with ``but`` are not lost while they are open.
        """
        key = run, question
        return self._lost.get(key, 0) + sum(not id_.startswith(but) for id_ in self._open_of.get(key, ()))

    def job(self, run: str, question: str) -> str:
        """Return by what the answer to a question can be fetched, "" if nothing is known."""
        return self._jobs.get((run, question), "")

    @property
    def in_flight(self) -> int:
        """Attempts that have begun and not ended."""
        return len(self._open)

    def seconds_each(self, model: str | None = None) -> float:
        """Return the seconds that a call took on average, of all models or of one; 0 where none has ended."""
        every = added(sums for (_, name, _), sums in self.sums.items() if model in (None, name))
        ended = every.calls - every.perhaps
        return every.seconds / ended if ended else 0.0

    def total(self, run: str | None = None) -> Spent:
        """Return the sums of all, or of one run."""
        return added(sums for (name, _, _), sums in self.sums.items() if run in (None, name))


def added(many: Iterable[Spent]) -> Spent:
    """Return the sums of all of them."""
    return sum(many, Spent())


_Field = tuple[str, Any, Any]  # a name, its type or types, and what it is where it is absent; None: it must be there
_BEGIN: tuple[_Field, ...] = (
    *((name, str, None) for name in ("begin", "at", "run", "model", "question")),
    ("images", int, None),
    ("price", (float, int), None),
)
_END: tuple[_Field, ...] = (("end", str, None), ("how", str, None), ("seconds", (float, int), 0), ("bytes", int, 0))
_JOB: tuple[_Field, ...] = (("job", str, None), ("run", str, None), ("question", str, None), ("lost", int, 0))


def _values(line: Mapping[str, Any], wanted: tuple[_Field, ...]) -> list[Any]:
    """Return the values of a line by name, or raise."""
    values = []
    for name, kind, default in wanted:
        value = line.get(name, default)
        if not isinstance(value, kind) or (
            kind is not str and not (0 <= value <= _MOST and value is not True and value is not False)
        ):
            what = "a text" if kind is str else "a whole number from 0 on" if kind is int else "a number from 0 on"
            raise ValueError(f"{name} must be {what}, got {value!r:.40}")
        values.append(value)
    return values

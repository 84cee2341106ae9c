"""Which iterate is kept: the optimizer's mean at evenly spaced marks, judged on validation images."""

from __future__ import annotations

import io
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from zoo_opt.storage.checkpoint import write_atomically
from zoo_opt_seg.adaptation.folder import Line, Lines, floats
from zoo_opt_seg.blackbox.protocol import BlackBoxGone
from zoo_opt_seg.blackbox.wrappers import BudgetExhausted
from zoo_opt_seg.measures.losses import LossError
from zoo_opt_seg.prompts import Array

SCORES = ("dice", "loss")


class BlackBoxDown(RuntimeError):
    """The black box failed so often that going on makes no sense. What was paid for is kept."""


@dataclass
class Mark:
    """One iterate and how it does on the validation images.

    Attributes
    ----------
    number : int
        The mark; 0 is the start.
    nfev : int
        Evaluations told before it.
    x : (d,) array
        The optimizer's mean there.
    dice, loss : list of float
        One per validation image, NaN where the black box failed.
    lost : int
        Images that were sent in vain while the black box was down, and are to be sent again.
    """

    number: int
    nfev: int
    x: Array
    dice: list[float] = field(default_factory=list)
    loss: list[float] = field(default_factory=list)
    lost: int = 0

    def line(self, calls: int) -> Line:
        """Return the log's line, ``calls`` being those made by its end."""
        good = [value for value in self.dice if not math.isnan(value)]
        return {
            "kind": "validation",
            "mark": self.number,
            "nfev": self.nfev,
            "calls": calls,
            "dice": mean(self.dice),
            "loss": mean(self.loss),
            "images": len(self.dice),
            "failed": len(self.dice) - len(good),
        }


class Marks:
    """The marks of a run, with a journal if there is a folder.

    Parameters
    ----------
    ask : callable
        ``ask(x, rows) -> (dice, loss)``: evaluates some of the validation images, one question to the black box.
    images : int
        Validation images.
    batch : int
        Images in a question.
    views : int
        Calls that the answer of one image costs.
    folder : Path or None
        Where vectors and results are kept.
    """

    def __init__(
        self,
        ask: Callable[[Array, slice], tuple[Sequence[float], Sequence[float]]],
        images: int,
        batch: int,
        views: int,
        folder: Path | None,
    ) -> None:
        self._ask, self.images, self._batch, self.views, self._folder = ask, images, batch, views, folder
        self.marks: dict[int, Mark] = {}
        self._journal = None if folder is None else Lines(folder / "validation.jsonl")
        for line in () if self._journal is None else self._journal.known:
            number = line["mark"]
            if number not in self.marks:
                self.marks[number] = Mark(number, line["nfev"], np.load(self._file(number), allow_pickle=False))
            self._enter(self.marks[number], line)

    @property
    def calls(self) -> int:
        """Calls spent on validation, those in vain included."""
        return self.lost + self.views * sum(len(mark.dice) for mark in self.marks.values())

    @property
    def lost(self) -> int:
        """Calls spent in vain: of marks that failed as a whole and were, or will be, judged again."""
        return self.views * sum(mark.lost for mark in self.marks.values())

    def done(self, number: int) -> bool:
        """Return whether the mark has been judged on all images."""
        return number in self.marks and len(self.marks[number].dice) == self.images

    def price(self, number: int) -> int:
        """Return the calls that it takes to judge a mark, or the rest of it."""
        judged = len(self.marks[number].dice) if number in self.marks else 0
        return self.views * (self.images - judged)

    def judge(self, number: int, nfev: int, x: Array) -> Mark:
        """Judge an iterate, or the rest of its images where a kill came in between.

        Raises
        ------
        BlackBoxDown
            If the black box failed on every question, or can be asked nothing any more; what is kept of the questions
            that failed is that they were paid for.
        """
        mark = self.marks.get(number)
        if mark is None:
            if self._folder is not None:
                buffer = io.BytesIO()
                np.save(buffer, x, allow_pickle=False)
                write_atomically(self._file(number), buffer.getbuffer())  # before any result that refers to it
            mark = Mark(number, nfev, np.array(x))
        if not np.isfinite(mark.x.astype(np.float32)).all():  # it diverged: nothing to ask
            nothing = [math.nan] * (self.images - len(mark.dice))
            self._keep(mark, {"mark": number, "nfev": nfev, "dice": nothing, "loss": nothing, "error": "not finite"})
            return mark
        failed: list[Line] = []
        last: Exception | None = None
        gone: BlackBoxGone | None = None
        for start in range(len(mark.dice), self.images, self._batch):
            rows = slice(start, min(start + self._batch, self.images))
            line: Line = {"mark": number, "nfev": nfev}
            try:
                dice, loss = self._ask(mark.x, rows)
                line |= {"dice": list(map(float, dice)), "loss": list(map(float, loss))}
            except (LossError, BudgetExhausted):
                raise
            except BlackBoxGone as error:
                gone = error
                break
            except Exception as error:
                nothing = [math.nan] * (rows.stop - rows.start)
                last = error
                failed.append(line | {"dice": nothing, "loss": nothing, "error": f"{type(error).__name__}: {error}"})
                continue
            for known in (*failed, line):
                self._keep(mark, known)
            failed = []
        if mark.dice:
            for known in failed:  # also where the black box is gone, or what ended it would be asked for ever
                self._keep(mark, known)
        elif failed:
            lost: Line = {"mark": number, "nfev": nfev, "dice": [], "loss": [], "error": failed[-1]["error"]}
            self._keep(mark, lost | {"lost": sum(len(line["dice"]) for line in failed)})
        if gone is not None:
            raise BlackBoxDown(str(gone)) from gone
        if not mark.dice:
            raise BlackBoxDown(
                f"the black box failed on all {self.images} validation images, the last time with {failed[-1]['error']}"
            ) from last
        return mark

    def chosen(self, by: str) -> Mark | None:
        """Return the best mark, the earliest of equals; None if none was judged.

        Marks are compared on the images that no black box failure took from any of them; a mark that lost more than
        half of its images takes no part.
        """
        judged = [mark for number, mark in sorted(self.marks.items()) if self.done(number)]
        marks = [mark for mark in judged if 2 * sum(map(math.isnan, mark.dice)) <= len(mark.dice)]
        if not marks:
            return None
        values = np.array([mark.dice if by == "dice" else [-v for v in mark.loss] for mark in marks])
        common = np.isfinite(values).all(axis=0)
        return marks[int(values[:, common].mean(axis=1).argmax())] if common.any() else marks[-1]

    def close(self) -> None:
        """Close the journal."""
        if self._journal is not None:
            self._journal.close()

    def _keep(self, mark: Mark, line: Line) -> None:
        if self._journal is not None:
            self._journal.add(line)
        self.marks[mark.number] = mark
        self._enter(mark, line)

    @staticmethod
    def _enter(mark: Mark, line: Line) -> None:
        mark.dice += floats(line["dice"])
        mark.loss += floats(line["loss"])
        mark.lost += line.get("lost", 0)

    def _file(self, number: int) -> Path:
        assert self._folder is not None
        return self._folder / f"mark-{number}.npy"


def thresholds(evaluations: int, marks: int) -> list[int]:
    """Return the numbers of evaluations after which the marks are due: 0, evenly spaced, all."""
    return [evaluations * k // (marks - 1) for k in range(marks)] if marks > 1 else []


def mean(values: Sequence[float]) -> float:
    """Return the mean of the values that are not NaN, NaN if there are none."""
    good = [value for value in values if not math.isnan(value)]
    return math.fsum(good) / len(good) if good else math.nan

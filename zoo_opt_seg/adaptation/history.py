"""The validated iterates of a run, kept as they are paid for, and which of them is the best."""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from zoo_opt.core.errors import CheckpointError
from zoo_opt.storage.archive import npy_array
from zoo_opt.storage.atomic import write_atomically
from zoo_opt_seg.adaptation.folder import Line, Lines, floats
from zoo_opt_seg.prompts import Array


@dataclass
class ValidationPoint:
    """One iterate and how it does on the validation images.

    Attributes
    ----------
    number : int
        0 is the start. Files call it the mark.
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
        return {
            "kind": "validation",
            "mark": self.number,
            "nfev": self.nfev,
            "calls": calls,
            "dice": mean(self.dice),
            "loss": mean(self.loss),
            "images": len(self.dice),
            "failed": sum(map(math.isnan, self.dice)),
        }


class History:
    """The validation points of a run, with a journal if there is a folder.

    Parameters
    ----------
    images : int
        Validation images.
    views : int
        Calls that the answer of one image costs.
    folder : Path or None
        Where vectors and results are kept.

    Attributes
    ----------
    points : dict of int to ValidationPoint
        By number.
    """

    def __init__(self, images: int, views: int, folder: Path | None) -> None:
        self.images, self.views, self._folder = images, views, folder
        self.points: dict[int, ValidationPoint] = {}
        self._journal = Lines(None if folder is None else folder / "validation.jsonl")
        for line in self._journal.known:
            number = line["mark"]
            if number not in self.points:
                x = read_vector(self._file(number))
                self.points[number] = ValidationPoint(number, line["nfev"], x)
            self._enter(self.points[number], line)

    @property
    def calls(self) -> int:
        """Calls spent on validation, those in vain included."""
        return self.lost + self.views * sum(len(point.dice) for point in self.points.values())

    @property
    def lost(self) -> int:
        """Calls spent in vain: of validations that failed as a whole and were, or will be, made again."""
        return self.views * sum(point.lost for point in self.points.values())

    def done(self, number: int) -> bool:
        """Return whether the iterate of this number has been validated on all images."""
        return number in self.points and len(self.points[number].dice) == self.images

    def price(self, number: int) -> int:
        """Return the calls that it takes to validate an iterate, or the rest of it."""
        validated = len(self.points[number].dice) if number in self.points else 0
        return self.views * (self.images - validated)

    def begin(self, number: int, nfev: int, x: Array) -> ValidationPoint:
        """Return the point of this number, made and kept if it is new."""
        if number not in self.points:
            if self._folder is not None:
                write_vector(self._file(number), x)  # before any result that refers to it
            self.points[number] = ValidationPoint(number, nfev, np.array(x))
        return self.points[number]

    def add(self, point: ValidationPoint, dice: list[float], loss: list[float], **more: Any) -> None:
        """Keep Dice and loss of the point's next images."""
        line = {"mark": point.number, "nfev": point.nfev, "dice": dice, "loss": loss, **more}
        self._journal.add(line)
        self._enter(point, line)

    def best(self, by: str) -> ValidationPoint | None:
        """Return the best point by "dice" or "loss", the earliest of equals; None if none was validated.

        Points are compared on the images that no black box failure took from any of them; a point that lost more than
        half of its images takes no part.
        """
        done = [point for number, point in sorted(self.points.items()) if self.done(number)]
        points = [point for point in done if 2 * sum(map(math.isnan, point.dice)) <= len(point.dice)]
        if not points:
            return None
        values = np.array([point.dice if by == "dice" else [-v for v in point.loss] for point in points])
        common = np.isfinite(values).all(axis=0)
        return points[int(values[:, common].mean(axis=1).argmax())] if common.any() else points[-1]

    def lines(self, each: int) -> list[Line]:
        """Return the log's lines of the points that have been validated, an evaluation costing ``each`` calls."""
        lines, spent = [], 0
        for number, point in sorted(self.points.items()):
            spent += self.views * (len(point.dice) + point.lost)
            if self.done(number):
                lines.append(point.line(point.nfev * each + spent))
        return lines

    def close(self) -> None:
        """Close the journal."""
        self._journal.close()

    @staticmethod
    def _enter(point: ValidationPoint, line: Line) -> None:
        point.dice += floats(line["dice"])
        point.loss += floats(line["loss"])
        point.lost += line.get("lost", 0)

    def _file(self, number: int) -> Path:
        assert self._folder is not None
        return self._folder / f"mark-{number}.npy"


def write_vector(path: Path, x: Array) -> None:
    """Write an array as .npy, atomically."""
    buffer = io.BytesIO()
    np.save(buffer, x, allow_pickle=False)
    with buffer.getbuffer() as payload:
        write_atomically(path, payload)


def read_vector(path: Path) -> Array:
    """Return what `write_vector` wrote; CheckpointError if it is not there as a whole."""
    try:
        return npy_array(path.read_bytes())
    except (OSError, ValueError) as error:
        raise CheckpointError(
            f"{path} cannot be read: {error}; put a copy back, or give another --out to start anew"
        ) from error


def mean(values: Sequence[float]) -> float:
    """Return the mean of the values that are not NaN, NaN if there are none."""
    good = [value for value in values if not math.isnan(value)]
    return math.fsum(good) / len(good) if good else math.nan

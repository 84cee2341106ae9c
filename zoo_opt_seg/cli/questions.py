"""What is asked about images of one's own: a file of points, boxes or texts, CSV or JSON, read into `Prompts`.

CSV has a line with the names of its columns, in any order, some of::

    image                  file in the folder of images
    name                   of the object, where an image has several: a mask each
    x, y, label            a point in pixels of the file; label 1 (or empty): on the object, 0: not
    x0, y0, x1, y1         a box in pixels of the file
    text                   what to find

Lines with one image and name belong together: several points, one box, one text. JSON is a list of objects with
``image``, and some of ``name``, ``points`` (a list of [x, y] or [x, y, label]), ``box`` ([x0, y0, x1, y1]), ``text``.
"""

from __future__ import annotations

import csv
import io
import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from zoo_opt_seg.data.errors import DataError, reading
from zoo_opt_seg.data.files import image_size
from zoo_opt_seg.prompts import BACKGROUND, OBJECT, Prompts

POINT, BOX = ("x", "y", "label"), ("x0", "y0", "x1", "y1")
COLUMNS = ("image", "name", *POINT, *BOX, "text")
KEYS = ("image", "name", "points", "box", "text")


@dataclass
class Question:
    """What is asked about one object.

    Parameters
    ----------
    image : str
        Its file, relative to the folder of images.
    name : str
        Of the object; "" where the image has one.
    where : str
        Its place in the file, for messages; "" where it comes from options.
    points : list of (x, y, label)
    box : (x0, y0, x1, y1), optional
    text : str
    """

    image: str
    name: str = ""
    where: str = ""
    points: list[tuple[float, float, int]] = field(default_factory=list)
    box: tuple[float, ...] | None = None
    text: str = ""

    @property
    def mask(self) -> PurePosixPath:
        """The mask's file, relative to the folder of masks: that of the image, and the object's name, as PNG."""
        image = PurePosixPath(self.image)
        stem = re.sub(r"\.(nii\.gz|[^.]+)$", "", image.name)
        return image.with_name(f"{stem}-{self.name}.png" if self.name else f"{stem}.png")

    @property
    def prompts(self) -> Prompts:
        """Points, box and text as `Prompts` of one image."""
        kinds: dict[str, Any] = {}
        if self.points:
            kinds["points"] = np.array([[point[:2] for point in self.points]], np.float32)
            kinds["labels"] = np.array([[point[2] for point in self.points]], np.int64)
        if self.box is not None:
            kinds["boxes"] = np.array([self.box], np.float32)
        return Prompts(**kinds, texts=(self.text,) if self.text else None)

    @property
    def said(self) -> str:
        """What a message about it begins with: its place, or the dashes of an option."""
        return f"{self.where}: " if self.where else "--"

    def check(self, width: int, height: int) -> None:
        """Raise a DataError unless points and box lie in an image of this size."""
        for x, y, _ in self.points:
            if not (0 <= x < width and 0 <= y < height):
                raise DataError(f"{self.said}point must lie in the image of {width} x {height}, got {x:g},{y:g}")
        if self.box is not None:
            x0, y0, x1, y1 = self.box
            if not (0 <= x0 <= x1 < width and 0 <= y0 <= y1 < height):
                said = ",".join(f"{side:g}" for side in self.box)
                raise DataError(f"{self.said}box must lie in the image of {width} x {height}, got {said}")

    def check_file(self, folder: Path) -> None:
        """Raise a DataError unless the image is there and holds what is asked, as far as its file can be read."""
        path = folder / self.image
        if not path.is_file():
            raise DataError(f"{self.said}image must be a file in {folder}, got {self.image}")
        try:
            size = image_size(path)
        except DataError:  # a damaged file is one image without a mask, not the end of all
            return
        self.check(*size)


def read_questions(path: Path) -> list[Question]:
    """Return what a file asks, in its order.

    Parameters
    ----------
    path : Path
        JSON where its name ends so, else CSV; see above.

    Raises
    ------
    DataError
        If it cannot be read or is not of this form; the message has the place.
    """
    parts = _of_json(path) if path.suffix.lower() == ".json" else _of_csv(path)
    questions: dict[tuple[str, str], Question] = {}
    for part in parts:
        known = questions.setdefault((part.image, part.name), part)
        if known is part:
            continue
        for kind in ("box", "text"):
            if getattr(part, kind) and getattr(known, kind):
                more = "" if part.name else "; objects of one image need names"
                raise DataError(f"{part.where}: {part.image} has a {kind} already, from {known.where}{more}")
        known.points += part.points
        known.box, known.text = part.box or known.box, part.text or known.text
    if not questions:
        raise DataError(f"{path}: expected at least one image to ask about, got none")
    for question in questions.values():
        if not question.points and question.box is None and not question.text:
            raise DataError(f"{question.said}expected a point, a box or a text for {question.image}, got none")
    masks: dict[PurePosixPath, Question] = {}
    for question in questions.values():
        if (other := masks.setdefault(question.mask, question)) is not question:
            raise DataError(f"{question.where}: its mask would be {question.mask}, as that of {other.where}")
    return list(questions.values())


def _of_csv(path: Path) -> Iterator[Question]:
    with reading(path, "questions"):
        text = path.read_text(encoding="utf-8-sig")
    rows = csv.DictReader(io.StringIO(text, newline=""))
    columns = [column.strip() for column in rows.fieldnames or ()]
    if "image" not in columns or set(columns) - set(COLUMNS) or len(set(columns)) < len(columns):
        raise DataError(
            f"{path}: expected a first line of columns, image and some of {', '.join(COLUMNS[1:])}, got "
            f"{', '.join(columns) or 'nothing'}"
        )
    rows.fieldnames = columns
    for row in rows:
        where = f"{path}, line {rows.line_num}"
        if None in row:
            raise DataError(f"{where}: expected {len(columns)} values, got more")
        cells = {name: (value or "").strip() for name, value in row.items()}
        if any(cells.values()):
            point, box = ([cells.get(name, "") for name in names] for names in (POINT, BOX))
            points = [[*point[:2], point[2] or OBJECT]] if any(point[:2]) else []
            yield _question(where, {**cells, "points": points, "box": box if any(box) else None})


def _of_json(path: Path) -> Iterator[Question]:
    with reading(path, "questions"):
        entries = json.loads(path.read_text(encoding="utf-8-sig"))
    if not isinstance(entries, list):
        raise DataError(f"{path}: expected a list of objects with {', '.join(KEYS)}, got {type(entries).__name__}")
    for number, entry in enumerate(entries, 1):
        where = f"{path}, entry {number}"
        if not isinstance(entry, Mapping) or set(entry) - set(KEYS):
            raise DataError(f"{where}: expected an object with {', '.join(KEYS)}, got {entry!r:.80}")
        yield _question(where, entry)


def _question(where: str, said: Mapping[str, Any]) -> Question:
    """Return what a line or entry asks."""
    image, name, text = (said.get(key) or "" for key in ("image", "name", "text"))
    for key, value in (("image", image), ("name", name), ("text", text)):
        if not isinstance(value, str):
            raise DataError(f"{where}: {key} must be text, got {value!r:.80}")
    inside = PurePosixPath(image.replace("\\", "/"))
    if not image or inside.is_absolute() or ".." in inside.parts:
        raise DataError(f"{where}: image must be a file in the folder of images, got {image!r}")
    if not re.fullmatch(r"[\w .-]*", name):
        raise DataError(f"{where}: name must be of letters, digits, spaces and . _ -, got {name!r}")
    points = said.get("points") or []
    if not isinstance(points, Sequence) or isinstance(points, str):
        raise DataError(f"{where}: points must be a list of [x, y] or [x, y, label], got {points!r:.80}")
    box = said.get("box")
    sides = None if box is None else _numbers(box)
    if box is not None and (sides is None or len(sides) != 4):
        raise DataError(f"{where}: box must be x0, y0, x1, y1, got {box!r:.80}")
    return Question(str(inside), name, where, [_point(where, point) for point in points], sides, text)


def _point(where: str, point: Any) -> tuple[float, float, int]:
    numbers = _numbers(point)
    if numbers is None or len(numbers) not in (2, 3) or numbers[2:] not in ((), (OBJECT,), (BACKGROUND,)):
        raise DataError(f"{where}: a point must be x, y and perhaps a label, 1 or 0, got {point!r:.80}")
    return numbers[0], numbers[1], int(numbers[2]) if numbers[2:] else OBJECT


def _numbers(values: Any) -> tuple[float, ...] | None:
    """Return finite numbers, None where there are others."""
    try:
        numbers = tuple(float(value) for value in values)
    except (TypeError, ValueError):
        return None
    return numbers if all(map(math.isfinite, numbers)) else None

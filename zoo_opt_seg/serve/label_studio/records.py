"""What people have asked and submitted, on the disk: nothing that was clicked, paid for or labelled is lost."""

from __future__ import annotations

import io
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from zoo_opt.core.errors import CheckpointError
from zoo_opt.storage.atomic import write_atomically
from zoo_opt_seg.adaptation.folder import Lines, read_lines
from zoo_opt_seg.blackbox.cache import MaskFolder
from zoo_opt_seg.data.fitting import Fit
from zoo_opt_seg.digests import data_digest
from zoo_opt_seg.prompts import OBJECT, Array, Prompts
from zoo_opt_seg.serve.label_studio.clicks import brush_masks
from zoo_opt_seg.serve.segmenting import Shown

_KINDS = ("points", "labels", "boxes")  # of prompts that a person gives
QUESTIONS, LABELS, PICTURES, ANSWERS = "questions.jsonl", "labels.jsonl", "pictures", "answers"


@dataclass(frozen=True, eq=False)
class KeptQuestion:
    """A question that was answered, about a task of Label Studio.

    Parameters
    ----------
    task : int
    picture : str
        What `Records.picture` finds the square by.
    prompts : Prompts
        One row, in pixels of the square.
    fit : Fit
        How the square was made of the task's image.
    """

    task: int
    picture: str
    prompts: Prompts
    fit: Fit

    @property
    def key(self) -> tuple[int, str, bytes]:
        """What tells it from others."""
        return self.task, self.picture, self.prompts.key(0)


class Records:
    """The folder of a project. Threads may share it; one process at a time writes.

    Parameters
    ----------
    folder : Path
        Made where it does not exist. It has the squares that the black box was asked about, its answers, and a line for
        each question and for each annotation.

    Raises
    ------
    CheckpointError
        If a line of it is nothing that was written here.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / PICTURES).mkdir(parents=True, exist_ok=True)
        self.answers = MaskFolder(folder / ANSWERS, "answers", needed=True)
        self._lock = threading.Lock()
        self._questions, self._labels = Lines(folder / QUESTIONS), Lines(folder / LABELS)
        self._asked = {question.key for question in read_questions(folder)}
        self._labelled = labels_of(self._labels.known)

    @property
    def paid(self) -> int:
        """Answers that the black box has given."""
        return sum(1 for _ in self.answers)

    @property
    def labelled(self) -> set[int]:
        """Tasks that have an annotation."""
        with self._lock:
            return {line["task"] for line in self._labelled.values()}

    @property
    def usable(self) -> set[int]:
        """Tasks with an annotation that somebody has asked about: what can be learnt from."""
        with self._lock:
            return {line["task"] for line in self._labelled.values()} & {task for task, _, _ in self._asked}

    def add_picture(self, square: Array) -> str:
        """Keep a square, uint8 (size, size, 3), and return what it is found by."""
        name = data_digest(square)
        if not (path := self._picture(name)).is_file():
            buffer = io.BytesIO()
            Image.fromarray(square).save(buffer, "PNG")
            write_atomically(path, buffer.getvalue())
        return name

    def add_question(self, task: int, shown: Shown, picture: str) -> None:
        """Write down a question that was answered, once."""
        assert shown.fit is not None
        question = KeptQuestion(task, picture, shown.prompts, shown.fit)
        with self._lock:
            if question.key in self._asked:
                return
            prompts = {name: np.asarray(value[0]).tolist() for name, value in shown.prompts.given() if name in _KINDS}
            fit = {name: getattr(shown.fit, name) for name in ("size", "image", "how", "box")}
            self._questions.add({"task": task, "picture": picture, "prompts": prompts, "fit": fit})
            self._asked.add(question.key)

    def add_label(self, task: int, annotation: int, results: list[dict[str, Any]]) -> bool:
        """Write down an annotation: its masks as `brush_results` gives them, none if nothing is left of it.

        Returns
        -------
        bool
            Whether it is news.
        """
        line = {"task": task, "annotation": annotation, "results": results}
        with self._lock:
            if self._labelled.get(annotation) == line or (not results and annotation not in self._labelled):
                return False
            self._labels.add(line)
            self._labelled = labels_of([*self._labelled.values(), line])
            return True

    def drop_label(self, annotation: int) -> None:
        """Write down that an annotation was deleted."""
        with self._lock:
            known = self._labelled.get(annotation)
        if known is not None:
            self.add_label(known["task"], annotation, [])

    def close(self) -> None:
        """Close the files."""
        self._questions.close()
        self._labels.close()

    def _picture(self, name: str) -> Path:
        return self.folder / PICTURES / f"{name}.png"


def labels_of(lines: list[dict[str, Any]]) -> dict[int, dict[str, Any]]:
    """Return the last line of each annotation that was not deleted, by its number."""
    last = {line["annotation"]: line for line in lines}
    return {annotation: line for annotation, line in last.items() if line["results"]}


def read_questions(folder: Path) -> Iterator[KeptQuestion]:
    """Return the questions in the folder of a project, in the order in which they were asked."""
    for line in read_lines(folder / QUESTIONS):
        try:
            fit, given = line["fit"], line["prompts"]
            box = None if fit["box"] is None else (fit["box"][0], fit["box"][1], fit["box"][2], fit["box"][3])
            made = Fit(fit["size"], (fit["image"][0], fit["image"][1]), fit["how"], box)
            points, labels, boxes = (np.array([given[name]]) if name in given else None for name in _KINDS)
            prompts = Prompts(points, labels, boxes)
            yield KeptQuestion(line["task"], line["picture"], prompts, made)
        except (KeyError, TypeError, ValueError, IndexError) as error:
            raise CheckpointError(f"{folder / QUESTIONS} must hold questions, got {line!r:.80}: {error}") from None


def read_masks(folder: Path) -> dict[int, list[Array]]:
    """Return the masks of each task that has an annotation, bool (H, W), of its last one; bad ones are left out."""
    found: dict[int, list[Array]] = {}
    for line in labels_of(read_lines(folder / LABELS)).values():
        masks = []
        for one in line["results"]:
            try:
                masks += brush_masks([one])
            except ValueError:
                continue
        if masks:
            found[line["task"]] = masks
    return found


def read_picture(folder: Path, name: str) -> Array:
    """Return a square, uint8 (size, size, 3)."""
    with Image.open(folder / PICTURES / f"{name}.png", formats=["PNG"]) as image:
        return np.asarray(image.convert("RGB"))


def meant(prompts: Prompts, masks: list[Array], fit: Fit) -> Array | None:
    """Return which mask of an annotation a question was about, as a square; None if none.

    It is the one that a point of the object lies on and that most of the points agree with; for a box it is the one
    with the most in common with it.

    Parameters
    ----------
    prompts : Prompts
        One row, in pixels of the square.
    masks : list of ndarray of bool, shape (H, W)
        In pixels of the image.
    fit : Fit
    """
    best: tuple[float, Array | None] = (0.0, None)
    for mask in masks:
        if mask.shape[::-1] != fit.image:
            continue
        square = fit.mask(mask)
        if (score := _agreement(prompts, square)) > best[0]:
            best = score, square
    return best[1]


def _agreement(prompts: Prompts, mask: Array) -> float:
    """Return how well one row of prompts points at a mask, 0 for not at all."""
    if prompts.points is not None and prompts.labels is not None:
        x, y = np.rint(prompts.points[0]).astype(int).T
        on = mask[np.clip(y, 0, mask.shape[0] - 1), np.clip(x, 0, mask.shape[1] - 1)]
        wanted = prompts.labels[0] == OBJECT
        return float((on & wanted).any()) * float((on == wanted).mean())
    if prompts.boxes is not None:
        x0, y0, x1, y1 = np.rint(prompts.boxes[0]).astype(int)
        inside = np.zeros_like(mask)
        inside[max(y0, 0) : y1 + 1, max(x0, 0) : x1 + 1] = True
        return float((mask & inside).sum() / max((mask | inside).sum(), 1))
    return 0.0

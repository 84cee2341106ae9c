"""What a black box has answered about labelled images: the training data of a refiner."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from zoo_opt.core.errors import integer
from zoo_opt.outage import WAIT
from zoo_opt_seg.blackbox.protocol import BlackBox, answered, check_answer, check_images, check_prompts
from zoo_opt_seg.blackbox.serving import Served
from zoo_opt_seg.data.draws import Kind, draw_prompts, kind_for
from zoo_opt_seg.data.samples import Rows, Samples, typed_rows
from zoo_opt_seg.measures.metrics import dice
from zoo_opt_seg.prompts import Array, Prompts

_PART = 64  # answers that are measured at a time; chosen


@dataclass(frozen=True, eq=False)
class Answers:
    """Questions and answers about labelled images; several may be about one image.

    Parameters
    ----------
    images : ndarray or StoredRows of uint8, shape (m, H, W, 3)
    masks : ndarray or StoredRows of bool, shape (m, H, W)
        The labels.
    rows : sequence of int, length n
        The image of each question.
    prompts : Prompts
        Of the n questions.
    answers : ndarray, shape (n, H, W)
        float32 probabilities, or bool masks; a row with NaN was not answered, and is left out.
    sources : sequence of int, length m, optional
        Which labelled image each of the images is, where one may be there several times; by default its row.

    Raises
    ------
    TypeError, ValueError
        If an array is not of this form.
    """

    images: Rows
    masks: Rows
    rows: Array
    prompts: Prompts
    answers: Array
    sources: Any = None

    def __post_init__(self) -> None:
        images, masks = typed_rows("images", self.images, np.uint8), typed_rows("masks", self.masks, np.bool_)
        if isinstance(images, np.ndarray):
            check_images(images)
        if masks.shape != images.shape[:3]:
            raise ValueError(f"masks must have the shape {images.shape[:3]} of the images, got {masks.shape}")
        rows = np.asarray(self.rows, np.int64)
        if rows.ndim != 1 or (rows.size and (rows.min() < 0 or rows.max() >= len(images))):
            raise ValueError(f"rows must be numbers of the {len(images)} images, got {self.rows!r:.80}")
        sources = np.arange(len(images)) if self.sources is None else np.asarray(self.sources, np.int64)
        if sources.shape != (len(images),):
            raise ValueError(f"sources must be one for each of the {len(images)} images, got {self.sources!r:.80}")
        object.__setattr__(self, "sources", sources)
        check_prompts(self.prompts, len(rows))
        answers = check_answer(self.answers, (len(rows), *images.shape[1:3]), "answers", nan=True)
        there, answers = answered(answers)
        for name, value in (("rows", rows[there]), ("prompts", self.prompts[there]), ("answers", answers)):
            object.__setattr__(self, name, value)

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: Array | slice) -> Answers:
        """Return some of the questions, about the same images."""
        return replace(self, rows=self.rows[index], prompts=self.prompts[index], answers=self.answers[index])

    @property
    def about(self) -> Array:
        """The labelled image of each question, int64 (n,)."""
        about: Array = self.sources[self.rows]
        return about

    @classmethod
    def concatenate(cls, parts: Sequence[Answers]) -> Answers:
        """Return all questions and answers of several, which must be hard alike and of images of one size.

        Images that several parts have in common are held once.
        """
        held = [(id(part.images), id(part.masks), part.sources.tobytes()) for part in parts]
        own = dict(zip(held, parts, strict=True))
        first = dict(zip(own, np.cumsum([0, *(len(part.images) for part in own.values())]), strict=False))
        images, masks = (_together([getattr(part, name) for part in own.values()]) for name in ("images", "masks"))
        sources = np.concatenate([part.sources for part in own.values()])
        rows = np.concatenate([part.rows + first[one] for part, one in zip(parts, held, strict=True)])
        prompts = Prompts.concatenate([part.prompts for part in parts])
        return cls(images, masks, rows, prompts, np.concatenate([part.answers for part in parts]), sources)

    def dice(self) -> Array:
        """Return the Dice of each answer, float64 (n,)."""
        parts = [slice(start, start + _PART) for start in range(0, len(self), _PART)]
        values = [dice(self.answers[part] > 0.5, self.masks[self.rows[part]]) for part in parts]
        return np.concatenate([np.zeros(0), *values])

    @property
    def hard(self) -> bool:
        """Whether the answers are masks, not probabilities."""
        return bool(self.answers.dtype == np.bool_)


def _together(parts: Sequence[Rows]) -> Rows:
    """Return rows after rows: those of a single part as they are, in a file or not."""
    return parts[0] if len(parts) == 1 else np.concatenate([np.asarray(part) for part in parts])


class Silent(BlackBox):
    """A black box that knows nothing: .5 everywhere, at no cost.

    A refiner of it is a small network that is trained on the same labels and asks nobody. It is the floor that a
    black box has to be above to be worth its calls.
    """

    name = "nobody"

    def __call__(self, images: Array, prompts: Prompts, /) -> Array:
        """Return .5 everywhere."""
        return np.full(images.shape[:3], 0.5, np.float32)


def ask(
    model: Any,
    samples: Samples,
    *,
    questions: int = 8,
    limit: int | None = None,
    points: Kind | None = None,
    prompt: Any = None,
    seed: int | Sequence[int] = 0,
    batch: int = 16,
    wait: float = WAIT,
    on_batch: Callable[[int], None] | None = None,
) -> Answers:
    """Ask a black box about labelled images, each several times with prompts of its own: one call a question and view.

    Parameters
    ----------
    model : SegmentationModel
        Waited for where it is out of service, see `zoo_opt_seg.blackbox.Served`. Wrap it in
        `zoo_opt_seg.blackbox.Cached` for answers that outlive the process.
    samples : Samples
        Those without an object are left out where the prompts are points.
    questions : int
        Per image.
    limit : int, optional
        Questions in all, at most: the last ones are left out, and where not every image has one, the images are drawn.
    points : int, str or callable, optional
        Kind of prompts, see `zoo_opt_seg.data.draws.draw_prompts`; boxes are moved, as in training.
    prompt : TrainedPrompt, optional
        A visual prompt that the images are shown with.
    seed : int or sequence of int
    batch : int
        Images in a question to the model.
    wait : float
        Seconds that an outage is waited for.
    on_batch : callable, optional
        Called with the number of questions that have been put.

    Returns
    -------
    Answers
        Question q of an image is that of repeat q of `zoo_opt_seg.measures.evaluation.evaluate` with this seed, but for
        boxes, which are exact there.
    """
    integer("questions", questions, 1)
    if limit is not None:
        integer("limit", limit, 1)
    kind = kind_for(model, points)
    if kind != "text":
        samples = samples.select(samples.with_object)
    if not len(samples):
        raise ValueError("samples must hold an image to ask about, got none")
    entropy = tuple(int(value) for value in np.atleast_1d(np.asarray(seed)))
    drawn = [draw_prompts(kind, samples, (*entropy, q)) for q in range(questions)]
    rows, prompts = np.tile(np.arange(len(samples)), questions), Prompts.concatenate(drawn)
    if limit is not None and limit < len(rows):
        order = np.random.default_rng(entropy).permutation(len(samples))  # of every round of questions
        asked = np.concatenate([order + len(samples) * q for q in range(questions)])[:limit]
        rows, prompts = rows[asked], prompts[asked]
    answers = []
    model = Served(model, wait)
    for start in range(0, len(rows), batch):
        part = slice(start, start + batch)
        images, words = samples.images[rows[part]], prompts[part]
        answer = model(images, words) if prompt is None else prompt.predict(model, images, words, batch)
        answers.append(check_answer(answer, images.shape[:3], "model", nan=True))
        if on_batch is not None:
            on_batch(start + len(images))
    return Answers(samples.images, samples.masks, rows, prompts, np.concatenate(answers))

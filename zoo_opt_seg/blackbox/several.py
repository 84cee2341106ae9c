"""One black box of several: the images of a question go to whichever is free, or to the workers of an executor."""

from __future__ import annotations

import itertools
import math
import pickle
import threading
import time
from collections import deque
from collections.abc import Callable, Hashable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from typing import Any

import numpy as np

from zoo_opt.core.errors import NotServed, Refused, integer, positive
from zoo_opt.outage import recognised
from zoo_opt_seg.blackbox.protocol import (
    Array,
    BlackBox,
    BlackBoxError,
    PartlyAnswered,
    SegmentationModel,
    as_black_box,
    check_images,
    check_prompts,
)
from zoo_opt_seg.prompts import Prompts

PAUSE = 5.0  # seconds that a black box out of service is left out, where it does not say; chosen


class SeveralBoxes(BlackBox):
    """Several black boxes with the same answers as one: each image is asked of the first that is free.

    A black box that is out of service is left out for a while, and one that refuses for good; their images go to
    another one. What was answered is never asked again.

    Parameters
    ----------
    boxes : sequence of black boxes
        Anything that `as_black_box` takes. Each is asked one question at a time.
    name : str, optional
        Its identity; by default that of the boxes, which must all have the same.
    rows : int
        Images of one question to one of them.
    pause : float
        Seconds that one is left out where it does not say how long.

    Raises
    ------
    NotServed
        If all are out of service, or as the error of the images that have no answer.
    Refused
        If all refuse.

    Examples
    --------
    >>> import numpy as np
    >>> from zoo_opt_seg.prompts import Prompts
    >>> red = as_black_box(lambda images, prompts: images[..., 0] / np.float32(255), name="red")
    >>> both = SeveralBoxes([red, red])
    >>> both(np.zeros((3, 8, 8, 3), np.uint8), Prompts.nothing(3)).shape, both.name
    ((3, 8, 8), 'red')
    >>> both.close()
    """

    def __init__(
        self, boxes: Sequence[SegmentationModel], name: str | None = None, *, rows: int = 1, pause: float = PAUSE
    ) -> None:
        self.boxes = [as_black_box(box) for box in boxes]
        if not self.boxes:
            raise ValueError("boxes must be at least one black box, got none")
        for what in ("name", "prompted_by"):
            found = {getattr(box, what) for box in self.boxes}
            if len(found) > 1 and not (what == "name" and name):
                said = ", ".join(sorted(map(repr, found)))
                raise ValueError(f"boxes must have the same {what}, or a name must be given, got {said}")
        self.name, self.prompted_by = name or self.boxes[0].name, self.boxes[0].prompted_by
        hard = {box.hard for box in self.boxes}
        self.hard = hard.pop() if len(hard) == 1 else None
        self._rows, self._pause = integer("rows", rows, 1), positive("pause", pause)
        self._out = [_Out() for _ in self.boxes]
        self._threads = ThreadPoolExecutor(len(self.boxes), thread_name_prefix="several")

    @property
    def label(self) -> str:
        """That of the boxes."""
        return self.name or self.boxes[0].label

    def __call__(self, images: Array, prompts: Prompts, /) -> Array:
        """Return the masks; raise `PartlyAnswered` where some images have none."""
        images = check_images(images)
        check_prompts(prompts, len(images))
        if not len(images):
            return self.boxes[0](images, prompts)
        question = _Divided(images, prompts)
        futures = [self._threads.submit(self._ask, which, question) for which in range(len(self.boxes))]
        try:
            wait(futures)
        except BaseException:
            question.stop()
            raise
        for future in futures:
            future.result()
        missing = set(range(len(images))) - question.masks.keys() - question.errors.keys()
        error = self._why_none() if missing else Exception()
        return together(question.masks, question.errors | dict.fromkeys(missing, error), images.shape[:3])

    def keep_in(self, kept: Any) -> bool:
        """As of the boxes, where all of them can."""
        if all([box.keep_in(kept) for box in self.boxes]):
            return True
        for box in self.boxes:
            box.keep_in(None)
        return False

    def _ask(self, which: int, question: _Divided) -> None:
        """Have one of the boxes answer what no other one has taken, until nothing is left or it is out."""
        out, box = self._out[which], self.boxes[which]
        while out.over() and (rows := question.taken(self._rows)):
            masks, errors = _asked(box, question.images, question.prompts, rows)
            stopped = {row: error for row, error in errors.items() if isinstance(error, (NotServed, Refused))}
            for error in stopped.values():
                out.stop(error, self._pause)
            failed = {row: error for row, error in errors.items() if row not in stopped}
            question.answered(masks, failed, again=list(stopped))

    def _why_none(self) -> NotServed | Refused:
        """Return what to say of images that no box is there for."""
        refusals = [out.error for out in self._out if isinstance(out.error, Refused)]
        if len(refusals) == len(self.boxes):
            return refusals[0]
        left = min(out.until for out in self._out) - time.monotonic()
        last = next((out.error for out in self._out if isinstance(out.error, NotServed)), None)
        return NotServed(f"all of {len(self.boxes)} black boxes are out of service: {last}", retry_after=max(left, 0.0))

    def close(self) -> None:
        """End its threads, and the boxes that can be ended."""
        for box in self.boxes:  # first, so that they end what they were asked at an interrupt
            if hasattr(box, "close"):
                box.close()
        self._threads.shutdown(wait=True, cancel_futures=True)

    def __enter__(self) -> SeveralBoxes:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class _Out:
    """Whether a box is left out.

    Attributes
    ----------
    until : float
        The time (`time.monotonic`) from which on it is asked again.
    error : NotServed or Refused or None
        What it said last.
    """

    def __init__(self) -> None:
        self.until = -math.inf
        self.error: NotServed | Refused | None = None

    def over(self) -> bool:
        return time.monotonic() >= self.until

    def stop(self, error: Exception, pause: float) -> None:
        assert isinstance(error, (NotServed, Refused))
        self.error = error
        said = None if isinstance(error, Refused) else error.retry_after
        self.until = math.inf if isinstance(error, Refused) else time.monotonic() + (pause if said is None else said)


class _Divided:
    """One question on its way to several boxes."""

    def __init__(self, images: Array, prompts: Prompts) -> None:
        self.images, self.prompts = images, prompts
        self.masks: dict[int, Array] = {}
        self.errors: dict[int, Exception] = {}
        self._todo, self._taken, self._stopped = deque(range(len(images))), 0, False
        self._changed = threading.Condition()

    def taken(self, most: int) -> list[int]:
        """Return rows for a box to ask about; none when all are answered. Waits while others may give some back."""
        with self._changed:
            while not self._todo and self._taken:
                self._changed.wait()
            rows = [self._todo.popleft() for _ in range(min(most, len(self._todo)))]
            self._taken += len(rows)
            return rows

    def answered(self, masks: Mapping[int, Array], errors: Mapping[int, Exception], again: list[int]) -> None:
        """Take what came; the rows of ``again`` are for another box."""
        with self._changed:
            self.masks |= masks
            self.errors |= errors
            self._todo += [] if self._stopped else again
            self._taken -= len(masks) + len(errors) + len(again)
            self._changed.notify_all()

    def stop(self) -> None:
        """Have no more rows taken."""
        with self._changed:
            self._stopped = True
            self._todo.clear()


def _asked(
    box: BlackBox, images: Array, prompts: Prompts, rows: list[int]
) -> tuple[dict[int, Array], dict[int, Exception]]:
    """Return the masks of some images, and what went wrong with the others of them."""
    try:
        with recognised():
            return dict(zip(rows, box(images[rows], prompts[rows]), strict=True)), {}
    except PartlyAnswered as part:
        errors = {rows[place]: error for place, error in part.errors.items()}
        return {rows[place]: part.masks[place] for place in part.answered}, errors
    except Exception as error:
        return {}, dict.fromkeys(rows, error)


def together(masks: Mapping[int, Array], errors: Mapping[int, Exception], shape: tuple[int, ...]) -> Array:
    """Return masks by row as one answer, or raise what kept it from being whole.

    That is `PartlyAnswered`; where nothing came it is a refusal, the outage that lasts longest if there are outages
    alone, or what is no answer of a model (neither of these, nor `BlackBoxError`), as it says that the question is
    wrong.

    Parameters
    ----------
    masks, errors : mapping of int
        By row; each row is in one of them.
    shape : tuple of int (n, H, W)
    """
    if errors and not masks:
        for error in errors.values():
            if isinstance(error, Refused) or not isinstance(error, (BlackBoxError, NotServed)):
                raise error
        outages = [error for error in errors.values() if isinstance(error, NotServed)]
        if len(outages) == len(errors):
            raise max(outages, key=lambda error: error.retry_after or 0.0)
    hard = bool(masks) and all(mask.dtype == np.bool_ for mask in masks.values())
    answer: Array = np.zeros(shape, np.bool_ if hard else np.float32)
    for row, mask in masks.items():
        answer[row] = mask
    if errors:
        raise PartlyAnswered(answer, errors)
    return answer


# -------------------------------------------------------------------------------------------- workers of an executor


class ExecutorBlackBox(BlackBox):
    """A black box whose images are asked about by the workers of an executor, each with a model of its own.

    Parameters
    ----------
    executor : dask.distributed.Client, or anything with ``submit`` as concurrent.futures
    make : callable
        Makes the model, in each worker once; sent there by pickle, so a function of a module, or a partial of one.
    name : str, optional
        Its identity, for caches and records.
    prompted_by : {"points", "boxes", "text"}, optional
    hard : bool, optional
        As of a `BlackBox`.
    rows : int
        Images of one task.

    Notes
    -----
    What the model raises is an error of its images. What the executor itself raises, a worker that died for example, is
    an outage: `zoo_opt_seg.blackbox.Served` waits and asks again about the images without an answer.
    """

    def __init__(
        self,
        executor: Any,
        make: Callable[[], SegmentationModel],
        name: str | None = None,
        prompted_by: str | None = None,
        *,
        hard: bool | None = None,
        rows: int = 1,
    ) -> None:
        if not hasattr(executor, "submit") or not callable(make):
            raise TypeError(f"executor must have submit and make must be callable, got {executor!r:.80}, {make!r:.80}")
        self.executor, self.make = executor, make
        self.name, self.prompted_by, self.hard = name, prompted_by, hard
        self._rows, self._numbers = integer("rows", rows, 1), itertools.count()

    @property
    def label(self) -> str:
        """Its name, or that of what makes the model."""
        return self.name or str(getattr(self.make, "__qualname__", type(self).__qualname__))

    def __call__(self, images: Array, prompts: Prompts, /) -> Array:
        """Return the masks; raise `PartlyAnswered` where some images have none."""
        images = check_images(images)
        check_prompts(prompts, len(images))
        masks: dict[int, Array] = {}
        errors: dict[int, Exception] = {}
        tasks = []
        for start in range(0, max(len(images), 1), self._rows):
            rows = list(range(start, min(start + self._rows, len(images))))
            # the number makes each task another one for executors that keep results
            task = (self.make, images[rows], prompts[rows], (id(self), next(self._numbers)))
            tasks.append((rows, self.executor.submit(_ask_there, *task)))
        for rows, future in tasks:
            try:
                found, failed = future.result()
            except Exception as error:
                found, failed = {}, dict.fromkeys(range(len(rows)), _of_executor(error))
            masks |= {rows[place]: mask for place, mask in found.items()}
            errors |= {rows[place]: error for place, error in failed.items()}
        return together(masks, errors, images.shape[:3]) if len(images) else np.zeros(images.shape[:3], np.float32)


def _of_executor(error: Exception) -> Exception:
    return error if isinstance(error, (NotServed, Refused)) else NotServed(f"{type(error).__name__}: {error}")


_models: dict[bytes, BlackBox] = {}
_making = threading.Lock()


def _ask_there(
    make: Callable[[], SegmentationModel], images: Array, prompts: Prompts, _: Hashable
) -> tuple[dict[int, Array], dict[int, Exception]]:
    """Ask the model of this process, made at the first question."""
    key = pickle.dumps(make)
    with _making:  # a worker may have several threads: one model, one question at a time
        if key not in _models:
            _models[key] = as_black_box(make())
        return _asked(_models[key], images, prompts, list(range(len(images))))

"""A black box that is asked again where it fails: for what is measured after the training, image by image."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import numpy as np

from zoo_opt.core.errors import NotServed, Refused
from zoo_opt.outage import WAIT
from zoo_opt.support.secrets import hidden
from zoo_opt_seg.blackbox.cache import MaskFolder
from zoo_opt_seg.blackbox.protocol import BlackBox, BlackBoxGone, Unanswerable
from zoo_opt_seg.blackbox.serving import Served
from zoo_opt_seg.blackbox.wrappers import Wrapped
from zoo_opt_seg.data.draws import Kind, draw_prompts
from zoo_opt_seg.data.samples import Samples
from zoo_opt_seg.prompts import Array, Prompts

Answer = TypeVar("Answer")
TRIES = 3  # times that a question is put
CONTROLS = 4  # training images at most that tell whether the black box is up


class BlackBoxDown(RuntimeError):
    """The black box failed so often, or was out of service for so long, that going on makes no sense.

    What was paid for is kept.
    """

    def __init__(self, message: str) -> None:
        super().__init__(hidden(message))


def down(error: NotServed | BlackBoxGone) -> BlackBoxDown:
    """Return what to raise for a black box that does not answer any more."""
    return BlackBoxDown(str(error) if isinstance(error, BlackBoxGone) else f"the black box is out of service: {error}")


def down_after(failures: int, last: object) -> BlackBoxDown:
    """Return what to raise for a black box that failed so often in a row."""
    return BlackBoxDown(f"the black box failed {failures} times in a row, the last time with {last}")


def attempted(question: Callable[[], Answer]) -> Answer | Exception:
    """Return the answer to one question, or what it failed with.

    Raises
    ------
    BlackBoxDown
        If the black box is out of service for too long, or can be asked nothing any more.
    Refused
        If it refuses.
    """
    try:
        return question()
    except (NotServed, BlackBoxGone) as error:
        raise down(error) from error
    except Refused:
        raise
    except Exception as error:
        return error


class Patience:
    """Puts questions, until too many in a row have failed.

    Parameters
    ----------
    limit : int
        Failures in a row that count as down.
    """

    def __init__(self, limit: int) -> None:
        self._limit, self._failures = limit, 0

    def __call__(self, question: Callable[[], Answer]) -> Answer | Exception:
        """Return the answer, or what the question failed with; raise as `attempted`, and if it was one too many."""
        answer = attempted(question)
        self._failures = self._failures + 1 if isinstance(answer, Exception) else 0
        if self._failures >= self._limit and isinstance(answer, Exception):
            raise down_after(self._failures, f"{type(answer).__name__}: {answer}") from answer
        return answer


class Retrying(BlackBox):
    """A black box that is asked again where it fails, and then about each image alone: NaN where that fails as well.

    Outages are waited for, as by `Served`.

    Parameters
    ----------
    model : BlackBox
    controls : (images, prompts), optional
        Images uint8 (m, H, W, 3) that it answers while it is up: they tell images at which it fails from a black box
        that is down. They are asked with noise in the last bit, so that no cache answers. Without them it is down
        wherever it fails.
    wait, kept
        See `Served`.

    Raises
    ------
    BlackBoxDown
        If it is down.
    Refused
        If it refuses.
    """

    def __init__(
        self,
        model: BlackBox,
        controls: tuple[Array, Prompts] | None = None,
        wait: float = WAIT,
        kept: MaskFolder | None = None,
    ) -> None:
        self.model, self.name, self.prompted_by = Served(model, wait, kept), model.label, model.prompted_by
        self._controls = controls

    def __call__(self, images: Array, prompts: Prompts, /) -> Array:
        """Return what the model answers; float32 with NaN for images on which it fails."""
        answer = self._asked(images, prompts)
        if not isinstance(answer, Exception):
            return answer
        self._must_be_up(answer)
        alone = [self._asked(images[i : i + 1], prompts[i : i + 1]) for i in range(len(images))]
        answered = [one for one in alone if not isinstance(one, Exception)]
        if len(answered) == len(images):
            return np.concatenate(answered)
        self._must_be_up(answer)  # still
        nothing = np.full((1, *images.shape[1:3]), np.nan, np.float32)
        return np.concatenate([nothing if isinstance(one, Exception) else np.float32(one) for one in alone])

    def _asked(self, images: Array, prompts: Prompts, tries: int = TRIES) -> Array | Exception:
        """Return the answer to one question, or what its last try failed with."""
        for _ in range(tries):
            answer = attempted(lambda: self.model(images, prompts))
            if not isinstance(answer, Exception) or isinstance(answer, Unanswerable):
                break
        return answer

    def _must_be_up(self, error: Exception) -> None:
        """Raise BlackBoxDown unless it answers about one of the controls."""
        if self._controls is not None:
            images, prompts = self._controls
            images = images ^ np.random.default_rng().integers(0, 2, images.shape, np.uint8)
            for i in range(len(images)):
                if not isinstance(self._asked(images[i : i + 1], prompts[i : i + 1], tries=1), Exception):
                    return
        raise BlackBoxDown(
            f"the black box failed {TRIES} times on one question, the last time with {type(error).__name__}: {error}"
        ) from error


class Forgiving(Wrapped):
    """A black box that answers NaN to a question that it fails on, until it has failed too often in a row.

    Parameters
    ----------
    model : BlackBox
    patience : int
        Failures in a row that count as down.

    Raises
    ------
    BlackBoxDown
        If it is down, out of service for too long, or can be asked nothing any more.
    Refused
        If it refuses.
    """

    def __init__(self, model: BlackBox, patience: int) -> None:
        super().__init__(model)
        self._patience = Patience(patience)

    def __call__(self, images: Array, prompts: Prompts, /) -> Array:
        """Return what the model answers."""
        answer = self._patience(lambda: self.model(images, prompts))
        return np.full(images.shape[:3], np.nan, np.float32) if isinstance(answer, Exception) else answer


def controls(train: Samples, points: Kind) -> tuple[Array, Prompts] | None:
    """Return what `Retrying` can tell a black box that is down by: some training images and their prompts."""
    some = train[train.with_object[:CONTROLS]]
    return (np.asarray(some.images), draw_prompts(points, some, (0,), exact=True)) if len(some) else None

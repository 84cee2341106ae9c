"""Black boxes around black boxes: counted, budgeted, with 8-bit images, with hard masks."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import numpy as np

from zoo_opt.core.errors import NotServed, Refused, fraction, integer
from zoo_opt.outage import recognised
from zoo_opt_seg.blackbox.protocol import (
    Array,
    BlackBox,
    PartlyAnswered,
    SegmentationModel,
    as_black_box,
    check_images,
)
from zoo_opt_seg.prompts import Prompts


class BudgetExhausted(Refused):
    """The call would have exceeded the budget; no image of it reached the model."""


class Wrapped(BlackBox):
    """A black box around another one, whose prompts, name and label it has.

    Parameters
    ----------
    model : callable
        A black box, or anything that `as_black_box` takes.
    """

    def __init__(self, model: SegmentationModel | Callable[..., Any]) -> None:
        self.model = as_black_box(model)
        self.prompted_by, self.hard = self.model.prompted_by, self.model.hard
        self.name = None if self.model.name is None else self.label

    @property
    def label(self) -> str:
        """That of the model."""
        return self.model.label


class Counted(Wrapped):
    """A black box that counts its calls, images evaluated. Threads may share it.

    Parameters
    ----------
    model : callable
        A black box, or anything that `as_black_box` takes.

    Attributes
    ----------
    calls : int
        Images sent so far, those of a call that raised included: they may have been paid for. Those that were not
        served, or refused, are not.
    """

    def __init__(self, model: SegmentationModel | Callable[..., Any]) -> None:
        super().__init__(model)
        self.calls = 0
        self._lock = threading.Lock()

    def __call__(self, images: Array, prompts: Prompts, /) -> Array:
        """Return what the model answers, after counting its images."""
        with self._lock:
            self._admit(len(images))
            self.calls += len(images)
        try:
            with recognised():
                return self.model(images, prompts)
        except (NotServed, Refused):
            self._uncount(len(images))
            raise
        except PartlyAnswered as part:
            self._uncount(sum(isinstance(error, (NotServed, Refused)) for error in part.errors.values()))
            raise

    def keep_in(self, kept: Any) -> bool:
        """As of the model, whose masks these are."""
        return self.model.keep_in(kept)

    def _uncount(self, n: int) -> None:
        with self._lock:
            self.calls -= n

    def _admit(self, n: int) -> None:
        """Raise where ``n`` more calls must not be made."""


class Budgeted(Counted):
    """A black box that may be called so often and no more.

    Parameters
    ----------
    model : callable
        A black box, or anything that `as_black_box` takes.
    calls : int
        The budget, in images.

    Raises
    ------
    BudgetExhausted
        On the call that would exceed the budget, before any of its images reaches the model.
    """

    def __init__(self, model: SegmentationModel | Callable[..., Any], calls: int) -> None:
        super().__init__(model)
        self.budget = integer("calls", calls, 0)

    @property
    def left(self) -> int:
        """Calls that may still be made."""
        return self.budget - self.calls

    def _admit(self, n: int) -> None:
        if n > self.left:
            raise BudgetExhausted(f"{n} calls asked for, {self.left} left of a budget of {self.budget}")


class Quantized(Wrapped):
    """A black box that is given 8-bit images, as one behind an API would be.

    Parameters
    ----------
    model : callable
        Called with uint8 images only: floats in [0, 1] are multiplied by 255 and rounded.
    """

    @property
    def label(self) -> str:
        """That of the model, and ``+8bit``."""
        return f"{self.model.label}+8bit"

    def __call__(self, images: Array, prompts: Prompts, /) -> Array:
        """Return what the model answers to 8-bit images."""
        return self.model(to_bytes(check_images(images)), prompts)


class Hardened(Wrapped):
    """A black box that answers with bool masks.

    Parameters
    ----------
    model : callable
        A black box, or anything that `as_black_box` takes; masks that are hard already pass through.
    threshold : float
        In [0, 1): the mask is where the probability is greater.
    """

    def __init__(self, model: SegmentationModel | Callable[..., Any], threshold: float = 0.5) -> None:
        self.threshold = fraction("threshold", threshold)
        super().__init__(model)
        self.hard = True

    @property
    def label(self) -> str:
        """That of the model, and ``>`` the threshold."""
        return f"{self.model.label}>{self.threshold:g}"

    def __call__(self, images: Array, prompts: Prompts, /) -> Array:
        """Return the model's masks as bool."""
        try:
            return self._hard(self.model(images, prompts))
        except PartlyAnswered as part:
            raise PartlyAnswered(self._hard(part.masks), part.errors) from part

    def _hard(self, answer: Array) -> Array:
        return answer if answer.dtype == np.bool_ else answer > self.threshold


def to_bytes(images: Array) -> Array:
    """Return images as uint8: floats in [0, 1] times 255, rounded; uint8 as they are."""
    if images.dtype == np.uint8:
        return images
    scaled = images * np.float32(255)
    return np.rint(scaled, out=scaled).astype(np.uint8)

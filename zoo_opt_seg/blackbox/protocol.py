"""The one protocol of black boxes: images and prompts in, probabilities or hard masks out, no gradient.

One call is one image evaluated: a batch of n images is n calls.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import Any, Protocol

import numpy as np

from zoo_opt.core.errors import Refused
from zoo_opt.outage import recognised, service_error
from zoo_opt.support.secrets import hidden
from zoo_opt_seg.prompts import Prompts

Array = np.ndarray[Any, np.dtype[Any]]


class BlackBoxError(RuntimeError):
    """A black box that did not answer, or whose answer cannot be read."""


class BlackBoxGone(BlackBoxError, Refused):
    """A black box that will answer nothing any more, and has not answered this question."""


class Unanswerable(BlackBoxError):
    """An image that gets no answer however often it is asked about: it is not asked about again."""


class PartlyAnswered(BlackBoxError):
    """An answer in which some images have no mask.

    It is raised, so that nothing takes it for a whole answer. What waits for outages (`zoo_opt_seg.blackbox.Served`,
    and so `zoo_opt_seg.adapt`) uses the masks that came, and asks again about the other images alone.

    Parameters
    ----------
    masks : (n, H, W) array
        Of the whole question, as `SegmentationModel` returns them; what stands in a row of ``errors`` is not looked at.
    errors : mapping of int to Exception
        What went wrong, by row: `zoo_opt.NotServed` and what is recognised as such (see `zoo_opt.as_service`) is asked
        again and not charged, `zoo_opt.Refused` ends the run, all else is an image that the model fails on, for good
        where it is `Unanswerable`.

    Attributes
    ----------
    masks : (n, H, W) array
    errors : dict of int to Exception

    Raises
    ------
    TypeError, ValueError
        If there is no error, one is of no row, or one is no exception.
    """

    def __init__(self, masks: Array, errors: Mapping[int, Exception]) -> None:
        if not errors:
            raise ValueError("errors must name at least one row that has no answer, got none")
        self.masks, self.errors = np.asarray(masks), {}
        for row, error in sorted(errors.items()):
            if not isinstance(error, Exception):
                raise TypeError(f"errors must be exceptions by row, got {error!r} for row {row}")
            if not 0 <= row < len(self.masks):
                raise ValueError(f"errors must be of rows below {len(self.masks)}, got row {row}")
            self.errors[int(row)] = service_error(error) or error
        first = next(iter(self.errors.values()))
        super().__init__(
            f"{len(self.errors)} of {len(self.masks)} images have no answer, the first because of "
            f"{type(first).__name__}: {hidden(str(first))}"
        )

    @property
    def answered(self) -> list[int]:
        """The rows that have a mask."""
        return [row for row in range(len(self.masks)) if row not in self.errors]

    def checked(self, shape: tuple[int, ...], who: str) -> PartlyAnswered:
        """Return it with the masks that came checked, see `check_answer`."""
        rows = self.answered
        if len(self.masks) != shape[0]:
            raise ValueError(f"{who} must return masks of shape {tuple(shape)}, got {self.masks.shape}")
        if not rows:
            return PartlyAnswered(np.zeros(shape, np.float32), self.errors)
        came = check_answer(self.masks[rows], (len(rows), *shape[1:]), who)
        masks = np.zeros(shape, came.dtype)
        masks[rows] = came
        return PartlyAnswered(masks, self.errors)


class SegmentationModel(Protocol):
    """Anything that is called so; `as_black_box` makes a checked `BlackBox` of it."""

    def __call__(self, images: Array, prompts: Prompts, /) -> Array:
        """Return the object's masks.

        Parameters
        ----------
        images : (n, H, W, 3) array
            RGB: uint8, or float32 in [0, 1].
        prompts : Prompts
            One row per image, in pixels of these images.

        Returns
        -------
        (n, H, W) array
            float32 probabilities in [0, 1], or bool masks.

        Raises
        ------
        NotServed
            If there is no answer because of an outage; connection errors and timeouts count as it.
        Refused
            If no repeat will be answered, as with a wrong key.
        PartlyAnswered
            If some of the images have no mask.
        """
        ...


class BlackBox(ABC):
    """A `SegmentationModel` whose answers are known to be of the right shape, type and range.

    Attributes
    ----------
    name : str or None
        Its identity in caches and records: whenever the answers could differ, so does the name. None is no identity.
    prompted_by : {"points", "boxes", "text"} or None
        What its prompts must hold, points standing for boxes too, as in SAM; None is not known: it is given what the
        caller chooses, and points by default.
    hard : bool or None
        Whether it answers with bool masks; None is not known.
    """

    name: str | None = None
    prompted_by: str | None = None
    hard: bool | None = None

    @property
    def label(self) -> str:
        """What to call it in records: its name, or where it has none that of the class or function that answers."""
        return self.name or type(self).__qualname__

    @abstractmethod
    def __call__(self, images: Array, prompts: Prompts, /) -> Array:
        """Return (n, H, W) float32 probabilities or bool masks, as `SegmentationModel` says."""

    def keep_in(self, kept: Any) -> bool:
        """Write each mask into ``kept`` as it comes, and return True; False where they come together.

        ``kept.place(key, size)`` is that of a `MaskFolder`, entered before a mask is asked for; its key is
        `zoo_opt_seg.blackbox.cache.mask_key`. None ends that.
        """
        return False


class CheckedCallable(BlackBox):
    """A callable with its questions and answers checked; made by `as_black_box`."""

    def __init__(self, fn: Callable[..., Any], name: str | None) -> None:
        self.fn, self.name = fn, name
        self.prompted_by, self.hard = getattr(fn, "prompted_by", None), getattr(fn, "hard", None)

    @property
    def label(self) -> str:
        """Its name, or that of the function."""
        return self.name or (self.fn.label if isinstance(self.fn, BlackBox) else name_of(self.fn))

    def __call__(self, images: Array, prompts: Prompts, /) -> Array:
        """Return what the callable answers, checked."""
        images = check_images(images)
        check_prompts(prompts, len(images))
        try:
            with recognised():
                answer = self.fn(images, prompts)
        except PartlyAnswered as part:
            raise part.checked(images.shape[:3], self.label) from part
        return whole_answer(answer, images.shape[:3], self.label)


def as_black_box(fn: SegmentationModel | Callable[..., Any], name: str | None = None) -> BlackBox:
    """Return a black box made of any callable; each of its answers is checked, and its outages are recognised.

    Parameters
    ----------
    fn : callable
        ``fn(images, prompts)`` as `SegmentationModel` says. One that is a `BlackBox` is returned as it is, unless it
        is to have another name.
    name : str, optional
        Its identity for `Cached` and records; by default the ``name`` of `fn`, if it has one.

    Returns
    -------
    BlackBox
        Called with wrong images or prompts, or where `fn` answers with the wrong shape, type or range, or with NaN, it
        raises a TypeError or ValueError that says so. Connection errors, timeouts and refusals become
        `zoo_opt.NotServed` and `zoo_opt.Refused`, as `zoo_opt.as_service` says.

    Examples
    --------
    >>> import numpy as np
    >>> from zoo_opt_seg.prompts import Prompts
    >>> box = as_black_box(lambda images, prompts: images.mean(axis=3), name="grey")
    >>> box(np.ones((2, 8, 8, 3), np.float32), Prompts.nothing(2)).shape
    (2, 8, 8)
    """
    if not callable(fn):
        raise TypeError(f"fn must be callable as fn(images, prompts), got {fn!r:.80}")
    if name is not None and not (isinstance(name, str) and name):
        raise TypeError(f"name must be a non-empty str, got {name!r}")
    if isinstance(fn, BlackBox) and name in (None, fn.name):
        return fn
    own = getattr(fn, "name", None)
    return CheckedCallable(fn, name or (own if isinstance(own, str) else None))


def check_images(images: Any) -> Array:
    """Return ``images`` as (n, H, W, 3) uint8, or float32 in [0, 1]; nothing is copied that fits.

    Raises
    ------
    TypeError
        If they are not an array of uint8 or floats.
    ValueError
        If the shape is another, or floats are outside [0, 1] or NaN.
    """
    if not isinstance(images, np.ndarray) or (images.dtype != np.uint8 and images.dtype.kind != "f"):
        what = images.dtype if isinstance(images, np.ndarray) else type(images).__name__
        raise TypeError(f"images must be a numpy array of uint8, or of floats in [0, 1], got {what}")
    if images.ndim != 4 or images.shape[3] != 3 or 0 in images.shape[1:]:
        raise ValueError(f"images must have shape (n, H, W, 3), got {images.shape}")
    if images.dtype == np.uint8:
        return images
    if images.size and not (images.min() >= 0.0 and images.max() <= 1.0):  # false for NaN too
        raise ValueError(f"float images must be in [0, 1], got values from {images.min()} to {images.max()}")
    return images.astype(np.float32, copy=False)


def check_prompts(prompts: Any, n: int) -> None:
    """Raise unless ``prompts`` is a `Prompts` of ``n`` rows."""
    if not isinstance(prompts, Prompts):
        raise TypeError(f"prompts must be a Prompts, got {type(prompts).__name__}")
    if len(prompts) != n:
        raise ValueError(f"prompts must be one per image, got {len(prompts)} for {n} images")


def check_pixels(images: Any) -> None:
    """Raise unless ``images``, a tensor, is (n, 3, H, W) of floats."""
    if images.ndim != 4 or images.shape[1] != 3 or not images.is_floating_point():
        raise ValueError(f"images must be a float tensor (n, 3, H, W), got {images.dtype} {tuple(images.shape)}")


def were_masks(answers: Array) -> bool:
    """Return whether answers that were made floats, for NaN where some failed, are 0 and 1 alone: bool masks before."""
    return bool(((answers == 0) | (answers == 1)).all())


def answered(answers: Array) -> tuple[Array, Array]:
    """Return the rows that hold an answer, and these answers; bool again where NaN had made floats of masks.

    Parameters
    ----------
    answers : ndarray of float32 or bool, shape (n, H, W)
        NaN in a row that was not answered.
    """
    there = ~np.isnan(answers).any(axis=(1, 2))
    if there.all():
        return np.arange(len(answers)), answers
    masks = answers[there]
    return np.flatnonzero(there), masks.astype(np.bool_) if were_masks(masks) else masks


def check_answer(answer: Any, shape: tuple[int, ...], who: str, nan: bool = False) -> Array:
    """Return a black box's ``answer`` as float32 probabilities or bool masks of ``shape``.

    Parameters
    ----------
    answer : Any
    shape : tuple of int
    who : str
        What answered, for messages.
    nan : bool
        Whether NaN may be in it.

    Raises
    ------
    TypeError
        If it is not an array of floats or booleans.
    ValueError
        If its shape is not `shape`, or floats are outside [0, 1] (by more than rounding, 1e-5), or NaN unless ``nan``.
    """
    try:
        array = np.asarray(answer)
    except Exception as error:  # ragged lists, tensors on another device or with a gradient, ...
        raise TypeError(f"{who} must return an array of masks, got {type(answer).__name__}: {error}") from None
    if array.dtype.kind not in "fb":
        raise TypeError(
            f"{who} must return float probabilities in [0, 1] or bool masks, got {array.dtype}; "
            "for bytes return masks > 127, for 0 and 1 masks == 1"
        )
    if array.shape != tuple(shape):
        raise ValueError(f"{who} must return masks of shape {tuple(shape)}, got {array.shape}")
    if array.dtype == np.bool_:
        return array
    some = array[~np.isnan(array)] if nan else array
    if not some.size:
        return array.astype(np.float32)
    low, high = float(some.min()), float(some.max())
    if low != low or high != high:
        raise ValueError(f"{who} must return probabilities in [0, 1], got NaN")
    if low < -1e-5 or high > 1 + 1e-5:
        raise ValueError(f"{who} must return probabilities in [0, 1], got values from {low:g} to {high:g}")
    array = array.astype(np.float32, copy=False)
    return np.clip(array, 0.0, 1.0) if low < 0.0 or high > 1.0 else array


def whole_answer(answer: Any, shape: tuple[int, ...], who: str) -> Array:
    """Return as `check_answer` without NaN; where some masks are NaN as a whole, `PartlyAnswered` has the others."""
    masks = check_answer(answer, shape, who, nan=True)
    there = np.logical_not(np.isnan(masks))
    missing = np.logical_not(there.any(axis=(1, 2)))
    if missing.all() or not there[~missing].all():
        return check_answer(answer, shape, who)
    if missing.any():
        raise PartlyAnswered(masks, {int(row): BlackBoxError(f"{who} answered NaN") for row in np.flatnonzero(missing)})
    return masks


def name_of(fn: Any) -> str:
    """Return the name of a function, or of the class of any other callable."""
    return str(getattr(fn, "__qualname__", None) or type(fn).__qualname__)

"""A black box that may be out of service for a while, or answer a part of what it was asked."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from zoo_opt.core.errors import NotServed, Refused
from zoo_opt.outage import WAIT, Outage, check_wait, recognised
from zoo_opt_seg.blackbox.cache import MaskFolder, mask_key
from zoo_opt_seg.blackbox.protocol import Array, PartlyAnswered, SegmentationModel, Unanswerable
from zoo_opt_seg.blackbox.wrappers import Wrapped
from zoo_opt_seg.prompts import Prompts

# Times that the model may fail on an image before the image counts as failed. Chosen: with 5 % failing at random, five
# in a row are one image in three million.
TRIES = 5


class Served(Wrapped):
    """A black box that is waited for in an outage, and asked again about those images alone that have no answer.

    Parameters
    ----------
    model : callable
        A black box, or anything that `as_black_box` takes.
    wait : float
        Seconds that an outage is waited for, as by `zoo_opt.minimize`. It ends with the next image that is answered.
    kept : MaskFolder, optional
        Where the masks of a question that was not answered at once are kept until another one is not, so that they are
        there when the same question is put by another process. A service's are kept as they come.

    Raises
    ------
    NotServed
        If an outage lasts longer.
    Refused
        If the model refuses.

    Notes
    -----
    Images on which the model fails (an error of their own in `PartlyAnswered`) are asked about five times, and once
    where it is `Unanswerable`; then they are answered by NaN, and a question all of whose images failed raises the last
    error. An exception for a question as a whole, that is no outage, is raised at once. ``Budgeted(Served(model), n)``
    counts every image once, whatever it took; ``Served(Budgeted(model, n))`` counts those that were answered by an
    error as well.
    """

    def __init__(
        self,
        model: SegmentationModel | Callable[..., Any],
        wait: float = WAIT,
        kept: MaskFolder | None = None,
    ) -> None:
        super().__init__(model)
        self.wait = check_wait(wait)
        self._kept, self._recall = kept, bool(kept)
        self._streams = kept is not None and self.model.keep_in(kept)

    def __call__(self, images: Array, prompts: Prompts, /) -> Array:
        """Return what the model answers; float32 with NaN for images on which it fails."""
        if not len(images):
            return self.model(images, prompts)
        came = self._recalled(images, prompts) if self._recall else {}
        if self._streams and self._kept is not None:
            if not came:  # those of the question before are not needed any more
                self._kept.clear()
            self._recall = True  # unless this one is answered
        tries = dict.fromkeys(range(len(images)), 0)
        outage: Outage | None = None
        failure = Exception()
        while rows := [row for row in tries if row not in came and tries[row] < TRIES]:
            masks, errors = self._asked(images, prompts, rows)
            if self._kept is not None and not self._streams and (errors or len(rows) < len(images)):
                self._keep(self._kept, images, prompts, masks, new=not came)
            came |= masks
            for row, error in errors.items():
                if isinstance(error, Refused):
                    raise error
                if not isinstance(error, NotServed):
                    tries[row], failure = TRIES if isinstance(error, Unanswerable) else tries[row] + 1, error
            out = [error for error in errors.values() if isinstance(error, NotServed)]
            if out:
                outage = Outage(self.wait) if outage is None or masks else outage
                outage.pause(max(out, key=lambda error: error.retry_after or 0.0))
        if not came:
            raise failure
        hard = any(mask.dtype == np.bool_ for mask in came.values())  # those beside a mask of NaN were made floats
        kind = np.bool_ if hard and len(came) == len(images) else np.float32
        self._recall = self._recall and not self._streams
        together = np.full(images.shape[:3], kind(np.nan), kind)
        for row, mask in came.items():
            together[row] = mask
        return together

    def _asked(
        self, images: Array, prompts: Prompts, rows: list[int]
    ) -> tuple[dict[int, Array], Mapping[int, Exception]]:
        """Return the masks of some of the images, and what went wrong with the others of them."""
        whole = len(rows) == len(images)
        try:
            with recognised():
                masks = self.model(images, prompts) if whole else self.model(images[rows], prompts[rows])
        except PartlyAnswered as part:
            came = {rows[place]: part.masks[place] for place in part.answered}
            return came, {rows[place]: error for place, error in part.errors.items()}
        except NotServed as error:
            return {}, dict.fromkeys(rows, error)
        except Exception as error:
            if whole or isinstance(error, Refused):
                raise
            return {}, dict.fromkeys(rows, error)
        return dict(zip(rows, masks, strict=True)), {}

    def _recalled(self, images: Array, prompts: Prompts) -> dict[int, Array]:
        """Return the masks that are kept, by row."""
        assert self._kept is not None
        found = {
            row: self._kept.read(mask_key(image, prompts, row), image.shape[:2]) for row, image in enumerate(images)
        }
        return {row: mask for row, mask in found.items() if mask is not None}

    def _keep(self, kept: MaskFolder, images: Array, prompts: Prompts, masks: dict[int, Array], new: bool) -> None:
        """Keep masks; ``new``: the first of a question, so that those of the one before are not needed any more."""
        if new and self._recall:
            kept.clear()
        for row, mask in masks.items():
            kept.write(mask_key(images[row], prompts, row), mask)
        self._recall = True

"""The validation of iterates: fixed images, one fixed random prompt each, no augmentation."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from zoo_opt.core.errors import NotServed, Refused, integer
from zoo_opt.support.secrets import hidden
from zoo_opt_seg.adaptation.folder import Line
from zoo_opt_seg.adaptation.history import History, ValidationPoint
from zoo_opt_seg.adaptation.retrying import BlackBoxDown, down
from zoo_opt_seg.adaptation.settings import SelectionSettings
from zoo_opt_seg.blackbox.protocol import BlackBox, BlackBoxGone, answered
from zoo_opt_seg.data.draws import Kind, draw_prompts
from zoo_opt_seg.data.samples import Samples
from zoo_opt_seg.measures.losses import LOSSES, SMOOTH, LossError, dice_loss, loss_of
from zoo_opt_seg.prompts import Array
from zoo_opt_seg.visual_prompts import TrainedPrompt, VisualPrompt

SHARE = 0.2  # of the calls, at most, where the number of validation images is not given
_ROWS, _POINTS = 11, 12  # streams of the seed, none of them one of the objective's


class ValidationImages:
    """Dice and loss of a vector on the validation images.

    Parameters
    ----------
    box : BlackBox
        What is asked.
    prompt : VisualPrompt
    samples : Samples
        No empty masks.
    loss : str
        A key of `LOSSES`.
    smooth : float
        Of the Dice loss.
    seed : int
        Of the prompts.
    points : int, str or callable
        Kind of prompts, see `zoo_opt_seg.data.draws.draw_prompts`.
    """

    def __init__(
        self,
        box: BlackBox,
        prompt: VisualPrompt,
        samples: Samples,
        *,
        loss: str,
        smooth: float = SMOOTH,
        seed: int,
        points: Kind,
    ) -> None:
        self.box, self.prompt, self.samples, self.loss, self.smooth = box, prompt, samples, loss, smooth
        self.prompts = draw_prompts(points, samples, (seed, _POINTS), exact=True) if len(samples) else None

    def __call__(self, x: Array, rows: slice) -> tuple[list[float], list[float]]:
        """Return Dice and loss of each of some images, by one question to the black box; NaN where it fails."""
        assert self.prompts is not None
        part = self.samples[rows]
        trained = TrainedPrompt(self.prompt, x)
        answer = trained.predict(self.box, np.asarray(part.images), self.prompts[rows], batch=len(part))
        loss = LOSSES[loss_of(self.loss, answered(answer)[1].dtype == np.bool_)]
        p = torch.from_numpy(np.ascontiguousarray(answer, np.float32))
        masks = torch.from_numpy(np.ascontiguousarray(part.masks))
        dice = 1.0 - dice_loss((p > 0.5).double(), masks, "none")  # that of the metrics, without importing MONAI
        dice[torch.isnan(p).any(2).any(1)] = math.nan
        return dice.tolist(), loss(p, masks, "none", self.smooth).tolist()


@dataclass(eq=False)
class Validator:
    """Validates iterates, a question at a time, and keeps each answer in the history.

    Parameters
    ----------
    ask : callable
        ``ask(x, rows) -> (dice, loss)``: evaluates some of the validation images, one question to the black box.
    history : History
    batch : int
        Images in a question.
    """

    ask: Callable[[Array, slice], tuple[Sequence[float], Sequence[float]]]
    history: History
    batch: int

    def validate(self, number: int, nfev: int, x: Array) -> ValidationPoint:
        """Validate an iterate, or on the rest of its images where a kill came in between.

        Raises
        ------
        BlackBoxDown
            If the black box failed on every question, is out of service, or can be asked nothing any more; what is kept
            of the questions that failed is that they were paid for.
        Refused
            If it refuses.
        """
        history = self.history
        point = history.begin(number, nfev, x)
        if not np.isfinite(point.x.astype(np.float32)).all():  # it diverged: nothing to ask
            history.add(point, *_nothing(history.images - len(point.dice)), error="not finite")
            return point
        failed: list[Line] = []
        last: Exception | None = None
        gone: NotServed | BlackBoxGone | None = None
        for start in range(len(point.dice), history.images, self.batch):
            rows = slice(start, min(start + self.batch, history.images))
            try:
                dice, loss = self.ask(point.x, rows)
            except (NotServed, BlackBoxGone) as error:
                gone = error
                break
            except (Refused, LossError):
                raise
            except Exception as error:
                last = error
                dice, loss = _nothing(rows.stop - rows.start)
                failed.append({"dice": dice, "loss": loss, "error": hidden(f"{type(error).__name__}: {error}")})
                continue
            for line in failed:
                history.add(point, **line)
            failed = []
            history.add(point, list(map(float, dice)), list(map(float, loss)))
        if point.dice:
            for line in failed:  # also where the black box is gone, or what ended it would be asked for ever
                history.add(point, **line)
        elif failed:
            history.add(point, [], [], error=failed[-1]["error"], lost=sum(len(line["dice"]) for line in failed))
        if gone is not None:
            raise down(gone) from gone
        if not point.dice:
            raise BlackBoxDown(
                f"the black box failed on all {history.images} validation images, the last time with "
                f"{failed[-1]['error']}"
            ) from last
        return point


def validation_rows(samples: Samples, selection: SelectionSettings, calls: int, seed: int) -> Array:
    """Return the indices of the validation images to use, drawn by the seed among those with an object.

    Parameters
    ----------
    samples : Samples
        The validation split.
    selection : SelectionSettings
        Without ``validation_images`` all are used, as long as all validations cost at most a fifth of the calls.
    calls, seed : int

    Raises
    ------
    ValueError
        If there are validations and no images, or fewer than asked for.
    """
    if not selection.validate:
        return np.arange(0)
    rows = samples.with_object
    if selection.validation_images is None:
        n = min(len(rows), max(1, int(SHARE * calls) // selection.validate))
    else:
        n = integer("validation_images", selection.validation_images, 1)
    if not 0 < n <= len(rows):
        what = f"validation_images must be at most {len(rows)} for" if len(rows) else "validate must be 0 for"
        got = n if len(rows) else selection.validate
        raise ValueError(f"{what} data with {len(rows)} validation images with an object, got {got}")
    return np.sort(np.random.default_rng([seed, _ROWS]).permutation(rows)[:n])


def _nothing(n: int) -> tuple[list[float], list[float]]:
    """Return Dice and loss of n images that the black box did not answer for."""
    return [math.nan] * n, [math.nan] * n

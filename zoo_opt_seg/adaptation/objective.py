"""The function that an optimizer sees: a vector to the loss of the black box on the minibatch of a step."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from zoo_opt.core import errors
from zoo_opt_seg.blackbox.protocol import BlackBoxError, SegmentationModel, answered
from zoo_opt_seg.data.augmentation import KINDS, augment
from zoo_opt_seg.data.draws import Kind, draw_prompts, kind_for, need_texts
from zoo_opt_seg.data.samples import Samples
from zoo_opt_seg.measures.losses import LOSSES, SMOOTH, black_box_loss
from zoo_opt_seg.prompts import Array, Prompts
from zoo_opt_seg.visual_prompts.base import Context, VisualPrompt

_ROWS, _AUGMENT, _POINTS = 1, 2, 3  # streams of the seed
_KEPT = 2  # steps whose minibatch is kept: more than one may be open


class Minibatch(NamedTuple):
    """What all candidates of a step are evaluated on.

    Parameters
    ----------
    images : ndarray of uint8, shape (n, H, W, 3)
    masks : ndarray of bool, shape (n, H, W)
    prompts : Prompts
        Of the n images.
    """

    images: Array
    masks: Array
    prompts: Prompts


class Objective:
    """Loss of a vector on the minibatch of a step.

    Minibatch, points and augmentation are a function of (seed, step), the same for all candidates of a step, and a
    candidate's loss does not depend on which others it is evaluated with. The samples are gone through in one random
    order after another, without replacement; those with an empty mask are left out.

    Parameters
    ----------
    model : callable
        The black box: images, float32 (n, H, W, 3) in [0, 1], and prompts to probabilities or bool masks (n, H, W).
    prompt : VisualPrompt
    samples : Samples
        Training set.
    loss : {"bce+dice", "dice", "bce"}
        Of hard masks, which have no cross-entropy, "bce+dice" is Dice alone.
    batch : int
        Images of a minibatch, which is also the number of calls of one evaluation.
    augment : {None, "paper", "released"}
        See `zoo_opt_seg.data.augmentation`.
    points : int, {"random", "centre", "box", "box+point", "text"} or callable, optional
        Prompts of a minibatch, see `zoo_opt_seg.data.draws.draw_prompts`; without, what the model is prompted by, and
        random points where it does not say. Points and boxes are drawn on the augmented masks, and boxes are moved.
    reduction : {"image", "batch"}
        See `zoo_opt_seg.measures.losses.dice_loss`.
    smooth : float
        The same.
    seed : int
    keep : callable, optional
        Called as ``keep(step, x, answer)`` with each answer of the black box, ``x`` in float32.

    Attributes
    ----------
    calls : int
        Calls of the black box by one evaluation.

    Raises
    ------
    ValueError
        For images of another size than the prompt's, no sample with an object, no texts where they are to be drawn,
        or an unknown name.
    """

    def __init__(
        self,
        model: SegmentationModel,
        prompt: VisualPrompt,
        samples: Samples,
        *,
        loss: str = "bce+dice",
        batch: int = 16,
        augment: str | None = None,
        points: Kind | None = None,
        reduction: str = "image",
        smooth: float = SMOOTH,
        seed: int = 0,
        keep: Callable[[int, Array, Array], None] | None = None,
    ) -> None:
        for name, value, known in (
            ("loss", loss, tuple(LOSSES)),
            ("augment", augment, (None, *KINDS)),
            ("reduction", reduction, ("image", "batch")),
        ):
            if value not in known:
                raise ValueError(f"{name} must be one of {', '.join(map(repr, known))}, got {value!r}")
        if samples.images.shape[1:3] != (prompt.size, prompt.size):
            shape = samples.images.shape
            raise ValueError(
                f"samples must be {prompt.size} pixels square, the prompt's size, got {shape[1]} x {shape[2]}"
            )
        self.model, self.prompt, self.samples, self._keep = model, prompt, samples, keep
        self.loss, self.reduction, self.augment, self.points = loss, reduction, augment, kind_for(model, points)
        self.smooth = errors.positive("smooth", smooth)
        self.batch, self.seed = errors.integer("batch", batch, 1), errors.integer("seed", seed, 0)
        self._rows = samples.with_object
        if not self._rows.size:
            raise ValueError(f"samples must hold a mask that is not empty, got none in {len(samples)}")
        if self.points == "text":
            need_texts(samples)
        self._kept: dict[int, tuple[Minibatch, Context]] = {}

    @property
    def calls(self) -> int:
        """Calls of the black box by one evaluation."""
        return self.batch * self.prompt.views

    def rows(self, step: int) -> Array:
        """Return the indices into the samples of a step's minibatch, int64 of shape (batch,)."""
        n = len(self._rows)
        places = np.arange(step * self.batch, (step + 1) * self.batch)
        orders = {
            epoch: np.random.default_rng([self.seed, _ROWS, epoch]).permutation(self._rows)
            for epoch in np.unique(places // n).tolist()
        }
        return np.array([orders[place // n][place % n] for place in places.tolist()], np.int64)

    def minibatch(self, step: int) -> Minibatch:
        """Return images, masks and prompts of a step.

        Parameters
        ----------
        step : int
            >= 0.
        """
        return self._step(step)[0]

    def losses(self, X: Array, step: int) -> Array:
        """Return the losses of candidates on the minibatch of a step.

        Parameters
        ----------
        X : ndarray, shape (m, dim)
        step : int
            >= 0.

        Returns
        -------
        ndarray of float64, shape (m,)
            NaN for a candidate that is not finite, for which the black box is not called.

        Raises
        ------
        ValueError
            If ``X`` has another shape, or the loss is none for what the black box returns.
        BlackBoxError
            If the black box answered NaN for more than half of the images. Where it did for fewer, the loss is that of
            the others.
        """
        X = np.asarray(X)
        if X.ndim != 2 or X.shape[1] != self.prompt.dim:
            raise ValueError(f"X must have shape (m, {self.prompt.dim}), got {X.shape}")
        minibatch, context = self._step(step)
        losses = np.full(len(X), np.nan)
        for i, x in enumerate(X):
            vector = x.astype(np.float32)
            if np.isfinite(vector).all():
                answer = self.prompt.answer(self.model, vector, context)
                if self._keep is not None:
                    self._keep(step, vector, answer)
                losses[i] = self._loss(answer, minibatch.masks)
        return losses

    def _loss(self, answer: Array, masks: Array) -> float:
        """Return the loss of an answer, over the images that have a mask in it."""
        rows, given = answered(answer)
        if 2 * len(rows) < len(answer):
            raise BlackBoxError(f"the black box answered for {len(rows)} of {len(answer)} images of a minibatch")
        return black_box_loss(self.loss, given, masks[rows], self.reduction, self.smooth)

    def __call__(self, x: Array, step: int) -> float:
        """Return the loss of one candidate, shape (dim,), on the minibatch of a step."""
        return float(self.losses(np.asarray(x)[None], step)[0])

    def _step(self, step: int) -> tuple[Minibatch, Context]:
        """Return the minibatch of a step and its context, from memory where it was the last but one or newer."""
        step = errors.integer("step", step, 0)
        kept: Any = self._kept.get(step)
        if kept is None:
            minibatch = self._drawn(step)
            kept = minibatch, self.prompt.context(minibatch.images, minibatch.prompts)
            recent = dict(list(self._kept.items())[-(_KEPT - 1) :])
            self._kept = {**recent, step: kept}  # one assignment: other threads see the old or the new
        return kept  # type: ignore[no-any-return]

    def _drawn(self, step: int) -> Minibatch:
        rows = self.rows(step)
        part = self.samples[rows]
        if self.augment is not None:
            images, masks = augment(
                np.asarray(part.images), np.asarray(part.masks), [self.seed, _AUGMENT, step], self.augment
            )
            part = replace(part, images=images, masks=masks)
        images, masks = np.asarray(part.images), np.asarray(part.masks)
        return Minibatch(images, masks, draw_prompts(self.points, part, [self.seed, _POINTS, step]))

"""Clicks that correct a mask: where an annotator puts the next one, and how the border of the mask moves past it."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
from scipy import ndimage

from zoo_opt.core.errors import integer
from zoo_opt_seg.blackbox.protocol import SegmentationModel
from zoo_opt_seg.blackbox.wrappers import Wrapped
from zoo_opt_seg.measures.metrics import dice
from zoo_opt_seg.prompts import ABSENT, BACKGROUND, OBJECT, Array, Prompts

WIDTH = 0.7  # of the piece of border that a click moves, in radii of the object; chosen, see docs/label-studio.md
ALONE = 1 / 24  # radius of what a click makes where there is no border, in shares of the longer side; chosen
_SURE = 0.51  # probability of what a click has brought in, at least


def next_click(truth: Array, mask: Array, rng: np.random.Generator | None = None) -> tuple[int, int, int] | None:
    """Return the click that corrects a mask: x, y and the label, in the largest region that is wrong.

    Parameters
    ----------
    truth, mask : ndarray of bool, shape (H, W)
    rng : numpy.random.Generator, optional
        To click anywhere in the inner half of the region; by default it is the point farthest from its border.

    Returns
    -------
    tuple of int, or None
        None where nothing is wrong. The label is 1 where the object was missed, 0 where there is none.
    """
    largest, kind = np.zeros(truth.shape, np.bool_), OBJECT
    for wrong, of in ((truth & ~mask, OBJECT), (mask & ~truth, BACKGROUND)):
        regions, count = ndimage.label(wrong)
        if count:
            sizes = np.bincount(regions.ravel())[1:]
            if sizes.max() > largest.sum():
                largest, kind = regions == sizes.argmax() + 1, of
    if not largest.any():
        return None
    depth = ndimage.distance_transform_edt(np.pad(largest, 1))[1:-1, 1:-1]
    place = int(depth.argmax()) if rng is None else int(rng.choice(np.flatnonzero(depth >= depth.max() / 2)))
    y, x = divmod(place, truth.shape[1])
    return x, y, kind


def corrections(answers: Array, prompts: Prompts, truth: Array, enough: float = 0.9, most: int = 10) -> Array:
    """Return how many clicks correct each answer, where an annotator puts each and the border follows.

    Parameters
    ----------
    answers : ndarray, shape (n, H, W)
        Probabilities, or bool masks.
    prompts : Prompts
        By which they were asked for.
    truth : ndarray of bool, shape (n, H, W)
    enough : float
        Dice from which on nothing is corrected any more.
    most : int
        Clicks at most; they count where they did not suffice.

    Returns
    -------
    ndarray of int64, shape (n,)
    """
    taken = np.full(len(answers), most)
    for row, right in enumerate(truth):
        asked = prompts[row]
        for count in range(most + 1):
            mask = followed(answers[row : row + 1], asked)[0] > 0.5
            click = next_click(right, mask)
            if click is None or dice(mask[None], right[None])[0] >= enough:
                taken[row] = count
                break
            asked = _and_click(asked, click)
    return taken


def _and_click(prompts: Prompts, click: tuple[int, int, int]) -> Prompts:
    """Return one row of prompts with a click after the others."""
    points, labels = np.array([[click[:2]]], np.float32), np.array([[click[2]]])
    if prompts.points is not None and prompts.labels is not None:
        points = np.concatenate([prompts.points, points], axis=1)
        labels = np.concatenate([prompts.labels, labels], axis=1)
    return replace(prompts, points=points, labels=labels)


class FollowingClicks(Wrapped):
    """A black box that is asked by the first clicks, and whose answers follow the others; see `followed`.

    It needs no training, and its corrections cost no call.

    Parameters
    ----------
    model : callable
        A black box, or anything that `as_black_box` takes.
    asked : int
        By how many clicks the model is asked, see `question`.
    """

    def __init__(self, model: SegmentationModel | Callable[..., Any], asked: int = 1) -> None:
        self.asked = integer("asked", asked, 1)
        super().__init__(model)

    @property
    def label(self) -> str:
        """That of the model, and ``+followed`` with the number of clicks."""
        return f"{self.model.label}+followed:{self.asked}"

    def __call__(self, images: Array, prompts: Prompts, /) -> Array:
        """Return the answers, each click obeyed."""
        return followed(self.model(images, question(prompts, self.asked)), prompts)


def question(prompts: Prompts, asked: int = 1) -> Prompts:
    """Return prompts without the clicks that only correct.

    Parameters
    ----------
    prompts : Prompts
    asked : int
        Clicks that are kept of each row, the first ones; a box counts as one. Where the object is asked for by clicks
        alone, those up to the first one on it are kept.
    """
    if prompts.points is None or prompts.labels is None:
        return prompts
    there = prompts.labels != ABSENT
    kept = there & (np.cumsum(there, axis=1) <= np.maximum(_least(prompts), asked - _boxed(prompts))[:, None])
    width = int(kept.any(axis=0).nonzero()[0].max(initial=-1)) + 1
    labels = np.where(kept, prompts.labels, ABSENT)[:, :width]
    if not width and prompts.boxes is not None:
        return replace(prompts, points=None, labels=None)
    return replace(prompts, points=prompts.points[:, :width], labels=labels)


def followed(answers: Array, prompts: Prompts) -> Array:
    """Return answers in which each correcting click has the side of the border that it asks for.

    People click on the middle of what is wrong. So if a click is at the distance r from the border, on the wrong side,
    the border is to be about 2 r away. It moves by 2 r exp(-d^2 / (2 R^2)) at the distance d from the click. R is
    `WIDTH` times the radius of a disc as large as the object, at least r, and at most half the way to the nearest click
    of the other label. Clicks are taken in their order; one that is obeyed already changes nothing.

    Parameters
    ----------
    answers : ndarray, shape (n, H, W)
        Probabilities, or bool masks. A row with NaN stays as it is.
    prompts : Prompts
        In pixels of these answers. A row's corrections are the clicks after its ``question(row, 1)``.

    Returns
    -------
    ndarray, shape (n, H, W)
        Of the same type. Where a click changes the side, p becomes 1 - p.
    """
    if prompts.points is None or prompts.labels is None:
        return answers
    found = answers.copy()
    for row, first in enumerate(_least(prompts)):
        there = prompts.labels[row] != ABSENT
        clicks = np.column_stack([np.rint(prompts.points[row, there]), prompts.labels[row, there]]).astype(np.int64)
        if len(clicks) <= first or np.isnan(answers[row]).any():
            continue
        before = answers[row] > 0.5
        change = before != _obeyed(before, clicks, first)
        if answers.dtype == np.bool_:
            found[row] ^= change
        else:
            other = 1 - found[row][change]
            found[row][change] = np.where(before[change], other, np.maximum(other, _SURE))
    return found


def _boxed(prompts: Prompts) -> Array:
    """Return whether each row has a box."""
    there: Array = np.isfinite(prompts.boxes[:, 0]) if prompts.boxes is not None else np.zeros(len(prompts), np.bool_)
    return there


def _least(prompts: Prompts) -> Array:
    """Return how many clicks of each row it takes to ask for its object, int64 (n,)."""
    assert prompts.labels is not None
    on, there = prompts.labels == OBJECT, prompts.labels != ABSENT
    first = np.where(on.any(axis=1), np.argmax(on, axis=1), on.shape[1])  # the place of the first one on the object
    before = there & (np.arange(on.shape[1]) <= first[:, None])
    least: Array = np.where(_boxed(prompts), 0, before.sum(axis=1))
    return least


def _obeyed(mask: Array, clicks: Array, first: int) -> Array:
    """Return a mask (H, W) after the clicks (k, 3) from the first one on: x, y and label."""
    clicks[:, :2] = np.clip(clicks[:, :2], 0, np.array(mask.shape)[::-1] - 1)
    for x, y, kind in clicks[first:]:
        if mask[y, x] != (kind == OBJECT):
            others = clicks[clicks[:, 2] != kind, :2]
            barred = np.hypot(*(others - (x, y)).T).min() if len(others) else math.inf
            width = WIDTH * math.sqrt(mask.sum() / math.pi)
            grown = _grown(mask if kind == OBJECT else ~mask, int(x), int(y), width, barred / 2)
            mask = grown if kind == OBJECT else ~grown
    return mask


def _grown(region: Array, x: int, y: int, width: float, most: float) -> Array:
    """Return a region (H, W) that has grown past a click outside of it."""
    height, wide = region.shape
    inside = np.nonzero(region)
    squares = (np.arange(height)[:, None] - y) ** 2 + (np.arange(wide) - x) ** 2
    if not len(inside[0]):
        alone: Array = squares <= (ALONE * max(region.shape)) ** 2
        return alone
    away = math.sqrt(squares[inside].min()) - 0.5  # of the border from the click, at least .5
    width = min(max(width, away), most)
    # what may change lies nearer than this, and the border that it is measured from
    side = math.ceil(width * math.sqrt(2 * math.log(4 * away + 1)) + 2 * away) + 2
    part = slice(max(0, y - side), y + side + 1), slice(max(0, x - side), x + side + 1)
    distance = ndimage.distance_transform_edt(~region[part]) - 0.5
    grown: Array = region.copy()
    grown[part] |= distance < 2 * away * np.exp(-squares[part] / (2 * width**2))
    return grown

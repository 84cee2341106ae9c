"""How good are the masks: Dice, IoU and HD95 per image, over several prompts of each."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from zoo_opt.bench.statistics.bootstrap import interval
from zoo_opt.core.errors import integer, one_of
from zoo_opt_seg.blackbox.protocol import check_answer
from zoo_opt_seg.data.draws import FIXED, Kind, draw_prompts, kind_for
from zoo_opt_seg.data.samples import Original, Samples, numbered
from zoo_opt_seg.measures.metrics import dice, hd95, iou
from zoo_opt_seg.prompts import Prompts

RESAMPLES = 10_000  # of the bootstrap: a bound's Monte Carlo error is then 0.7 % of the width, for a normal mean
MEASURES = ("dice", "iou", "hd95")
RESOLUTIONS = ("asked", "original")


@dataclass(frozen=True, eq=False)
class Evaluation:
    """Measures per repeat and image; NaN where the black box gave NaN.

    Parameters
    ----------
    dice, iou, hd95 : ndarray of float64, shape (repeats, n)
        HD95 in pixels, or the units of ``spacing``; all NaN if it was not asked for.
    names, groups : tuple of str, length n
        Those of the samples.
    calls : int or None
        What the black box counted, if it has a ``calls``; n * repeats without faults and caches.
    """

    dice: np.ndarray
    iou: np.ndarray
    hd95: np.ndarray
    names: tuple[str, ...]
    groups: tuple[str, ...]
    calls: int | None = None
    averaged: ClassVar[int] = 0  # axis of what one image has several of

    @property
    def repeats(self) -> int:
        """How often each image was asked about."""
        return len(self.dice)

    @property
    def failed(self) -> int:
        """How many of the repeats x n predictions were NaN; they count in no mean."""
        return int(np.isnan(self.dice).sum())

    def per_image(self, measure: str = "dice") -> np.ndarray:
        """Return the mean over repeats of each image, float64 (n,), for paired tests; NaN where all failed.

        Parameters
        ----------
        measure : {"dice", "iou", "hd95"}
        """
        return _mean(getattr(self, one_of("measure", measure, MEASURES)), self.averaged)

    def summary(self) -> dict[str, float]:
        """Return means over images and repeats, standard deviations over images of their means, and counts.

        Keys: dice, dice_sd, iou, iou_sd, hd95, hd95_sd, images, repeats, failed.
        """
        result: dict[str, float] = {}
        for measure in MEASURES:
            values = self.per_image(measure)
            values = values[~np.isnan(values)]
            result[measure] = float(values.mean()) if values.size else float("nan")
            result[f"{measure}_sd"] = float(values.std(ddof=1)) if values.size > 1 else float("nan")
        return {**result, "images": len(self.names), "repeats": self.repeats, "failed": self.failed}


def gain(before: Evaluation, after: Evaluation) -> dict[str, float]:
    """Return by how much Dice grew on the images of two evaluations, which must be of the same samples.

    Returns
    -------
    dict
        ``dice``: mean difference; ``low``, ``high``: its 95 % bootstrap interval, for which whole groups of samples are
        resampled, NaN of fewer than two; ``better``: share of the images that gained; ``groups``: how many there are,
        if some have more than one image. Empty where no image was answered for both times.
    """
    change = after.per_image() - before.per_image()
    known = np.isfinite(change)
    if not known.any():
        return {}
    change = change[known]
    which = numbered([group for group, there in zip(after.groups, known, strict=True) if there])
    counts = np.bincount(which)
    over = interval(np.bincount(which, change), counts, resamples=RESAMPLES)
    result = {"dice": float(change.mean()), "low": over.low, "high": over.high, "better": float((change > 0).mean())}
    return result if len(counts) == len(change) else {**result, "groups": len(counts)}


def evaluate(
    model: Callable[[np.ndarray, Prompts], np.ndarray],
    samples: Samples,
    *,
    prompt: Any = None,
    x: np.ndarray | None = None,
    repeats: int = 3,
    seed: int | Sequence[int] = 0,
    batch: int = 32,
    points: int = 1,
    draw: Kind | None = None,
    distances: bool = True,
    spacing: float | Sequence[float] | None = None,
    measure: str = "asked",
    known: Mapping[tuple[int, int], Mapping[str, Sequence[float]]] | None = None,
    on_batch: Callable[[int, int, dict[str, list[float]]], None] | None = None,
) -> Evaluation:
    """Measure a black box on labelled images, each with several random points, as BAPS does, or with its box or texts.

    Repeat r draws its prompts from (``seed``, r) and the row of the image alone, so the same seed gives the same ones
    whatever the model, the visual prompt and the batch size: comparisons are paired.

    Parameters
    ----------
    model : SegmentationModel
        Images and prompts to probabilities or bool masks; above 0.5 is object. One call per image and repeat.
    samples : Samples
        For points and boxes, none with an empty mask, on which none can lie; for texts, with texts.
    prompt : TrainedPrompt or VisualPrompt, optional
        What is done to the images first; without, the model is measured as it is (zero-shot).
    x : ndarray, shape (dim,), optional
        The vector of a VisualPrompt; not with a TrainedPrompt, which has its own.
    repeats : int
        Per image; one where all would be the same, with its box or its centre.
    batch, points : int
        Images per call of the model, random points per image.
    seed : int or sequence of int
    draw : int, {"random", "centre", "box", "box+point", "text"} or callable, optional
        Kind of prompts, see `zoo_opt_seg.data.draws.draw_prompts`; without, what the model is prompted by, and random
        points where it does not say. Boxes are exact. A callable is given the masks and a tuple of int:
        (masks, seed) -> Prompts.
    distances : bool
        Whether to measure HD95, which takes some milliseconds per image.
    spacing : float or (float, float), optional
        Of pixels, for HD95 in mm.
    measure : {"asked", "original"}
        At which resolution: that of the images that the model is asked about, or that of the files they were read from,
        `Samples.originals`: the answer is resized back, bilinearly, and held against the mask as it is on the disk.
    known : mapping, optional
        Scores of batches measured before, by (repeat, first row): {"dice": [...], "iou": [...], "hd95": [...]}. These
        are not sent to the model again.
    on_batch : callable, optional
        Told (repeat, first row, scores) after each batch that was; what it is told can be ``known`` later.

    Returns
    -------
    Evaluation

    Raises
    ------
    TypeError, ValueError
        For a prompt without its vector, an empty mask, missing texts, or predictions that are no probabilities and no
        bool masks, or of another shape.
    """
    for name, value in (("repeats", repeats), ("batch", batch), ("points", points)):
        integer(name, value, 1)
    if not len(samples):
        raise ValueError("samples must hold at least one, got none")
    if one_of("measure", measure, RESOLUTIONS) == "original":
        need_originals(samples)
    predict, kind = _predictor(model, prompt, x), _kind(model, draw, points)
    if kind in FIXED:
        repeats = 1
    before = getattr(model, "calls", None)  # counted by the box itself, not here
    entropy = tuple(int(value) for value in np.atleast_1d(np.asarray(seed)))
    results = np.full((3, repeats, len(samples)), np.nan)
    for repeat in range(repeats):
        key = (*entropy, repeat)
        prompts = draw_prompts(kind, samples, key, exact=True)
        for start in range(0, len(samples), batch):
            rows = slice(start, min(start + batch, len(samples)))
            if known is not None and (repeat, start) in known:
                results[:, repeat, rows] = _recalled(known[repeat, start], rows)
                continue
            part = samples[rows]
            output = predict(np.asarray(part.images), prompts[rows])
            scores = _SCORES[measure](output, part, distances, spacing)
            results[:, repeat, rows] = scores
            if on_batch is not None:
                on_batch(repeat, start, dict(zip(MEASURES, scores.tolist(), strict=True)))
    calls = getattr(model, "calls", None)
    counted = calls - before if isinstance(calls, int) and isinstance(before, int) else None
    return Evaluation(results[0], results[1], results[2], samples.names, samples.groups, counted)


def _kind(model: Any, draw: Kind | None, points: int) -> Kind:
    """Return the kind of prompts to draw: the one told, with so many random points."""
    kind = kind_for(model, draw)
    if points == 1:
        return kind
    if kind != "random":
        raise ValueError(f"points must be 1 per mask where they are not random, got {points}")
    return points


def _predictor(model: Any, prompt: Any, x: np.ndarray | None) -> Callable[[np.ndarray, Prompts], np.ndarray]:
    if prompt is None:
        if x is not None:
            raise ValueError(f"x must not be given without the visual prompt that it belongs to, got {x!r:.80}")
        return model  # type: ignore[no-any-return]
    if hasattr(prompt, "predict"):  # a TrainedPrompt holds its vector
        if x is not None:
            raise ValueError(f"x must not be given with a trained prompt, which holds its own, got {x!r:.80}")
        return lambda images, prompts: prompt.predict(model, images, prompts, batch=len(images))
    if x is None:
        raise ValueError("x must be the vector of the visual prompt, got None")

    def through(images: np.ndarray, prompts: Prompts) -> np.ndarray:
        return np.asarray(prompt.answer(model, x, prompt.context(images, prompts)))

    return through


def need_originals(samples: Samples) -> tuple[Original, ...]:
    """Return the originals of samples, or raise a ValueError that says what has some."""
    if samples.originals is None:
        raise ValueError('samples must be read from files to be measured with measure="original"; these have no files')
    return samples.originals


def _scores(output: Any, samples: Samples, distances: bool, spacing: float | Sequence[float] | None) -> np.ndarray:
    """Return dice, iou and hd95 of a batch, (3, n); NaN for predictions that hold NaN."""
    output = check_answer(output, samples.masks.shape, "model", nan=True)
    ok = ~np.isnan(output).any(axis=(1, 2))
    scores = np.full((3, len(samples)), np.nan)
    if ok.any():
        scores[:, ok] = _compared(output[ok] > 0.5, samples.masks[ok], distances, spacing)
    return scores


def _original_scores(
    output: Any, samples: Samples, distances: bool, spacing: float | Sequence[float] | None
) -> np.ndarray:
    """Return the same at the resolution of the samples' files."""
    output = check_answer(output, samples.masks.shape, "model", nan=True)
    scores = np.full((3, len(samples)), np.nan)
    for i, (answer, original) in enumerate(zip(output, need_originals(samples), strict=True)):
        if not np.isnan(answer).any():
            found, truth = original.back(answer.astype(np.float32)) > 0.5, original.mask()
            scores[:, i : i + 1] = _compared(found[None], truth[None], distances, spacing)
    return scores


_SCORES = {"asked": _scores, "original": _original_scores}


def _compared(
    found: np.ndarray, truth: np.ndarray, distances: bool, spacing: float | Sequence[float] | None
) -> np.ndarray:
    """Return dice, iou and hd95 of masks, (3, n)."""
    scores = np.full((3, len(truth)), np.nan)
    scores[0], scores[1] = dice(found, truth), iou(found, truth)
    if distances:
        scores[2] = hd95(found, truth, spacing=spacing)
    return scores


def _recalled(scores: Mapping[str, Sequence[float]], rows: slice) -> np.ndarray:
    wanted = rows.stop - rows.start
    lengths = [len(scores[measure]) if measure in scores else 0 for measure in MEASURES]
    if lengths != [wanted] * 3:
        raise ValueError(f"known must hold {wanted} scores of each measure from row {rows.start} on, got {lengths}")
    return np.asarray([scores[measure] for measure in MEASURES], np.float64)


def _mean(values: np.ndarray, axis: int) -> np.ndarray:
    """Mean over an axis of what is not NaN; NaN where nothing is."""
    known = ~np.isnan(values)
    count = known.sum(axis=axis)
    return np.where(count, np.where(known, values, 0.0).sum(axis=axis) / np.maximum(count, 1), np.nan)

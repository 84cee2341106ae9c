"""Adapt a black box: train a visual prompt for it through function values alone, and keep all that was paid for."""

from __future__ import annotations

import contextlib
import io
import os
import time
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from zoo_opt.core.errors import instance, integer
from zoo_opt.methods import Method
from zoo_opt.optimizer import Optimizer
from zoo_opt.resume import KeptRun
from zoo_opt.storage.checkpoint import write_atomically
from zoo_opt.support.progress import bar
from zoo_opt_seg.adaptation.folder import Line, RunFolder, read_json, versions, write_json
from zoo_opt_seg.adaptation.loop import Driver
from zoo_opt_seg.adaptation.marks import SCORES, Mark, Marks, thresholds
from zoo_opt_seg.adaptation.objective import Objective
from zoo_opt_seg.adaptation.reporting import illustrate, measure
from zoo_opt_seg.adaptation.validation import Validation, fingerprint, parts, validation_rows
from zoo_opt_seg.blackbox.protocol import SegmentationModel, as_black_box, name_of
from zoo_opt_seg.blackbox.wrappers import Budgeted
from zoo_opt_seg.data.draws import Draw, kind_for, need_texts
from zoo_opt_seg.data.samples import Splits
from zoo_opt_seg.prompts import Array
from zoo_opt_seg.visual_prompts import TrainedPrompt, VisualPrompt, save_prompt
from zoo_opt_seg.visual_prompts.registry import need_registered


@dataclass
class Adaptation:
    """What `adapt` returns.

    Attributes
    ----------
    prompt : TrainedPrompt
        The visual prompt with the vector that validation chose: ``prompt.predict(model, images, prompts)``.
    x : (d,) array
        That vector.
    last : (d,) array
        The optimizer's mean at the end.
    calls : int
        Images evaluated for training and validation, never more than the budget.
    nfev, nit : int
        Evaluations of candidates (one is ``batch`` calls), and steps.
    marks : list of dict
        The validation results as they stand in the log.
    metrics : dict
        What ``metrics.json`` holds; on the test images only where they were asked for.
    folder : Path or None
        The result folder.
    """

    prompt: TrainedPrompt
    x: Array
    last: Array
    calls: int
    nfev: int
    nit: int
    marks: list[Line] = field(default_factory=list)
    metrics: dict[str, Any] = field(default_factory=dict)
    folder: Path | None = None


def adapt(
    model: SegmentationModel | Callable[..., Any],
    prompt: VisualPrompt,
    splits: Splits,
    *,
    method: Method | str = "cma-es",
    options: Mapping[str, Any] | None = None,
    calls: int = 3200,
    batch: int = 16,
    seed: int = 0,
    out: str | os.PathLike[str] | None = None,
    loss: str = "bce+dice",
    reduction: str = "image",
    augment: str | None = None,
    points: str | Draw | None = None,
    x0: Array | None = None,
    validate: int = 6,
    validation_images: int | None = None,
    select: str = "dice",
    test: bool = True,
    test_images: int | None = None,
    repeats: int = 3,
    test_seed: int = 0,
    panel: bool = True,
    patience: int = 8,
    progress: bool = False,
    about: Mapping[str, Any] | None = None,
) -> Adaptation:
    """Train a visual prompt for a black box.

    One call is one image evaluated. A candidate costs ``batch`` calls, times the prompt's views: all candidates of a
    step see the same minibatch, points and augmentation. Validation is paid for from the same budget; the test images
    are not, as they change nothing.

    Parameters
    ----------
    model : callable
        The black box, see `zoo_opt_seg.blackbox.SegmentationModel`.
    prompt : VisualPrompt
        What is trained, see `zoo_opt_seg.visual_prompts.make_prompt`.
    splits : Splits
        Images and masks to train on, to choose the iterate by, and to report.
    method : Method or str
        Any method of `zoo_opt`, or its registered name.
    options : mapping, optional
        Hyper-parameters of a method that is given by name, as in `zoo-opt run -o`.
    calls : int
        Budget, never exceeded; a step that would exceed it is not begun.
    batch : int
        Images in a minibatch, and in a question of the validation.
    seed : int
        Of everything that is random.
    out : path-like, optional
        Result folder. If it holds this run already, the run goes on where it was cut off, or is returned if complete.
    loss, reduction, augment : str
        See `Objective`.
    points : {"random", "centre", "text"} or callable, optional
        By what the black box is asked, in training, validation and tests; see `zoo_opt_seg.data.draws.draw_prompts`. By
        default texts for a black box that is prompted by text, and random points for others.
    x0 : (d,) array, optional
        Start; by default that of the prompt.
    validate : int
        Marks at which the optimizer's mean is validated: the start, the end, and evenly spaced ones between. 0: never,
        the last mean is kept, or, where the method diverged, the candidate with the lowest loss.
    validation_images : int, optional
        Images of the validation split to use; by default all, as long as they cost at most a fifth of the budget.
    select : {"dice", "loss"}
        What the best mark has the best of, on the validation images.
    test : bool
        Whether to measure zero-shot, adapted and trivial baselines on the test images, ``repeats`` prompts each; those
        without an object are asked about by text alone.
    test_images : int, optional
        The first so many test images only.
    repeats, test_seed : int
        Random prompts per test image, and their seed: it is not that of the training, so that runs are comparable.
    panel : bool
        Whether to write the picture panel and the HTML page; only with ``out``. It shows test images, or validation
        images where the test split is not to be looked at.
    patience : int
        Failed questions in a row after which the black box counts as down.
    progress : bool
        Show a progress bar.
    about : mapping, optional
        What to write down in ``config.json`` as well; not compared on resuming.

    Returns
    -------
    Adaptation

    Raises
    ------
    TypeError, ValueError
        If an argument is not of this form; the message names it.
    CheckpointError
        If the folder holds another run, or cannot be read.
    BlackBoxDown
        If the black box keeps failing. Nothing paid for is lost: the same call goes on.
    """
    for name, value, minimum in (
        ("calls", calls, 1), ("batch", batch, 1), ("seed", seed, 0), ("validate", validate, 0),
        ("repeats", repeats, 1), ("test_seed", test_seed, 0), ("patience", patience, 1),
    ):  # fmt: skip
        integer(name, value, minimum)
    if validate == 1:
        raise ValueError("validate must be 0, or 2 or more marks: the start and the end are two, got 1")
    if select not in SCORES:
        raise ValueError(f"select must be {' or '.join(map(repr, SCORES))}, got {select!r}")
    instance("splits", splits, Splits)
    instance("prompt", prompt, VisualPrompt)
    if out is not None:
        need_registered(prompt)
    for samples in parts(splits):
        if len(samples) and samples.size != (prompt.size, prompt.size):
            shape = " x ".join(map(str, samples.size))
            raise ValueError(f"splits must hold images of {prompt.size} pixels square, the prompt's size, got {shape}")
    box = as_black_box(model)
    kind = kind_for(box, points)
    for samples in parts(splits) if kind == "text" else ():
        need_texts(samples)
    start = prompt.x0(seed) if x0 is None else np.array(x0)
    if start.shape != (prompt.dim,):
        raise ValueError(f"x0 must have shape ({prompt.dim},), as many numbers as the prompt has, got {start.shape}")
    rows = validation_rows(splits, validation_images, validate, calls // prompt.views, seed)
    validating, each = validate * len(rows) * prompt.views, batch * prompt.views
    evaluations = (calls - validating) // each
    if evaluations < 1:
        raise ValueError(
            f"calls must be at least {validating + each}, for one candidate of {batch} images and "
            f"{validate} validations of {len(rows)}, got {calls}"
        )
    built = _method(method, options, evaluations)
    opt = Optimizer(built, start, rng=seed, budget=evaluations)
    if opt.stop():
        least = validating + each * built.size(opt.state)
        raise ValueError(f"calls must be at least {least}, for validation and one step of {built}, got {calls}")
    samples = splits.test if kind == "text" else splits.test[splits.test.with_object]
    samples = samples if test_images is None else samples[: integer("test_images", test_images, 1)]
    tested = samples if test and len(samples) else None
    about_loss: dict[str, Any] = {"loss": loss, "reduction": reduction, "augment": augment}
    objective = Objective(box, prompt, splits.train, batch=batch, seed=seed, points=kind, **about_loss)
    validation = Validation(prompt, splits.validation[rows], loss=loss, seed=seed, points=kind)
    with contextlib.ExitStack() as held:
        folder = None
        if out is not None:
            folder = RunFolder(out)
            data = {"name": splits.name, "sha256": fingerprint(splits, kind == "text")}
            what = {
                "format": 2,
                "model": box.label,
                "data": {**data, "images": [len(s) for s in parts(splits)]},
                "prompt": {"name": prompt.name, **prompt.config(), "dim": prompt.dim},
                "method": repr(built),
                **{"calls": calls, "batch": batch, "seed": seed, **about_loss},
                "points": kind if isinstance(kind, str) else name_of(kind),
                "x0": zlib.crc32(np.ascontiguousarray(start).data),
                "validation": {"marks": validate, "images": len(rows), "select": select},
                "test": {"images": 0 if tested is None else len(tested), "repeats": repeats, "seed": test_seed},
            }
            told_too = {**(about or {}), "versions": versions(), "started": time.strftime("%Y-%m-%d %H:%M:%S")}
            held.enter_context(folder.claim(what, told_too))
        if folder is not None and folder.metrics.exists():
            result = _finished(folder, prompt)
        else:
            with KeptRun(opt, None if folder is None else folder.state / "optimizer.zoo", seeded=True) as recorder:
                marks = Marks(validation, len(rows), batch, prompt.views, None if folder is None else folder.state)
                try:
                    due = thresholds(evaluations, validate)
                    driver = Driver(recorder, objective, marks, due, calls, patience, folder)
                    objective.model = validation.model = Budgeted(box, driver.left)
                    objective.minibatch(opt.nit)  # what cannot be asked is told before the first question
                    with bar("adapting", "calls", calls, progress) as update:
                        driver.run(update)
                finally:
                    marks.close()
                result = _adaptation(prompt, driver, marks, select, start, folder)
                if tested is not None:  # the claim keeps a second process from paying for the same
                    settings: dict[str, Any] = {"repeats": repeats, "seed": test_seed, "batch": batch, "points": kind}
                    result.metrics["test"] = measure(box, result.prompt, splits, tested, folder=folder, **settings)
                if folder is not None:
                    write_json(folder.metrics, result.metrics)
        if folder is not None and panel:
            others = (s[s.with_object] for s in (splits.validation, splits.train))
            shown = next(s for s in (tested, *others) if s is not None and len(s))
            illustrate(box, result.prompt, shown, splits, result.metrics, folder, seed=test_seed, points=kind)
        return result


def _method(method: Method | str, options: Mapping[str, Any] | None, evaluations: int) -> Method:
    """Return the method, made from its name and options where it is given so."""
    if isinstance(method, str):
        from zoo_opt.bench.solvers import make_method

        made: Method = make_method(method, options or {}, budget=evaluations)
        return made
    if options:
        raise ValueError(f"options go with a method's name, not with {method!r}")
    instance("method", method, Method)
    return method


def _adaptation(
    prompt: VisualPrompt, driver: Driver, marks: Marks, select: str, start: Array, folder: RunFolder | None
) -> Adaptation:
    """Return the result so far, its prompt written to the folder."""
    opt, last = driver.opt, np.array(driver.opt.mean)
    mark = marks.chosen(select)
    if mark is None:
        select, mark = "last mean", Mark(-1, opt.nfev, last)
    if not np.isfinite(mark.x.astype(np.float32)).all():  # the method diverged, and nothing was validated
        select, x = ("start", start) if opt.best.x is None else ("best loss", opt.best.x)
        mark = Mark(-1, opt.nfev, np.array(x))
    lines = driver.mark_lines()
    chosen = next((line for line in lines if line["mark"] == mark.number), {"mark": None, "nfev": opt.nfev})
    metrics = {
        "calls": driver.calls,
        "validation_calls": marks.calls,
        "evaluations": opt.nfev,
        "steps": opt.nit,
        "failures": opt.failures,
        "ended": {name: str(value) for name, value in driver.ended().items()},
        "chosen": {"by": select, **{k: chosen.get(k) for k in ("mark", "nfev", "dice", "loss")}},
        "marks": lines,
        "seconds": round(driver.seconds, 3),
    }
    if folder is not None:
        _vector(folder.state / "last.npy", last)
        _vector(folder.state / "chosen.npy", mark.x)
        save_prompt(folder.prompt, prompt, mark.x, {"chosen": metrics["chosen"], "calls": driver.calls})
    trained = TrainedPrompt(prompt, mark.x)
    return Adaptation(
        trained, mark.x, last, driver.calls, opt.nfev, opt.nit, lines, metrics, None if folder is None else folder.path
    )


def _finished(folder: RunFolder, prompt: VisualPrompt) -> Adaptation:
    """Return the result of a complete run."""
    metrics = read_json(folder.metrics)
    x, last = (np.load(folder.state / name, allow_pickle=False) for name in ("chosen.npy", "last.npy"))
    counts = metrics["calls"], metrics["evaluations"], metrics["steps"]
    return Adaptation(TrainedPrompt(prompt, x), x, last, *counts, metrics["marks"], metrics, folder.path)


def _vector(path: Path, x: Array) -> None:
    buffer = io.BytesIO()
    np.save(buffer, x, allow_pickle=False)
    write_atomically(path, buffer.getbuffer())

"""Adapt a black box: train a visual prompt for it through function values alone, and keep all that was paid for."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from zoo_opt.core.errors import CheckpointError
from zoo_opt.resume import KeptRun
from zoo_opt.support.json_files import read_json
from zoo_opt.support.progress import bar
from zoo_opt_seg.adaptation.folder import Line, RunFolder, versions_used, write_json
from zoo_opt_seg.adaptation.history import History, read_vector, write_vector
from zoo_opt_seg.adaptation.log import RunLog
from zoo_opt_seg.adaptation.loop import TrainingLoop
from zoo_opt_seg.adaptation.objective import Objective
from zoo_opt_seg.adaptation.plan import Plan, planned
from zoo_opt_seg.adaptation.refining import PaidAnswers, refine, without_the_box
from zoo_opt_seg.adaptation.reporting import illustrate, measure
from zoo_opt_seg.adaptation.settings import settings_from
from zoo_opt_seg.adaptation.validation import Validator
from zoo_opt_seg.blackbox.cache import Cached
from zoo_opt_seg.blackbox.protocol import BlackBox, SegmentationModel
from zoo_opt_seg.blackbox.serving import Served
from zoo_opt_seg.blackbox.wrappers import Budgeted
from zoo_opt_seg.data.samples import Splits
from zoo_opt_seg.prompts import Array
from zoo_opt_seg.refine import RefinedPrompt, Refiner, load_refiner
from zoo_opt_seg.remote.found import spent_of
from zoo_opt_seg.visual_prompts import TrainedPrompt, VisualPrompt, save_prompt
from zoo_opt_seg.visual_prompts.registry import need_registered


@dataclass
class Adaptation:
    """What `adapt` returns.

    Attributes
    ----------
    prompt : TrainedPrompt or RefinedPrompt
        The visual prompt with the vector that validation chose, and with the refiner where one was asked for:
        ``prompt.predict(model, images, prompts)``.
    x : (d,) array
        That vector.
    last : (d,) array
        The optimizer's mean at the end.
    calls : int
        Images evaluated for training, validation and the refiner, never more than the budget.
    nfev, nit : int
        Evaluations of candidates (one is ``batch`` calls), and steps.
    marks : list of dict
        The validation results as they stand in the log.
    metrics : dict
        What ``metrics.json`` holds; on the test images only where they were asked for.
    folder : Path or None
        The result folder.
    floor : Refiner or None
        The refiner's network, trained on the same labels without the black box, where it was measured in this process.
    """

    prompt: TrainedPrompt | RefinedPrompt
    x: Array
    last: Array
    calls: int
    nfev: int
    nit: int
    marks: list[Line] = field(default_factory=list)
    metrics: dict[str, Any] = field(default_factory=dict)
    folder: Path | None = None
    floor: Refiner | None = None


def adapt(
    model: SegmentationModel | Callable[..., Any],
    prompt: VisualPrompt,
    splits: Splits,
    *,
    out: str | os.PathLike[str] | None = None,
    progress: bool = False,
    about: Mapping[str, Any] | None = None,
    **settings: Any,
) -> Adaptation:
    """Train a visual prompt for a black box.

    One call is one image evaluated. A candidate costs ``batch`` calls, times the prompt's views: all candidates of a
    step see the same minibatch, points and augmentation. Validation, and the questions of a refiner, are paid for from
    the same budget; the test images are not, as they change nothing.

    Parameters
    ----------
    model : callable
        The black box, see `zoo_opt_seg.blackbox.SegmentationModel`.
    prompt : VisualPrompt
        What is trained, see `zoo_opt_seg.visual_prompts.make_prompt`.
    splits : Splits
        Images and masks to train on, to choose the iterate by, and to report.
    out : path-like, optional
        Result folder. If it holds this run already, the run goes on where it was cut off, or is returned if complete.
    progress : bool
        Show a progress bar.
    about : mapping, optional
        What to write down in ``config.json`` as well; not compared on resuming.
    **settings
        ``method``, ``options``, ``calls``, ``batch``, ``seed``, ``train_images``, ``loss``, ``reduction``, ``smooth``,
        ``augment``, ``points``, ``x0``, ``patience``, ``wait``: see `zoo_opt_seg.adaptation.settings.SearchSettings`;
        ``validate``, ``validation_images``, ``select``: `zoo_opt_seg.adaptation.settings.SelectionSettings`;
        ``refine``, ``refine_share``, ``refine_steps``, ``refine_networks``, ``refine_side``:
        `zoo_opt_seg.adaptation.settings.RefineSettings`; ``test``, ``test_images``, ``repeats``, ``test_seed``,
        ``test_start``, ``measure``, ``panel``: `zoo_opt_seg.adaptation.settings.ReportSettings`.

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
        If the black box keeps failing, or is out of service for longer than ``wait``. Nothing paid for is lost: the
        same call goes on, and after an outage ends as if there had been none.
    Refused
        If the black box refuses, as with a wrong key.
    """
    plan = planned(model, prompt, splits, *settings_from(settings))
    if out is None:
        return _adapted(plan, None, progress)
    need_registered(prompt)
    folder = RunFolder(out)
    noted = {**(about or {}), "versions": versions_used(), "started": time.strftime("%Y-%m-%d %H:%M:%S")}
    with folder.claim(plan.config(), noted):  # until the end, so that no second process pays for the same
        result = _finished(plan, folder) if folder.metrics.exists() else _adapted(plan, folder, progress)
        if plan.reporting.panel:
            illustrate(plan, result.prompt, result.metrics, folder)
    return result


def _adapted(plan: Plan, folder: RunFolder | None, progress: bool) -> Adaptation:
    """Train, or go on with it, and measure."""
    paid = PaidAnswers.of(folder) if plan.refining.refine else None
    result = _trained(plan, folder, paid, progress)
    if plan.tested is not None:
        kept = None if paid is None else paid.test
        result.metrics["test"] = measure(plan, result.prompt, folder, kept, result.floor)
    result.metrics |= spent_of(plan.box)
    if folder is not None:
        write_json(folder.metrics, result.metrics)
        folder.answers.clear()
        if plan.tested is not None and plan.prompt.views > 1:
            folder.tested.clear()
        if paid is not None:
            paid.forget_what_is_measured()
    return result


def _trained(plan: Plan, folder: RunFolder | None, paid: PaidAnswers | None, progress: bool) -> Adaptation:
    """Train, or go on with it."""
    state, calls = None if folder is None else folder.state, plan.training.calls
    with (
        KeptRun(plan.optimizer, None if state is None else state / "optimizer.zoo", seeded=True) as kept,
        contextlib.closing(History(len(plan.validated), plan.prompt.views, state)) as history,
    ):
        opt, each = kept.opt, plan.batch * plan.prompt.views
        log = RunLog(None if folder is None else folder.log, opt.nit, history.lines(each))
        served = Served(plan.box, plan.training.wait, None if folder is None else folder.answers)
        search = calls - plan.refining.kept(calls)
        box = Budgeted(served, search - opt.nfev * each - history.calls)
        validated = box if paid is None else Cached(box, paid.validation)
        validator = Validator(plan.validation(validated), history, plan.batch)
        objective, patience = plan.objective(box, None if paid is None else paid.keep), plan.training.patience
        loop = TrainingLoop(kept, objective, validator, plan.validations, search, patience, log)
        with bar("adapting", "calls", search, progress) as update:
            loop.go_on(update)
        result = _result(plan, loop, folder)
        if paid is not None:
            _refine(plan, objective, result, served, paid, folder, progress)
        return result


def _refine(
    plan: Plan,
    objective: Objective,
    result: Adaptation,
    box: BlackBox,
    paid: PaidAnswers,
    folder: RunFolder | None,
    progress: bool,
) -> None:
    """Train the refiner, and the same network without the black box where it is to be compared; into the result."""
    assert isinstance(result.prompt, TrainedPrompt)
    left = plan.training.calls - result.calls
    refined = refine(plan, objective, result.prompt, box, paid, left, folder, progress)
    if refined.prompt.trained is not result.prompt:
        result.x = refined.prompt.x
        result.metrics["chosen"] = {**result.metrics["chosen"], "by": "start"}
    result.prompt, result.metrics["refiner"] = refined.prompt, refined.about
    result.calls += refined.about["calls"]
    result.metrics["calls"] = result.calls
    if folder is not None:
        refined.prompt.refiner.save(folder.refiner)
        _keep(plan, result, folder)
    if plan.tested is not None:
        result.floor = without_the_box(plan, refined, folder, progress)


def _keep(plan: Plan, result: Adaptation, folder: RunFolder) -> None:
    """Write the vectors and the prompt."""
    write_vector(folder.state / "last.npy", result.last)
    write_vector(folder.state / "chosen.npy", result.x)
    save_prompt(folder.prompt, plan.prompt, result.x, {"chosen": result.metrics["chosen"], "calls": result.calls})


def _result(plan: Plan, loop: TrainingLoop, folder: RunFolder | None) -> Adaptation:
    """Return the result of the training, its prompt written to the folder."""
    opt, history, last = loop.opt, loop.history, np.array(loop.opt.mean)
    select, best, x = plan.selection.select, history.best(plan.selection.select), last
    if best is None:
        select = "last mean"
    else:
        x = best.x
    if not np.isfinite(x.astype(np.float32)).all():  # the method diverged, and nothing was validated
        best = None
        select, x = ("start", plan.start) if opt.best.x is None else ("best loss", np.array(opt.best.x))
    lines = history.lines(plan.batch * plan.prompt.views)
    none = {"mark": None, "nfev": opt.nfev}
    chosen = none if best is None else next(line for line in lines if line["mark"] == best.number)
    metrics = {
        "calls": loop.calls,
        "validation_calls": history.calls,
        "evaluations": opt.nfev,
        "steps": opt.nit,
        "failures": opt.failures,
        "ended": {name: str(value) for name, value in loop.ended().items()},
        "chosen": {"by": select, **{k: chosen.get(k) for k in ("mark", "nfev", "dice", "loss")}},
        "marks": lines,
        "seconds": round(loop.log.seconds, 3),
    }
    counts, path = (loop.calls, opt.nfev, opt.nit), None if folder is None else folder.path
    result = Adaptation(TrainedPrompt(plan.prompt, x), x, last, *counts, lines, metrics, path)
    if folder is not None:
        _keep(plan, result, folder)
    return result


def _finished(plan: Plan, folder: RunFolder) -> Adaptation:
    """Return the result of a complete run."""
    metrics = read_json(folder.metrics, CheckpointError)
    x, last = (read_vector(folder.state / name) for name in ("chosen.npy", "last.npy"))
    counts = metrics["calls"], metrics["evaluations"], metrics["steps"]
    prompt: TrainedPrompt | RefinedPrompt = TrainedPrompt(plan.prompt, x)
    if plan.refining.refine:
        prompt = RefinedPrompt(TrainedPrompt(plan.prompt, x), load_refiner(folder.refiner))
    return Adaptation(prompt, x, last, *counts, metrics["marks"], metrics, folder.path)

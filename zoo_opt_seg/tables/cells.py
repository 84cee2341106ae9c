"""One cell of a table: a row on a domain with a seed, from its data to its Dice and HD95 per image."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any

import numpy as np

from zoo_opt.bench.engine.job import Entry, Job, run_job
from zoo_opt.bench.engine.record import Record
from zoo_opt.core.errors import NotServed, Refused
from zoo_opt_seg.data.samples import numbered
from zoo_opt_seg.tables.sources import (
    data_of,
    embedded_digest,
    evaluated,
    folder_of,
    head,
    kind_of,
    model_of,
    prompt_of,
    served,
)
from zoo_opt_seg.tables.suite import TRIVIAL, Cell, on_volumes
from zoo_opt_seg.tables.volumes import atlas
from zoo_opt_seg.tables.whitebox import trained

DIGITS = 4  # of the figures per image
Figures = dict[str, Any]


def run_cell(cell: Cell) -> Entry:
    """Do one cell and return its entry for the record; an exception becomes the entry's ``error``."""
    return run_job(job_of(cell))


def job_of(cell: Cell, run: Callable[[Cell], Figures] | None = None) -> Job:
    """The cell for the engine.

    Parameters
    ----------
    cell : Cell
    run : callable or None
        ``run(cell)`` returns what goes into the entry; None measures the cell. A function of a module.
    """
    label, pace = f"{cell.domain} with {cell.row.label}", (cell.row.use, cell.budget)
    return Job(cell.key, label=label, run=partial(run or _measured, cell), head=head(cell), pace=pace)


def _measured(cell: Cell) -> Figures:
    """What the cell measures, from its data to its figures."""
    import torch

    from zoo_opt_seg.digests import data_digest

    torch.set_num_threads(1)
    start = time.process_time()
    entry = OWN.get(cell.row.use, trained)(cell)
    evaluation = entry.pop("evaluation")
    arrays = [] if on_volumes(cell.row.use) else [data_of(cell).test.images, data_of(cell).test.masks]
    entry["data"] = data_digest(*arrays, *evaluation.names)
    if len(set(evaluation.groups)) < len(evaluation.groups):
        entry["groups"] = numbered(evaluation.groups).tolist()
    per_image = {name: rounded(evaluation.per_image(name)) for name in ("dice", "hd95")}
    summary = evaluation.summary()
    means = {name: summary[name] for name in ("dice", "iou", "hd95", "images", "failed")}
    return {"seconds": round(time.process_time() - start, 2)} | entry | {"figures": means} | per_image


def to_repeat(cells: Sequence[Cell], record: Record, labels: Iterable[str] = ()) -> list[str]:
    """Keys of the cells that a record holds but that are to be done again; what they would resume from is deleted.

    They are those of the rows of these labels, and those that were done with other embedded weights.
    """
    again = [
        cell
        for cell in cells
        if (run := record.runs.get(cell.key))
        and (cell.row.label in set(labels) or run["embedded"] != embedded_digest(cell.black_box["use"]))
    ]
    for cell in again:
        shutil.rmtree(folder_of(cell), ignore_errors=True)
    return [cell.key for cell in again]


def rounded(values: np.ndarray) -> list[float | None]:
    """The figures with few digits, NaN as None."""
    return [None if np.isnan(v) else float(f"{v:.{DIGITS}g}") for v in values]


# ---------------------------------------------------------------------------------------------------- rows


def _asked(cell: Cell, **prompt: Any) -> Figures:
    """What the black box makes of the test images, shown with a visual prompt or as they are."""
    from zoo_opt_seg.blackbox.wrappers import Counted

    box = Counted(served(cell))
    evaluation = evaluated(cell, box, draw=kind_of(cell), **prompt)
    return {"evaluation": evaluation, "calls_each": round(box.calls / evaluation.dice.size, 4)}


def _zero_shot(cell: Cell) -> Figures:
    return _asked(cell)


def _start(cell: Cell) -> Figures:
    """The visual prompt before its training."""
    prompt = prompt_of(cell)
    return _asked(cell, prompt=prompt, x=prompt.x0(cell.seed)) | {"about": repr(prompt)}


def _test_time(cell: Cell) -> Figures:
    """Several views of each image, and no training."""
    from zoo_opt_seg.visual_prompts.averaged import Averaged

    prompt = Averaged(cell.size, **cell.row.options)
    return _asked(cell, prompt=prompt, x=prompt.x0()) | {"about": repr(prompt)}


def _baseline(cell: Cell) -> Figures:
    from zoo_opt_seg.measures.trivial import baselines

    kind, name = kind_of(cell), cell.row.use.replace("-", " ")
    known = baselines(data_of(cell), seed=cell.seed, points=kind)
    if name not in known:
        raise ValueError(f"use must be one of {', '.join(known)} for questions by {kind!r}, got {cell.row.use!r}")
    return {"evaluation": evaluated(cell, known[name], draw=kind), "about": repr(known[name]), "calls_each": 0}


def _adapt(cell: Cell) -> Figures:
    peak, start = _peak(cell), time.process_time()
    done = adapted(cell)
    memory, seconds = peak.bytes(), time.process_time() - start  # of a cell that was cut off: since it went on
    refiner = done.metrics.get("refiner", {}).get("parameters", 0)
    kept = done.metrics["chosen"]["mark"]
    chosen: dict[str, Any] = next((mark for mark in done.marks if mark["mark"] == kept), {})
    return {
        **_asked(cell, prompt=done.prompt),
        "calls": done.calls,
        "trained": done.prompt.prompt.dim + refiner,
        "seconds": round(seconds, 2),
        "memory": memory,
        "memory_kind": peak.kind,
        "validation": {name: chosen.get(name) for name in ("calls", "loss", "dice")},
    }


def _peak(cell: Cell) -> Any:
    """A meter of memory, begun when what a first question loads has been loaded, as in training with the gradient."""
    import torch

    from zoo_opt_seg.data.draws import draw_prompts
    from zoo_opt_seg.whitebox.core.memory import PeakMemory

    model = model_of(cell)
    if hasattr(model, "logits"):  # a model of ours in this process
        first = data_of(cell).validation
        first = first[first.with_object[:1]]
        model(np.asarray(first.images), draw_prompts(kind_of(cell), first, 0))
    return PeakMemory(getattr(model, "device", torch.device("cpu")))


def adapted(cell: Cell) -> Any:
    """What `zoo_opt_seg.adaptation.run.adapt` makes of the cell; the test split is not looked at."""
    from zoo_opt_seg.adaptation.retrying import BlackBoxDown
    from zoo_opt_seg.adaptation.run import adapt

    row, prompt = cell.row, prompt_of(cell)
    search: dict[str, Any] = {"method": row.method, "options": row.options, "calls": cell.calls, "seed": cell.seed}
    place: dict[str, Any] = {"out": folder_of(cell), "test": False, "panel": False}
    asked = {"points": cell.points} if cell.points else {}
    try:
        return adapt(model_of(cell), prompt, data_of(cell), **search, **place, **(asked | row.settings))
    except BlackBoxDown as error:
        if isinstance(error.__cause__, NotServed | Refused):  # as of the cells to come, not of this one
            raise NotServed(str(error)) from error
        raise


# All other uses are comparators.
OWN = {"zero-shot": _zero_shot, "start": _start, "tta": _test_time, "atlas": atlas, "adapt": _adapt}
OWN |= dict.fromkeys(TRIVIAL, _baseline)

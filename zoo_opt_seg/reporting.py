"""What an adaptation gained: measured on the test images, resumable like the training, and shown."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from zoo_opt_seg.baselines import baselines
from zoo_opt_seg.blackbox.cache import Cached
from zoo_opt_seg.blackbox.protocol import BlackBox, as_black_box
from zoo_opt_seg.evaluation import Evaluation, evaluate
from zoo_opt_seg.prompts import Array, Prompts
from zoo_opt_seg.run_folder import Lines, RunFolder, floats
from zoo_opt_seg.selection import BlackBoxDown

if TYPE_CHECKING:
    from zoo_opt_seg.data.draws import Draw
    from zoo_opt_seg.data.samples import Samples, Splits
    from zoo_opt_seg.visual_prompts.saved import TrainedPrompt

ZERO_SHOT, ADAPTED = "zero-shot", "adapted"
TRIES = 3  # questions about test images before the black box counts as down
RESAMPLES = 10_000  # of the bootstrap


class Patient(BlackBox):
    """A black box that is asked again where it fails.

    Raises
    ------
    BlackBoxDown
        If it fails every time.
    """

    def __init__(self, model: BlackBox) -> None:
        self.model, self.name, self.prompted_by = model, model.name, model.prompted_by

    def __call__(self, images: Array, prompts: Prompts, /) -> Array:
        """Return what the model answers."""
        for attempt in range(1, TRIES + 1):
            try:
                return self.model(images, prompts)
            except Exception as error:
                if attempt == TRIES:
                    raise BlackBoxDown(
                        f"the black box failed {TRIES} times on one question, the last time with "
                        f"{type(error).__name__}: {error}"
                    ) from error
        raise AssertionError


def measure(
    model: BlackBox,
    trained: TrainedPrompt,
    splits: Splits,
    samples: Samples,
    *,
    repeats: int,
    seed: int,
    batch: int,
    folder: RunFolder | None,
    points: str | Draw = "random",
) -> dict[str, Any]:
    """Return how the black box does on samples without and with the prompt, beside what needs no model.

    Parameters
    ----------
    model : BlackBox
    trained : TrainedPrompt
    splits : Splits
        Whose training images the best disk is fitted to.
    samples : Samples
        The test images.
    repeats : int
        Random prompts per image; all rows of the table see the same ones.
    seed, batch : int
    folder : RunFolder or None
        Where scores are kept as they arrive, and taken from.
    points : str or callable
        Kind of prompts, see `zoo_opt_seg.data.draws.draw_prompts`.

    Returns
    -------
    dict
        ``rows``: the summary of each, by name; ``gain``: mean paired difference in Dice with its bootstrap interval;
        ``images``: Dice of each image; ``calls``: images evaluated.
    """
    journal = None if folder is None else Lines(folder.state / "test.jsonl")
    known: dict[str, dict[tuple[int, int], dict[str, list[float]]]] = {ZERO_SHOT: {}, ADAPTED: {}}
    for line in () if journal is None else journal.known:
        scores = {name: floats(line[name]) for name in ("dice", "iou", "hd95")}
        known[line["who"]][line["repeat"], line["row"]] = scores

    def keep(who: str) -> Callable[[int, int, dict[str, list[float]]], None] | None:
        if journal is None:
            return None
        return lambda repeat, row, scores: journal.add({"who": who, "repeat": repeat, "row": row, **scores})

    settings: dict[str, Any] = {"repeats": repeats, "seed": seed, "draw": points}
    found: dict[str, Evaluation] = {}
    try:
        for who, prompt in ((ZERO_SHOT, None), (ADAPTED, trained)):
            found[who] = evaluate(
                Patient(model),
                samples,
                prompt=prompt,
                batch=batch,
                known=known[who],
                on_batch=keep(who),
                **settings,
            )
    finally:
        if journal is not None:
            journal.close()
    for who, trivial in baselines(splits, points=points).items():
        found[who] = evaluate(trivial, samples, **settings)
    before, after = found[ZERO_SHOT].per_image(), found[ADAPTED].per_image()
    return {
        "rows": {who: evaluation.summary() for who, evaluation in found.items()},
        "gain": gain(before, after),
        "images": {"names": list(samples.names), ZERO_SHOT: before.tolist(), ADAPTED: after.tolist()},
        "calls": (1 + trained.prompt.views) * repeats * len(samples),
    }


def gain(before: Array, after: Array) -> dict[str, float]:
    """Return the mean paired difference, its 95 % bootstrap interval over images, and the share of images that gained.

    Parameters
    ----------
    before, after : (n,) arrays
    """
    change = (after - before)[np.isfinite(after - before)]
    if not len(change):
        return {}
    draws = np.random.default_rng(0).integers(0, len(change), (RESAMPLES, len(change)))
    low, high = np.quantile(change[draws].mean(axis=1), (0.025, 0.975))
    better = float((change > 0).mean())
    return {"dice": float(change.mean()), "low": float(low), "high": float(high), "better": better}


def illustrate(
    model: BlackBox,
    trained: TrainedPrompt,
    samples: Samples,
    metrics: Mapping[str, Any],
    folder: RunFolder,
    *,
    seed: int,
    points: str | Draw = "random",
) -> None:
    """Write the picture panel and the page; the few calls that the panel takes are kept until it is there."""
    from zoo_opt_seg.page import write_page
    from zoo_opt_seg.panel import chosen_rows, panel

    if not folder.panel.exists():
        cache = folder.state / "panel"
        box = Cached(as_black_box(Patient(model), name=model.name or "black box"), cache)
        test = metrics.get("test", {}).get("images", {})
        rows = chosen_rows(len(samples), test.get(ZERO_SHOT), test.get(ADAPTED))
        picture = panel(box, trained, samples[rows], seed=seed, rows=rows, points=points)
        temporary = folder.state / "panel.png"
        picture.save(temporary)
        temporary.replace(folder.panel)
        shutil.rmtree(cache, ignore_errors=True)
    write_page(folder)

"""What an adaptation gained: measured on the test images, resumable like the training, and shown."""

from __future__ import annotations

import shutil
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from zoo_opt_seg.baselines import baselines
from zoo_opt_seg.blackbox.cache import Cached
from zoo_opt_seg.blackbox.protocol import BlackBox, BlackBoxGone, as_black_box, name_of
from zoo_opt_seg.blackbox.wrappers import Counted
from zoo_opt_seg.evaluation import Evaluation, evaluate
from zoo_opt_seg.prompts import Array, Prompts
from zoo_opt_seg.run_folder import ADAPTED, ZERO_SHOT, Lines, RunFolder, floats, write_json
from zoo_opt_seg.selection import BlackBoxDown

if TYPE_CHECKING:
    from zoo_opt_seg.data.draws import Draw
    from zoo_opt_seg.data.samples import Samples, Splits
    from zoo_opt_seg.visual_prompts.saved import TrainedPrompt

TRIES = 3  # times that a question about test images is put
RESAMPLES = 10_000  # of the bootstrap


class Patient(BlackBox):
    """A black box that is asked again where it fails, and then about each image alone: NaN where that fails as well.

    Raises
    ------
    BlackBoxDown
        If it fails on an image that it has answered before, or has answered none: the images are not at fault.
    """

    def __init__(self, model: BlackBox) -> None:
        self.model, self.name, self.prompted_by = model, model.name, model.prompted_by
        self._answered: tuple[Array, Prompts] | None = None  # a question that it can answer when it is up

    def __call__(self, images: Array, prompts: Prompts, /) -> Array:
        """Return what the model answers; float32 with NaN for images on which it fails."""
        answer = self._asked(images, prompts)
        if isinstance(answer, Exception):
            n, error = len(images), answer
            if self._answered is not None and isinstance(self._asked(*self._answered), Exception):
                raise _down(error)
            alone = [self._asked(images[i : i + 1], prompts[i : i + 1]) for i in range(n)] if n > 1 else [error]
            if self._answered is None:
                raise _down(error)
            nothing = np.full((1, *images.shape[1:3]), np.nan, np.float32)
            answer = np.concatenate([nothing if isinstance(one, Exception) else np.float32(one) for one in alone])
        return answer

    def _asked(self, images: Array, prompts: Prompts) -> Array | Exception:
        """Return the answer to one question, or what its last try failed with."""
        last: Exception
        for _ in range(TRIES):
            try:
                answer = self.model(images, prompts)
            except BlackBoxGone as error:
                raise BlackBoxDown(str(error)) from error
            except Exception as error:
                last = error
            else:
                self._answered = images[:1], prompts[:1]
                return answer
        return last


def _down(error: Exception) -> BlackBoxDown:
    down = BlackBoxDown(
        f"the black box failed {TRIES} times on one question, the last time with {type(error).__name__}: {error}"
    )
    down.__cause__ = error
    return down


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
        ``images``: Dice of each image; ``calls``: images sent, those sent again included.
    """
    journal = None if folder is None else Lines(folder.state / "test.jsonl")
    known: dict[str, dict[tuple[int, int], dict[str, list[float]]]] = {ZERO_SHOT: {}, ADAPTED: {}}
    counted, before = Counted(model), 0
    calls = 0
    for line in () if journal is None else journal.known:
        scores = {name: floats(line[name]) for name in ("dice", "iou", "hd95")}
        known[line["who"]][line["repeat"], line["row"]] = scores
        calls += line["calls"]

    def keep(who: str, repeat: int, row: int, scores: dict[str, list[float]]) -> None:
        nonlocal calls, before
        spent, before = counted.calls - before, counted.calls
        calls += spent
        if journal is not None:
            journal.add({"who": who, "repeat": repeat, "row": row, "calls": spent, **scores})

    settings: dict[str, Any] = {"repeats": repeats, "seed": seed, "draw": points}
    found: dict[str, Evaluation] = {}
    asked = Patient(counted)
    try:
        for who, prompt in ((ZERO_SHOT, None), (ADAPTED, trained)):
            found[who] = evaluate(
                asked,
                samples,
                prompt=prompt,
                batch=batch,
                known=known[who],
                on_batch=partial(keep, who),
                **settings,
            )
    finally:
        if journal is not None:
            journal.close()
    for who, trivial in baselines(splits, points=points).items():
        found[who] = evaluate(trivial, samples, **settings)
    zero_shot, adapted = found[ZERO_SHOT].per_image(), found[ADAPTED].per_image()
    return {
        "rows": {who: evaluation.summary() for who, evaluation in found.items()},
        "gain": gain(zero_shot, adapted),
        "images": {"names": list(samples.names), ZERO_SHOT: zero_shot.tolist(), ADAPTED: adapted.tolist()},
        "calls": calls,
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
    metrics: dict[str, Any],
    folder: RunFolder,
    *,
    seed: int,
    points: str | Draw = "random",
) -> None:
    """Write the picture panel and the page; the few answers that the panel takes are kept until it is there.

    Their number goes into the metrics, as ``panel_calls``.
    """
    from zoo_opt_seg.page import write_page
    from zoo_opt_seg.panel import chosen_rows, panel

    if not folder.panel.exists():
        cache = folder.state / "panel"
        box = Counted(Cached(as_black_box(model, name=name_of(model)), cache))
        test = metrics.get("test", {}).get("images", {})
        rows = chosen_rows(len(samples), test.get(ZERO_SHOT), test.get(ADAPTED))
        picture = panel(Patient(box), trained, samples, seed=seed, rows=rows, points=points)
        temporary = folder.state / "panel.png"
        picture.save(temporary)
        metrics["panel_calls"] = box.calls
        write_json(folder.metrics, metrics)
        temporary.replace(folder.panel)
        shutil.rmtree(cache, ignore_errors=True)
    write_page(folder)

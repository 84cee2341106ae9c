"""What an adaptation gained: measured on the test images, resumable like the training, and shown."""

from __future__ import annotations

import shutil
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from zoo_opt_seg.adaptation.folder import ADAPTED, ZERO_SHOT, Lines, RunFolder, floats, write_json
from zoo_opt_seg.adaptation.marks import BlackBoxDown
from zoo_opt_seg.blackbox.cache import Cached
from zoo_opt_seg.blackbox.protocol import BlackBox, BlackBoxGone
from zoo_opt_seg.blackbox.wrappers import Counted
from zoo_opt_seg.data.draws import Draw, draw_prompts
from zoo_opt_seg.measures.baselines import baselines
from zoo_opt_seg.measures.evaluation import Evaluation, evaluate, gain
from zoo_opt_seg.prompts import Array, Prompts

if TYPE_CHECKING:
    from zoo_opt_seg.data.samples import Samples, Splits
    from zoo_opt_seg.visual_prompts.saved import TrainedPrompt

TRIES = 3  # times that a question about test images is put
CONTROLS = 4  # training images at most that tell whether the black box is up


class Patient(BlackBox):
    """A black box that is asked again where it fails, and then about each image alone: NaN where that fails as well.

    Parameters
    ----------
    model : BlackBox
    controls : (images, prompts), optional
        Images uint8 (m, H, W, 3) that it answers while it is up: they tell images at which it fails from a black box
        that is down. They are asked with noise in the last bit, so that no cache answers. Without them it is down
        wherever it fails.

    Raises
    ------
    BlackBoxDown
        If it is down.
    """

    def __init__(self, model: BlackBox, controls: tuple[Array, Prompts] | None = None) -> None:
        self.model, self.name, self.prompted_by = model, model.label, model.prompted_by
        self._controls = controls

    def __call__(self, images: Array, prompts: Prompts, /) -> Array:
        """Return what the model answers; float32 with NaN for images on which it fails."""
        answer = self._asked(images, prompts)
        if not isinstance(answer, Exception):
            return answer
        if not self._up():
            raise _down(answer) from answer
        alone = [self._asked(images[i : i + 1], prompts[i : i + 1]) for i in range(len(images))]
        answered = [one for one in alone if not isinstance(one, Exception)]
        if len(answered) == len(images):
            return np.concatenate(answered)
        if not self._up():  # any more
            raise _down(answer) from answer
        nothing = np.full((1, *images.shape[1:3]), np.nan, np.float32)
        return np.concatenate([nothing if isinstance(one, Exception) else np.float32(one) for one in alone])

    def _asked(self, images: Array, prompts: Prompts) -> Array | Exception:
        """Return the answer to one question, or what its last try failed with."""
        last: Exception
        for _ in range(TRIES):
            try:
                return self.model(images, prompts)
            except BlackBoxGone as error:
                raise BlackBoxDown(str(error)) from error
            except Exception as error:
                last = error
        return last

    def _up(self) -> bool:
        """Return whether it answers about one of the controls."""
        if self._controls is None:
            return False
        images, prompts = self._controls
        noise = np.random.default_rng().integers(0, 2, images.shape, np.uint8)
        for i in range(len(images)):
            try:
                self.model((images ^ noise)[i : i + 1], prompts[i : i + 1])
            except BlackBoxGone as error:
                raise BlackBoxDown(str(error)) from error
            except Exception:
                continue
            return True
        return False


def controls(splits: Splits, points: str | Draw) -> tuple[Array, Prompts] | None:
    """Return what a `Patient` can tell a black box that is down by: some training images and their prompts."""
    some = splits.train[splits.train.with_object[:CONTROLS]]
    return (some.images, draw_prompts(points, some, (0,))) if len(some) else None


def _down(error: Exception) -> BlackBoxDown:
    return BlackBoxDown(
        f"the black box failed {TRIES} times on one question, the last time with {type(error).__name__}: {error}"
    )


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
        ``rows``: the summary of each, by name; ``gain``: see `zoo_opt_seg.measures.evaluation.gain`;
        ``images``: Dice of each image; ``calls``: images sent, those sent again included.
    """
    journal = None if folder is None else Lines(folder.state / "test.jsonl")
    known: dict[str, dict[tuple[int, int], dict[str, list[float]]]] = {ZERO_SHOT: {}, ADAPTED: {}}
    counted, before = Counted(model), 0
    calls = 0
    for line in () if journal is None else journal.known:
        calls += line["calls"]
        if "who" not in line:  # calls that ended in no answer
            continue
        scores = {name: floats(line[name]) for name in ("dice", "iou", "hd95")}
        known[line["who"]][line["repeat"], line["row"]] = scores

    def keep(line: dict[str, Any]) -> None:
        nonlocal calls, before
        spent, before = counted.calls - before, counted.calls
        calls += spent
        if journal is not None and (spent or line):
            journal.add({"calls": spent, **line})

    def kept(who: str, repeat: int, row: int, scores: dict[str, list[float]]) -> None:
        keep({"who": who, "repeat": repeat, "row": row, **scores})

    settings: dict[str, Any] = {"repeats": repeats, "seed": seed, "draw": points}
    found: dict[str, Evaluation] = {}
    asked = Patient(counted, controls(splits, points))
    try:
        for who, prompt in ((ZERO_SHOT, None), (ADAPTED, trained)):
            found[who] = evaluate(
                asked,
                samples,
                prompt=prompt,
                batch=batch,
                known=known[who],
                on_batch=partial(kept, who),
                **settings,
            )
    finally:
        keep({})
        if journal is not None:
            journal.close()
    for who, trivial in baselines(splits, points=points).items():
        found[who] = evaluate(trivial, samples, **settings)
    of_images = {who: found[who].per_image().tolist() for who in (ZERO_SHOT, ADAPTED)}
    return {
        "rows": {who: evaluation.summary() for who, evaluation in found.items()},
        "gain": gain(found[ZERO_SHOT], found[ADAPTED]),
        "images": {"names": list(samples.names), **of_images},
        "calls": calls,
    }


def illustrate(
    model: BlackBox,
    trained: TrainedPrompt,
    samples: Samples,
    splits: Splits,
    metrics: dict[str, Any],
    folder: RunFolder,
    *,
    seed: int,
    points: str | Draw = "random",
) -> None:
    """Write the picture panel and the page; the few answers that the panel takes are kept until it is there.

    Their number goes into the metrics, as ``panel_calls``.
    """
    from zoo_opt_seg.adaptation.page import write_page
    from zoo_opt_seg.adaptation.panel import chosen_rows, panel

    if not folder.panel.exists():
        cache = folder.state / "panel"
        counted = Counted(model)
        box = Cached(Patient(counted, controls(splits, points)), cache)
        test = metrics.get("test", {}).get("images", {})
        rows = chosen_rows(len(samples), test.get(ZERO_SHOT), test.get(ADAPTED))
        picture = panel(box, trained, samples, seed=seed, rows=rows, points=points)
        temporary = folder.state / "panel.png"
        picture.save(temporary)
        metrics["panel_calls"] = counted.calls + box.hits  # those that a killed process paid for
        write_json(folder.metrics, metrics)
        temporary.replace(folder.panel)
        shutil.rmtree(cache, ignore_errors=True)
    write_page(folder)

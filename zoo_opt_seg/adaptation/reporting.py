"""What an adaptation gained: measured on the test images, resumable like the training, and shown."""

from __future__ import annotations

import shutil
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from zoo_opt_seg.adaptation.folder import (
    Line,
    Lines,
    RunFolder,
    floats,
    write_json,
)
from zoo_opt_seg.adaptation.retrying import Retrying, controls
from zoo_opt_seg.blackbox.cache import Cached, MaskFolder, MaskMemory, Masks
from zoo_opt_seg.blackbox.protocol import BlackBox
from zoo_opt_seg.blackbox.wrappers import Counted
from zoo_opt_seg.data.draws import draw_prompts
from zoo_opt_seg.measures.evaluation import MEASURES, Evaluation, evaluate, gain
from zoo_opt_seg.measures.trivial import baselines
from zoo_opt_seg.measures.verdicts import ADAPTED, FLOOR, REFINED, START, ZERO_SHOT, best_floor
from zoo_opt_seg.refine import Refined, RefinedPrompt, Silent
from zoo_opt_seg.remote.found import spent_of
from zoo_opt_seg.visual_prompts import TrainedPrompt

if TYPE_CHECKING:
    from zoo_opt_seg.adaptation.plan import Plan
    from zoo_opt_seg.refine import Refiner

Asked = TrainedPrompt | RefinedPrompt | str | None

_LOOKED_AT = 8  # test images that tell whether a prompt's start changes anything


class Scores:
    """The scores of test images as they arrive, with what they cost; kept in the folder, if there is one.

    Parameters
    ----------
    box : Counted
        What is asked.
    folder : RunFolder or None

    Attributes
    ----------
    calls : int
        Images sent, those sent again included.
    spent : dict
        The same by row of the table.
    known : dict
        By row of the table, what `evaluate` takes as ``known``.
    """

    def __init__(self, box: Counted, folder: RunFolder | None) -> None:
        self._box, self._counted, self.calls = box, box.calls, 0
        asked = (ZERO_SHOT, START, ADAPTED, REFINED)
        self.spent = dict.fromkeys(asked, 0)
        self.known: dict[str, dict[tuple[int, int], dict[str, list[float]]]] = {who: {} for who in asked}
        self._journal = Lines(None if folder is None else folder.state / "test.jsonl")
        for line in self._journal.known:
            self.calls += line["calls"]
            if "who" in line:  # else calls that ended in no answer
                self.spent[line["who"]] += line["calls"]
                scores = {name: floats(line[name]) for name in MEASURES}
                self.known[line["who"]][line["repeat"], line["row"]] = scores

    def add(self, who: str, repeat: int, row: int, scores: dict[str, list[float]]) -> None:
        """Keep the scores of one question."""
        self._keep({"who": who, "repeat": repeat, "row": row, **scores})

    def close(self) -> None:
        """Keep the number of calls that ended in no answer, and close the journal."""
        self._keep({})
        self._journal.close()

    def _keep(self, line: Line) -> None:
        spent, self._counted = self._box.calls - self._counted, self._box.calls
        self.calls += spent
        if "who" in line:
            self.spent[line["who"]] += spent
        if spent or line:
            self._journal.add({"calls": spent, **line})


def measure(
    plan: Plan,
    trained: TrainedPrompt | RefinedPrompt,
    folder: RunFolder | None,
    answers: Masks | None = None,
    floor: Refiner | None = None,
) -> dict[str, Any]:
    """Return how the black box does on the test images without and with the prompt, beside what needs no model.

    All rows of the table see the same prompts.

    Parameters
    ----------
    plan : Plan
    trained : TrainedPrompt or RefinedPrompt
    folder : RunFolder or None
        Where scores are kept as they arrive, and taken from.
    answers : Masks, optional
        Where answers are kept, for what several rows of the table need: with a refiner, and for the start of a prompt
        of several views, one of which is the image as it is.
    floor : Refiner, optional
        Trained without the black box, a row of the table.

    Returns
    -------
    dict
        ``rows``: the summary of each, by name; ``gain``: of the last row that asked the black box over zero-shot, see
        `zoo_opt_seg.measures.evaluation.gain`; ``over_start``: of the trained prompt over its start, with the number of
        ``views`` and whether it is the start that is ``kept``, where the start is not the black box as it is;
        ``over_floor``: over the best ``row`` that asks nobody; ``images``: Dice of each image; ``calls``: images sent,
        those sent again included, and ``start_calls``, those of them for the start.
    """
    assert plan.tested is not None
    about = plan.reporting
    settings: dict[str, Any] = {"repeats": about.repeats, "seed": about.test_seed, "draw": plan.points}
    settings["measure"] = about.measure
    rows: dict[str, Evaluation] = {}
    box = Counted(plan.box)
    asked: BlackBox = _asked(plan, box, folder)
    asking = _asking(plan, trained)
    if answers is None and START in asking and plan.prompt.views > 1:
        answers = MaskMemory() if folder is None else folder.tested
    if answers is not None:
        asked = Cached(asked, answers)
    scores = Scores(box, folder)
    try:
        for who, prompt in asking.items():
            kept: dict[str, Any] = {"known": scores.known[who], "on_batch": partial(scores.add, who)}
            rows[who] = (
                rows[prompt]
                if isinstance(prompt, str)
                else evaluate(asked, plan.tested, prompt=prompt, batch=plan.batch, **kept, **settings)
            )
    finally:
        scores.close()
    final = rows[list(asking)[-1]]
    if floor is not None:
        rows[FLOOR] = evaluate(Refined(Silent(), floor), plan.tested, **settings)
    for who, trivial in baselines(plan.splits, points=plan.points).items():
        rows[who] = evaluate(trivial, plan.tested, **settings)
    summaries = {who: evaluation.summary() for who, evaluation in rows.items()}
    found: dict[str, Any] = {"rows": summaries, "gain": gain(rows[ZERO_SHOT], final)}
    if START in rows and (over := gain(rows[START], rows[ADAPTED])):
        found["over_start"] = {**over, "views": plan.prompt.views, "kept": asking[ADAPTED] == START}
    if (who := best_floor(summaries)) and (over := gain(rows[who], final)):
        found["over_floor"] = {"row": who, **over}
    of_images = {who: rows[who].per_image().tolist() for who in asking}
    found["images"] = {"names": list(plan.tested.names), **of_images}
    return {**found, "calls": scores.calls, "start_calls": scores.spent[START]}


def _asking(plan: Plan, trained: TrainedPrompt | RefinedPrompt) -> dict[str, Asked]:
    """Return the rows that ask the black box, each with its prompt, or the row whose questions are the same.

    The prompt's start is one of them where the black box is shown anything else by it than the images as they are.
    """
    assert plan.tested is not None
    plain, first = trained.trained if isinstance(trained, RefinedPrompt) else trained, plan.tested[:_LOOKED_AT]
    prompts = draw_prompts(plan.points, first, (plan.reporting.test_seed, 0))
    alike = plan.prompt.leaves_alone(plan.start, np.asarray(first.images), prompts)
    asking: dict[str, Asked] = {ZERO_SHOT: None}
    if not alike and plan.reporting.test_start:
        asking[START] = TrainedPrompt(plan.prompt, plan.start)
    asking[ADAPTED] = plain
    if np.array_equal(plain.x, plan.start) and (alike or START in asking):
        asking[ADAPTED] = ZERO_SHOT if alike else START
    return asking if plain is trained else {**asking, REFINED: trained}


def _asked(plan: Plan, box: Counted, folder: RunFolder | None) -> Retrying:
    """Return the black box as it is asked once the training is over."""
    kept = None if folder is None else folder.answers
    return Retrying(box, controls(plan.splits.train, plan.points), plan.training.wait, kept)


def illustrate(plan: Plan, trained: TrainedPrompt | RefinedPrompt, metrics: dict[str, Any], folder: RunFolder) -> None:
    """Write the picture panel and the page; the few answers that the panel takes are kept until it is there.

    Their number goes into the metrics, as ``panel_calls``.
    """
    from zoo_opt_seg.adaptation.page import write_page
    from zoo_opt_seg.adaptation.panel.pictures import chosen_rows, panel, save_panel

    if not folder.panel.exists():
        cache = folder.state / "panel"
        counted = Counted(plan.box)
        box = Cached(_asked(plan, counted, folder), MaskFolder(cache, "answers about the pictures", needed=True))
        test = metrics.get("test", {}).get("images", {})
        shown = plan.shown
        rows = chosen_rows(len(shown), test.get(ZERO_SHOT), test.get(REFINED, test.get(ADAPTED)))
        picture = panel(box, trained, shown, seed=plan.reporting.test_seed, rows=rows, points=plan.points)
        temporary = folder.state / "panel.png"
        save_panel(picture, temporary)
        metrics["panel_calls"] = counted.calls + box.hits  # those that a killed process paid for
        metrics |= spent_of(plan.box)
        write_json(folder.metrics, metrics)
        temporary.replace(folder.panel)
        shutil.rmtree(cache, ignore_errors=True)
    write_page(folder)

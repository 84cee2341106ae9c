"""The second half of an adaptation with a refiner: what the search was answered, more questions, and the training."""

from __future__ import annotations

import math
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from zoo_opt.support.progress import bar
from zoo_opt_seg.adaptation.folder import RunFolder
from zoo_opt_seg.adaptation.retrying import BlackBoxDown, Forgiving
from zoo_opt_seg.blackbox.cache import Cached, MaskFolder, MaskMemory, Masks
from zoo_opt_seg.blackbox.protocol import BlackBox, answered
from zoo_opt_seg.blackbox.wrappers import Wrapped
from zoo_opt_seg.prompts import Array, Prompts
from zoo_opt_seg.refine.answers import Answers, ask
from zoo_opt_seg.refine.network import RefinerConfig
from zoo_opt_seg.refine.prompted import RefinedPrompt
from zoo_opt_seg.refine.training import RECIPE, Refit, train_refiner
from zoo_opt_seg.visual_prompts import TrainedPrompt
from zoo_opt_seg.whitebox.core.reports import epochs_bar

if TYPE_CHECKING:
    from zoo_opt_seg.adaptation.objective import Objective
    from zoo_opt_seg.adaptation.plan import Plan
    from zoo_opt_seg.refine.refiner import Refiner
    from zoo_opt_seg.whitebox.core.trainer import Report

_QUESTIONS = 21  # stream of the seed, none of the objective's or the validation's


@dataclass(frozen=True, eq=False)
class PaidAnswers:
    """What a run with a refiner keeps of the black box's answers, so that none is asked for twice.

    Parameters
    ----------
    search : Masks
        Answers to the candidates of the search, in 256 levels; see `keep`.
    validation : Masks
        Answers about validation images, by question.
    questions : Masks
        Answers to the refiner's own questions.
    test : Masks
        Answers about test images.
    """

    search: Masks
    validation: Masks
    questions: Masks
    test: Masks

    @classmethod
    def of(cls, folder: RunFolder | None) -> PaidAnswers:
        """Return those of a result folder, or of this process."""
        if folder is None:
            return cls(MaskMemory(coarse=True), MaskMemory(), MaskMemory(), MaskMemory())
        state = folder.state
        return cls(
            MaskFolder(state / "search", "answers of the search", coarse=True, needed=True),
            MaskFolder(state / "validated", "answers of the validation", needed=True),
            MaskFolder(state / "questions", "answers of the refiner's questions", needed=True),
            folder.tested,
        )

    def keep(self, step: int, x: Array, answer: Array) -> None:
        """Keep what a candidate of a step was answered; images that have no answer are left out."""
        for place, mask in zip(*answered(answer), strict=True):
            self.search.write(f"{step:08x}{zlib.crc32(x.data):08x}{place:08x}", mask)

    def of_search(self, objective: Objective) -> list[Answers]:
        """Return the answers to the candidates of each step, beside the minibatch that they were about."""
        steps: dict[int, list[tuple[int, Array]]] = {}
        for key in self.search:
            answer = self.search.read(key, objective.samples.size)
            if answer is not None:
                steps.setdefault(int(key[:8], 16), []).append((int(key[16:], 16), answer))
        parts = []
        for step, kept in sorted(steps.items()):
            images, masks, prompts = objective.minibatch(step)
            places = np.array([place for place, _ in kept])
            answers = np.stack([answer for _, answer in kept])
            if objective.augment is None:  # they are rows of the training images, which need not be held twice
                held = objective.samples
                about = Answers(held.images, held.masks, objective.rows(step)[places], prompts[places], answers)
            else:
                about = Answers(images, masks, places, prompts[places], answers, objective.rows(step))
            parts.append(about)
        return parts

    def forget_what_is_measured(self) -> None:
        """Take the answers away whose scores are in ``metrics.json``; what a refiner can learn from stays."""
        self.validation.clear()
        self.test.clear()


class _Unanswered(Wrapped):
    """In the place of a black box that must not be asked again: NaN, and no call."""

    def __call__(self, images: Array, prompts: Prompts, /) -> Array:
        return np.full(images.shape[:3], np.nan, np.float32)


@dataclass(frozen=True, eq=False)
class Refinement:
    """What `refine` came to.

    Attributes
    ----------
    prompt : RefinedPrompt
        With the visual prompt that the search found, or with its start where that did as well.
    answers : Answers
        What the refiner learnt from.
    judge : Answers or None
        Those with the visual prompt that is kept, by which it was chosen how far the refiner is followed.
    about : dict
        For ``metrics.json``.
    """

    prompt: RefinedPrompt
    answers: Answers
    judge: Answers | None
    about: dict[str, Any]


def refine(
    plan: Plan,
    objective: Objective,
    trained: TrainedPrompt,
    box: BlackBox,
    paid: PaidAnswers,
    calls: int,
    folder: RunFolder | None,
    progress: bool = False,
) -> Refinement:
    """Ask the refiner's own questions, and train it on their answers and those of the search.

    Where no validation has judged the visual prompt, half of the questions are put with the vector that it started
    from, the same questions as with the one found, which is kept where it is better by more than the standard error of
    their difference: the one-standard-error rule (Breiman et al. 1984), by which the simpler of two equals is kept.

    Parameters
    ----------
    plan : Plan
    objective : Objective
        Of the search.
    trained : TrainedPrompt
        What the search came to.
    box : BlackBox
        What is asked.
    paid : PaidAnswers
    calls : int
        Budget of the questions.
    folder : RunFolder or None
        From which a training goes on.
    progress : bool
        Show progress bars.
    """
    start = TrainedPrompt(plan.prompt, plan.start)
    prompts = [trained] if plan.validations else [trained, start]
    fresh, spent = _questions(plan, prompts, box, paid, calls // (plan.prompt.views * len(prompts)), progress)
    training_dice = [float(np.mean(part.dice())) for part in fresh if len(part)]
    if len(fresh) == 2 and not better(*fresh):
        trained = start
        fresh.reverse()
    searched = paid.of_search(objective)
    if not any(map(len, (*fresh, *searched))):
        raise BlackBoxDown("the black box has answered no question, and a refiner learns from its answers")
    answers, validation = Answers.concatenate([*fresh, *searched]), _validation(plan, trained, box, paid)
    judge = fresh[0] if fresh else None  # with the visual prompt that is kept
    out = None if folder is None else folder.state / "refiner"
    with epochs_bar("refining", progress) as report:
        done = _trained(plan, answers, validation, judge, out, report)
    about = {
        "calls": spent,
        "answers": len(answers),
        "of_the_search": sum(map(len, searched)),
        "training_dice": training_dice,  # found; start if it was asked
        "steps": done.steps,
        "parameters": done.refiner.parameters,
        "networks": len(done.members),
        "share": done.refiner.share,
        "shares": {f"{share:g}": score for share, score in done.shares.items()},
        "judged": done.judged,
        "seconds": round(done.seconds, 3),
    }
    return Refinement(RefinedPrompt(trained, done.refiner), answers, judge, about)


def better(found: Answers, start: Answers) -> bool:
    """Return whether one prompt's answers are better than another's by more than the standard error, in pairs."""
    of_start = {(row, start.prompts.key(i)): d for i, (row, d) in enumerate(zip(start.rows, start.dice(), strict=True))}
    keys = ((row, found.prompts.key(i)) for i, row in enumerate(found.rows))
    pairs = [(of_start[key], d) for key, d in zip(keys, found.dice(), strict=True) if key in of_start]
    if len(pairs) < 2:
        return True  # as the search says
    gains = np.subtract(*np.array(pairs).T[::-1])
    return bool(gains.mean() > gains.std(ddof=1) / math.sqrt(len(gains)))


def _questions(
    plan: Plan, prompts: Sequence[TrainedPrompt], box: BlackBox, paid: PaidAnswers, limit: int, progress: bool
) -> tuple[list[Answers], int]:
    """Return the answers to at most so many questions with each visual prompt, the same for all, and the calls."""
    if not limit:
        return [], 0
    t, train = plan.training, plan.splits.train
    known = np.arange(len(train)) if plan.points == "text" else train.with_object
    samples = train.select(known)
    asked = Cached(Forgiving(box, t.patience), paid.questions)
    about: dict[str, Any] = {"points": plan.points, "seed": (t.seed, _QUESTIONS), "batch": plan.batch, "wait": 0.0}
    about |= {"questions": -(-limit // len(samples)), "limit": limit}
    answers: list[Answers] = []
    with bar("asking for the refiner", "questions", limit * len(prompts), progress) as update:

        def show(n: int) -> None:
            update(limit * len(answers) + n)

        for prompt in prompts:
            part = ask(asked, samples, prompt=prompt, on_batch=show, **about)
            answers.append(replace(part, sources=known))
    return answers, asked.distinct  # a question that was drawn twice is asked once


def without_the_box(plan: Plan, refined: Refinement, folder: RunFolder | None, progress: bool = False) -> Refiner:
    """Return the same networks, trained on the same images, labels and prompts without the black box's answers."""
    answers, judge = (None if part is None else _silenced(part) for part in (refined.answers, refined.judge))
    assert answers is not None
    out = None if folder is None else folder.state / "without"
    with epochs_bar("the same networks without the black box", progress) as report:
        return _trained(plan, answers, None, judge, out, report).refiner


def _silenced(answers: Answers) -> Answers:
    return replace(answers, answers=np.full(answers.answers.shape, 0.5, np.float32))


def _trained(
    plan: Plan,
    answers: Answers,
    validation: Answers | None,
    judge: Answers | None,
    out: Path | None,
    report: Report | None,
) -> Refit:
    t, r = plan.training, plan.refining
    recipe, config = replace(RECIPE, seed=t.seed), RefinerConfig(side=r.refine_side)
    about: dict[str, Any] = {"judge": judge, "steps": r.refine_steps, "members": r.refine_networks, "config": config}
    return train_refiner(answers, validation, recipe=recipe, out=out, report=report, **about)


def _validation(plan: Plan, trained: TrainedPrompt, box: BlackBox, paid: PaidAnswers) -> Answers | None:
    """Return the answers about the validation images with this prompt, as far as they were paid for."""
    samples = plan.validated
    if not len(samples):
        return None
    validation = plan.validation(Cached(_Unanswered(box), paid.validation))
    assert validation.prompts is not None
    answer = trained.predict(validation.box, np.asarray(samples.images), validation.prompts, plan.batch)
    answers = Answers(samples.images, samples.masks, np.arange(len(samples)), validation.prompts, answer)
    return answers if len(answers) else None

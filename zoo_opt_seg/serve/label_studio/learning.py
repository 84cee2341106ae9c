"""Learning from what was asked and submitted: the refiner of the next version; a program of its own.

``python -m zoo_opt_seg.serve.label_studio.learning FOLDER NUMBER`` trains at low priority on what the folder of a
project holds, asks nobody, and ends with its standard input, so that it does not outlive the server.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from zoo_opt_seg.blackbox.cache import Cached, MaskFolder
from zoo_opt_seg.blackbox.protocol import BlackBox
from zoo_opt_seg.prompts import Array, Prompts
from zoo_opt_seg.refine.answers import Answers
from zoo_opt_seg.refine.clicks import corrections
from zoo_opt_seg.refine.network import RefinerConfig
from zoo_opt_seg.refine.training import RECIPE, Refit, train_refiner
from zoo_opt_seg.serve.label_studio.kept import write_version
from zoo_opt_seg.serve.label_studio.project import read_project
from zoo_opt_seg.serve.label_studio.records import ANSWERS, meant, read_masks, read_picture, read_questions

# Chosen on the design seeds of benchmarks/annotation_study.py: less than a minute for a version. Of five images two
# networks learn from two or three each, and one draw in four was poor; three networks were good in all.
CHANNELS, STEPS, MEMBERS = (8, 16, 24, 32), 80, 3
SURE = 2.0  # standard errors by which a version must save corrections to be followed; see docs/label-studio.md
LEAST = 2  # labelled images that a version can be learnt from: each network leaves some out


def learnt(answers: Answers, seed: int = 0, members: int = MEMBERS, steps: int = STEPS) -> Refit:
    """Return a refiner, followed as far as it saves corrections of the labels that its networks have not seen.

    Parameters
    ----------
    answers : Answers
        What the black box said to people's clicks, beside what they submitted.
    seed : int
    members, steps : int
        See `zoo_opt_seg.refine.train_refiner`.
    """
    config, recipe = RefinerConfig(channels=CHANNELS), replace(RECIPE, seed=seed)
    return train_refiner(answers, members=members, steps=steps, config=config, recipe=recipe, measure=_saved, sure=SURE)


def _saved(probabilities: Array, prompts: Prompts, truth: Array) -> Array:
    return -corrections(probabilities, prompts, truth)


class Unasked(BlackBox):
    """In the place of a black box that is not to be asked: NaN.

    Parameters
    ----------
    name : str or None
        Of the black box.
    """

    def __init__(self, name: str | None) -> None:
        self.name = name

    def __call__(self, images: Array, prompts: Prompts, /) -> Array:
        """Return NaN everywhere."""
        return np.full(images.shape[:3], np.nan, np.float32)


def training_answers(folder: Path) -> Answers | None:
    """Return what the folder of a project has to learn from: questions, their answers, and what was submitted.

    Questions that no mask of the annotation was meant by are left out. None if there is nothing.
    """
    masks, name = read_masks(folder), read_project(folder).name
    box = Cached(Unasked(name), MaskFolder(folder / ANSWERS, "answers"))
    pictures: dict[str, Array] = {}
    images: list[Array] = []
    truths: list[Array] = []
    sources: list[int] = []
    rows: list[int] = []
    prompts: list[Prompts] = []
    answers: list[Array] = []
    known: dict[tuple[int, str, bytes], int] = {}  # an image for each of its masks that was asked about
    for question in read_questions(folder):
        truth = meant(question.prompts, masks.get(question.task, []), question.fit)
        if truth is None:
            continue
        if question.picture not in pictures:
            pictures[question.picture] = read_picture(folder, question.picture)
        key = question.task, question.picture, truth.tobytes()
        if key not in known:
            known[key] = len(images)
            images.append(pictures[question.picture])
            truths.append(truth)
            sources.append(question.task)
        rows.append(known[key])
        prompts.append(question.prompts)
        answers.append(box(pictures[question.picture][None], question.prompts)[0])
    if not rows:
        return None
    said, asked = np.stack(answers), Prompts.concatenate(prompts)
    found = Answers(np.stack(images), np.stack(truths), np.array(rows), asked, said, sources)
    return found if len(found) else None


def learn(folder: Path, number: int, seed: int = 0) -> dict[str, Any] | None:
    """Train on what the folder of a project holds, write the version and return what is said of it; None: too little.

    Parameters
    ----------
    folder : Path
    number : int
        Of the version.
    seed : int
    """
    answers = training_answers(folder)
    images = 0 if answers is None else len(np.unique(answers.about))
    if answers is None or images < LEAST:
        return None
    done = learnt(answers, seed)
    about = {
        "images": images,
        "questions": len(answers),
        "share": done.refiner.share,
        "corrections_before": abs(done.shares[0.0]),  # 0.0 as well, not -0.0
        "corrections": abs(done.shares[done.refiner.share]),
        "judged": done.judged,
        "seconds": round(done.seconds, 1),
        "made": time.strftime("%Y-%m-%d %H:%M:%S"),
    }
    write_version(folder, number, done.refiner, about)
    return about


def _end_with_input() -> None:
    while os.read(0, 1 << 10):
        pass
    os._exit(1)


def main(words: Sequence[str] | None = None) -> int:
    """Train; one line of JSON says what came of it."""
    import torch

    folder, number = sys.argv[1:] if words is None else words
    if hasattr(os, "nice"):
        os.nice(10)
    torch.set_num_threads(1)
    threading.Thread(target=_end_with_input, daemon=True).start()
    print(json.dumps(learn(Path(folder), int(number))), flush=True)
    return 0


if __name__ == "__main__":
    code = main()
    sys.stdout.flush()
    os._exit(code)  # the thread above still reads

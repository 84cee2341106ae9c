"""Training a refiner on a black box's answers by the gradient of its own small network, none of it the box's."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from zoo_opt.core.errors import instance, integer, non_negative
from zoo_opt_seg.data.draws import kind_for
from zoo_opt_seg.digests import data_digest
from zoo_opt_seg.measures.metrics import dice
from zoo_opt_seg.prompts import Array, Prompts
from zoo_opt_seg.refine.answers import Answers, Silent, ask
from zoo_opt_seg.refine.augmentation import moved_together
from zoo_opt_seg.refine.network import ROWS, RefinerConfig, RefinerNet, evidence_of, guides_of, shrunk
from zoo_opt_seg.refine.refiner import Refined, Refiner
from zoo_opt_seg.whitebox.core.comparator import RowRequest, Trained
from zoo_opt_seg.whitebox.core.recipe import Epoch, Recipe, Validation
from zoo_opt_seg.whitebox.core.segmentation import bce_dice
from zoo_opt_seg.whitebox.core.trainer import Fitted, Report, Trainable, fit

MEMBERS = 4  # chosen, as the steps
SHARES = (0.0, 0.25, 0.5, 0.75, 1.0)
STEPS, PASSES = 200, 3  # at least, of 8 questions, and over the answers; chosen, on validation splits of drawn domains
RECIPE = Recipe(
    batch=8, lr=3e-3, weight_decay=1e-2, warmup=25, schedule="polynomial", power=1.0, stop_after=None, clip=1.0
)
"""The epochs are made as many as it takes for the steps of `train_refiner`."""

Measure = Callable[[Array, Prompts, Array], Array]
"""Corrected probabilities (n, H, W), prompts and labels (n, H, W) to how good each of them is, (n,): more is better."""

_PARTS, _SEEDS = 41, 1000  # stream of the seed, and what tells the networks' seeds apart


class RefinerTraining(Trainable):
    """The network of a refiner and the answers that it learns from.

    Parameters
    ----------
    net : RefinerNet
        Trained in place.
    answers : Answers
    validation : Answers or None
        What the best epoch is chosen by.
    """

    def __init__(self, net: RefinerNet, answers: Answers, validation: Answers | None) -> None:
        self.net, self.size = net, len(answers)
        self.data = data_digest(answers.images, answers.masks, answers.answers)
        self.name = f"refiner {net.config}"
        self._answers, self._validation = answers, validation
        self._guides, self._evidence = _seen(answers, net.config)

    def tensors(self) -> Mapping[str, Tensor]:
        """Return the weights."""
        return dict(self.net.named_parameters())

    def train(self, mode: bool) -> None:
        """Switch dropout and the like."""
        self.net.train(mode)

    def loss(self, rows: np.ndarray, seed: tuple[int, ...]) -> Tensor:
        """Return the mean loss over these questions, each changed at random."""
        images, masks = (shrunk(layer, self.net.config.side) for layer in _pictures(self._answers, rows))
        layers = [images, self._guides[rows], self._evidence[rows], masks]
        rng = np.random.default_rng(seed)
        images, guides, evidence, truth = moved_together(torch.cat(layers, dim=1), rng).split([3, 3, 1, 1], dim=1)
        shares = truth[:, 0]  # of each pixel that the object covers
        whole = self._answers.masks.shape[1:] == shares.shape[1:]  # thin objects are less than half a pixel if not
        return bce_dice(self.net(images, guides, evidence), shares > 0.5 if whole else shares).mean()

    def validate(self) -> Validation:
        """Return mean loss and Dice over the validation answers; NaN without any."""
        known = self._validation
        if known is None or not len(known):
            return Validation(math.nan, math.nan)
        probabilities = Refiner([self.net]).correct(known.images[known.rows], known.prompts, known.answers)
        truth = known.masks[known.rows]
        logits = torch.logit(torch.from_numpy(probabilities.astype(np.float64)).clamp(1e-7, 1 - 1e-7))
        loss = bce_dice(logits, torch.from_numpy(truth)).mean()
        return Validation(float(loss), float(np.mean(dice(probabilities > 0.5, truth))))


@dataclass(frozen=True)
class Refit:
    """What the training of a refiner came to.

    Attributes
    ----------
    refiner : Refiner
    members : tuple of Fitted
        The training of each network.
    shares : dict of float to float
        Mean Dice, or another measure, with each share: the answers as they are, 0, to the networks alone, 1. Empty
        where there was nothing to judge by.
    judged : {"validation", "left out", ""}
        Whether by the validation answers, or by what each network says of the images that it was not trained on.
    steps : int
        Of each training, at most.
    """

    refiner: Refiner
    members: tuple[Fitted, ...]
    shares: dict[float, float]
    judged: str
    steps: int

    @property
    def seconds(self) -> float:
        """Of all trainings together."""
        return sum(fitted.seconds for fitted in self.members)


def train_refiner(
    answers: Answers,
    validation: Answers | None = None,
    *,
    judge: Answers | None = None,
    members: int = MEMBERS,
    config: RefinerConfig | None = None,
    steps: int | None = None,
    measure: Measure | None = None,
    sure: float = 0.0,
    recipe: Recipe = RECIPE,
    out: Path | None = None,
    report: Report | None = None,
) -> Refit:
    """Train a refiner; a minute or two on a CPU.

    It is a committee by cross-validation (Krogh and Vedelsby 1995): the labelled images are dealt into as many parts as
    there are networks, and each network is trained on the answers about all parts but one. What the networks say of the
    parts that they have not seen tells how far they are to be followed: the share of 0, .25, .5, .75 and 1 with the
    best mean Dice, the least of equals. So where a few labels do not teach what the black box does not know already,
    its answers are left as they are.

    Parameters
    ----------
    answers : Answers
        Of the training images.
    validation : Answers, optional
        By which the best epoch of each network is kept, the start included, and the share is chosen; without, the last
        epoch is.
    judge : Answers, optional
        Those by which the share is chosen where there is no validation, as those with the visual prompt that will be
        used; by default all of `answers`. About the same labelled images, see `Answers.about`.
    members : int
        Networks, at most one for each labelled image. 1: one network, trained on all images.
    config : RefinerConfig, optional
        Of the networks; whether the answers are hard is seen from them.
    steps : int, optional
        Of each training; by default as many as three passes over the answers take, and 200 at least.
    measure : callable, optional
        By which the share is chosen, its mean; by default Dice. See `Measure`.
    sure : float
        Standard errors, over the labelled images, by which the best share must be above 0; else it is 0.
    recipe : Recipe
        Its number of epochs, and which is kept, follow from the above.
    out : Path, optional
        Folder from which a training that was cut off goes on.
    report : callable, optional
        See `zoo_opt_seg.whitebox.core.trainer.fit`; epochs are counted over all networks.

    Returns
    -------
    Refit

    Raises
    ------
    TypeError, ValueError
        If an argument is not of this form, or there is no answer.

    References
    ----------
    A. Krogh, J. Vedelsby. Neural network ensembles, cross validation, and active learning. NIPS 7, 1995.
    """
    instance("answers", answers, Answers)
    if not len(answers):
        raise ValueError("answers must hold at least one, got none")
    for name, others in (("validation", validation), ("judge", judge)):
        if others is not None and others.hard != answers.hard:
            raise ValueError(f"{name} must hold answers of the same kind, probabilities or masks, as answers")
    config = replace(config or RefinerConfig(), hard=answers.hard)
    if steps is not None:
        integer("steps", steps, 1)
    non_negative("sure", sure)
    recipe = replace(recipe, keep="best" if validation else "last")
    part_of = _dealt(answers.about, integer("members", members, 1), recipe.seed)
    parts, part = range(max(part_of.values()) + 1), _part(answers, part_of)
    rows = [np.flatnonzero((part != k) | (len(parts) == 1)) for k in parts]
    passes = [math.ceil(len(some) / recipe.batch) for some in rows]
    epochs = [math.ceil((max(STEPS, PASSES * one) if steps is None else steps) / one) for one in passes]
    made = max(number * one for number, one in zip(epochs, passes, strict=True))
    nets, fits = [], []
    for k in parts:
        seen = answers if len(parts) == 1 else answers[rows[k]]
        own = replace(recipe, epochs=epochs[k], seed=recipe.seed + _SEEDS * k)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(own.seed)
            net = RefinerNet(config)
        where = None if out is None else out / f"network-{k}"
        shown = None if report is None else _after(report, sum(epochs[:k]), sum(epochs))
        fits.append(fit(RefinerTraining(net, seen, validation), own, out=where, report=shown))
        nets.append(net)
    scores, judged = np.empty((0, len(SHARES))), ""
    if validation:
        scores, judged = _scores(validation, [(nets, np.arange(len(validation)))], measure), "validation"
    elif len(parts) > 1:
        judge = answers if judge is None else judge
        part = _part(judge, part_of)
        scores = _scores(judge, [([nets[k]], np.flatnonzero(part == k)) for k in parts], measure)
        judged = "left out" if len(scores) else ""
    shares = dict(zip(SHARES, scores.mean(axis=0).tolist(), strict=True)) if len(scores) else {}
    return Refit(Refiner(nets, _best(scores, sure)), tuple(fits), shares, judged, made)


def _after(report: Report, before: int, total: int) -> Report:
    """Return a report that counts the epochs of a network after those of the networks before it."""

    def counted(epoch: Epoch, recipe: Recipe) -> None:
        report(replace(epoch, epoch=before + epoch.epoch), replace(recipe, epochs=total))

    return counted


def _dealt(about: np.ndarray, members: int, seed: int) -> dict[int, int]:
    """Return the part of each labelled image, 0 and up, by its number."""
    images = np.unique(about)
    order = np.random.default_rng([seed, _PARTS]).permutation(len(images))
    return {int(image): int(place % min(members, len(images))) for image, place in zip(images, order, strict=True)}


def _part(answers: Answers, part_of: Mapping[int, int]) -> np.ndarray:
    """Return the part of each question; -1 if its image is in none."""
    return np.array([part_of.get(int(image), -1) for image in answers.about], np.int64)


def _dice(probabilities: Array, prompts: Prompts, truth: Array) -> Array:
    return np.asarray(dice(probabilities > 0.5, truth))


def _scores(
    answers: Answers, judges: Sequence[tuple[Sequence[RefinerNet], np.ndarray]], measure: Measure | None
) -> np.ndarray:
    """Return the measure of each labelled image with each share, (images, shares); networks judge some questions each.

    Of several questions about an image it is the mean.
    """
    of_image: dict[int, list[list[float]]] = {}
    for nets, rows in judges:
        asked = answers[rows]
        truth, images = asked.masks[asked.rows], asked.images[asked.rows]
        said = Refiner(nets).corrections(images, asked.prompts, asked.answers, SHARES)
        measured = ((measure or _dice)(masks, asked.prompts, truth) for masks in said)
        for image, *scores in zip(asked.about.tolist(), *measured, strict=True):
            of_image.setdefault(image, []).append(scores)
    return np.array([np.mean(scores, axis=0) for scores in of_image.values()]).reshape(-1, len(SHARES))


def _best(scores: np.ndarray, sure: float) -> float:
    """Return the share with the best mean of ``scores`` (images, shares), the least of equals; 1 without any.

    0 where that is not above the answers as they are by ``sure`` standard errors.
    """
    if not len(scores):
        return 1.0
    best = int(scores.mean(axis=0).argmax())
    gains = scores[:, best] - scores[:, 0]
    error = gains.std(ddof=1) / math.sqrt(len(gains)) if len(gains) > 1 else math.inf
    return SHARES[best] if not sure or gains.mean() > sure * error else 0.0


def row(request: RowRequest) -> Trained:
    """A row of a table: ``images`` labelled images, drawn by the seed, or all; ``questions`` about each, or 8.

    With ``box = false`` the same network learns from the same labels without the black box.
    """
    options = {"images": 0, "questions": 8, "box": True, "members": MEMBERS, "steps": None, **request.options}
    model, seed, train = request.model if options["box"] else Silent(), request.recipe.seed, request.splits.train
    known = train.with_object if kind_for(model) != "text" else np.arange(len(train))
    chosen = np.random.default_rng(seed).permutation(known)[: options["images"] or None]
    answers = ask(model, train[np.sort(chosen)], questions=options["questions"], seed=seed)
    done = train_refiner(
        answers, members=options["members"], steps=options["steps"], recipe=request.recipe, out=request.out
    )
    done.refiner.save(request.out / "refiner.safetensors")
    return Trained(Refined(model, done.refiner), None, figures=_figures(done, len(answers) if options["box"] else 0))


def _figures(done: Refit, calls: int) -> dict[str, Any]:
    """Return what a record holds of a training, beside what its test says."""
    shares = ", ".join(f"{share:g}: {score:.3f}" for share, score in done.shares.items())
    return {
        "calls": calls,
        "trained": done.refiner.parameters,
        "seconds": round(done.seconds, 2),
        "memory": max(fitted.memory for fitted in done.members),
        "memory_kind": done.members[0].memory_kind,
        "about": f"{len(done.members)} networks, followed to {done.refiner.share:g}; Dice {done.judged} {shares}",
    }


def _seen(answers: Answers, config: RefinerConfig) -> tuple[Tensor, Tensor]:
    """Return guides and evidence of all answers, as large as the network sees them."""
    size, parts = (answers.images.shape[1], answers.images.shape[2]), []
    for start in range(0, len(answers), ROWS):
        rows = slice(start, start + ROWS)
        layers = guides_of(answers.prompts[rows], size, config.sigma), evidence_of(answers.answers[rows])
        parts.append([shrunk(torch.from_numpy(layer), config.side) for layer in layers])
    guides, evidence = (torch.cat(layers) for layers in zip(*parts, strict=True))
    return guides, evidence


def _pictures(answers: Answers, rows: np.ndarray) -> tuple[Tensor, Tensor]:
    """Return images, float (n, 3, H, W), and masks, float (n, 1, H, W), of these questions."""
    which = answers.rows[rows]
    images = np.moveaxis(answers.images[which], 3, 1).astype(np.float32) / 255
    return torch.from_numpy(images), torch.from_numpy(answers.masks[which].astype(np.float32))[:, None]

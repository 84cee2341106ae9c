"""What an adaptation will do, worked out and checked before anything is asked or written."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from zoo_opt.core.errors import instance
from zoo_opt.methods import METHODS, Method
from zoo_opt.methods.starts import SeveralStarts
from zoo_opt.optimizer import Optimizer
from zoo_opt_seg.adaptation.objective import Objective
from zoo_opt_seg.adaptation.settings import (
    RefineSettings,
    ReportSettings,
    SearchSettings,
    SelectionSettings,
    batch_for,
)
from zoo_opt_seg.adaptation.validation import ValidationImages, validation_rows
from zoo_opt_seg.blackbox.protocol import BlackBox, SegmentationModel, as_black_box, name_of
from zoo_opt_seg.data.draws import Kind, kind_for, need_texts
from zoo_opt_seg.data.samples import Samples, Splits
from zoo_opt_seg.digests import data_digest
from zoo_opt_seg.measures.evaluation import need_originals
from zoo_opt_seg.measures.losses import SMOOTH, loss_of
from zoo_opt_seg.prompts import Array
from zoo_opt_seg.visual_prompts import VisualPrompt

_IMAGES = 31  # stream of the seed


@dataclass(frozen=True, eq=False)
class Plan:
    """An adaptation before it begins; made by `planned`.

    Attributes
    ----------
    box, prompt, splits, training, selection, refining, reporting
        As given; of the training split the images that are used.
    points : int, str or callable
        By what the black box is asked.
    batch : int
        Images in a minibatch.
    start : (d,) array
        The vector that training starts from.
    method : Method
    optimizer : Optimizer
        New; in a result folder may be one that has come further.
    validated : Samples
        The validation images.
    tested : Samples or None
        The test images, None if there are none or they are not to be looked at.
    """

    box: BlackBox
    prompt: VisualPrompt
    splits: Splits
    training: SearchSettings
    selection: SelectionSettings
    refining: RefineSettings
    reporting: ReportSettings
    points: Kind
    batch: int
    start: Array
    method: Method
    optimizer: Optimizer
    validated: Samples
    tested: Samples | None

    @property
    def validations(self) -> list[int]:
        """The numbers of evaluations after which the mean is validated: 0, evenly spaced, all."""
        n, evaluations = self.selection.validate, self.optimizer.budget or 0
        return [evaluations * k // (n - 1) for k in range(n)] if n else []

    def objective(self, box: BlackBox, keep: Callable[[int, Array, Array], None] | None = None) -> Objective:
        """Return what is minimised, by questions to ``box``; see `Objective` for ``keep``."""
        about: dict[str, Any] = {
            n: getattr(self.training, n) for n in ("seed", "loss", "reduction", "smooth", "augment")
        }
        about |= {"batch": self.batch, "points": self.points, "keep": keep}
        return Objective(box, self.prompt, self.splits.train, **about)

    def validation(self, box: BlackBox) -> ValidationImages:
        """Return what validates, by questions to ``box``."""
        t = self.training
        about: dict[str, Any] = {name: getattr(t, name) for name in ("seed", "loss", "smooth")}
        return ValidationImages(box, self.prompt, self.validated, points=self.points, **about)

    @property
    def shown(self) -> Samples:
        """The images of the picture panel."""
        others = (part.select(part.with_object) for part in (self.splits.validation, self.splits.train))
        return next(part for part in (self.tested, *others) if part is not None and len(part))

    def config(self) -> dict[str, Any]:
        """Return all that decides the result, for ``config.json`` and to tell another run by."""
        t, s, r = self.training, self.selection, self.refining
        return {
            "format": 2,
            "model": self.box.label,
            "data": {
                "name": self.splits.name,
                "sha256": fingerprint(self.splits, self.points == "text"),
                "images": [len(part) for part in self.splits.parts],
            },
            "prompt": {"name": self.prompt.name, **self.prompt.config(), "dim": self.prompt.dim},
            "method": repr(self.method),
            "calls": t.calls,
            "batch": self.batch,
            "loss": t.loss if t.smooth == SMOOTH else f"{t.loss}, smooth {t.smooth:g}",  # earlier runs had no choice
            **{name: getattr(t, name) for name in ("seed", "reduction", "augment")},
            "points": self.points if isinstance(self.points, (int, str)) else name_of(self.points),
            "x0": zlib.crc32(np.ascontiguousarray(self.start).data),
            **self._race(),
            "validation": {"marks": s.validate, "images": len(self.validated), "select": s.select},
            "refine": r.config() if r.refine else None,
            "test": {
                "images": 0 if self.tested is None else len(self.tested),
                "repeats": self.reporting.repeats,
                "seed": self.reporting.test_seed,
                **({} if self.reporting.test_start else {"start": False}),
                **({"measure": self.reporting.measure} if self.reporting.measure != "asked" else {}),
            },
        }

    def _race(self) -> dict[str, Any]:
        method = self.optimizer.method
        if not isinstance(method, SeveralStarts):
            return {}
        return {"race": {"evaluations": method.evaluations, "starts": zlib.crc32(repr(method.starts).encode())}}


def planned(
    model: SegmentationModel | Callable[..., Any],
    prompt: VisualPrompt,
    splits: Splits,
    training: SearchSettings,
    selection: SelectionSettings,
    refining: RefineSettings,
    reporting: ReportSettings,
) -> Plan:
    """Return the plan of an adaptation.

    Raises
    ------
    TypeError, ValueError
        If an argument is not of its form, does not go with another, or the calls are too few for one step.
    """
    instance("splits", splits, Splits)
    instance("prompt", prompt, VisualPrompt)
    if not prompt.dim:
        raise ValueError(f"prompt must have something to train, got {prompt!r}, which has no parameters")
    box = as_black_box(model)
    points = kind_for(box, training.points)
    if training.train_images is not None:
        splits = replace(splits, train=_drawn(splits.train, training.train_images, training.seed))
    for part in splits.parts:
        if len(part) and part.size != (prompt.size, prompt.size):
            shape = " x ".join(map(str, part.size))
            raise ValueError(f"splits must hold images of {prompt.size} pixels square, the prompt's size, got {shape}")
        if points == "text":
            need_texts(part)
    start = prompt.x0(training.seed) if training.x0 is None else np.array(training.x0)
    if start.shape != (prompt.dim,):
        raise ValueError(f"x0 must have shape ({prompt.dim},), as many numbers as the prompt has, got {start.shape}")
    calls = training.calls - refining.kept(training.calls)
    rows = validation_rows(splits.validation, selection, training.calls // prompt.views, training.seed)
    validating = selection.validate * len(rows) * prompt.views
    batch = training.batch or batch_for((calls - validating) // prompt.views)
    each = batch * prompt.views
    evaluations = (calls - validating) // each
    if evaluations < 1:
        least = refining.whole(validating + each)
        raise ValueError(
            f"calls must be at least {least}, for one candidate of {batch} images and "
            f"{selection.validate} validations of {len(rows)}, got {training.calls}"
        )
    starts = prompt.starts(training.seed) if training.x0 is None else start[None]
    race = training.raced(len(starts), evaluations)
    method = method_from(training.method, training.options, evaluations - race, prompt.dim)
    raced = SeveralStarts(method, starts, race) if race else method
    optimizer = Optimizer(raced, start, rng=training.seed, budget=evaluations)
    if optimizer.stop():
        least = refining.whole(validating + each * optimizer.method.size(optimizer.state))
        raise ValueError(
            f"calls must be at least {least}, for validation and one step of {method}, got {training.calls}"
        )
    test = splits.test if points == "text" else splits.test.select(splits.test.with_object)
    test = test.select(slice(reporting.test_images))
    if reporting.test and reporting.measure == "original":
        need_originals(test)
    plan = Plan(
        *(box, prompt, splits, training, selection, refining, reporting, points, batch, start, method, optimizer),
        validated=splits.validation.select(rows),
        tested=test if reporting.test and len(test) else None,
    )
    loss_of(training.loss, box.hard)
    plan.objective(box)  # raises what is wrong with its settings and the training images
    return plan


def _drawn(samples: Samples, count: int, seed: int) -> Samples:
    """Return so many of the samples with an object, drawn by the seed, in their order."""
    rows = samples.with_object
    if count > len(rows):
        raise ValueError(f"train_images must be at most {len(rows)}, the training images with an object, got {count}")
    return samples[np.sort(np.random.default_rng([seed, _IMAGES]).permutation(rows)[:count])]


def method_from(method: Method | str, options: Mapping[str, Any] | None, evaluations: int, dim: int) -> Method:
    """Return the method, made from its name, or from ``name:preset``, and options where it is given so.

    Parameters
    ----------
    method : Method or str
        A preset is one of the class's ``presets``, as in ``spsa-geass:paper``.
    options : mapping or None
    evaluations : int
        Budget, for schedules.
    dim : int
        Parameters of the prompt, for presets.
    """
    if isinstance(method, str):
        from zoo_opt.bench.solvers import make_method

        name, _, preset = method.partition(":")
        if preset:
            kind = METHODS.get(name)
            presets = getattr(kind, "presets", ())
            if preset not in presets:
                known = "a name of zoo_opt.METHODS"
                if kind:
                    known = f"a preset of {name} ({', '.join(presets) or 'it has none'})"
                raise ValueError(f"method must be {known}, got {method!r}")
            return getattr(kind, preset)(dim=dim, **(options or {}))  # type: ignore[no-any-return]

        made: Method = make_method(method, options or {}, budget=evaluations)
        return made
    if options:
        raise ValueError(f"options go with a method's name, not with {method!r}")
    instance("method", method, Method)
    return method


def fingerprint(splits: Splits, texts: bool = False) -> str:
    """Return the first digits of the SHA-256 of all images and masks, and of the texts where they are used."""
    told: list[tuple[Any, ...]] = [
        (part.images, part.masks, *([repr(part.texts)] if texts else [])) for part in splits.parts
    ]
    return data_digest(*(one for part in told for one in part))

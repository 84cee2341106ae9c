"""The settings of an adaptation: how the prompt is trained and selected, its answers corrected, the result tested."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any

from zoo_opt.core.errors import fraction, integer, one_of, positive
from zoo_opt.methods import Method
from zoo_opt.outage import WAIT, check_wait
from zoo_opt_seg.measures.evaluation import RESOLUTIONS

if TYPE_CHECKING:
    from zoo_opt_seg.data.draws import Kind
    from zoo_opt_seg.prompts import Array

SCORES = ("dice", "loss")
EVALUATIONS = 120  # chosen, on the validation split of the drawn domains


@dataclass(frozen=True, kw_only=True, eq=False)
class SearchSettings:
    """How a visual prompt is trained.

    Parameters
    ----------
    method : Method or str
        Any method of `zoo_opt`, or its registered name.
    options : mapping
        Hyper-parameters of a method that is given by name, as in `zoo-opt run -o`.
    calls : int
        Budget, never exceeded; a step that would exceed it is not begun.
    batch : int, optional
        Images in a minibatch, and in a question of the validation; see `batch_for` for the default.
    seed : int
        Of everything that is random.
    train_images : int, optional
        Labelled images of the training split to use, drawn by the seed; all without.
    loss, reduction, smooth, augment
        See `zoo_opt_seg.adaptation.objective.Objective`.
    points : int, {"random", "centre", "box", "box+point", "text"} or callable, optional
        By what the black box is asked; see `zoo_opt_seg.data.draws.draw_prompts`. By default what it says that it is
        prompted by, and random points where it does not say. Boxes are moved in training, and exact in validation and
        tests.
    x0 : (d,) array, optional
        Start; by default the best of the prompt's, see `race`.
    race : float
        Of the evaluations of candidates, the share by which a prompt's starts are compared where it has several
        (`zoo_opt_seg.visual_prompts.VisualPrompt.starts`), at most four for each start. 0: the search begins at the
        first, which changes nothing.
    patience : int
        Failed questions in a row after which the black box counts as down.
    wait : float
        Seconds that an outage of the black box is waited for, in training, validation and tests, as by
        `zoo_opt.minimize`.
    """

    method: Method | str = "cma-es"
    options: Mapping[str, Any] | None = field(default_factory=dict)
    calls: int = 3200
    batch: int | None = None
    seed: int = 0
    train_images: int | None = None
    loss: str = "bce+dice"
    reduction: str = "image"
    smooth: float = 1e-6  # measures.losses.SMOOTH, which needs torch
    augment: str | None = None
    points: Kind | None = None
    x0: Array | None = None
    race: float = 0.4
    patience: int = 8
    wait: float = WAIT

    def __post_init__(self) -> None:
        for name, minimum in (("calls", 1), ("seed", 0), ("patience", 1)):
            integer(name, getattr(self, name), minimum)
        for name in ("batch", "train_images"):
            if getattr(self, name) is not None:
                integer(name, getattr(self, name), 1)
        fraction("race", self.race)
        positive("smooth", self.smooth)
        check_wait(self.wait)

    def raced(self, starts: int, evaluations: int) -> int:
        """Return how many of the evaluations compare so many starts; 0 where there is nothing to compare or too few."""
        share = min(int(self.race * evaluations), 4 * starts)
        return share if share >= 2 * starts > 2 else 0


def batch_for(calls: int) -> int:
    """Return the images of a minibatch where none are given: 1, 2, 4, 8 or 16, the most that leave 120 evaluations.

    A few calls are better spent on many candidates than on large minibatches; see docs/seg-adapt.md for the figures.
    """
    return next((batch for batch in (16, 8, 4, 2) if calls // batch >= EVALUATIONS), 1)


@dataclass(frozen=True, kw_only=True)
class SelectionSettings:
    """Which iterate is kept.

    Parameters
    ----------
    validate : int
        How often the optimizer's mean is validated: at the start, at the end, and evenly spaced between. 0: never, the
        last mean is kept, or, where the method diverged, the candidate with the lowest loss.
    validation_images : int, optional
        Images of the validation split to use; by default all, as long as they cost at most a fifth of the budget.
    select : {"dice", "loss"}
        What the iterate that is kept has the best of, on the validation images.
    """

    validate: int = 6
    validation_images: int | None = None
    select: str = "dice"

    def __post_init__(self) -> None:
        if integer("validate", self.validate, 0) == 1:
            raise ValueError("validate must be 0, or 2 or more: the start and the end are two, got 1")
        if self.select not in SCORES:
            raise ValueError(f"select must be {' or '.join(map(repr, SCORES))}, got {self.select!r}")


@dataclass(frozen=True, kw_only=True)
class RefineSettings:
    """Whether the answers to the prompted images are corrected, see `zoo_opt_seg.refine`.

    Parameters
    ----------
    refine : bool
        Train a refiner after the search, on the answers that the search has paid for and on some of its own.
    refine_share : float
        Of the calls, kept for the refiner's own questions; those that the search leaves are added.
    refine_steps : int, optional
        Of the training of each of its networks; see `zoo_opt_seg.refine.train_refiner` for how many without.
    refine_networks : int
        How many it has, see `zoo_opt_seg.refine.train_refiner`.
    refine_side : int
        At how many pixels of the longer side they work, see `zoo_opt_seg.refine.network.RefinerConfig`.
    """

    refine: bool = False
    refine_share: float = 0.2
    refine_steps: int | None = None
    refine_networks: int = 4
    refine_side: int = 128

    def __post_init__(self) -> None:
        fraction("refine_share", self.refine_share)
        if self.refine_steps is not None:
            integer("refine_steps", self.refine_steps, 1)
        integer("refine_networks", self.refine_networks, 1)
        integer("refine_side", self.refine_side, 16)

    def config(self) -> dict[str, Any]:
        """Return what decides the refiner, for ``config.json``."""
        own = {"steps": self.refine_steps, "networks": self.refine_networks, "side": self.refine_side}
        return {"share": self.refine_share, **own}

    def kept(self, calls: int) -> int:
        """Return how many of the calls are kept for the refiner's questions."""
        return int(self.refine_share * calls) if self.refine else 0

    def whole(self, search: int) -> int:
        """Return the fewest calls that leave so many to the search."""
        calls = search
        while calls - self.kept(calls) < search:
            calls += 1
        return calls


@dataclass(frozen=True, kw_only=True)
class ReportSettings:
    """What is measured and shown once the prompt is trained.

    Parameters
    ----------
    test : bool
        Whether to measure zero-shot, adapted and trivial baselines on the test images, ``repeats`` prompts each; those
        without an object are asked about by text alone.
    test_images : int, optional
        The first so many test images only.
    repeats, test_seed : int
        Random prompts per test image, and their seed: it is not that of the training, so that runs are comparable.
    test_start : bool
        Whether to measure the visual prompt before its training as well, if that changes the images. For each prompt of
        a test image this costs one call per view, less the one that zero-shot has asked already.
    measure : {"asked", "original"}
        At which resolution, see `zoo_opt_seg.measures.evaluation.evaluate`. Training and validation are at that of the
        images that the black box is asked about.
    panel : bool
        Whether to write the picture panel and the HTML page, if there is a result folder. It shows test images, or
        validation images where the test split is not to be looked at.
    """

    test: bool = True
    test_images: int | None = None
    repeats: int = 3
    test_seed: int = 0
    test_start: bool = True
    measure: str = "asked"
    panel: bool = True

    def __post_init__(self) -> None:
        integer("repeats", self.repeats, 1)
        integer("test_seed", self.test_seed, 0)
        one_of("measure", self.measure, RESOLUTIONS)
        if self.test_images is not None:
            integer("test_images", self.test_images, 1)


KINDS = (SearchSettings, SelectionSettings, RefineSettings, ReportSettings)
SETTINGS = tuple(item.name for kind in KINDS for item in fields(kind))
"""The names of all settings: keywords of `zoo_opt_seg.adaptation.run.adapt`."""


def settings_from(
    given: Mapping[str, Any],
) -> tuple[SearchSettings, SelectionSettings, RefineSettings, ReportSettings]:
    """Return the settings that keywords give, all others as by default.

    Raises
    ------
    TypeError
        If there is no setting of a name.
    """
    for name in given:
        if name not in SETTINGS:
            raise TypeError(f"settings of adapt must be among {', '.join(SETTINGS)}, got {name!r}")

    search, selection, refine, report = (
        {item.name: given[item.name] for item in fields(kind) if item.name in given} for kind in KINDS
    )
    return (
        SearchSettings(**search),
        SelectionSettings(**selection),
        RefineSettings(**refine),
        ReportSettings(**report),
    )

"""Benchmark targets for `zoo-opt bench`: a black box, a domain and a visual prompt, such as ``seg:tiny/disc/baps``.

Found through the entry point ``seg`` in the group ``zoo_opt.objectives``; see `zoo_opt.bench.problems.targets`.
Importing this module is quick: torch comes when a target is made.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from zoo_opt.bench.problems.protocol import FloatArray, pair_seed
from zoo_opt.support.loading import require
from zoo_opt_seg.blackbox.protocol import as_black_box
from zoo_opt_seg.blackbox.registry import BLACK_BOXES, BlackBoxEntry
from zoo_opt_seg.data.registry import DATA_SETS
from zoo_opt_seg.visual_prompts.registry import PROMPTS

if TYPE_CHECKING:
    from zoo_opt_seg.adaptation.objective import Objective

NEEDS = ("torch", "monai")  # whatever the black box is


def boxes() -> dict[str, BlackBoxEntry]:
    """The black boxes that need no more than their name."""
    return {entry.name: entry for entry in BLACK_BOXES.entries() if not entry.words}


def lines() -> dict[str, str]:
    """What can follow ``seg:``, with a line about each."""
    drawn = ", ".join(entry.name for entry in DATA_SETS.entries() if entry.drawn)
    where = f"DOMAIN {drawn}, or under data_root or $ZOO_OPT_DATA a data set of `zoo-opt-seg list`"
    options = "batch=16, loss=bce+dice, augment, size=96, prompt_options={}, data_root, texts"
    known = {
        f"{box}/DOMAIN/{prompt.name}": f"{prompt.about}, for {entry.about}"
        for box, entry in boxes().items()
        for prompt in PROMPTS.entries()
    }
    first = next(iter(known))
    return known | {first: f"{known[first]}; {where}: {options}"}


targets = lines  # as zoo_opt.bench.problems.targets asks for it


def make(name: str, **arguments: Any) -> SegmentationTarget:
    """Make the target of a name.

    Parameters
    ----------
    name : str
        ``"box/domain/prompt"``, such as ``"tiny/disc/baps"``.
    **arguments
        Of `SegmentationTarget`.

    Raises
    ------
    ValueError
        If there is no such target, or the domain's data are not there.
    ImportError
        If a package of the extra "seg" is not installed.
    """
    parts = name.split("/")
    if len(parts) != 3:
        raise ValueError(f"a seg target must be box/domain/prompt, such as seg:tiny/disc/baps, got {name!r}")
    known: tuple[Collection[str], ...] = (boxes(), list(DATA_SETS), list(PROMPTS))
    for what, part, names in zip(("box", "domain", "prompt"), parts, known, strict=True):
        if part not in names:
            raise ValueError(f"the {what} of a seg target must be one of {', '.join(names)}, got {part!r} in {name!r}")
    for module in NEEDS:
        require(module, extra="seg")
    return SegmentationTarget(*parts, **arguments)


class SegmentationTarget:
    """The loss of a visual prompt on minibatches, as a problem of `zoo_opt.bench`.

    One evaluation is the loss on one minibatch, ``batch`` images of the black box; all candidates of a step see the
    same images, points or texts, and augmentation, which are a function of (seed, step). `metrics` looks at the
    validation and test splits and costs no evaluation.

    Parameters
    ----------
    box, domain, prompt : str
        The parts of the name.
    batch : int
    loss : str
        ``"bce+dice"`` or ``"dice"``.
    augment : str or None
        ``"paper"``, ``"released"`` or None.
    size : int
        Side of the images.
    images : int
        Validation and test images to look at, at most.
    prompt_options : mapping
        Of the visual prompt.
    data_root : str or None
        Folder of the data sets that are read from disk; None: $ZOO_OPT_DATA.
    texts : sequence of str
        What the CLIPSeg is asked by for each image, instead of the data's own texts.
    """

    curve = "validation_loss"
    targets: Sequence[float] = ()
    reusable = True
    optimum = None

    def __init__(
        self,
        box: str,
        domain: str,
        prompt: str,
        *,
        batch: int = 16,
        loss: str = "bce+dice",
        augment: str | None = None,
        size: int = 96,
        images: int = 60,
        prompt_options: Mapping[str, Any] | None = None,
        data_root: str | None = None,
        texts: Sequence[str] = (),
    ) -> None:
        import torch

        from zoo_opt_seg.data import load_data
        from zoo_opt_seg.visual_prompts import prompt_for

        torch.set_num_threads(1)
        entry, root = DATA_SETS.find(domain), None
        if not entry.drawn:
            folder = data_root or os.environ.get("ZOO_OPT_DATA")
            if folder is None:
                raise ValueError(f"data_root must be the folder that {domain} lies in, or set ZOO_OPT_DATA")
            root = os.path.join(folder, entry.folder or domain)
        self._box: Any = as_black_box(BLACK_BOXES.find(box).load()())
        self._splits = load_data(domain, root, size=size)
        if texts:
            self._splits = self._splits.with_texts(*texts)
        self._prompt = prompt_for(self._box, prompt, size, **(prompt_options or {}))
        self._settings: dict[str, Any] = {"loss": loss, "batch": batch, "augment": augment}
        self._images = images
        self.dim = self._prompt.dim
        self.name = f"seg-{box}-{domain}-{prompt}-d{self.dim}"
        self._objective = 0, self._made(0)  # of the last seed: a run has one
        self._seen: tuple[bytes, dict[str, float]] = b"", {}

    def x0(self, seed: int) -> FloatArray:
        """The prompt's own start, shape (dim,), float32."""
        return np.asarray(self._prompt.x0(seed))

    def losses(self, X: FloatArray, step: int, seed: int) -> FloatArray:
        """Losses, shape (n,), of the candidates on the minibatch of this step."""
        if self._objective[0] != seed:
            self._objective = seed, self._made(seed)
        return np.asarray(self._objective[1].losses(np.asarray(X), step))

    def _made(self, seed: int) -> Objective:
        from zoo_opt_seg.adaptation.objective import Objective

        own = int(np.random.default_rng(pair_seed(self.name, seed)).integers(2**31))
        box: Any = self._box
        return Objective(box, self._prompt, self._splits.train, seed=own, **self._settings)

    def metrics(self, x: FloatArray) -> dict[str, float]:
        """Loss on validation, Dice and HD95 on test, with one prompt per image, the same for all runs."""
        vector = np.asarray(x, np.float32)
        if self._seen[0] != vector.tobytes():
            self._seen = vector.tobytes(), self._measured(vector)
        return dict(self._seen[1])

    def _measured(self, x: np.ndarray) -> dict[str, float]:
        from zoo_opt_seg.data.draws import draw_prompts, kind_for
        from zoo_opt_seg.measures.evaluation import evaluate
        from zoo_opt_seg.measures.losses import black_box_loss

        if not np.isfinite(x).all():
            return dict.fromkeys(("validation_loss", "test_dice", "test_hd95"), float("nan"))
        validation, test = self._splits.validation[: self._images], self._splits.test[: self._images]
        told = draw_prompts(kind_for(self._box), validation, (0, 1), exact=True)
        answer = self._prompt.answer(self._box, x, self._prompt.context(np.asarray(validation.images), told))
        loss = black_box_loss(self._settings["loss"], answer, np.asarray(validation.masks))
        summary = evaluate(self._box, test, prompt=self._prompt, x=x, repeats=1, seed=0).summary()
        return {"validation_loss": float(loss), "test_dice": summary["dice"], "test_hd95": summary["hd95"]}

"""Benchmark targets for `zoo-opt bench`: a black box, a domain and a visual prompt, such as ``seg:tiny/disc/baps``.

Found through the entry point ``seg`` in the group ``zoo_opt.objectives``; see `zoo_opt.support.plugins`. Importing this
module is quick: torch comes when a target is made.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from zoo_opt.bench.problems.protocol import FloatArray, pair_seed
from zoo_opt.support.loading import require

if TYPE_CHECKING:
    from zoo_opt_seg.adaptation.objective import Objective

BOXES = {"tiny": "SAM", "tiny-clipseg": "CLIPSeg, asked by text"}
DOMAINS = ("skin", "disc", "tool", "polyp", "polypgen", "dsb2018")
PROMPTS = ("baps", "filter", "lowrank", "blackvip", "vpt", "bar")
ABOUT = {
    "baps": "the image-prompt decoder of BAPS",
    "filter": "one filter for all images",
    "lowrank": "an additive image of low rank",
    "blackvip": "the coordinator of BlackVIP",
    "vpt": "one additive image for all",
    "bar": "a frame of free colours",
}


def targets() -> dict[str, str]:
    """What can follow ``seg:``, with a line about each."""
    options = "batch=16, loss=bce+dice, augment, size=96, prompt_options={}, data_root, texts"
    where = f"DOMAIN {', '.join(DOMAINS[:4])}, drawn; {', '.join(DOMAINS[4:])} under data_root or $ZOO_OPT_DATA"
    return {
        f"{box}/DOMAIN/{prompt}": f"the embedded {what}, {ABOUT[prompt]}"
        + (f"; {where}: {options}" if (box, prompt) == ("tiny", PROMPTS[0]) else "")
        for box, what in BOXES.items()
        for prompt in PROMPTS
    }


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
    for what, part, known in zip(("box", "domain", "prompt"), parts, (BOXES, DOMAINS, PROMPTS), strict=True):
        if part not in known:
            raise ValueError(f"the {what} of a seg target must be one of {', '.join(known)}, got {part!r} in {name!r}")
    own = {"tiny": ("segment_anything", "segment-anything"), "tiny-clipseg": ("transformers", "transformers")}
    for module, package in (("torch", "torch"), own[parts[0]], ("monai", "monai")):
        require(module, package, extra="seg")
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

        from zoo_opt_seg.blackbox import tiny
        from zoo_opt_seg.data import SYNTHETIC, load_data
        from zoo_opt_seg.visual_prompts import prompt_for

        torch.set_num_threads(1)
        root = None
        if domain not in SYNTHETIC:
            folder = data_root or os.environ.get("ZOO_OPT_DATA")
            if folder is None:
                raise ValueError(f"data_root must be the folder that {domain} lies in, or set ZOO_OPT_DATA")
            root = os.path.join(folder, domain)
        self._box: Any = tiny.TinySam() if box == "tiny" else tiny.TinyClipSeg()
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
        """Loss on validation, Dice and HD95 on test, with one random point or text per image, the same for all runs."""
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
        told = draw_prompts(kind_for(self._box), validation, (0, 1))
        found = self._prompt.answer(self._box, x, self._prompt.context(validation.images, told))
        loss = black_box_loss(self._settings["loss"], found, validation.masks)
        summary = evaluate(self._box, test, prompt=self._prompt, x=x, repeats=1, seed=0).summary()
        return {"validation_loss": float(loss), "test_dice": summary["dice"], "test_hd95": summary["hd95"]}

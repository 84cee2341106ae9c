"""The ladder trained on labelled slices, by its paper's recipe or the released one."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from zoo_opt_seg.data.slice_augmentation import KINDS, augment_slices
from zoo_opt_seg.data.volumes import LabelledSlices, VolumeSplits
from zoo_opt_seg.digests import data_digest, weights_digest
from zoo_opt_seg.whitebox.core.comparator import RowRequest, Trained
from zoo_opt_seg.whitebox.core.recipe import Recipe, Validation
from zoo_opt_seg.whitebox.core.trainer import Fitted, Report, Trainable, fit
from zoo_opt_seg.whitebox.ladder.embeddings import CachedEmbeddings
from zoo_opt_seg.whitebox.ladder.model import Ladder, LadderSam, sam_of_size

if TYPE_CHECKING:
    from segment_anything.modeling import Sam

AUGMENT = 1  # stream of the seed
SMOOTH = 1e-5  # of the Dice ratio, as released

PAPER = Recipe(
    epochs=200, batch=24, optimizer="adam", lr=1e-3, weight_decay=0.0, warmup=250, schedule="constant", stop_after=None
)
"""What the paper says; of what follows the warm-up it says nothing."""

RELEASED = replace(PAPER, optimizer="adamw", weight_decay=0.1, schedule="polynomial", power=0.9)
"""The authors' code: AdamW, and (1 - t / T)^0.9 after the warm-up, T the steps that are left."""

EMBEDDED = replace(RELEASED, epochs=40, batch=8, lr=3e-3, warmup=40)
"""For the embedded SAM on the drawn CT: a few hundred slices want smaller batches and longer steps."""


def ladder_loss(logits: Tensor, labels: Tensor, *, dice: float = 0.8) -> Tensor:
    """Return 0.2 cross-entropy + 0.8 Dice loss, as released.

    Of each class the Dice loss is 1 - 2 sum(p y) / (sum(p^2) + sum(y^2)), sums over all pixels of the batch; the mean
    over classes, the background among them.

    Parameters
    ----------
    logits : Tensor, shape (n, classes, h, w)
    labels : Tensor of integers, shape (n, h, w)
    dice : float
        Weight of the Dice loss; the cross-entropy has the rest.

    Returns
    -------
    Tensor, shape ()
    """
    logits, truth = logits.float(), labels.long()  # sums over all pixels have no room in 16 bits
    cross_entropy = F.cross_entropy(logits, truth)
    p = logits.softmax(dim=1)
    y = F.one_hot(truth, logits.shape[1]).permute(0, 3, 1, 2).to(p.dtype)
    both, sizes = (p * y).sum(dim=(0, 2, 3)), (p * p).sum(dim=(0, 2, 3)) + (y * y).sum(dim=(0, 2, 3))
    return (1 - dice) * cross_entropy + dice * (1 - (2 * both + SMOOTH) / (sizes + SMOOTH)).mean()


class LadderTraining(Trainable):
    """A ladder on the slices of a set of volumes.

    The loss is taken on the low-resolution logits, against labels brought to their size by the nearest pixel.

    Parameters
    ----------
    ladder : LadderSam
    splits : VolumeSplits
        Trained on ``splits.train``, chosen by ``splits.validation``; the test volumes are not looked at.
    augment : str or None
        ``"released"``, ``"turns"`` (`zoo_opt_seg.data.slice_augmentation`) or None.
    cache : path or None
        Folder for SAM's embeddings. The training is the same with it, bit for bit.
    batch : int
        Slices per forward pass of the validation.

    Attributes
    ----------
    embed : callable
        Where the embeddings come from: with a cache, its ``hits`` and ``misses`` tell what it saved.
    """

    def __init__(
        self,
        ladder: LadderSam,
        splits: VolumeSplits,
        *,
        augment: str | None = "released",
        cache: str | os.PathLike[str] | None = None,
        batch: int = 24,
    ) -> None:
        if augment not in (None, *KINDS):
            raise ValueError(f"augment must be None or one of {', '.join(KINDS)}, got {augment!r}")
        if ladder.config.classes != len(splits.classes) + 1:
            wanted = len(splits.classes) + 1
            raise ValueError(f"ladder must have {wanted} classes for {splits.name}, got {ladder.config.classes}")
        self.ladder, self.augmentation, self._batch = ladder, augment, batch
        self._train, self._validation = splits.train, splits.validation
        self.embed: Callable[[Tensor], Tensor] = ladder.embed
        if cache is not None and ladder.config.encoders != "cnn":
            self.embed = CachedEmbeddings(ladder, cache)
        self.size = len(splits.train)
        self.data = data_digest(*(a for part in (splits.train, splits.validation) for a in (part.images, part.labels)))
        names = hashlib.sha256(" ".join([*splits.train.names, "/", *splits.validation.names]).encode()).hexdigest()
        what = f"{ladder.config!r} of {weights_digest(ladder)[:8]}"
        self.name = f"{what} on {splits.name}-{names[:8]} ({self._train.images.shape}, augment={augment!r})"

    def tensors(self) -> Mapping[str, Tensor]:
        """Return the trained parameters, and the batch normalisation's running values."""
        return self.ladder.tensors()

    def train(self, mode: bool) -> None:
        """Switch the CNN's batch normalisation."""
        self.ladder.train(mode)

    def loss(self, rows: np.ndarray, seed: tuple[int, ...]) -> Tensor:
        """Return the loss of these slices."""
        images, labels = self._train.images[rows], self._train.labels[rows]
        if self.augmentation is not None:
            images, labels = augment_slices(images, labels, (*seed, AUGMENT), self.augmentation)
        logits = self.ladder.logits(images, embed=self.embed)
        return ladder_loss(logits, low_resolution(labels, logits))

    def validate(self) -> Validation:
        """Return the mean loss per slice, and the mean Dice of the classes, each over all pixels of all slices."""
        if not len(self._validation):
            return Validation(float("nan"), float("nan"))
        classes = self.ladder.config.classes
        counts, total = np.zeros((3, classes), np.int64), 0.0
        for start in range(0, len(self._validation), self._batch):
            part: LabelledSlices = self._validation[start : start + self._batch]
            with torch.no_grad():
                logits = self.ladder.logits(part.images, embed=self.embed)
            total += float(ladder_loss(logits, low_resolution(part.labels, logits))) * len(part)
            predicted = self.ladder.enlarged(logits, part.images.shape[1:])
            for row, labels in enumerate((predicted[predicted == part.labels], predicted, part.labels)):
                counts[row] += np.bincount(labels.ravel(), minlength=classes)
        both, p, t = counts[:, 1:]
        some = p + t > 0
        return Validation(total / len(self._validation), float((2 * both[some] / (p + t)[some]).mean()))


def low_resolution(labels: np.ndarray, logits: Tensor) -> Tensor:
    """Return labels, uint8 (n, H, W), at the size of logits (n, classes, h, w), from the nearest pixels."""
    large = torch.from_numpy(np.ascontiguousarray(labels)).to(logits.device)[:, None]
    return F.interpolate(large, logits.shape[2:], mode="nearest-exact")[:, 0]


def train_ladder(
    sam: Sam,
    splits: VolumeSplits,
    config: Ladder | None = None,
    *,
    recipe: Recipe = RELEASED,
    augment: str | None = "released",
    weights: str | os.PathLike[str] | None = None,
    cache: str | os.PathLike[str] | None = None,
    out: Path | None = None,
    report: Report | None = None,
) -> tuple[LadderSam, Fitted]:
    """Train a ladder on slices.

    Parameters
    ----------
    sam : segment_anything.modeling.Sam
        Left as it is. For the published configuration ``sam_of_size(vit_b, 512)``.
    splits : VolumeSplits
    config : Ladder or None
        None: both encoders, and the classes of `splits`.
    recipe : Recipe
        Its seed is that of all that is random in the ladder too.
    augment : str or None
        ``"released"``, ``"turns"`` or None.
    weights : path or None
        ImageNet weights of ResNet-18.
    cache : path or None
        Folder for SAM's embeddings.
    out : path or None
        Folder to resume from; the ladder is written there as ``ladder.safetensors``.
    report : callable or None
        As in `fit`.

    Returns
    -------
    ladder : LadderSam
    fitted : Fitted

    Raises
    ------
    ValueError
        If there are no validation slices to choose the epoch by, and the recipe does not keep the last one.
    """
    if not len(splits.validation) and recipe.keep != "last":
        raise ValueError(f"recipe must have keep='last' where {splits.name} has no validation, got {recipe.keep!r}")
    ladder = LadderSam(sam, config or Ladder(len(splits.classes) + 1), weights=weights, seed=recipe.seed)
    task = LadderTraining(ladder, splits, augment=augment, cache=cache, batch=recipe.batch)
    fitted = fit(task, recipe, out=out, report=report)
    if out is not None:
        ladder.save(Path(out) / "ladder.safetensors")
    return ladder, fitted


def row(request: RowRequest) -> Trained:
    """A row of a table: a ladder on a SAM, brought to the row's size if it has another.

    The options are those of `Ladder` but for the classes, and:

    - ``trained = false``: measured as it starts; with ``encoders = "sam"``, SAM without fine-tuning.
    - ``through``: of `LadderSam.labels`, on the test volumes.
    - ``weights``: a file with ImageNet's ResNet-18 in the folder of checkpoints.
    - ``cache``: whether embeddings are kept in the table's folder, where its rows share them; true without. One of
      ViT-B takes 1 MB (4 MB at 1024 pixels), and the released augmentation makes some 34 of each slice.
    """
    if request.loss is not None:
        raise ValueError(f"settings of {request.label!r}: a ladder has one loss, got {request.loss!r}")
    options, splits, sam = dict(request.options), request.splits, request.model.sam
    trained, cached = options.pop("trained", True), options.pop("cache", True)
    through = options.pop("through", None)
    config, weights = Ladder(len(splits.classes) + 1, **options), request.files.get("weights")
    if sam.image_encoder.img_size != request.size:
        sam = sam_of_size(sam, request.size)
    fitted = None
    if trained:
        cache = request.shared / "embeddings" if cached else None
        model, fitted = train_ladder(sam, splits, config, weights=weights, cache=cache, **request.training)
    else:
        model = LadderSam(sam, config, weights=weights, seed=request.recipe.seed)
    labels = model.labels if through is None else partial(model.labels, through=through)
    return Trained(labels, fitted, figures={"gate": round(model.gate, 4)})

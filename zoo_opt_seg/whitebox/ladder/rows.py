"""Rows of tables: the ladder, or SAM without fine-tuning."""

from __future__ import annotations

from zoo_opt_seg.whitebox.core.comparator import Request, Trained
from zoo_opt_seg.whitebox.ladder.model import Ladder, LadderSam, sam_of_size
from zoo_opt_seg.whitebox.ladder.training import train_ladder


def ladder(request: Request) -> Trained:
    """Train a ladder on a SAM, brought to the row's size if it has another.

    The options are those of `Ladder` but for the classes, and:

    - ``trained = false``: measured as it starts; with ``encoders = "sam"``, SAM without fine-tuning.
    - ``weights``: a file with ImageNet's ResNet-18 in the folder of checkpoints.
    - ``cache``: whether embeddings are kept in the table's folder, where its rows share them; true without. One of
      ViT-B takes 1 MB (4 MB at 1024 pixels), and the released augmentation makes some 34 of each slice.
    """
    if request.loss is not None:
        raise ValueError(f"settings of {request.label!r}: a ladder has one loss, got {request.loss!r}")
    options, splits, sam = dict(request.options), request.splits, request.model.sam
    trained, cached = options.pop("trained", True), options.pop("cache", True)
    config, weights = Ladder(len(splits.classes) + 1, **options), request.files.get("weights")
    if sam.image_encoder.img_size != request.size:
        sam = sam_of_size(sam, request.size)
    fitted = None
    if trained:
        cache = request.shared / "embeddings" if cached else None
        model, fitted = train_ladder(sam, splits, config, weights=weights, cache=cache, **request.training)
    else:
        model = LadderSam(sam, config, weights=weights, seed=request.recipe.seed)
    return Trained(model.labels, fitted, figures={"gate": round(model.gate, 4)})

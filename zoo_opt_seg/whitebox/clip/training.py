"""CRIS and SAN trained on a domain with texts."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

from zoo_opt_seg.data.samples import Splits
from zoo_opt_seg.whitebox.clip.cris import CRIS
from zoo_opt_seg.whitebox.clip.san import SAN
from zoo_opt_seg.whitebox.clip.text_net import TextNet
from zoo_opt_seg.whitebox.clip.text_segmenter import TextSegmenter
from zoo_opt_seg.whitebox.core import recipes
from zoo_opt_seg.whitebox.core.comparator import RowRequest, Trained
from zoo_opt_seg.whitebox.core.trainer import Fitted
from zoo_opt_seg.whitebox.core.training import TrainingSettings, WeightsTraining


def text_training(model: TextSegmenter, splits: Splits, **settings: Any) -> WeightsTraining:
    """A CRIS, all of it, or a SAN's adapter, on one domain with a text drawn for each image.

    Parameters
    ----------
    model : TextSegmenter
    splits : Splits
        With texts.
    **settings
        ``augment``, ``seed`` and ``loss`` of `WeightsTraining`; the loss is `VLSM_LOSS` without.
    """
    settings = {"loss": recipes.VLSM_LOSS, **settings}
    return WeightsTraining(model, splits, repr(model.net.config), model.net.trained, module=model.net, **settings)


def train_text_net(net: TextNet, splits: Splits, *, box: Any = None, **training: Any) -> tuple[TextSegmenter, Fitted]:
    """Train CRIS end to end, CLIP included, or SAN's adapter beside its frozen CLIP.

    Parameters
    ----------
    net : CRIS or SAN
        Trained in place.
    splits : Splits
        With texts.
    box : mapping, optional
        Options of the `TextSegmenter` around it, such as ``quantize``.
    **training
        See `TrainingSettings`. Without: the network's own recipe, no augmentation and the loss ``"bce+1.5dice"``, as
        compared in VLSM-Adapter. ``cris.safetensors`` or ``san.safetensors`` is written into the folder ``out``.

    Returns
    -------
    model : TextSegmenter
        With the weights of the epoch with the best validation Dice.
    fitted : Fitted

    Notes
    -----
    Of SAN the combined mask is trained, as in VLSM-Adapter's comparison, and not each proposal by matching it to a
    label as for many classes. There (released), the proposals' embeddings are computed without a gradient, so that the
    biases stay as they were drawn; here the gradient passes through CLIP's last layers, as in SAN's own training.
    """
    how, box = replace(TrainingSettings(recipe=net.recipe, loss=recipes.VLSM_LOSS), **training), box or {}
    file, trained = f"{type(net).__name__.lower()}.safetensors", TextSegmenter(net, **box)
    task = how.task(partial(text_training, TextSegmenter(net, **box), splits))
    return trained, how.run(task, lambda out: trained.save(out / file))  # its name is that of the trained weights


def _row(kind: type[TextNet], request: RowRequest) -> Trained:
    """A row of a table: the published network around ``weights``, or without them the small one."""
    if request.options:
        raise ValueError(f"options of {request.label!r} must be weights, got {min(request.options)!r}")
    file, seed = request.files.get("weights"), request.recipe.seed
    net = kind.tiny(request.model.model, seed=seed) if file is None else kind.published(file, seed=seed)
    return Trained(*train_text_net(net, request.splits, box=request.model.settings, **request.training))


cris_row, san_row = partial(_row, CRIS), partial(_row, SAN)

"""CLIPSeg trained on a domain: adapters around it, the whole of it, or its decoder."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from zoo_opt.core.errors import one_of
from zoo_opt.storage.atomic import write_atomically
from zoo_opt_seg.blackbox.clipseg import ClipSegBlackBox
from zoo_opt_seg.data.samples import Splits
from zoo_opt_seg.whitebox.core import recipes
from zoo_opt_seg.whitebox.core.comparator import RowRequest, Trained
from zoo_opt_seg.whitebox.core.recipe import Recipe
from zoo_opt_seg.whitebox.core.trainer import Fitted
from zoo_opt_seg.whitebox.core.training import TrainingSettings, WeightsTraining
from zoo_opt_seg.whitebox.vlsm.adapter import VLSMAdapter
from zoo_opt_seg.whitebox.vlsm.layers import VLSM

PARTS = ("all", "decoder")
TRAINING = TrainingSettings(recipe=recipes.CLIPSEG, loss=recipes.VLSM_LOSS)  # without augmentation, as in the paper


def recipe_for(config: VLSM) -> Recipe:
    """The paper's recipe for a kind of adapters."""
    return recipes.VLSM_DENSE if config.kind == "dense" else recipes.VLSM_SHALLOW


def vlsm_training(adapted: VLSMAdapter, model: ClipSegBlackBox, splits: Splits, **settings: Any) -> WeightsTraining:
    """Adapters around a frozen CLIPSeg, on one domain.

    Parameters
    ----------
    adapted : VLSMAdapter
    model : ClipSegBlackBox
        Whose tokenizer and options are used around the adapted model.
    splits : Splits
        With texts.
    **settings
        ``augment``, ``seed`` and ``loss`` of `WeightsTraining`; the loss is `VLSM_LOSS` without.
    """
    box, settings = model.around(adapted.clipseg), {"loss": recipes.VLSM_LOSS, **settings}
    return WeightsTraining(box, splits, repr(adapted.config), adapted.tensors, **settings)


def clipseg_training(
    clipseg: Any, model: ClipSegBlackBox, splits: Splits, parts: str = "all", **settings: Any
) -> WeightsTraining:
    """CLIPSeg itself, on one domain.

    Parameters
    ----------
    clipseg : transformers.CLIPSegForImageSegmentation
        Trained in place.
    model : ClipSegBlackBox
        Whose tokenizer and options are used around it.
    splits : Splits
        With texts.
    parts : str
        ``"all"``, or ``"decoder"``, the encoders frozen.
    **settings
        As of `vlsm_training`.
    """
    one_of("parts", parts, PARTS)
    for name, parameter in clipseg.named_parameters():
        parameter.requires_grad_(parts == "all" or name.startswith("decoder."))
    trained = {name: p for name, p in clipseg.named_parameters() if p.requires_grad}
    box, settings = model.around(clipseg), {"loss": recipes.VLSM_LOSS, **settings}
    return WeightsTraining(box, splits, f"CLIPSeg ({parts})", lambda: trained, module=clipseg, **settings)


def train_vlsm(
    model: ClipSegBlackBox, splits: Splits, config: VLSM | None = None, **training: Any
) -> tuple[VLSMAdapter, Fitted]:
    """Train adapters around a frozen CLIPSeg until the validation Dice gets no better.

    Parameters
    ----------
    model : ClipSegBlackBox
        Left as it is. ``model.around(adapted.clipseg)`` evaluates the result.
    splits : Splits
        With texts; one is drawn at random for each image and step.
    config : VLSM or None
        None: dense, in both encoders.
    **training
        In place of those of `TRAINING`, the recipe of `recipe_for`; see `TrainingSettings`. ``vlsm.safetensors``, the
        adapters, is written into the folder ``out``.

    Returns
    -------
    adapted : VLSMAdapter
        With the weights of the epoch with the best validation Dice.
    fitted : Fitted
    """
    config = config or VLSM()
    how = replace(TRAINING, **{"recipe": recipe_for(config), **training})
    adapted = VLSMAdapter(model.model, config, seed=how.recipe.seed)
    task = how.task(partial(vlsm_training, adapted, model, splits))
    return adapted, how.run(task, lambda out: adapted.save(out / "vlsm.safetensors"))


def train_clipseg(
    model: ClipSegBlackBox, splits: Splits, parts: str = "all", **training: Any
) -> tuple[ClipSegBlackBox, Fitted]:
    """Train a copy of CLIPSeg itself until the validation Dice gets no better.

    Parameters
    ----------
    model : ClipSegBlackBox
        Left as it is.
    splits : Splits
        With texts.
    parts : str
        ``"all"``: end to end, text and image encoder too. ``"decoder"``: what the authors' row "CLIPSeg
        E2E" trains in fact, 1,127,009 of 150,747,746, since transformers runs both encoders without gradient.
    **training
        In place of those of `TRAINING`; see `TrainingSettings`. Model and configuration are written into ``out`` as the
        folder ``clipseg``, for transformers' ``from_pretrained``.

    Returns
    -------
    trained : ClipSegBlackBox
        With the weights of the epoch with the best validation Dice.
    fitted : Fitted
        Its `trained` counts the parameters too that the output does not depend on, as the published counts do: in the
        refined CLIPSeg 14,570,497, most of them in the image encoder's last two layers.
    """
    how, clipseg = replace(TRAINING, **training), copy.deepcopy(model.model)
    task = how.task(partial(clipseg_training, clipseg, model, splits, parts))
    fitted = how.run(task, lambda out: _save(clipseg, out / "clipseg"))
    return model.around(clipseg.eval()), fitted


def _save(clipseg: Any, folder: Path) -> None:
    """Write what ``from_pretrained`` reads, the weights all or nothing."""
    from safetensors.torch import save

    folder.mkdir(parents=True, exist_ok=True)
    clipseg.config.save_pretrained(folder)
    values = {name: tensor.detach().cpu().contiguous() for name, tensor in clipseg.state_dict().items()}
    write_atomically(folder / "model.safetensors", save(values, metadata={"format": "pt"}))


def recipe_of(options: Mapping[str, Any]) -> Recipe:
    """The recipe of a row of adapters with these options."""
    return recipe_for(VLSM(**options))


def adapters_row(request: RowRequest) -> Trained:
    """A row of a table: adapters; the options are those of `VLSM`."""
    adapted, fitted = train_vlsm(request.model, request.splits, VLSM(**request.options), **request.training)
    return Trained(request.model.around(adapted.clipseg), fitted)


def clipseg_row(request: RowRequest) -> Trained:
    """A row of a table: CLIPSeg itself; the option is ``parts``."""
    return Trained(*train_clipseg(request.model, request.splits, **request.options, **request.training))

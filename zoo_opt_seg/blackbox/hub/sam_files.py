"""A SAM, SAM-HQ or SAM 2 from a folder in transformers' format, or one sentence on what is wrong with it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import nn

from zoo_opt.core.errors import CheckpointError
from zoo_opt_seg.blackbox.hub.folders import described, folder_of, preparation_in
from zoo_opt_seg.blackbox.hub.preparation import Preparation

KINDS = {"sam": "SamModel", "sam_hq": "SamHQModel", "sam2": "Sam2Model", "sam2_video": "Sam2Model"}
"""The classes of transformers by what config.json says; the released SAM 2 are of ``sam2_video``, and hold both."""
STRETCHED = "Sam2Model"  # takes images that are stretched to its square; the others keep their shape
WEIGHTS = ("model.safetensors", "model.safetensors.index.json", "pytorch_model.bin", "pytorch_model.bin.index.json")


def load_folder(name_or_path: Path, example: str) -> tuple[nn.Module, Preparation, Path]:
    """Return the model of a folder, in evaluation mode on the CPU, what its processor does to images, and the folder.

    Parameters
    ----------
    name_or_path : path
        A folder as ``save_pretrained`` of model and processor writes it: config.json, weights, and, unless images are
        prepared as for the released weights, preprocessor_config.json (or processor_config.json); or a name.
    example : str
        A name, for the message where there is no such folder.

    Raises
    ------
    FileNotFoundError
        If there is no such folder, or a file of it is missing.
    CheckpointError
        If a file is truncated, or of another model.
    """
    folder = folder_of(name_or_path, example)
    kind = described(folder / "config.json").get("model_type")
    if kind not in KINDS:
        raise CheckpointError(
            f"{folder / 'config.json'} is of no {', '.join(sorted(set(KINDS.values())))}, its model_type {kind!r}"
        )
    if not any((folder / name).is_file() for name in WEIGHTS):
        raise FileNotFoundError(f"{folder} has no weights, none of {', '.join(WEIGHTS)}")
    made = class_of(kind)
    try:
        with torch.random.fork_rng(devices=[]), no_bar():
            model, found = made.from_pretrained(
                folder, local_files_only=True, output_loading_info=True, dtype=torch.float32
            )
    except Exception as error:  # whatever the readers come across
        reason = " ".join(str(error).split())[:160]
        raise CheckpointError(f"{folder} has weights that cannot be read, or of another model: {reason}") from None
    for what in ("missing_keys", "mismatched_keys"):
        if keys := sorted(map(str, found[what])):
            raise CheckpointError(f"{folder} does not fit its config.json: {len(keys)} {what} ({keys[0]}, ...)")
    return model.eval(), preparation_in(folder, usual_preparation(model.config)), folder


@contextlib.contextmanager
def no_bar() -> Iterator[None]:
    """Keep transformers from drawing a bar of the weights that it reads."""
    from transformers.utils import logging

    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            logging.enable_progress_bar()


def class_of(kind: str) -> Any:
    """Return the class of transformers for a model_type.

    Raises
    ------
    ImportError
        If the installed transformers has none yet.
    """
    import transformers

    made = getattr(transformers, KINDS[kind], None)
    if made is None:
        raise ImportError(f"{KINDS[kind]} needs a newer transformers, {transformers.__version__} is installed")
    return made


def usual_preparation(config: Any) -> Preparation:
    """Return how images are prepared for a model whose files do not say."""
    side = int(config.prompt_encoder_config.image_size)
    return Preparation((side, side), kept=KINDS[config.model_type] != STRETCHED)

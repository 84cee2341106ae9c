"""CLIPSeg from a folder in transformers' format, or one sentence on what is wrong with it; nothing is downloaded."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from zoo_opt.core.errors import CheckpointError
from zoo_opt_seg.blackbox.checkpoints import misfit
from zoo_opt_seg.blackbox.hub.folders import described, folder_of, preparation_in
from zoo_opt_seg.blackbox.hub.preparation import Preparation
from zoo_opt_seg.features.encoders import read_state
from zoo_opt_seg.features.text_encoders import Tokenizer

RELEASED = "CIDAS/clipseg-rd64-refined"
SIZE = 352  # pixels, of the released CLIPSeg's images
WEIGHTS = ("model.safetensors", "pytorch_model.bin")
VOCABULARIES = (("tokenizer.json",), ("vocab.json", "merges.txt"))


def load_clipseg(name_or_path: str | Path) -> tuple[nn.Module, Tokenizer, Preparation, Path]:
    """Return CLIPSeg from a folder, or from the cache of Hugging Face on this machine, in evaluation mode on the CPU.

    Parameters
    ----------
    name_or_path : str or path
        A folder as ``save_pretrained`` of model and processor writes it: config.json, model.safetensors (or
        pytorch_model.bin), a tokenizer, and, unless images are prepared as for the released weights,
        preprocessor_config.json (or processor_config.json); or a name such as ``"CIDAS/clipseg-rd64-refined"``.

    Raises
    ------
    FileNotFoundError
        If there is no such folder, or a file of it is missing.
    zoo_opt.core.errors.CheckpointError
        If a file is truncated, or of another model.
    """
    folder = folder_of(name_or_path, RELEASED)
    from transformers import CLIPSegConfig, CLIPSegForImageSegmentation

    config = described(folder / "config.json")
    if config.get("model_type") != "clipseg":
        raise CheckpointError(
            f"{folder / 'config.json'} is not of CLIPSeg, its model_type {config.get('model_type')!r}"
        )
    weights = next((folder / name for name in WEIGHTS if (folder / name).is_file()), None)
    if weights is None:
        raise FileNotFoundError(f"{folder} has no weights, neither {WEIGHTS[0]} nor {WEIGHTS[1]}")
    try:
        state = read_state(weights)
    except Exception as error:  # whatever the readers come across
        reason = " ".join(str(error).split())[:120]
        raise CheckpointError(f"{weights} cannot be read, it is truncated or holds no weights: {reason}") from None
    with torch.random.fork_rng(devices=[]):  # its random start is overwritten, and is not to cost anyone's draws
        model: nn.Module = CLIPSegForImageSegmentation(CLIPSegConfig.from_dict(config))
    wanted = model.state_dict()
    state = {key: value for key, value in state.items() if key in wanted or not key.endswith("position_ids")}
    if complaint := misfit(wanted, state):
        raise CheckpointError(f"{weights} does not fit the CLIPSeg of its config.json: {complaint}")
    model.load_state_dict(state, strict=False)  # buffers of numbers in a row are not in the file
    tokenizer = _tokenizer(folder, model)
    return model.eval(), tokenizer, preparation_in(folder, Preparation((SIZE, SIZE))), folder


def tokens_of(tokenizer: Any, longest: int) -> Tokenizer:
    """Return a tokenizer of transformers as a function of texts to ids and attention mask, of at most ``longest``."""

    def tokens(texts: Sequence[str]) -> tuple[Tensor, Tensor]:
        encoded = tokenizer(list(texts), padding=True, truncation=True, max_length=longest, return_tensors="pt")
        return encoded["input_ids"], encoded["attention_mask"]

    return tokens


def _tokenizer(folder: Path, model: Any) -> Tokenizer:
    """Return the folder's tokenizer; without its files transformers would make an empty one."""
    if not any(all((folder / name).is_file() for name in names) for names in VOCABULARIES):
        raise FileNotFoundError(f"{folder} has no tokenizer: tokenizer.json, or vocab.json and merges.txt")
    from transformers import AutoTokenizer

    try:
        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    except Exception as error:  # whatever the readers come across
        reason = " ".join(str(error).split())[:120]
        raise CheckpointError(f"{folder} has a tokenizer that cannot be read: {reason}") from None
    text = model.config.text_config
    if len(tokenizer) > text.vocab_size:
        raise CheckpointError(
            f"{folder} has a tokenizer of {len(tokenizer)} words, its model knows {text.vocab_size}: it is another's"
        )
    return tokens_of(tokenizer, text.max_position_embeddings)

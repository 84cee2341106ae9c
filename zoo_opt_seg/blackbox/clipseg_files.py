"""CLIPSeg from a folder in transformers' format, or one sentence on what is wrong with it; nothing is downloaded."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from zoo_opt.core.errors import CheckpointError
from zoo_opt.support.json_files import read_json
from zoo_opt_seg.blackbox.checkpoints import misfit
from zoo_opt_seg.embedded.clipseg import MEAN, STD
from zoo_opt_seg.features.encoders import read_state
from zoo_opt_seg.features.text_encoders import Tokenizer

RELEASED = "CIDAS/clipseg-rd64-refined"
SIZE = 352  # pixels, of the released CLIPSeg's images
WEIGHTS = ("model.safetensors", "pytorch_model.bin")
PREPARED = {"do_resize": True, "resample": 2, "do_rescale": True, "rescale_factor": 1 / 255, "do_normalize": True}
"""What processors say of the rest of the preparation, 2 being Pillow's number for bilinear."""
VOCABULARIES = (("tokenizer.json",), ("vocab.json", "merges.txt"))


class Preparation(NamedTuple):
    """What is done to an image before CLIPSeg sees it.

    Parameters
    ----------
    size : (int, int)
        Height and width in pixels that it is stretched to.
    mean, std : tuple of 3 floats
        Of R, G, B in [0, 1].
    """

    size: tuple[int, int]
    mean: tuple[float, ...] = MEAN
    std: tuple[float, ...] = STD


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
    folder = _folder(name_or_path)
    from transformers import CLIPSegConfig, CLIPSegForImageSegmentation

    described = _json(folder / "config.json")
    if described.get("model_type") != "clipseg":
        raise CheckpointError(
            f"{folder / 'config.json'} is not of CLIPSeg, its model_type {described.get('model_type')!r}"
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
        model: nn.Module = CLIPSegForImageSegmentation(CLIPSegConfig.from_dict(described))
    wanted = model.state_dict()
    state = {key: value for key, value in state.items() if key in wanted or not key.endswith("position_ids")}
    if complaint := misfit(wanted, state):
        raise CheckpointError(f"{weights} does not fit the CLIPSeg of its config.json: {complaint}")
    model.load_state_dict(state, strict=False)  # buffers of numbers in a row are not in the file
    tokenizer = _tokenizer(folder, model)
    return model.eval(), tokenizer, _preparation(folder), folder


def tokens_of(tokenizer: Any, longest: int) -> Tokenizer:
    """Return a tokenizer of transformers as a function of texts to ids and attention mask, of at most ``longest``."""

    def tokens(texts: Sequence[str]) -> tuple[Tensor, Tensor]:
        encoded = tokenizer(list(texts), padding=True, truncation=True, max_length=longest, return_tensors="pt")
        return encoded["input_ids"], encoded["attention_mask"]

    return tokens


def _folder(name_or_path: str | Path) -> Path:
    folder = Path(name_or_path)
    if folder.is_dir():
        return folder
    from huggingface_hub import snapshot_download

    try:
        return Path(snapshot_download(str(name_or_path), local_files_only=True))
    except Exception:  # not a name, not in the cache, ...
        raise FileNotFoundError(
            f"name_or_path {str(name_or_path)!r} is neither a folder nor in the Hugging Face cache of this machine; "
            f'where there is a network, "hf download {RELEASED} --local-dir FOLDER" makes a folder to be given'
        ) from None


def _json(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise FileNotFoundError(f"{path.parent} has no {path.name}")
    described = read_json(path, CheckpointError)
    if not isinstance(described, dict):
        raise CheckpointError(f"{path} must hold an object, got a {type(described).__name__}")
    return described


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


def _preparation(folder: Path) -> Preparation:
    """Return what the folder's processor does to images."""
    for name in ("preprocessor_config.json", "processor_config.json"):
        if not (folder / name).is_file():
            continue
        given = _json(folder / name)
        given = given.get("image_processor", given)
        if "image_mean" not in given:
            continue
        size = given.get("size", SIZE)
        try:
            for key, wanted in PREPARED.items():
                if given.get(key) is not None and abs(float(given[key]) - wanted) > 1e-6:
                    raise CheckpointError(
                        f"{folder / name} prepares images in another way: its {key} is {given[key]}, expected {wanted}"
                    )
            height, width = (size["height"], size["width"]) if isinstance(size, dict) else (size, size)
            mean, std = (tuple(float(value) for value in given[key]) for key in ("image_mean", "image_std"))
            return Preparation((int(height), int(width)), mean, std)
        except (KeyError, TypeError, ValueError) as error:
            raise CheckpointError(f"{folder / name} does not say how images are prepared: {error!r}") from None
    return Preparation((SIZE, SIZE))

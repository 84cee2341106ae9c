"""SAM's weights from a file in the official format, or one sentence on what is wrong with it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from zoo_opt.core.errors import CheckpointError, one_of
from zoo_opt_seg.blackbox.sams.mobile import build_mobile_sam, from_official

HOLDERS = ("model", "state_dict", "model_state_dict")  # keys under which training code puts the weights
DEPTH = 4  # of holders and prefixes, at most: a forged file may hold itself
PREFIXES = ("module.", "sam.", "model.")  # before every name, where the model was part of another one
WIDTHS = {"vit_b": 768, "vit_l": 1024, "vit_h": 1280}  # of the image encoders
HQ = "mask_decoder.hf_token.weight"  # which SAM-HQ has, and SAM has not
MOBILE = "vit_t"  # whose encoder is another: see `zoo_opt_seg.blackbox.sams.mobile`


def load_sam(model_type: str, checkpoint: str | os.PathLike[str] | None) -> nn.Module:
    """Return SAM with the weights of ``checkpoint``, in evaluation mode on the CPU.

    Parameters
    ----------
    model_type : {"vit_b", "vit_l", "vit_h", "vit_t"}
        vit_t is MobileSAM.
    checkpoint : path
        A state dict saved by ``torch.save`` or as safetensors; nothing but tensors is unpickled. It may be one entry
        among others, as ``{"model": ...}`` or ``{"state_dict": ...}``, and its names may have a prefix such as
        ``module.`` or ``sam.``.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    CheckpointError
        If it is truncated, no state dict, or does not fit the model.
    ValueError
        If the model type is unknown, or `checkpoint` is None.
    """
    one_of("model_type", model_type, (*WIDTHS, MOBILE))
    if checkpoint is None:
        raise ValueError(f"checkpoint must be a file with SAM's {model_type} weights, got None (or give sam=)")
    state = read_state_dict(checkpoint)
    with torch.random.fork_rng(devices=[]):  # its random start is overwritten, and is not to cost anyone's draws
        sam = _built(model_type)
    if (found := _type_of(state)) == MOBILE:
        state = from_official(state)
    if complaint := misfit(sam.state_dict(), state):
        hint = f"; its image encoder is that of {found}" if found not in ("", model_type) else ""
        hint += "; it is of SAM-HQ, see sam-hq" if HQ in state else ""
        raise CheckpointError(f"checkpoint {os.fspath(checkpoint)} does not fit SAM {model_type}: {complaint}{hint}")
    sam.load_state_dict(state)
    return sam.eval()


def _built(model_type: str) -> nn.Module:
    from segment_anything import sam_model_registry

    made: nn.Module = build_mobile_sam() if model_type == MOBILE else sam_model_registry[model_type]()
    return made


def _type_of(state: dict[str, Tensor]) -> str:
    """Return the type whose image encoder weights are of; "" if it is none of the known ones."""
    if "image_encoder.patch_embed.seq.0.c.weight" in state:
        return MOBILE
    width = getattr(state.get("image_encoder.pos_embed"), "shape", (0,))[-1]
    return next((name for name, w in WIDTHS.items() if w == width), "")


def read_state_dict(path: str | os.PathLike[str]) -> dict[str, Tensor]:
    """Return the tensors by name in a file of ``torch.save`` or safetensors, or raise as `load_sam` says."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    name = os.fspath(path)
    if not Path(path).is_file():
        raise FileNotFoundError(f"checkpoint {name} is not a file")
    try:
        if Path(path).suffix == ".safetensors":
            return dict(unwrapped(load_file(path)))
        state: Any = torch.load(path, map_location="cpu", weights_only=True)
    except OSError:
        raise
    except SafetensorError as error:
        raise CheckpointError(f"{name} is not a safetensors file, or it is truncated: {error}") from error
    except Exception as error:  # torch raises whatever its reader comes across
        first = str(error).strip().split("\n")[0][:120]
        raise CheckpointError(
            f"checkpoint {name} ({os.path.getsize(path)} bytes) cannot be read, it is truncated or not saved by "
            f"torch.save: {type(error).__name__}: {first}"
        ) from None
    state = unwrapped(state)
    if not isinstance(state, dict) or not state or not all(isinstance(value, Tensor) for value in state.values()):
        keys = f" with keys {', '.join(map(str, list(state)[:4]))}" if isinstance(state, dict) else ""
        raise CheckpointError(f"checkpoint {name} must hold tensors by name, got a {type(state).__name__}{keys}")
    return state


def unwrapped(state: Any) -> Any:
    """Return the weights of what a training has saved: out of `HOLDERS`, without `PREFIXES`; anything else as it is."""
    for _ in range(DEPTH):
        if not isinstance(state, dict):
            break
        holder = next((key for key in HOLDERS if isinstance(state.get(key), dict) and state[key]), None)
        if holder is not None:
            state = state[holder]
        elif prefix := _prefix(state):
            state = {name.removeprefix(prefix): value for name, value in state.items()}
    return state


def _prefix(state: dict[Any, Any]) -> str:
    """Return the one of `PREFIXES` that all names begin with; "" without one."""
    names = [name for name in state if isinstance(name, str)]
    if not names or len(names) < len(state):
        return ""
    return next((prefix for prefix in PREFIXES if all(name.startswith(prefix) for name in names)), "")


def misfit(wanted: dict[str, Tensor], state: dict[str, Tensor]) -> str:
    """Return what keeps ``state`` from being loaded where ``wanted`` are the names and shapes; "" if nothing does."""
    missing = [key for key in wanted if key not in state]
    foreign = [key for key in state if key not in wanted]
    other = [key for key in wanted if key in state and state[key].shape != wanted[key].shape]
    parts = [
        f"{len(keys)} tensors {what} ({keys[0]}{', ...' if len(keys) > 1 else ''})"
        for keys, what in ((missing, "missing"), (foreign, "unknown"), (other, "of another shape"))
        if keys
    ]
    if other:
        key = other[0]
        parts[-1] = parts[-1][:-1] + f": {tuple(state[key].shape)}, not {tuple(wanted[key].shape)})"
    return ", ".join(parts)

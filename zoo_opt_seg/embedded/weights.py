"""Storing weights as float16 in a safetensors file, and reading them back."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import torch

Module = TypeVar("Module", bound=torch.nn.Module)


def stored(build: Callable[[], Module], path: Path) -> Module:
    """The module that ``build`` makes, with the weights of a file, in evaluation mode and float32.

    Raises
    ------
    FileNotFoundError, ValueError
        As of `load_weights`.
    """
    with torch.random.fork_rng(devices=[]):  # the initial weights, to be overwritten, take from the global generator
        module = build()
    load_weights(module, path)
    return module.eval()


def load_weights(module: torch.nn.Module, path: Path) -> None:
    """Fill a module with weights of a file.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If it is no safetensors file, or its names or shapes are another model's.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    if not path.is_file():
        raise FileNotFoundError(f"the embedded weights {path} are missing")
    try:
        module.load_state_dict({name: value.float() for name, value in load_file(path).items()})
    except (SafetensorError, RuntimeError) as error:
        raise ValueError(f"{path} holds no weights of {type(module).__name__}: {error}") from error


def save_weights(module: torch.nn.Module, path: Path) -> None:
    """Write a module's weights and buffers as float16, all or nothing."""
    from safetensors.torch import save_file

    part = path.with_name(path.name + ".part")
    save_file({name: value.detach().half().contiguous() for name, value in module.state_dict().items()}, part)
    os.replace(part, path)

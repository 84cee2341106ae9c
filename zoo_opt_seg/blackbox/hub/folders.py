"""Folders in transformers' format: where they are, and what their files say of images."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from zoo_opt.core.errors import CheckpointError
from zoo_opt.support.json_files import read_json
from zoo_opt_seg.blackbox.hub.preparation import Preparation

PREPARED = {"do_resize": True, "resample": 2, "do_rescale": True, "rescale_factor": 1 / 255, "do_normalize": True}
"""What processors say of the rest of the preparation, 2 being Pillow's number for bilinear."""


def folder_of(name_or_path: str | Path, example: str) -> Path:
    """Return a folder, or the one of a name in the cache of Hugging Face on this machine.

    Parameters
    ----------
    name_or_path : str or path
    example : str
        A name, for the message.

    Raises
    ------
    FileNotFoundError
        If there is none; nothing is downloaded.
    """
    folder = Path(name_or_path)
    if folder.is_dir():
        return folder
    from huggingface_hub import snapshot_download

    try:
        return Path(snapshot_download(str(name_or_path), local_files_only=True))
    except Exception:  # not a name, not in the cache, ...
        raise FileNotFoundError(
            f"name_or_path {str(name_or_path)!r} is neither a folder nor in the Hugging Face cache of this machine; "
            f'where there is a network, "hf download {example} --local-dir FOLDER" makes a folder to be given'
        ) from None


def described(path: Path) -> dict[str, Any]:
    """Return the object in a JSON file.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    CheckpointError
        If it holds something else.
    """
    if not path.is_file():
        raise FileNotFoundError(f"{path.parent} has no {path.name}")
    found = read_json(path, CheckpointError)
    if not isinstance(found, dict):
        raise CheckpointError(f"{path} must hold an object, got a {type(found).__name__}")
    return found


def preparation_in(folder: Path, otherwise: Preparation) -> Preparation:
    """Return what the folder's processor does to images; ``otherwise`` where the folder says nothing.

    Raises
    ------
    CheckpointError
        If it does something else than resize bilinearly, normalise and pad.
    """
    for name in ("preprocessor_config.json", "processor_config.json"):
        if not (folder / name).is_file():
            continue
        given = described(folder / name)
        given = given.get("image_processor", given)
        if "image_mean" not in given:
            continue
        for key, wanted in PREPARED.items():
            if given.get(key) is not None and abs(float(given[key]) - wanted) > 1e-6:
                raise CheckpointError(
                    f"{folder / name} prepares images in another way: its {key} is {given[key]}, expected {wanted}"
                )
        size = given.get("size", max(otherwise.size))
        try:
            kept = isinstance(size, dict) and size.get("longest_edge") is not None
            side = given.get("pad_size", size["longest_edge"]) if kept else size
            height, width = (side["height"], side["width"]) if isinstance(side, dict) else (side, side)
            mean, std = (tuple(float(value) for value in given[key]) for key in ("image_mean", "image_std"))
            if kept and not int(height) == int(width) == int(size["longest_edge"]):
                raise ValueError(f"a longest edge of {size['longest_edge']} padded to {height} x {width}")
            return Preparation((int(height), int(width)), mean, std, kept)
        except (KeyError, TypeError, ValueError) as error:
            raise CheckpointError(f"{folder / name} does not say how images are prepared: {error!r}") from None
    return otherwise

"""The versions of a project, on the disk: each whole or not at all, and which of them answers."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from zoo_opt.core.errors import CheckpointError
from zoo_opt.storage.atomic import sync_folder
from zoo_opt.support.json_files import read_json
from zoo_opt_seg.adaptation.folder import write_json
from zoo_opt_seg.refine.refiner import Refiner, load_refiner

_VERSIONS, _PRESENT, _REFINER, _ABOUT = "versions", "present.json", "refiner.safetensors", "about.json"


@dataclass(frozen=True)
class Present:
    """Which version answers.

    Parameters
    ----------
    number : int
        0 is the black box as it is.
    held : bool
        Whether a person chose it: newer ones are made and listed, and do not answer until it is let go.
    """

    number: int = 0
    held: bool = False


def write_version(folder: Path, number: int, refiner: Refiner, about: dict[str, Any]) -> None:
    """Write a version into the folder of a project; it is there as a whole or not at all."""
    target = _place(folder, number)
    part = target.with_name(f".{target.name}.{os.getpid()}")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    refiner.save(part / _REFINER)
    write_json(part / _ABOUT, about)
    os.rename(part, target)
    sync_folder(target.parent)


def read_versions(folder: Path) -> dict[int, dict[str, Any]]:
    """Return what is said of each version in the folder of a project, by its number, in order."""
    names = sorted(p.name for p in (folder / _VERSIONS).glob("[0-9]*") if p.name.isdecimal())
    return {int(name): read_json(folder / _VERSIONS / name / _ABOUT, CheckpointError) for name in names}


def read_refiner(folder: Path, number: int) -> Refiner:
    """Return the refiner of a version."""
    return load_refiner(_place(folder, number) / _REFINER)


def read_present(folder: Path) -> Present:
    """Return which version answers: the newest where nobody chose."""
    newest = max(read_versions(folder), default=0)
    if not (folder / _PRESENT).is_file():
        return Present(newest)
    said = read_json(folder / _PRESENT, CheckpointError)
    number, held = said.get("number"), bool(said.get("held"))
    if not isinstance(number, int) or (number and not _place(folder, number).is_dir()):
        raise CheckpointError(f"{folder / _PRESENT} must name a version of the folder, got {number!r}")
    return Present(number if held else newest, held)


def write_present(folder: Path, present: Present) -> None:
    """Write down which version answers."""
    write_json(folder / _PRESENT, {"number": present.number, "held": present.held})


def _place(folder: Path, number: int) -> Path:
    return folder / _VERSIONS / f"{number:04d}"

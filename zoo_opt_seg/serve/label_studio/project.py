"""What a project's folder is for: which black box, shown what."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path

from zoo_opt.core.errors import CheckpointError
from zoo_opt.support.json_files import read_json
from zoo_opt_seg.adaptation.folder import write_json
from zoo_opt_seg.blackbox.protocol import SegmentationModel
from zoo_opt_seg.blackbox.wrappers import Wrapped, to_bytes
from zoo_opt_seg.digests import data_digest
from zoo_opt_seg.prompts import Array, Prompts
from zoo_opt_seg.visual_prompts import TrainedPrompt

_FILE = "project.json"


@dataclass(frozen=True)
class Project:
    """What decides the answers that are kept in a project's folder.

    Parameters
    ----------
    model : str
        Label of the black box, its visual prompt included.
    name : str or None
        Its name, if it has one.
    size : int
        Side of the squares that it is asked about, in pixels.
    fit : str
        How an image becomes a square.
    project : int
        Of Label Studio.
    """

    model: str
    name: str | None
    size: int
    fit: str
    project: int

    def claim(self, folder: Path) -> None:
        """Write this down in a folder, or check that the folder is for it.

        Raises
        ------
        CheckpointError
            If the folder is for another one.
        """
        folder.mkdir(parents=True, exist_ok=True)
        if not (folder / _FILE).exists():
            write_json(folder / _FILE, asdict(self))
        known = asdict(read_project(folder))
        for name, value in asdict(self).items():
            if known[name] != value:
                raise CheckpointError(f"{folder} is for another project: its {name} is {known[name]!r}, not {value!r}")


def read_project(folder: Path) -> Project:
    """Return what the folder of a project is for; a CheckpointError if it cannot be read."""
    known = read_json(folder / _FILE, CheckpointError)
    try:
        return Project(**known)
    except TypeError:
        raise CheckpointError(f"{folder / _FILE} must say what the project is, got {known!r:.80}") from None


class Shaded(Wrapped):
    """A black box that is shown each image through a visual prompt.

    Parameters
    ----------
    model : callable
        A black box, or anything that `as_black_box` takes.
    trained : TrainedPrompt
    """

    def __init__(self, model: SegmentationModel, trained: TrainedPrompt) -> None:
        self.trained = trained
        super().__init__(model)

    @property
    def label(self) -> str:
        """That of the model, and the digest of the visual prompt."""
        form, x = self.trained.prompt, self.trained.x
        digest = data_digest(repr(form), x, *form.arrays().values())
        return f"{self.model.label}+{form.name}:{digest[:8]}"

    def __call__(self, images: Array, prompts: Prompts, /) -> Array:
        """Return what the model answers to the prompted images."""
        return self.trained.predict(self.model, to_bytes(images), prompts)

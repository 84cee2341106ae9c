"""What a comparator declares, what it is given by a row of a table, and what it gives back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from zoo_opt.support.loading import load_object
from zoo_opt.support.registry import Entry

if TYPE_CHECKING:
    import numpy as np

    from zoo_opt_seg.whitebox.core.recipe import Recipe
    from zoo_opt_seg.whitebox.core.trainer import Fitted


@dataclass(frozen=True, kw_only=True)
class Comparator(Entry):
    """A model that is trained with the gradient; ``use = "its name"`` in a row of a table.

    Parameters
    ----------
    name : str
    factory : str
        ``"module:function"`` that trains it: a `RowRequest` to a `Trained`.
    about : str
        What is trained, in one line.
    recipe : str
        ``"module:object"`` of the `Recipe` that the row's settings change, or of a function of the row's options that
        returns it.
    part, model : str
        The attribute that its black box must have, and what to call such a black box; "": any will do.
    prompt : bool
        Whether the row names a visual prompt.
    volumes : bool
        Whether it is trained and measured on volumes, not on images.
    files : tuple of str
        Options of the row that name a file in the folder of weights.
    needs, extra
        As in `Entry`.
    """

    recipe: str
    part: str = ""
    model: str = ""
    prompt: bool = False
    volumes: bool = False
    files: tuple[str, ...] = ()

    def start(self, options: Mapping[str, Any]) -> Recipe:
        """Return the recipe that a row with these options starts from."""
        start: Any = load_object(self.recipe)
        return start(options) if callable(start) else start  # type: ignore[no-any-return]


ON_SAM = {"part": "sam", "model": "a SAM", "needs": ("torch", "segment_anything")}
ON_CLIPSEG = {"part": "around", "model": "a CLIPSeg", "needs": ("torch", "transformers")}


def declared(name: str, about: str, factory: str, recipe: str, on: Mapping[str, Any], **more: Any) -> Comparator:
    """Return a comparator of this package: the objects are named as from ``zoo_opt_seg.whitebox``, needs are added."""
    home, needs = "zoo_opt_seg.whitebox.", (*on["needs"], *more.pop("needs", ()))
    more = {**on, **more, "needs": needs, "extra": "seg"}
    return Comparator(name=name, about=about, factory=home + factory, recipe=home + recipe, **more)


@dataclass(frozen=True, kw_only=True)
class RowRequest:
    """What a row of a table asks a comparator for.

    Attributes
    ----------
    label : str
        Of the row, for messages.
    model : BlackBox
    splits : Splits or VolumeSplits
        The test split is not to be looked at.
    recipe : Recipe
    options : mapping
        The row's, those that name files or say how volumes are read and measured left out.
    files : mapping
        Paths of the files that the options name.
    size : int
        Side of the images in pixels.
    out, shared : Path
        Folder to resume from, and one that all rows of a table have in common.
    augment, loss : str or None
        As in `TrainingSettings`; a loss of None is the comparator's own.
    prompt : VisualPrompt or None
    """

    label: str
    model: Any
    splits: Any
    recipe: Recipe
    options: Mapping[str, Any]
    size: int
    out: Path
    shared: Path
    files: Mapping[str, str] = field(default_factory=dict)
    augment: str | None = None
    loss: str | None = None
    prompt: Any = None

    @property
    def training(self) -> dict[str, Any]:
        """Keywords of a training function: recipe, augment, out, and a loss where the row has one."""
        keywords = {"recipe": self.recipe, "augment": self.augment, "out": self.out}
        return keywords if self.loss is None else {**keywords, "loss": self.loss}


@dataclass(frozen=True)
class Trained:
    """What a comparator has made.

    Parameters
    ----------
    model : callable
        What is measured: a black box, or on volumes a predictor as of `evaluate_volumes`.
    fitted : Fitted or None
        How the training went; None where there was none.
    x : ndarray, optional
        Of the visual prompt.
    figures : mapping
        What else the record is to hold, by names that it has not by itself.
    """

    model: Any
    fitted: Fitted | None
    x: np.ndarray | None = None
    figures: Mapping[str, Any] = field(default_factory=dict)

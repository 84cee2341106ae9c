"""An image of any size, asked about through a square, a visual prompt, a black box and a refiner, and back."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from zoo_opt.core.errors import CheckpointError, NotServed, Refused, integer
from zoo_opt.outage import recognised
from zoo_opt.support.json_files import read_json
from zoo_opt_seg.adaptation.folder import REFINER
from zoo_opt_seg.blackbox.protocol import (
    Array,
    BlackBoxError,
    PartlyAnswered,
    SegmentationModel,
    as_black_box,
    check_images,
    check_prompts,
)
from zoo_opt_seg.blackbox.wrappers import Wrapped, to_bytes
from zoo_opt_seg.data.draws import KINDS
from zoo_opt_seg.data.files import shown_part
from zoo_opt_seg.data.fitting import Crop, Fit, check_crop, check_fit
from zoo_opt_seg.features.text_encoders import text_encoder_of
from zoo_opt_seg.prompts import ABSENT, Prompts
from zoo_opt_seg.refine import RefinedPrompt, load_refiner
from zoo_opt_seg.visual_prompts import TrainedPrompt
from zoo_opt_seg.visual_prompts.saved import load_prompt, needs_text

Adapted = TrainedPrompt | RefinedPrompt


@dataclass(frozen=True, eq=False)
class Shown:
    """One image as the black box is asked about it.

    Parameters
    ----------
    image : (h, w, 3) array
        uint8, or float32 in [0, 1].
    prompts : Prompts
        One row, in pixels of ``image``.
    fit : Fit, optional
        How it was made of the image in question; None: it is the image.
    """

    image: Array
    prompts: Prompts
    fit: Fit | None = None

    @property
    def kind(self) -> tuple[object, ...]:
        """What two have in common that can be asked in one batch: shape, type, kinds of prompts, number of points."""
        points = 0 if self.prompts.points is None else self.prompts.points.shape[1]
        return self.image.shape, self.image.dtype, points, *(name for name, _ in self.prompts.given())

    def back(self, answer: Array) -> Array:
        """Return an answer (h, w) as float32 of the shape of the image in question."""
        return answer.astype(np.float32) if self.fit is None else self.fit.back(answer)


ASKED_BY = {"points": ("points", "boxes"), "boxes": ("boxes",), "text": ("texts",)}
"""Which prompts a question must have some of, by `BlackBox.prompted_by`."""


class Segmenter:
    """What finds the object of a question in an image of any size: a black box, perhaps adapted.

    Parameters
    ----------
    model : callable
        A black box, or anything that `as_black_box` takes.
    prompt : TrainedPrompt or RefinedPrompt, optional
        None: the black box is asked about the image without a visual prompt.
    size : int, optional
        Side in pixels of the squares that it is asked about, that of ``prompt`` if there is one. None without a prompt:
        images are asked about as they are.
    fit : {"stretch", "pad"}
    crop : Crop, optional
        How an image becomes a square, see `zoo_opt_seg.data.load_data`.

    Raises
    ------
    ValueError
        If ``size`` is another than the prompt's, or an argument is not of this form.
    """

    def __init__(
        self,
        model: SegmentationModel,
        prompt: Adapted | None = None,
        size: int | None = None,
        fit: str = "stretch",
        crop: Crop | None = None,
    ) -> None:
        own = None if prompt is None else prompt.prompt.size
        if own is not None and size not in (None, own):
            raise ValueError(f"size must be {own}, that of the prompt, got {size}")
        self.model, self.prompt = as_black_box(model), prompt
        self.size = own if size is None else integer("size", size, 8)
        self.fit, self.crop = check_fit(fit), check_crop(crop)
        if self.size is None and (self.fit != "stretch" or self.crop is not None):
            raise ValueError("fit and crop need a size, got them for images that are asked about as they are")

    def shown(self, image: Array, prompts: Prompts) -> Shown:
        """Return an image as the black box is asked about it.

        An image that has the size already, and needs no visual prompt, is shown as it is, floats included. All others
        become 8-bit squares, as images in files do.

        Parameters
        ----------
        image : (H, W, 3) array
            uint8, or floats in [0, 1].
        prompts : Prompts
            One row, in pixels of the image.

        Raises
        ------
        TypeError, ValueError
            If they are not of this form, nothing is asked that the black box is asked by, or a point or box lies
            outside of the image or in what is cut off.
        """
        image = np.asarray(image)
        if image.ndim != 3:
            raise ValueError(f"image must have shape (H, W, 3), got {image.shape}")
        image = check_images(image[None])[0]
        check_prompts(prompts, 1)
        self._check_kind(prompts)
        size = image.shape[1], image.shape[0]
        fit = None if self.size is None else Fit(self.size, size, self.fit, shown_part(size, "image", None, self.crop))
        check_inside(prompts, fit.shown if fit else (0, 0, *size))
        if fit is None or (self.prompt is None and self.crop is None and size == (self.size, self.size)):
            return Shown(image, prompts)
        return self.fitted(fit.picture(Image.fromarray(to_bytes(image))), prompts, fit)

    def _check_kind(self, prompts: Prompts) -> None:
        kinds, given = ASKED_BY.get(self.model.prompted_by or "", ()), [name for name, _ in prompts.given()]
        if prompts.labels is not None and (prompts.labels == ABSENT).all():
            given = [name for name in given if name not in ("points", "labels")]
        if prompts.boxes is not None and np.isnan(prompts.boxes[:, 0]).all():
            given = [name for name in given if name != "boxes"]
        if kinds and not set(kinds) & set(given):
            words = " or ".join(kinds)
            raise ValueError(f"the model is asked by {words}, got {', '.join(given) or 'an image alone'}")

    def fitted(self, square: Array, prompts: Prompts, fit: Fit) -> Shown:
        """Return a square that a file was made into, with the prompts carried over from the file's pixels."""
        return Shown(square, prompts.moved(fit.points), fit)

    def __call__(self, image: Array, prompts: Prompts) -> Array:
        """Return the probability of the object in each pixel of one image, float32 (H, W).

        Parameters
        ----------
        image, prompts
            See `shown`.

        Raises
        ------
        TypeError, ValueError
            See `shown`.
        NotServed, Refused, BlackBoxError
            If the black box does not answer; one that fails raises what it will.
        """
        return self.answer(self.shown(image, prompts))

    def answer(self, shown: Shown) -> Array:
        """Return the answer to one question, see `Segmenter.__call__`."""
        (answer,) = self.answers([shown])
        if isinstance(answer, Exception):
            raise answer
        return answer

    def answers(self, asked: Sequence[Shown]) -> list[Array | Exception]:
        """Return the answer to each of several questions, or what it failed with.

        Questions of one `Shown.kind` are one question to the black box. Where that fails as a whole, and not by an
        outage, each is asked alone.

        Parameters
        ----------
        asked : sequence of Shown

        Returns
        -------
        list
            Float32 (H, W), or an exception.
        """
        kinds: dict[tuple[object, ...], list[int]] = {}
        for number, shown in enumerate(asked):
            kinds.setdefault(shown.kind, []).append(number)
        found: dict[int, Array | Exception] = {}
        for numbers in kinds.values():
            found |= zip(numbers, self._of_one_kind([asked[number] for number in numbers]), strict=True)
        return [found[number] for number in range(len(asked))]

    def _of_one_kind(self, asked: list[Shown]) -> list[Array | Exception]:
        images = np.stack([shown.image for shown in asked])
        prompts = Prompts.concatenate([shown.prompts for shown in asked])
        model = _Excused(self.model, len(asked))
        try:
            with recognised():
                masks = model(images, prompts) if self.prompt is None else self.prompt.predict(model, images, prompts)
            # each mask is taken back to its image here, so that an image that fails to is one answer, not all
            return [model.errors.get(row) or _back(asked[row], masks[row]) for row in range(len(asked))]
        except Exception as error:
            if len(asked) == 1 or isinstance(error, (NotServed, Refused)):
                return [error] * len(asked)
        return [answer for shown in asked for answer in self._of_one_kind([shown])]


class _Excused(Wrapped):
    """A black box that answers NaN about images that have no mask, and remembers why.

    Parameters
    ----------
    model : BlackBox
    n : int
        Images in question; of several views of each, all of the first view come first.
    """

    def __init__(self, model: SegmentationModel, n: int) -> None:
        super().__init__(model)
        self.n, self.errors = n, dict[int, Exception]()

    def __call__(self, images: Array, prompts: Prompts, /) -> Array:
        try:
            return self.model(images, prompts)
        except PartlyAnswered as part:
            self.errors |= {row % self.n: error for row, error in part.errors.items()}
            masks = np.array(part.masks, np.float32)
            masks[list(part.errors)] = np.nan
            return masks


def _back(shown: Shown, mask: Array) -> Array | Exception:
    if np.isnan(mask).any():
        return BlackBoxError("the black box answers to a part of the image only: one view of it failed")
    return shown.back(mask)


def check_inside(prompts: Prompts, part: tuple[int, int, int, int]) -> None:
    """Raise a ValueError unless points and boxes lie in a part of an image, (x0, y0, x1, y1) with x1, y1 excluded.

    A box may reach out of it, since boxes are drawn by hand, but not by more than its width or height.
    """
    x0, y0, x1, y1 = part
    if prompts.points is not None and prompts.labels is not None:
        points = prompts.points[prompts.labels != ABSENT]
        if not ((points >= (x0, y0)) & (points < (x1, y1))).all():
            raise ValueError(f"points must lie in {part}, which is shown of the image, got {points.tolist()}")
    if prompts.boxes is not None:
        width, height = x1 - x0, y1 - y0
        for left, top, right, bottom in prompts.boxes[~np.isnan(prompts.boxes[:, 0])].tolist():
            across = x0 - width <= left < x1 and x0 <= right <= x1 + width
            if not (across and y0 - height <= top < y1 and y0 <= bottom <= y1 + height):
                box = [left, top, right, bottom]
                raise ValueError(f"boxes must lie in {part}, which is shown of the image, got {box}")


# ------------------------------------------------------------------------------------------------------ result folders


def trained_in(path: str | os.PathLike[str], model: Any = None) -> Adapted:
    """Return the prompt of a file, or of a result folder with its refiner where there is one.

    Parameters
    ----------
    path : path-like
    model : BlackBox, optional
        Gives the text encoder to a prompt that needs one.

    Raises
    ------
    OSError, ValueError, CheckpointError
        If there is none, or it cannot be read.
    """
    file = Path(path) / "prompt.npz" if Path(path).is_dir() else Path(path)
    prompt = load_prompt(file, text=text_encoder_of(model) if needs_text(file) else None)
    corrected = Path(path) / REFINER
    return RefinedPrompt(prompt, load_refiner(corrected)) if corrected.is_file() else prompt


def prepared_in(folder: str | os.PathLike[str]) -> dict[str, Any]:
    """Return ``fit`` and ``crop`` of `load_data` as the run in a result folder had them.

    Raises
    ------
    ValueError, CheckpointError
        If what is written there cannot be read.
    """
    had = _config(folder).get("prepared", {})
    return {"fit": check_fit(had.get("fit", "stretch")), "crop": check_crop(had.get("crop"))}


def points_in(folder: str | os.PathLike[str]) -> int | str | None:
    """Return what the run in a result folder asked by: `zoo_opt_seg.data.draws.Kind`; None if it is not known there.

    A drawing of one's own is not: the folder has only its name.

    Raises
    ------
    CheckpointError
        If what is written there cannot be read.
    """
    had = _config(folder).get("points")
    return had if isinstance(had, int) or had in KINDS else None


def _config(folder: str | os.PathLike[str]) -> dict[str, Any]:
    config = Path(folder) / "config.json"
    return read_json(config, CheckpointError) if config.is_file() else {}


def segmenter_in(folder: str | os.PathLike[str], model: SegmentationModel) -> Segmenter:
    """Return the adapted model of a result folder: its prompt, refiner, size, fit and crop.

    Parameters
    ----------
    folder : path-like
        Of `zoo_opt_seg.adapt`.
    model : BlackBox
        That it was trained for.

    Raises
    ------
    OSError, ValueError, CheckpointError
        If there is no prompt, or something cannot be read.
    """
    box = as_black_box(model)
    return Segmenter(box, trained_in(folder, box), **prepared_in(folder))

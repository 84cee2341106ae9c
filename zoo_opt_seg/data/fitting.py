"""An image of any shape as the square that a model sees, and back: cut, then stretched, or made smaller and padded."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image

from zoo_opt.core.errors import integer, one_of

FITS = ("stretch", "pad")
Crop = tuple[int, int, int, int]
"""Pixels taken off the top, the bottom, the left and the right of an image."""
Box = tuple[int, int, int, int]
"""Part of an image, (x0, y0, x1, y1) in pixels, x1 and y1 excluded."""


@dataclass(frozen=True)
class Fit:
    """How one image becomes a square.

    Parameters
    ----------
    size : int
        Side of the square in pixels.
    image : tuple of int (width, height)
        Of the image, in pixels.
    how : {"stretch", "pad"}
        ``"stretch"``: width and height are brought to ``size`` each. ``"pad"``: the longer of the two is, the aspect
        ratio is kept, and what is left on the right or at the bottom is black, as SAM's own preprocessing has it.
    box : Box, optional
        The part of the image that is shown; all of it without.
    """

    size: int
    image: tuple[int, int]
    how: str = "stretch"
    box: Box | None = None

    @property
    def shown(self) -> Box:
        """The part of the image that is shown."""
        return self.box or (0, 0, *self.image)

    @property
    def inner(self) -> tuple[int, int]:
        """Width and height, in pixels of the square, of the part that the image fills: from the upper left corner."""
        x0, y0, x1, y1 = self.shown
        sides = (x1 - x0, y1 - y0) if self.how == "pad" else (1, 1)
        width, height = (max(1, int(self.size * side / max(sides) + 0.5)) for side in sides)
        return width, height

    def picture(self, image: Image.Image) -> np.ndarray:
        """Return the image, uint8 (size, size, 3), resized by Pillow's antialiased bilinear filter.

        Parameters
        ----------
        image : Image
            RGB; may have been decoded smaller where all of it is shown.
        """
        part = image.crop(self.box) if self.box else image  # resize(box=...) would let pixels beside the box in
        small = np.asarray(part.resize(self.inner, Image.Resampling.BILINEAR, reducing_gap=3.0))
        return self._padded(small)

    def mask(self, mask: np.ndarray) -> np.ndarray:
        """Return a mask, bool of the image's shape (H, W), as bool (size, size).

        At least half covered, or the most covered pixels if none is.
        """
        x0, y0, x1, y1 = self.shown
        values = Image.fromarray(mask[y0:y1, x0:x1].astype(np.float32))
        cover = np.asarray(values.resize(self.inner, Image.Resampling.BOX))
        result = cover > 0.5 - 1e-6
        if not result.any() and (top := cover.max(initial=0.0)) > 0:
            result = cover >= top - 1e-6
        return self._padded(result)

    def points(self, xy: np.ndarray) -> np.ndarray:
        """Return points (..., 2) of the image in pixels of the square, moved into the part that the image fills.

        The centre of a pixel is a whole number, in both.
        """
        x0, y0, x1, y1 = self.shown
        inner = np.array(self.inner)
        scale = inner / (x1 - x0, y1 - y0)
        return np.asarray(np.clip((xy - (x0, y0) + 0.5) * scale - 0.5, 0, inner - 1))

    def back(self, answer: np.ndarray) -> np.ndarray:
        """Return an answer (size, size) as float32 of the image's shape (H, W): 0 where nothing was shown."""
        x0, y0, x1, y1 = self.shown
        width, height = self.inner
        part = Image.fromarray(np.ascontiguousarray(answer[:height, :width], np.float32))
        large = np.zeros(self.image[::-1], np.float32)
        large[y0:y1, x0:x1] = part.resize((x1 - x0, y1 - y0), Image.Resampling.BILINEAR)
        return large

    def _padded(self, values: np.ndarray) -> np.ndarray:
        if values.shape[:2] == (self.size, self.size):
            return values
        square = np.zeros((self.size, self.size, *values.shape[2:]), values.dtype)
        square[: values.shape[0], : values.shape[1]] = values
        return square


def check_fit(fit: Any) -> str:
    """Return ``fit`` if it is one of `FITS`, or raise a ValueError."""
    return one_of("fit", fit, FITS)


def check_crop(crop: Any) -> Crop | None:
    """Return pixels to take off as a tuple, None for none; a ValueError for anything but four whole numbers >= 0."""
    if crop is None:
        return None
    if isinstance(crop, str) or not hasattr(crop, "__len__") or len(crop) != 4:
        raise ValueError(f"crop must be four numbers of pixels (top, bottom, left, right), got {crop!r}")
    top, bottom, left, right = (integer("crop", side, 0) for side in crop)
    return (top, bottom, left, right) if any((top, bottom, left, right)) else None


def box_within(size: tuple[int, int], crop: Crop) -> Box | None:
    """Return what is left of an image of this width and height without the pixels of ``crop``; None if nothing is."""
    top, bottom, left, right = crop
    box = left, top, size[0] - right, size[1] - bottom
    return box if box[0] < box[2] and box[1] < box[3] else None

"""What can be said of an object in an image: its colour, light, size and place, with room for "cannot be said".

A colour is named only where it is typical, a size only where it is clearly small or large, so that a text is true
beyond doubt or is not used.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

COLOURS = ("red", "orange", "yellow", "green", "blue", "purple", "pink", "brown", "white", "grey", "black")
LIKE = {  # colours that a second observer might have given
    "red": ("pink", "orange", "brown", "purple"),
    "orange": ("red", "yellow", "brown", "pink"),
    "yellow": ("orange", "green", "white", "brown"),
    "green": ("yellow", "blue", "grey"),
    "blue": ("green", "purple", "grey"),
    "purple": ("blue", "pink", "red", "grey"),
    "pink": ("red", "purple", "orange", "white", "grey"),
    "brown": ("red", "orange", "yellow", "black", "grey"),
    "white": ("grey", "yellow", "pink"),
    "grey": ("white", "black", "brown", "blue", "green", "pink", "purple"),
    "black": ("grey", "brown"),
}
LUMA = np.array([0.299, 0.587, 0.114], np.float32)

HUES = (  # from, up to, the name, and what the value must be beyond; the others are more than one band
    (49, 68, "yellow", 0.55),
    (82, 160, "green", 0.0),
    (195, 252, "blue", 0.0),
    (262, 300, "purple", 0.0),
    (312, 346, "pink", 0.6),
)
SMALL, NOT_SMALL, NOT_LARGE, LARGE = 0.05, 0.075, 0.085, 0.12  # shares of the image's area
DARKER = 0.08  # difference of luma to the ground that is called dark or bright


@dataclass(frozen=True)
class Described:
    """An object's attributes; None is "cannot be said".

    Parameters
    ----------
    shape : str, optional
        A name in :data:`zoo_opt_seg.data.synthetic.referring.SHAPES`.
    texture : {"plain", "striped", "spotted"}, optional
    colour : str, optional
        A name in :data:`COLOURS`.
    contrast : float
        Luma of the object less that of the ground, in [-1, 1].
    area : float
        Share of the image.
    centre : (float, float)
        Mean x and y of its pixels in units of the image's side.
    """

    shape: str | None
    texture: str | None
    colour: str | None
    contrast: float
    area: float
    centre: tuple[float, float]

    @property
    def light(self) -> str | None:
        """Dark or bright against the ground."""
        return None if abs(self.contrast) < DARKER else "dark" if self.contrast < 0 else "bright"

    @property
    def size(self) -> str | None:
        """Small or large."""
        return "small" if self.area < SMALL else "large" if self.area > LARGE else None

    @property
    def place(self) -> str | None:
        """One of nine parts of the image as "upper left", "left" or "middle", unless it lies between two."""
        x, y = self.centre
        across = "left" if x < 0.41 else "right" if x > 0.59 else "" if abs(x - 0.5) < 0.06 else None
        along = "upper" if y < 0.41 else "lower" if y > 0.59 else "" if abs(y - 0.5) < 0.06 else None
        if across is None or along is None:
            return across or along or None
        return f"{along} {across}".strip() or "middle"

    def turned(self, quarters: int, mirrored: bool) -> Described:
        """The attributes after ``np.rot90(image, quarters)`` and then, if mirrored, ``[:, ::-1]``."""
        x, y = self.centre
        for _ in range(quarters % 4):
            x, y = y, 1 - x
        return replace(self, centre=(1 - x if mirrored else x, y))


def measured(image: np.ndarray, mask: np.ndarray, ground: np.ndarray, **known: str | None) -> Described:
    """The attributes that an image and its masks show.

    Parameters
    ----------
    image : ndarray of uint8, shape (size, size, 3)
    mask, ground : ndarray of bool, shape (size, size)
        The object, and what it is compared with; neither empty.
    **known
        ``shape`` and ``texture``, which are not measured.
    """
    colour = image[mask].mean(axis=0) / 255
    below = image[ground].mean(axis=0) / 255
    rows, columns = np.nonzero(mask)
    centre = (float(columns.mean()) + 0.5) / mask.shape[1], (float(rows.mean()) + 0.5) / mask.shape[0]
    contrast, area = float((colour - below) @ LUMA), len(rows) / mask.size
    return Described(known.get("shape"), known.get("texture"), colour_name(colour), contrast, area, centre)


def colour_name(rgb: np.ndarray) -> str | None:
    """The name of a typical colour, by hue, chroma and value; None for one between two names.

    Parameters
    ----------
    rgb : ndarray of shape (3,)
        In [0, 1].
    """
    red, green, blue = (float(value) for value in rgb)
    value, chroma = max(red, green, blue), max(red, green, blue) - min(red, green, blue)
    if chroma < 0.09:
        return "black" if value < 0.24 else "white" if value > 0.8 else "grey" if 0.32 < value < 0.72 else None
    if chroma < 0.15:
        return None
    if value == red:
        hue = 60 * (green - blue) / chroma
    elif value == green:
        hue = 120 + 60 * (blue - red) / chroma
    else:
        hue = 240 + 60 * (red - green) / chroma
    hue %= 360
    saturation = chroma / value
    if hue > 345 or hue < 14:
        if saturation < 0.5:
            return "pink" if value > 0.68 else None
        return "red" if value > 0.4 else None
    if 14 <= hue < 46:
        if value < 0.62 and hue > 17:
            return "brown"
        return "orange" if saturation > 0.5 and value > 0.72 and 18 < hue < 42 else None
    return next((name for low, high, name, least in HUES if low <= hue < high and value > least), None)

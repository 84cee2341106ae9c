"""What the stubs of services see and say: pictures of two discs, and how a model would find them in one.

Written for the stubs alone: nothing of the package is imported here.
"""

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image
from scipy import ndimage

HEIGHT, WIDTH = 60, 100
COLOURS = {"red disc": (230, 30, 40), "green disc": (30, 220, 60)}
PLACES = {"red disc": (27, 31, 13), "green disc": (71, 22, 11)}  # x, y, radius
Array = np.ndarray[Any, Any]


def disc(name: str) -> Array:
    """The mask of one of the discs, bool (60, 100)."""
    x, y, radius = PLACES[name]
    rows, columns = np.mgrid[:HEIGHT, :WIDTH]
    mask: Array = (columns - x) ** 2 + (rows - y) ** 2 <= radius**2
    return mask


def picture() -> Array:
    """Both discs on grey noise, uint8 (60, 100, 3)."""
    image = np.random.default_rng(0).integers(90, 110, (HEIGHT, WIDTH, 3)).astype(np.uint8)
    for name, colour in COLOURS.items():
        image[disc(name)] = colour
    return image


def pixels(png: bytes) -> Array:
    """The image that came, which must be a PNG file without anything beside its pixels, exactly as it was sent."""
    with Image.open(io.BytesIO(png), formats=("PNG",)) as file:
        assert not file.getexif() and file.mode == "RGB"
        return np.asarray(file)


@dataclass
class Scene:
    """A picture, segmented by colour."""

    image: Array

    def objects(self) -> Array:
        """Each disc by a number, 0 where there is none."""
        bright = (self.image.astype(int).max(2) - self.image.astype(int).min(2)) > 100
        return ndimage.label(bright)[0]

    def at(self, points: Sequence[Sequence[float]], labels: Sequence[bool], box: Any = None) -> Array:
        """The object that most points lie in, those that are not on it counted against it, in a box if there is one.

        Points are x, y, boxes x0, y0, x1, y1, in pixels.
        """
        found = self.objects()
        best, most = np.zeros(found.shape, bool), 0.0
        for number in range(1, found.max() + 1):
            mask, votes = found == number, 0.0
            for (x, y), label in zip(points, labels, strict=True):
                column, row = round(x), round(y)
                inside = 0 <= row < mask.shape[0] and 0 <= column < mask.shape[1] and mask[row, column]
                votes += (1 if label else -1) * bool(inside)
            if box is not None:
                x0, y0, x1, y1 = box
                rows, columns = np.nonzero(mask)
                off = np.abs(np.array([columns.min() - x0, rows.min() - y0, columns.max() - x1, rows.max() - y1])).max()
                votes += 1.0 if off <= 1.0 else -1.0
            if votes > most:
                best, most = mask, votes
        return best

    def named(self, text: str) -> list[Array]:
        """All objects whose colour a text names."""
        found, masks = self.objects(), []
        for number in range(1, found.max() + 1):
            red, green, _ = np.median(self.image[found == number], axis=0)
            if ("red" in text and red > green) or ("green" in text and green > red):
                masks.append(found == number)
        return masks


def logits(mask: Array) -> Array:
    """Soft where the border is: the distance to it, positive inside, float32."""
    if not mask.any():
        return np.full(mask.shape, -8.0, np.float32)
    return (ndimage.distance_transform_edt(mask) - ndimage.distance_transform_edt(~mask)).astype(np.float32)


def grey(mask: Array) -> Array:
    """The same as grey levels of a probability."""
    return np.rint(255 / (1 + np.exp(-logits(mask).astype(float)))).astype(np.uint8)


def black_and_white(mask: Array) -> Array:
    return mask.astype(np.uint8) * 255


def png(levels: Array, mode: str | None = None) -> bytes:
    file = io.BytesIO()
    image = Image.fromarray(levels)
    (image if mode is None else image.convert(mode)).save(file, "PNG")
    return file.getvalue()


def text64(content: bytes) -> str:
    return base64.b64encode(content).decode()


def data_uri(content: bytes) -> str:
    return f"data:image/png;base64,{text64(content)}"


def coco_rle(mask: Array) -> dict[str, Any]:
    """COCO's compressed run lengths, by pycocotools."""
    from pycocotools import mask as coco

    rle = coco.encode(np.asfortranarray(mask.astype(np.uint8)))
    return {"size": list(map(int, rle["size"])), "counts": rle["counts"].decode()}

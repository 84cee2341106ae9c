"""From files to arrays: records of images and their mask files, reading, resizing, and what is wrong with a file."""

from __future__ import annotations

import logging
import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError

from zoo_opt_seg.data.samples import Samples

EMPTY = ("raise", "skip", "keep")  # what load may do about an empty mask
_UNREADABLE = (OSError, SyntaxError, ValueError, EOFError, struct.error, zlib.error, Image.DecompressionBombError)
_LOG = logging.getLogger("zoo_opt_seg.data")


class DataError(ValueError):
    """A data set that cannot be used: a missing, unpaired, corrupt, wrongly sized or empty file, which it names."""


@dataclass(frozen=True)
class Record:
    """Where one sample lies.

    Parameters
    ----------
    name : str
        Its name, unique in the data set.
    image : Path
        The image file.
    masks : tuple of Path
        The mask files, each of the size of the image; the object is their union.
    values : tuple of int (low, high), or None
        A mask pixel belongs to the object if low <= value <= high. None: a file with values 0 and 1 is taken as it is,
        any other above 127.
    group : str
        Patient, video or image that the sample comes from; a group is never divided between splits. "": the name.
    box : tuple of int (x0, y0, x1, y1), optional
        The part of image and masks to take, in pixels of the file, x1 and y1 excluded.
    """

    name: str
    image: Path
    masks: tuple[Path, ...]
    values: tuple[int, int] | None = (128, 255)
    group: str = ""
    box: tuple[int, int, int, int] | None = None


def load(records: Sequence[Record], size: int, *, empty: str = "raise") -> Samples:
    """Read records into memory, stretched to a square as the papers do.

    Images are converted to 8-bit RGB (alpha is dropped, EXIF orientation is not applied) and resized with Pillow's
    bilinear filter, whose support grows with the reduction (antialiased). A mask pixel is set where the object covers
    at least half of it; an object too small for that keeps the pixels that it covers most. When enlarging, this is
    the nearest pixel.

    Parameters
    ----------
    records : sequence of Record
    size : int
        Height and width of the samples in pixels.
    empty : {"raise", "skip", "keep"}
        What to do about a sample without a single object pixel.

    Returns
    -------
    Samples
        In the order of the records; without those skipped.

    Raises
    ------
    DataError
        For a file that is missing, corrupt, of another size than its image, or empty where that is not allowed.
    """
    if empty not in EMPTY:
        raise ValueError(f"empty: expected one of {', '.join(EMPTY)}, got {empty!r}")
    if isinstance(size, bool) or not isinstance(size, int) or size < 1:
        raise ValueError(f"size: expected a number of pixels >= 1, got {size!r}")
    images = np.empty((len(records), size, size, 3), np.uint8)
    masks = np.empty((len(records), size, size), np.bool_)
    names: list[str] = []
    reader = _Reader(size)
    for record in records:
        image, mask = reader.read(record)
        if not mask.any() and empty != "keep":
            if empty == "raise":
                raise DataError(_empty(record))
            _LOG.info("left out: %s", _empty(record))
            continue
        images[len(names)], masks[len(names)] = image, resized_mask(mask, size)
        names.append(record.name)
    return Samples(images[: len(names)], masks[: len(names)], tuple(names))


def mask_array(path: Path, values: tuple[int, int] | None) -> np.ndarray:
    """Return a mask file as bool (H, W); see :class:`Record` for ``values``.

    Of a colour image the largest of the three channels counts; of a palette its grey levels, or the indices if it has
    colours.
    """
    image, _ = _open(path, "mask")
    if image.mode == "P":
        colours = np.asarray(image.convert("RGBA"))[..., :3]
        grey = (colours == colours[..., :1]).all()
        array = colours[..., 0] if grey else np.asarray(image)
    elif image.mode == "1":
        array = np.asarray(image).astype(np.uint8) * 255
    elif image.mode in {"L", "I", "F"} or image.mode.startswith("I;16"):
        array = np.asarray(image)
    elif image.mode in {"LA", "La"}:
        array = np.asarray(image)[..., 0]
    else:
        array = np.asarray(image.convert("RGB")).max(axis=2)
    if values is None:
        return np.asarray(array > (0 if array.max(initial=0) <= 1 else 127))
    return np.asarray((array >= values[0]) & (array <= values[1]))


def resized_mask(mask: np.ndarray, size: int) -> np.ndarray:
    """Return a bool mask (H, W) as bool (size, size): at least half covered, or the most covered pixels if none is."""
    cover = np.asarray(Image.fromarray(mask.astype(np.float32)).resize((size, size), Image.Resampling.BOX))
    result = cover > 0.5 - 1e-6
    if not result.any() and mask.any():
        return np.asarray(cover >= cover.max() - 1e-6)
    return np.asarray(result)


class _Reader:
    """Reads records; the last image and the last masks are kept, since records of one file follow each other."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.image: tuple[tuple[Path, bool], Image.Image, tuple[int, int]] | None = None
        self.masks: tuple[tuple[tuple[Path, ...], tuple[int, int] | None], np.ndarray] | None = None

    def read(self, record: Record) -> tuple[np.ndarray, np.ndarray]:
        """Return the image, uint8 (size, size, 3), and the mask of the box, bool, in pixels of the file."""
        image, (width, height) = self._image(record)
        mask = self._mask(record, (width, height))
        box = record.box or (0, 0, width, height)
        if not (0 <= box[0] < box[2] <= width and 0 <= box[1] < box[3] <= height):
            raise DataError(f"{record.image}: the image of {width} x {height} pixels does not hold the box {box}")
        # Cut first: resize(box=...) would let pixels beside the box in. A whole image may be smaller than its file.
        part = image.crop(box) if record.box else image
        shown = part.resize((self.size, self.size), Image.Resampling.BILINEAR, reducing_gap=3.0)
        return np.asarray(shown), mask[box[1] : box[3], box[0] : box[2]]

    def _image(self, record: Record) -> tuple[Image.Image, tuple[int, int]]:
        whole = record.box is None
        if self.image is None or self.image[0] != (record.image, whole):
            image, original = _open(record.image, "image", draft=3 * self.size if whole else None)
            if image.mode.startswith(("I", "F")):
                raise DataError(
                    f"{record.image}: expected an image of 8 bits per channel, got Pillow's mode {image.mode}"
                )
            image = image.convert("RGBA").convert("RGB") if image.mode in {"P", "PA"} else image.convert("RGB")
            self.image = ((record.image, whole), image, original)
        return self.image[1:]

    def _mask(self, record: Record, size: tuple[int, int]) -> np.ndarray:
        key = (record.masks, record.values)
        if self.masks is None or self.masks[0] != key:
            union = np.zeros(size[::-1], np.bool_)
            for path in record.masks:
                mask = mask_array(path, record.values)
                if mask.shape != union.shape:
                    raise DataError(
                        f"{path}: the mask has {mask.shape[1]} x {mask.shape[0]} pixels, its image {record.image} has "
                        f"{size[0]} x {size[1]}"
                    )
                union |= mask
            self.masks = (key, union)
        return self.masks[1]


def image_size(path: Path, kind: str = "image") -> tuple[int, int]:
    """Return width and height of an image file, from its header."""
    try:
        with Image.open(path) as image:
            return image.size
    except FileNotFoundError:
        raise DataError(f"{path}: the {kind} file is missing") from None
    except _UNREADABLE as error:
        raise DataError(f"{path}: the {kind} cannot be read ({_reason(error)})") from None


def _open(path: Path, kind: str, draft: int | None = None) -> tuple[Image.Image, tuple[int, int]]:
    """Return an image, fully read, and the width and height of the file.

    ``draft`` lets a JPEG file be decoded at a smaller scale, of at least that many pixels a side.
    """
    try:
        with Image.open(path) as image:
            size = image.size
            if draft is not None and image.format == "JPEG":
                image.draft("RGB", (draft, draft))
            image.load()
            return image, size
    except FileNotFoundError:
        raise DataError(f"{path}: the {kind} file is missing") from None
    except _UNREADABLE as error:
        raise DataError(f"{path}: the {kind} cannot be read ({_reason(error)})") from None


def _reason(error: BaseException) -> str:
    if isinstance(error, UnidentifiedImageError):
        return "not an image, or one that Pillow does not know"
    return " ".join(str(error).split()) or type(error).__name__


def _empty(record: Record) -> str:
    what = "no pixel above 127" if record.values is None else f"no pixel from {record.values[0]} to {record.values[1]}"
    where = f" in the box {record.box}" if record.box else ""
    more = f" and {len(record.masks) - 1} more" if len(record.masks) > 1 else ""
    files = f"{record.masks[0]}{more}" if record.masks else f"{record.image}, which has no mask file"
    return f"{files}: the mask is empty ({what}{where}); empty='skip' leaves such samples out, 'keep' keeps them"

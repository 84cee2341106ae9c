"""From files to arrays: records of images and their mask files, reading, resizing, and what is wrong with a file."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from zoo_opt.core.errors import one_of
from zoo_opt_seg.data.errors import DataError as DataError
from zoo_opt_seg.data.readers import Source, open_image
from zoo_opt_seg.data.readers import image_size as image_size
from zoo_opt_seg.data.samples import Samples, Texts

EMPTY = ("raise", "skip", "keep")  # what load may do about an empty mask
_LOG = logging.getLogger("zoo_opt_seg.data")


@dataclass(frozen=True)
class Record:
    """Where one sample lies.

    Parameters
    ----------
    name : str
        Its name, unique in the data set.
    image : Path or Source
        The image file, or what reads it where that is not for Pillow.
    masks : tuple of Path or Source
        The mask files, each of the size of the image; the object is their union.
    values : tuple of int (low, high), or None
        A mask pixel belongs to the object if low <= value <= high. None: a file with values 0 and 1 is taken as it is,
        any other above 127.
    group : str
        Patient, video or image that the sample comes from, ``Samples.groups``; "": the name. A group is not divided
        between splits, unless the loader was asked to divide by images.
    box : tuple of int (x0, y0, x1, y1), optional
        The part of image and masks to take, in pixels of the file, x1 and y1 excluded.
    empty : {"raise", "skip", "keep"}, optional
        What to do about an empty mask, where the caller does not say: "keep" for a normal image, which has no object.
    texts : Texts, optional
        What the image can be asked by in words.
    """

    name: str
    image: Path | Source
    masks: tuple[Path | Source, ...]
    values: tuple[int, int] | None = (128, 255)
    group: str = ""
    box: tuple[int, int, int, int] | None = None
    empty: str | None = None
    texts: Texts | None = None


def load(records: Sequence[Record], size: int, *, empty: str | None = None) -> Samples:
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
    empty : {"raise", "skip", "keep"}, optional
        What to do about a sample without a single object pixel. Without: what its record says, else "raise".

    Returns
    -------
    Samples
        In the order of the records; without those skipped. With texts if all have some.

    Raises
    ------
    DataError
        For a file that is missing, corrupt, of another size than its image, or empty where that is not allowed.
    """
    if empty is not None:
        one_of("empty", empty, EMPTY)
    if isinstance(size, bool) or not isinstance(size, int) or size < 1:
        raise ValueError(f"size must be a number of pixels >= 1, got {size!r}")
    images = np.empty((len(records), size, size, 3), np.uint8)
    masks = np.empty((len(records), size, size), np.bool_)
    kept: list[Record] = []
    reader = _Reader(size)
    for record in records:
        image, mask = reader.read(record)
        policy = empty or record.empty or "raise"
        if not mask.any() and policy != "keep":
            if policy == "raise":
                raise DataError(_empty(record))
            _LOG.info("left out: %s", _empty(record))
            continue
        images[len(kept)], masks[len(kept)] = image, resized_mask(mask, size)
        kept.append(record)
    texts = [record.texts for record in kept if record.texts is not None]
    names, groups = tuple(r.name for r in kept), tuple(r.group or r.name for r in kept)
    told = tuple(texts) if kept and len(texts) == len(kept) else None
    return Samples(images[: len(kept)], masks[: len(kept)], names, told, groups)


def mask_array(path: Path | Source, values: tuple[int, int] | None) -> np.ndarray:
    """Return a mask as bool (H, W); see :class:`Record` for ``values``.

    Of a colour image the largest of the three channels counts; of a palette its grey levels, or the indices if it has
    colours.
    """
    array = _mask_values(path) if isinstance(path, Path) else path.read()
    if values is None:
        return np.asarray(array > (0 if array.max(initial=0) <= 1 else 127))
    return np.asarray((array >= values[0]) & (array <= values[1]))


def _mask_values(path: Path) -> np.ndarray:
    image, _ = open_image(path, "mask")
    if image.mode == "P":
        colours = np.asarray(image.convert("RGBA"))[..., :3]
        grey = (colours == colours[..., :1]).all()
        return np.asarray(colours[..., 0] if grey else image)
    if image.mode == "1":
        return np.asarray(image).astype(np.uint8) * 255
    if image.mode in {"L", "I", "F"} or image.mode.startswith("I;16"):
        return np.asarray(image)
    if image.mode in {"LA", "La"}:
        return np.asarray(image)[..., 0]
    return np.asarray(np.asarray(image.convert("RGB")).max(axis=2))


def resized_mask(mask: np.ndarray, size: int) -> np.ndarray:
    """Return a bool mask (H, W) as bool (size, size): at least half covered, or the most covered pixels if none is."""
    cover = np.asarray(Image.fromarray(mask.astype(np.float32)).resize((size, size), Image.Resampling.BOX))
    result = cover > 0.5 - 1e-6
    if not result.any() and mask.any():
        return np.asarray(cover >= cover.max() - 1e-6)
    return np.asarray(result)


def rgb_image(path: Path, draft: int | None = None) -> tuple[Image.Image, tuple[int, int]]:
    """Return an image file as 8-bit RGB, and the width and height of the file; see ``open_image`` for ``draft``.

    Raises
    ------
    DataError
        If it is missing, cannot be read, or has more than 8 bits per channel.
    """
    image, size = open_image(path, "image", draft)
    if image.mode.startswith(("I", "F")):
        raise DataError(f"{path}: expected an image of 8 bits per channel, got Pillow's mode {image.mode}")
    return image.convert("RGBA").convert("RGB") if image.mode in {"P", "PA"} else image.convert("RGB"), size


def sample_image(path: Path, size: int) -> np.ndarray:
    """Return a whole image file as a sample has it: stretched to a square, uint8 (size, size, 3); see `rgb_image`."""
    return _shrunk(rgb_image(path, draft=3 * size)[0], size)


def _shrunk(image: Image.Image, size: int) -> np.ndarray:
    return np.asarray(image.resize((size, size), Image.Resampling.BILINEAR, reducing_gap=3.0))


class _Reader:
    """Reads records; the last image and the last masks are kept, since records of one file follow each other."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.image: tuple[tuple[Path | Source, bool], Image.Image, tuple[int, int]] | None = None
        self.masks: tuple[tuple[tuple[Path | Source, ...], tuple[int, int] | None], np.ndarray] | None = None

    def read(self, record: Record) -> tuple[np.ndarray, np.ndarray]:
        """Return the image, uint8 (size, size, 3), and the mask of the box, bool, in pixels of the file."""
        image, (width, height) = self._image(record)
        mask = self._mask(record, (width, height))
        box = record.box or (0, 0, width, height)
        if not (0 <= box[0] < box[2] <= width and 0 <= box[1] < box[3] <= height):
            raise DataError(f"{record.image}: the image of {width} x {height} pixels does not hold the box {box}")
        # Cut first: resize(box=...) would let pixels beside the box in. A whole image may be smaller than its file.
        part = image.crop(box) if record.box else image
        return _shrunk(part, self.size), mask[box[1] : box[3], box[0] : box[2]]

    def _image(self, record: Record) -> tuple[Image.Image, tuple[int, int]]:
        whole = record.box is None
        if self.image is None or self.image[0] != (record.image, whole):
            if isinstance(record.image, Path):
                image, original = rgb_image(record.image, draft=3 * self.size if whole else None)
            else:
                image = Image.fromarray(record.image.read()).convert("RGB")
                original = image.size
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


def _empty(record: Record) -> str:
    what = "no pixel above 127" if record.values is None else f"no pixel from {record.values[0]} to {record.values[1]}"
    where = f" in the box {record.box}" if record.box else ""
    more = f" and {len(record.masks) - 1} more" if len(record.masks) > 1 else ""
    files = f"{record.masks[0]}{more}" if record.masks else f"{record.image}, which has no mask file"
    return f"{files}: the mask is empty ({what}{where}); empty='skip' leaves such samples out, 'keep' keeps them"

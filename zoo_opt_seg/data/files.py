"""From files to arrays: records of images and their mask files, read, cut and resized."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import PIL
from PIL import Image

from zoo_opt.core.errors import one_of
from zoo_opt_seg.data.errors import DataError as DataError
from zoo_opt_seg.data.fitting import Box, Crop, Fit, box_within, check_fit
from zoo_opt_seg.data.readers import pictures
from zoo_opt_seg.data.readers.by_name import ImageSource, MaskSource, seen, source_of
from zoo_opt_seg.data.readers.by_name import image_size as image_size
from zoo_opt_seg.data.readers.by_name import mask_array as mask_array
from zoo_opt_seg.data.readers.by_name import mask_values as mask_values
from zoo_opt_seg.data.readers.by_name import rgb_image as rgb_image
from zoo_opt_seg.data.readers.scans import forget_volumes
from zoo_opt_seg.data.readers.windows import Window, check_window
from zoo_opt_seg.data.row_files import stored
from zoo_opt_seg.data.samples import Original, Rows, Samples, Texts

EMPTY = ("raise", "skip", "keep")  # what load may do about an empty mask
_FORMAT = 2  # of what is made of files: another number, and what a cache holds is made anew
_LOG = logging.getLogger("zoo_opt_seg.data")


@dataclass(frozen=True)
class Record:
    """Where one sample lies.

    Parameters
    ----------
    name : str
        Its name, unique in the data set.
    image : Path or ImageSource
        The image file, or what reads it where its name does not say.
    masks : tuple of Path or MaskSource
        The mask files, each of the size of the image; the object is their union.
    values : tuple of int (low, high), or None
        A mask pixel belongs to the object if low <= value <= high. None: see `mask_array`.
    group : str
        Patient, video or image that the sample comes from, ``Samples.groups``; "": the name. A group is not divided
        between splits, unless the loader was asked to divide by images.
    box : tuple of int (x0, y0, x1, y1), optional
        The part of image and masks to take, in pixels of the file, x1 and y1 excluded.
    crop : tuple of int (top, bottom, left, right), optional
        The pixels to leave out along the borders, where there is no ``box``.
    empty : {"raise", "skip", "keep"}, optional
        What to do about an empty mask, where the caller does not say: "keep" for a normal image, which has no object.
    texts : Texts, optional
        What the image can be asked by in words.
    """

    name: str
    image: Path | ImageSource
    masks: tuple[Path | MaskSource, ...]
    values: tuple[int, int] | None = (128, 255)
    group: str = ""
    box: Box | None = None
    crop: Crop | None = None
    empty: str | None = None
    texts: Texts | None = None


def load(
    records: Sequence[Record],
    size: int,
    *,
    empty: str | None = None,
    window: Window | None = None,
    fit: str = "stretch",
    cache: Path | None = None,
) -> Samples:
    """Read records as squares, into memory or into files.

    Images and masks are turned as their EXIF orientation says. Images are converted to 8-bit RGB (alpha is dropped)
    and resized with Pillow's bilinear filter, whose support grows with the reduction (antialiased). A mask pixel is
    set where the object covers at least half of it; an object too small for that keeps the pixels that it covers
    most. When enlarging, this is the nearest pixel.

    Parameters
    ----------
    records : sequence of Record
    size : int
        Height and width of the samples in pixels.
    empty : {"raise", "skip", "keep"}, optional
        What to do about a sample without a single object pixel. Without: what its record says, else "raise".
    window : "full", "percentile" or (low, high), optional
        What becomes black and white, for all images; see `zoo_opt_seg.data.readers.windows`. Without, images of more
        than 8 bits are refused, but for DICOM files that have a window.
    fit : {"stretch", "pad"}
        How an image that is not square becomes one, see `zoo_opt_seg.data.fitting.Fit`.
    cache : Path, optional
        A folder for the squares: they are written there once, and read when rows are taken, so that all of them need
        not fit in memory. Made anew where an argument, or the size or time of a file, is another.

    Returns
    -------
    Samples
        In the order of the records; without those skipped. With texts if all have some.

    Raises
    ------
    DataError
        For a file that is missing, corrupt, of another size than its image, or empty where that is not allowed, and
        for an image or mask whose values do not say what they mean.
    """
    if empty is not None:
        one_of("empty", empty, EMPTY)
    if isinstance(size, bool) or not isinstance(size, int) or size < 1:
        raise ValueError(f"size must be a number of pixels >= 1, got {size!r}")
    window = check_window(window)
    check_fit(fit)
    reader = _Reader(size, window, fit)
    made = _kept(records, reader, empty)
    images: Rows
    masks: Rows
    numbers: list[tuple[int, ...]] = []
    if cache is None:
        images = np.empty((len(records), size, size, 3), np.uint8)
        masks = np.empty((len(records), size, size), np.bool_)
        for number, image, mask in made:
            images[len(numbers)], masks[len(numbers)] = image, mask
            numbers.append(number)
        images, masks = images[: len(numbers)], masks[: len(numbers)]
    else:
        key = repr((_FORMAT, PIL.__version__, size, empty, window, fit, [_told(record) for record in records]))
        images, masks, numbers = stored(cache, key, size, made)
    kept = [records[row] for row, *_ in numbers]
    texts = [record.texts for record in kept if record.texts is not None]
    names, groups = tuple(r.name for r in kept), tuple(r.group or r.name for r in kept)
    told = tuple(texts) if kept and len(texts) == len(kept) else None
    originals = tuple(reader.original(records[row], (width, height)) for row, width, height in numbers)
    return Samples(images, masks, names, told, groups, originals)


def _kept(
    records: Sequence[Record], reader: _Reader, empty: str | None
) -> Iterator[tuple[tuple[int, int, int], np.ndarray, np.ndarray]]:
    """Of each record that is a sample: its number, width and height of its file; image; mask."""
    try:
        for row, record in enumerate(records):
            image, mask, size = reader.read(record)
            policy = empty or record.empty or "raise"
            if not mask.any() and policy != "keep":
                if policy == "raise":
                    raise DataError(_empty(record))
                _LOG.info("left out: %s", _empty(record))
                continue
            yield (row, *size), image, mask
    finally:
        forget_volumes()


def _told(record: Record) -> tuple[object, ...]:
    """What a sample depends on: all of its record but the texts, and the size and time of its files."""
    files = []
    for source in (record.image, *record.masks):
        path = source if isinstance(source, Path) else getattr(source, "path", None)
        if isinstance(path, Path) and path.exists():
            about = path.stat()
            files.append((str(path.resolve()), about.st_size, about.st_mtime_ns))
    return repr(replace(record, texts=None)), files


def whole_mask(record: Record, size: tuple[int, int]) -> np.ndarray:
    """Return the union of a record's masks, bool (H, W), for an image of this width and height.

    Raises
    ------
    DataError
        If one cannot be read, or has another size.
    """
    union = np.zeros(size[::-1], np.bool_)
    for path in record.masks:
        mask = mask_array(path, record.values)
        if mask.shape != union.shape:
            raise DataError(
                f"{path}: the mask has {mask.shape[1]} x {mask.shape[0]} pixels{_turn(path)}, "
                f"its image {record.image} has {size[0]} x {size[1]}{_turn(record.image)}"
            )
        union |= mask
    return union


def sample_image(
    path: Path, size: int, window: Window | None = None, *, fit: str = "stretch", crop: Crop | None = None
) -> tuple[np.ndarray, Fit]:
    """Return an image file as a sample has it, uint8 (size, size, 3), and where its pixels are; see `load`."""
    image, whole = rgb_image(path, None if crop else 3 * size, window)
    fitted = Fit(size, whole, fit, shown_part(whole, path, None, crop))
    return fitted.picture(image), fitted


class _Reader:
    """Reads records; the last image and the last masks are kept, since records of one file follow each other."""

    def __init__(self, size: int, window: Window | None, fit: str) -> None:
        self.size, self.window, self.fit = size, window, fit
        self.image: tuple[tuple[Path | ImageSource, bool], Image.Image, tuple[int, int]] | None = None
        self.masks: tuple[tuple[tuple[Path | MaskSource, ...], tuple[int, int] | None], np.ndarray] | None = None

    def read(self, record: Record) -> tuple[np.ndarray, np.ndarray, tuple[int, int]]:
        """Return image and mask as a sample has them, uint8 and bool (size, size), and the file's width and height."""
        image, size = self._image(record)
        mask = self._mask(record, size)
        fitted = self._fitted(record, size)
        return fitted.picture(image), fitted.mask(mask), size

    def original(self, record: Record, size: tuple[int, int]) -> Original:
        """Return what a record whose image has this width and height was made from; nothing is read."""
        return Original(partial(whole_mask, record, size), self._fitted(record, size).back)

    def _fitted(self, record: Record, size: tuple[int, int]) -> Fit:
        return Fit(self.size, size, self.fit, shown_part(size, record.image, record.box, record.crop))

    def _image(self, record: Record) -> tuple[Image.Image, tuple[int, int]]:
        whole = record.box is None and record.crop is None
        if self.image is None or self.image[0] != (record.image, whole):
            if isinstance(record.image, Path):
                image, size = rgb_image(record.image, 3 * self.size if whole else None, self.window)
            else:
                image = Image.fromarray(record.image.picture(self.window)).convert("RGB")
                size = image.size
            self.image = ((record.image, whole), image, size)
        return self.image[1:]

    def _mask(self, record: Record, size: tuple[int, int]) -> np.ndarray:
        key = (record.masks, record.values)
        if self.masks is None or self.masks[0] != key:
            self.masks = (key, whole_mask(record, size))
        return self.masks[1]


def shown_part(size: tuple[int, int], image: object, box: Box | None, crop: Crop | None) -> Box | None:
    """Return the part of an image of this width and height that is shown, None for all of it.

    Raises
    ------
    DataError
        If the image does not hold the box, or nothing is left of it.
    """
    width, height = size
    if box is not None and not (0 <= box[0] < box[2] <= width and 0 <= box[1] < box[3] <= height):
        raise DataError(f"{image}: the image of {width} x {height} pixels does not hold the box {box}")
    if box is None and crop is not None:
        box = box_within(size, crop)
        if box is None:
            raise DataError(f"{image}: nothing is left of the image of {width} x {height} pixels with the crop {crop}")
    return box


def _turn(path: object) -> str:
    """What is said beside the size of a file that was turned."""
    if not isinstance(path, Path) or source_of(path, "") is not None:
        return ""
    turned = pictures.orientation(path)
    return "" if turned == 1 else f" when turned as its EXIF orientation {turned} says"


def _empty(record: Record) -> str:
    what = "no pixel above 127" if record.values is None else f"no pixel from {record.values[0]} to {record.values[1]}"
    if record.masks and record.values is not None:
        what += f"; its values are {seen(mask_values(record.masks[0]))}"
    where = f" in the box {record.box}" if record.box else f" with the crop {record.crop}" if record.crop else ""
    more = f" and {len(record.masks) - 1} more" if len(record.masks) > 1 else ""
    files = f"{record.masks[0]}{more}" if record.masks else f"{record.image}, which has no mask file"
    choice = "empty='skip' (--data-option empty=skip) leaves such samples out, 'keep' keeps them"
    return f"{files}: the mask is empty ({what}{where}); {choice}"

"""From files to arrays: records of images and their mask files, read and resized, and what is wrong with a mask."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from PIL import Image

from zoo_opt.core.errors import one_of
from zoo_opt_seg.data.errors import DataError as DataError
from zoo_opt_seg.data.readers import pictures
from zoo_opt_seg.data.readers.dicom import DICOM, Dicom
from zoo_opt_seg.data.readers.scans import NIFTI, Scan, forget_volumes
from zoo_opt_seg.data.readers.windows import Window, check_window, eight_bits
from zoo_opt_seg.data.samples import Samples, Texts

EMPTY = ("raise", "skip", "keep")  # what load may do about an empty mask
_LOG = logging.getLogger("zoo_opt_seg.data")


class ImageSource(Protocol):
    """What a `Record` may hold in place of the path of an image; ``str`` names it in messages."""

    def picture(self, window: Window | None) -> np.ndarray:
        """Return uint8 (H, W) or (H, W, 3); raise DataError."""
        ...


class MaskSource(Protocol):
    """What a `Record` may hold in place of the path of a mask; ``str`` names it in messages."""

    def read(self) -> np.ndarray:
        """Return the values, (H, W); raise DataError."""
        ...


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
    box: tuple[int, int, int, int] | None = None
    empty: str | None = None
    texts: Texts | None = None


def load(records: Sequence[Record], size: int, *, empty: str | None = None, window: Window | None = None) -> Samples:
    """Read records into memory, stretched to a square as the papers do.

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
    images = np.empty((len(records), size, size, 3), np.uint8)
    masks = np.empty((len(records), size, size), np.bool_)
    kept: list[Record] = []
    reader = _Reader(size, window)
    try:
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
    finally:
        forget_volumes()
    texts = [record.texts for record in kept if record.texts is not None]
    names, groups = tuple(r.name for r in kept), tuple(r.group or r.name for r in kept)
    told = tuple(texts) if kept and len(texts) == len(kept) else None
    return Samples(images[: len(kept)], masks[: len(kept)], names, told, groups)


def mask_array(path: Path | MaskSource, values: tuple[int, int] | None) -> np.ndarray:
    """Return a mask as bool (H, W).

    Of a colour image the largest of the three channels counts; of a palette its grey levels, or the indices if it has
    colours.

    Parameters
    ----------
    path : Path or MaskSource
    values : tuple of int (low, high), or None
        The object. None: 1 where the values are 0 and 1, else above 127; of more than 8 bits the higher of two values,
        0 and another.

    Raises
    ------
    DataError
        If it cannot be read, is transparent where it has values or, for None, its values are neither 0 and 1 nor reach
        above 127: labels, then, of which ``values`` says which is meant.
    """
    array = mask_values(path)
    if array.dtype.kind == "f" and not (array == np.rint(array)).all():
        raise DataError(f"{path}: expected whole numbers in the mask, got {array.dtype} with the values {_seen(array)}")
    if values is not None:
        return np.asarray((array >= values[0]) & (array <= values[1]))
    top = array.max(initial=0)
    if top > 127 and (array.dtype.itemsize == 1 or ((array == 0) | (array == top)).all()):
        return np.asarray(array > 127)
    if not ((array == 0) | (array == 1)).all():
        raise DataError(
            f"{path}: expected a mask of 0 and 1, or of 0 and 255, got the values {_seen(array)}; for labels "
            "values=(low, high) says which are the object"
        )
    return np.asarray(array == 1)


def mask_values(path: Path | MaskSource) -> np.ndarray:
    """Return the values of a mask, (H, W)."""
    source = _source(path, "mask")
    if source is not None:
        return source.read()
    assert isinstance(path, Path)
    image = pictures.open_picture(path, "mask").pixels
    if isinstance(image, np.ndarray):
        colours = _colours(image)
        values = colours if colours.ndim == 2 else np.asarray(colours.max(axis=2))
        alpha = image[..., -1] if image.ndim == 3 and image.shape[2] in (2, 4) else None
    else:
        values, alpha = _grey(image)
    if alpha is not None and alpha.min() < alpha.max() and (values[alpha == 0].any() or values.min() == values.max()):
        raise DataError(
            f"{path}: expected a mask whose grey or colours say what is the object, in this one its alpha channel says "
            "another thing; save it without alpha"
        )
    return values


def _grey(image: Image.Image) -> tuple[np.ndarray, np.ndarray | None]:
    """Return the values of a mask, and its alpha channel if it has one that counts."""
    if image.mode == "P":
        colours = np.asarray(image.convert("RGBA"))
        if (colours[..., :3] == colours[..., :1]).all():
            return colours[..., 0], colours[..., 3]
        return np.asarray(image), None
    if image.mode == "1":
        return np.asarray(image).astype(np.uint8) * 255, None
    if image.mode == "L":
        return np.asarray(image), None
    colours = np.asarray(image)
    if image.mode in {"LA", "La"}:
        return colours[..., 0], colours[..., 1]
    alpha = colours[..., 3] if image.mode in {"RGBA", "RGBa"} else None
    return np.asarray(np.asarray(image.convert("RGB")).max(axis=2)), alpha


def _seen(array: np.ndarray) -> str:
    """The first values of an array, for messages."""
    values = np.unique(array)
    return ", ".join(f"{value:g}" for value in values[:8]) + (", ..." if len(values) > 8 else "")


def resized_mask(mask: np.ndarray, size: int) -> np.ndarray:
    """Return a bool mask (H, W) as bool (size, size): at least half covered, or the most covered pixels if none is."""
    cover = np.asarray(Image.fromarray(mask.astype(np.float32)).resize((size, size), Image.Resampling.BOX))
    result = cover > 0.5 - 1e-6
    if not result.any() and mask.any():
        return np.asarray(cover >= cover.max() - 1e-6)
    return np.asarray(result)


def rgb_image(
    path: Path, draft: int | None = None, window: Window | None = None
) -> tuple[Image.Image, tuple[int, int]]:
    """Return an image file as 8-bit RGB, and the width and height of the file.

    Parameters
    ----------
    path : Path
        What Pillow or tifffile reads, a DICOM file, or a NIfTI file of one image.
    draft : int, optional
        See `zoo_opt_seg.data.readers.pictures.open_picture`; not used with a window.
    window : Window, optional
        See `load`.

    Raises
    ------
    DataError
        If it is missing, cannot be read, or has more than 8 bits per channel without a window.
    """
    source = _source(path, "image")
    if source is not None:
        image = Image.fromarray(source.picture(window)).convert("RGB")
        return image, image.size
    read = pictures.open_picture(path, "image", draft if window is None else None)
    if isinstance(read.pixels, np.ndarray):
        return Image.fromarray(eight_bits(_colours(read.pixels), window, path)).convert("RGB"), read.size
    image = read.pixels.convert("RGBA") if read.pixels.mode in {"P", "PA"} else read.pixels
    image = image.convert("RGB")
    return (image if window is None else Image.fromarray(eight_bits(np.asarray(image), window, path))), read.size


def image_size(path: Path) -> tuple[int, int]:
    """Return width and height of an image file as `rgb_image` reads it, without decoding its pixels."""
    source = _source(path, "image")
    return pictures.image_size(path) if source is None else source.size()


def _colours(values: np.ndarray) -> np.ndarray:
    """Return (H, W) or (H, W, 3), without alpha."""
    if values.ndim == 2:
        return values
    return values[..., 0] if values.shape[2] <= 2 else values[..., :3]


def _source(path: Path | MaskSource | ImageSource, kind: str) -> Any:
    """What reads a file, by the end of its name; None: it is a picture. What reads one already is returned."""
    if not isinstance(path, Path):
        return path
    name = path.name.lower()
    return Scan(path, kind) if name.endswith(NIFTI) else Dicom(path, kind) if name.endswith(DICOM) else None


def sample_image(path: Path, size: int, window: Window | None = None) -> np.ndarray:
    """Return a whole image file as a sample has it: stretched to a square, uint8 (size, size, 3); see `rgb_image`."""
    return _shrunk(rgb_image(path, 3 * size, window)[0], size)


def _shrunk(image: Image.Image, size: int) -> np.ndarray:
    return np.asarray(image.resize((size, size), Image.Resampling.BILINEAR, reducing_gap=3.0))


class _Reader:
    """Reads records; the last image and the last masks are kept, since records of one file follow each other."""

    def __init__(self, size: int, window: Window | None) -> None:
        self.size, self.window = size, window
        self.image: tuple[tuple[Path | ImageSource, bool], Image.Image, tuple[int, int]] | None = None
        self.masks: tuple[tuple[tuple[Path | MaskSource, ...], tuple[int, int] | None], np.ndarray] | None = None

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
                image, size = rgb_image(record.image, 3 * self.size if whole else None, self.window)
            else:
                image = Image.fromarray(record.image.picture(self.window)).convert("RGB")
                size = image.size
            self.image = ((record.image, whole), image, size)
        return self.image[1:]

    def _mask(self, record: Record, size: tuple[int, int]) -> np.ndarray:
        key = (record.masks, record.values)
        if self.masks is None or self.masks[0] != key:
            union = np.zeros(size[::-1], np.bool_)
            for path in record.masks:
                mask = mask_array(path, record.values)
                if mask.shape != union.shape:
                    raise DataError(
                        f"{path}: the mask has {mask.shape[1]} x {mask.shape[0]} pixels{_turn(path)}, "
                        f"its image {record.image} has {size[0]} x {size[1]}{_turn(record.image)}"
                    )
                union |= mask
            self.masks = (key, union)
        return self.masks[1]


def _turn(path: object) -> str:
    """What is said beside the size of a file that was turned."""
    if not isinstance(path, Path) or _source(path, "") is not None:
        return ""
    turned = pictures.orientation(path)
    return "" if turned == 1 else f" when turned as its EXIF orientation {turned} says"


def _empty(record: Record) -> str:
    what = "no pixel above 127" if record.values is None else f"no pixel from {record.values[0]} to {record.values[1]}"
    if record.masks and record.values is not None:
        what += f"; its values are {_seen(mask_values(record.masks[0]))}"
    where = f" in the box {record.box}" if record.box else ""
    more = f" and {len(record.masks) - 1} more" if len(record.masks) > 1 else ""
    files = f"{record.masks[0]}{more}" if record.masks else f"{record.image}, which has no mask file"
    return f"{files}: the mask is empty ({what}{where}); empty='skip' leaves such samples out, 'keep' keeps them"

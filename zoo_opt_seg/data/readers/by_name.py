"""What reads an image or mask file, by the end of its name: images as RGB, masks as what is the object."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol

import numpy as np
from PIL import Image

from zoo_opt_seg.data.errors import DataError
from zoo_opt_seg.data.readers import pictures
from zoo_opt_seg.data.readers.dicom import DICOM, Dicom
from zoo_opt_seg.data.readers.scans import NIFTI, Scan
from zoo_opt_seg.data.readers.windows import Window, eight_bits


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
        raise DataError(f"{path}: expected whole numbers in the mask, got {array.dtype} with the values {seen(array)}")
    if values is not None:
        return np.asarray((array >= values[0]) & (array <= values[1]))
    top = array.max(initial=0)
    if top > 127 and (array.dtype.itemsize == 1 or ((array == 0) | (array == top)).all()):
        return np.asarray(array > 127)
    if not ((array == 0) | (array == 1)).all():
        raise DataError(
            f"{path}: expected a mask of 0 and 1, or of 0 and 255, got the values {seen(array)}; for labels "
            "values=(low, high) (--data-option values=[low,high]) says which are the object"
        )
    return np.asarray(array == 1)


def mask_values(path: Path | MaskSource) -> np.ndarray:
    """Return the values of a mask, (H, W)."""
    source = source_of(path, "mask")
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


def seen(array: np.ndarray) -> str:
    """The first values of an array, for messages."""
    values = np.unique(array)
    return ", ".join(f"{value:g}" for value in values[:8]) + (", ..." if len(values) > 8 else "")


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
        What becomes black and white; see `zoo_opt_seg.data.readers.windows`.

    Raises
    ------
    DataError
        If it is missing, cannot be read, or has more than 8 bits per channel without a window.
    """
    source = source_of(path, "image")
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
    source = source_of(path, "image")
    return pictures.image_size(path) if source is None else source.size()


def _colours(values: np.ndarray) -> np.ndarray:
    """Return (H, W) or (H, W, 3), without alpha."""
    if values.ndim == 2:
        return values
    return values[..., 0] if values.shape[2] <= 2 else values[..., :3]


def source_of(path: Path | MaskSource | ImageSource, kind: str) -> Any:
    """What reads a file, by the end of its name; None: it is a picture. What reads one already is returned."""
    if not isinstance(path, Path):
        return path
    name = path.name.lower()
    return Scan(path, kind) if name.endswith(NIFTI) else Dicom(path, kind) if name.endswith(DICOM) else None

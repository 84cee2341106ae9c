"""Images as services take them: PNG, which changes no pixel, or numbers; never JPEG, which does. And other sizes."""

from __future__ import annotations

import base64
import io
from typing import Any

import numpy as np

from zoo_opt.support.loading import require
from zoo_opt_seg.blackbox.wrappers import to_bytes
from zoo_opt_seg.prompts import Array

ENCODINGS = ("base64", "data-uri", "png", "list")
LAYOUTS = ("hwc", "chw")
RANGES = ("0-255", "0-1")


def png(image: Array) -> bytes:
    """Return an image as the bytes of a PNG file, which holds nothing but the pixels.

    Parameters
    ----------
    image : (H, W, 3) array
        uint8, or floats in [0, 1], which become the nearest of 256 levels.
    """
    from PIL import Image

    file = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(to_bytes(image))).save(file, "PNG")
    return file.getvalue()


def numbers(image: Array, layout: str = "hwc", range: str = "0-255") -> list[Any]:
    """Return an image as nested lists.

    Parameters
    ----------
    image : (H, W, 3) array
        uint8, or floats in [0, 1].
    layout : {"hwc", "chw"}
        Rows, columns, channels; or channels first.
    range : {"0-255", "0-1"}
        Whole numbers, the nearest of 256 levels; or floats, those of a float image as they are.
    """
    if range == "0-255":
        values = to_bytes(image)
    else:
        values = image.astype(np.float64) / 255 if image.dtype == np.uint8 else image
    return (values if layout == "hwc" else np.moveaxis(values, 2, 0)).tolist()


def encoded(image: Array, encoding: str, layout: str = "hwc", range: str = "0-255") -> Any:
    """Return an image in one of the encodings.

    Parameters
    ----------
    image : (H, W, 3) array
    encoding : {"base64", "data-uri", "png", "list"}
        The bytes of a PNG file in base64, in a data URI, or themselves; or nested lists.
    layout, range : str
        Of lists, see `numbers`.
    """
    if encoding == "list":
        return numbers(image, layout, range)
    content = png(image)
    if encoding == "png":
        return content
    text = base64.b64encode(content).decode()
    return text if encoding == "base64" else f"data:image/png;base64,{text}"


def stretched(picture: Array, height: int, width: int) -> Array:
    """Return an image (h, w, 3) or a mask (h, w) at another size: bilinear, of bool masks the nearest pixel."""
    require("PIL", "pillow", extra="seg")
    from PIL import Image

    if picture.ndim == 3:
        return np.stack([stretched(picture[..., i], height, width) for i in range(picture.shape[2])], axis=2)
    hard = picture.dtype == np.bool_
    whole = picture if picture.dtype == np.uint8 else picture.astype(np.uint8 if hard else np.float32)
    how = Image.Resampling.NEAREST if hard else Image.Resampling.BILINEAR
    found = np.asarray(Image.fromarray(whole).resize((width, height), how))
    return found.astype(np.bool_) if hard else found

"""Images as services take them: PNG, which changes no pixel, or numbers; never JPEG, which does."""

from __future__ import annotations

import base64
import io
from typing import Any

import numpy as np

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

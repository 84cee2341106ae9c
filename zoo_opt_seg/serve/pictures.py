"""Images as files in memory, and masks as what a client can read: PNG, or COCO's run lengths."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
from PIL import Image, ImageOps

from zoo_opt_seg.prompts import Array
from zoo_opt_seg.serve.limits import Limits
from zoo_opt_seg.serve.problems import Problem

FORMATS = ("PNG", "JPEG", "WEBP", "BMP")  # that are read; all others of Pillow's are not tried


class Picture8:
    """An image file of 8 bits in memory; its pixels are not decoded before `pixels`.

    Parameters
    ----------
    content : bytes
        PNG, JPEG, WebP or BMP.
    limits : Limits

    Attributes
    ----------
    size : tuple of int (width, height)
        As the file says, not turned.

    Raises
    ------
    Problem
        If it is none of these, or too large.
    """

    def __init__(self, content: bytes, limits: Limits) -> None:
        try:
            self._content, self._image = content, Image.open(io.BytesIO(content), formats=FORMATS)
        except (Image.DecompressionBombError, Image.DecompressionBombWarning):
            raise Problem(413, f"the image has more than the {limits.pixels} pixels that are taken") from None
        except Exception:
            raise Problem(415, f"the image must be a file of {', '.join(FORMATS)}, and whole") from None
        self.size = self._image.size
        limits.check_image(*self.size)
        tile = getattr(self._image, "tile", None) or [None]
        if self._image.mode.startswith(("I", "F")) or str(getattr(tile[0], "args", "")).endswith(";16B"):
            raise Problem(415, f"the image must have 8 bits per channel, got {self._image.mode} of more")

    def pixels(self) -> Array:
        """Return uint8 (H, W, 3), turned as the EXIF orientation says; a Problem if it cannot be decoded."""
        try:
            if self._image.format == "PNG":  # decoding passes over the checksums of the pixels
                with Image.open(io.BytesIO(self._content), formats=("PNG",)) as again:
                    again.verify()
            self._image.load()
            return np.asarray(ImageOps.exif_transpose(self._image).convert("RGB"))
        except Exception as error:
            raise Problem(400, f"the image cannot be decoded: {error}") from error


def picture_of(mask: Array, probabilities: bool = False) -> Image.Image:
    """Return a probability (H, W) as an 8-bit grey picture: 255 where it is above 0.5, or 255 times it."""
    grey = np.rint(mask * 255) if probabilities else np.where(mask > 0.5, 255, 0)
    return Image.fromarray(grey.astype(np.uint8))


def png_of(mask: Array, probabilities: bool = False) -> bytes:
    """Return `picture_of` as a PNG file."""
    buffer = io.BytesIO()
    picture_of(mask, probabilities).save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()


def coco_rle(mask: Array) -> dict[str, Any]:
    """Return a mask, bool (H, W), as COCO's uncompressed run lengths: of zeros and ones in turn, column by column."""
    flat = mask.reshape(-1, order="F")
    changes = np.flatnonzero(flat[1:] != flat[:-1]) + 1
    runs = np.diff(np.concatenate([[0], changes, [len(flat)]])).tolist()
    return {"size": list(mask.shape), "counts": [0, *runs] if flat[0] else runs}

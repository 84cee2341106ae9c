"""Masks as PNG: grey or alpha, of 1 to 16 bits."""

from __future__ import annotations

import io
import warnings

import numpy as np

from zoo_opt_seg.blackbox.protocol import Unanswerable
from zoo_opt_seg.data.limits import check_pixels
from zoo_opt_seg.prompts import Array

CHANNELS = ("grey", "alpha")
_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_DEEP = 65535.0


def png_mask(content: bytes, what: str, channel: str = "grey") -> Array:
    """Return a PNG file's grey levels, or its alpha, float32 (H, W): 0 black, 1 white.

    Parameters
    ----------
    content : bytes
    what : str
        For messages.
    channel : {"grey", "alpha"}

    Raises
    ------
    Unanswerable, DataError
        If it is no PNG file, has more pixels than the limit, or no alpha where that is asked for; other errors where
        its bytes are damaged.
    """
    from PIL import Image

    if content[:8] != _SIGNATURE:
        raise Unanswerable(f"{what} must be a PNG image, got {len(content)} bytes that begin with {content[:8]!r}")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow's own limit: ours is checked
        with Image.open(io.BytesIO(content), formats=("PNG",)) as again:
            check_pixels(what, *again.size)
            again.verify()  # decoding passes over the checksums of the pixels
        with Image.open(io.BytesIO(content), formats=("PNG",)) as image:
            image.load()
            if channel == "alpha":
                if "A" not in image.getbands() and "transparency" not in image.info:
                    raise Unanswerable(f"{what} must have an alpha channel, got a PNG image of {image.mode}")
                return np.asarray(image.convert("RGBA"))[..., 3].astype(np.float32) / np.float32(255)
            if image.mode.startswith("I"):
                return np.asarray(image).astype(np.float32) / np.float32(_DEEP)
            return np.asarray(image.convert("RGB").convert("L")).astype(np.float32) / np.float32(255)

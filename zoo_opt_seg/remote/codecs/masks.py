"""A mask from what a service sends: by its codec, by what its values mean, at the size of the image."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from zoo_opt.core.errors import one_of
from zoo_opt_seg.blackbox.protocol import Unanswerable
from zoo_opt_seg.data.readers.rle import Rle
from zoo_opt_seg.prompts import Array
from zoo_opt_seg.remote.codecs.arrays import list_mask
from zoo_opt_seg.remote.codecs.images import stretched
from zoo_opt_seg.remote.codecs.pictures import CHANNELS, png_mask
from zoo_opt_seg.remote.codecs.polygons import filled
from zoo_opt_seg.remote.codecs.reading import bytes_of, readable

CODECS = ("png", "rle", "polygon", "list", "npz")
VALUES = ("mask", "nonzero", "probability", "logits")
_HARD = ("rle", "polygon")  # codecs that hold nothing but masks


@dataclass(frozen=True, kw_only=True)
class MaskForm:
    """How a mask is sent.

    Parameters
    ----------
    codec : {"png", "rle", "polygon", "list", "npz"}
        A PNG image (its bytes, base64 or a data URI), COCO's run lengths (compressed or not), outlines, rows of
        numbers, or arrays in an npz file.
    values : {"mask", "nonzero", "probability", "logits"}
        What its numbers mean: a mask where they are more than half of the highest level, or not 0; probabilities, of a
        PNG image its grey levels; or logits.
    hard : bool
        Whether to make a mask of probabilities or logits: above .5, above 0.
    channel : {"grey", "alpha"}
        Of a PNG image.
    resize : bool
        Whether a mask of another size than the image is resized; if not, it is refused.

    Raises
    ------
    ValueError
        If these do not go together.
    """

    codec: str
    values: str = "mask"
    hard: bool = False
    channel: str = "grey"
    resize: bool = False

    def __post_init__(self) -> None:
        one_of("codec", self.codec, CODECS)
        one_of("values", self.values, VALUES)
        one_of("channel", self.channel, CHANNELS)
        if self.codec in _HARD and self.values != "mask":
            raise ValueError(f"values must be 'mask' for the codec {self.codec!r}, got {self.values!r}")
        if self.codec == "png" and self.values == "logits":
            raise ValueError("values must not be 'logits' for the codec 'png', which has none")
        if self.hard and self.values in ("mask", "nonzero"):
            raise ValueError(f"hard is for probabilities and logits, got values {self.values!r}")
        if self.channel != "grey" and self.codec != "png":
            raise ValueError(f"channel is for the codec 'png', got {self.codec!r}")

    @property
    def soft(self) -> bool:
        """Whether the masks are probabilities, float32; if not, bool."""
        return self.values in ("probability", "logits") and not self.hard

    def read(self, value: Any, size: tuple[int, int], what: str = "the mask of the reply") -> Array:
        """Return the mask.

        Parameters
        ----------
        value : object
            As JSON has it, or bytes; of an npz file one of its arrays, see `zoo_opt_seg.remote.codecs.arrays`.
        size : (int, int)
            Height and width of the image.
        what : str
            For messages.

        Returns
        -------
        (H, W) array
            float32 probabilities if `soft`, else bool.

        Raises
        ------
        Unanswerable
            If it cannot be read, has another size, or values that are not what they should be.
        """
        with readable(what):
            return self._sized(self._meant(self._decoded(value, size, what), what), size, what)

    def _decoded(self, value: Any, size: tuple[int, int], what: str) -> Array:
        """Return its numbers: bool, or float32."""
        if self.codec == "png":
            return png_mask(bytes_of(value, what), what, self.channel)
        if self.codec == "rle":
            return Rle.of(what, "run lengths", value).read().astype(np.bool_)
        if self.codec == "polygon":
            return filled(value, size, what)
        if isinstance(value, np.ndarray):
            return value
        return list_mask(value, what)

    def _meant(self, numbers: Array, what: str) -> Array:
        if numbers.dtype == np.bool_:
            return numbers.astype(np.float32) if self.soft else numbers
        if np.isnan(numbers).any():
            raise Unanswerable(f"{what} has NaN in it")
        if self.values == "logits":
            if self.hard:
                return numbers > 0
            return (0.5 + 0.5 * np.tanh(0.5 * numbers)).astype(np.float32)
        if self.values == "nonzero":
            return numbers != 0
        if self.values == "mask":
            return numbers > 0.5
        low, high = float(numbers.min()), float(numbers.max())
        if low < -1e-5 or high > 1 + 1e-5:
            raise Unanswerable(f"{what} must have probabilities in [0, 1], got values from {low:g} to {high:g}")
        return numbers > 0.5 if self.hard else np.clip(numbers, np.float32(0), np.float32(1))

    def _sized(self, mask: Array, size: tuple[int, int], what: str) -> Array:
        if mask.shape == tuple(size):
            return mask
        if not self.resize:
            height, width = mask.shape
            raise Unanswerable(
                f"{what} has {width} x {height} pixels, the image {size[1]} x {size[0]}: a mask is resized only where "
                "the mapping says so"
            )
        return stretched(mask, *size)

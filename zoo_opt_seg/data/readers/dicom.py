"""DICOM files: one image each, in its units and shown through its window."""

from __future__ import annotations

import contextlib
import io
import math
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, UnidentifiedImageError

from zoo_opt_seg.data.errors import DataError, needed, reading
from zoo_opt_seg.data.limits import check_array, check_pixels, whole_file
from zoo_opt_seg.data.readers.windows import HINT, Window, eight_bits, mapped

DICOM = (".dcm", ".dicom")
_DEFLATED = b"1.2.840.10008.1.2.1.99"  # compressed as a whole, so that its length is not known before
_GREY = ("MONOCHROME1", "MONOCHROME2")
_COLOUR = ("RGB", "YBR_FULL", "YBR_FULL_422", "YBR_ICT", "YBR_RCT", "PALETTE COLOR")  # that pydicom makes RGB of
_GROUPS = ("SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence")  # of enhanced files
_OF_A_FRAME = ("PixelValueTransformationSequence", "FrameVOILUTSequence")  # rescale, and window


@dataclass(frozen=True)
class Dicom:
    """A DICOM file of one image.

    Parameters
    ----------
    path : Path
    kind : {"image", "mask"}
        For messages.
    """

    path: Path
    kind: str = "image"

    def __str__(self) -> str:
        return str(self.path)

    def read(self) -> np.ndarray:
        """Return the stored values, (H, W): the labels of a mask."""
        with reading(self.path, self.kind):
            values = self._values(self._data(pixels=True))
        if values.ndim != 2:
            raise DataError(f"{self}: expected grey values, got the shape {values.shape}")
        return values

    def picture(self, window: Window | None) -> np.ndarray:
        """Return uint8 (H, W) or (H, W, 3), light on dark.

        Values are in the units of the file (rescale slope and intercept: HU for CT). Without a window its own is
        applied, the first if it has several, by its VOI LUT function (PS3.3 C.11.2.1); MONOCHROME1 is inverted.
        """
        with reading(self.path, self.kind):
            data = self._data(pixels=True)
            values, photometric = self._values(data), str(data.PhotometricInterpretation)
            if photometric == "PALETTE COLOR":
                values = pixels().apply_color_lut(values, data)
                values = values if values.dtype == np.uint8 else (values >> 8).astype(np.uint8)
            if values.ndim == 3 and photometric in _COLOUR:
                return eight_bits(values, window, self)
            if values.ndim == 3 or photometric not in _GREY:
                raise DataError(f"{self}: expected grey or colour, got the photometric interpretation {photometric}")
            values = pixels().apply_modality_lut(values, data)
            own = data.get("WindowCenter") is not None and data.get("WindowWidth") is not None
            if window is None and own:
                grey = _windowed(values, data, self)
            else:
                if window is None and (int(data.BitsStored) > 8 or data.get("VOILUTSequence")):
                    raise DataError(f"{self}: the file has no window of its own; {HINT}")
                grey = eight_bits(values, window, self)
            return 255 - grey if photometric == "MONOCHROME1" else grey

    def size(self) -> tuple[int, int]:
        """Width and height."""
        with reading(self.path, self.kind):
            data = self._data(pixels=False)
            return int(data.Columns), int(data.Rows)

    def _data(self, pixels: bool) -> Any:
        """The data set, its size checked before its pixels are decoded."""
        pydicom: Any = needed("pydicom", "pydicom", self.path, "dicom")
        content = whole_file(self.path)
        if _DEFLATED in content:
            raise DataError(f"{self}: a DICOM file that is deflated as a whole is not read")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            data = pydicom.dcmread(io.BytesIO(content), stop_before_pixels=not pixels)
            rows, columns, samples = int(data.Rows), int(data.Columns), int(data.get("SamplesPerPixel", 1))
            frames = int(data.get("NumberOfFrames") or 1)
            _flatten(data)
        if frames != 1:
            raise DataError(f"{self}: expected one image, got {frames} frames; save each as a file of its own")
        check_pixels(self, columns, rows)
        check_array(self, (rows, columns, samples), math.ceil(int(data.BitsAllocated) / 8))
        return data

    def _values(self, data: Any) -> np.ndarray:
        shape = (int(data.Rows), int(data.Columns), int(data.get("SamplesPerPixel", 1)))
        bits = int(data.get("BitsStored", data.BitsAllocated))
        if (highest := int(data.get("HighBit", bits - 1))) != bits - 1:  # of files before DICOM, which pydicom mixes up
            raise DataError(f"{self}: expected the highest of {bits} bits as number {bits - 1}, got number {highest}")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            if data.file_meta.TransferSyntaxUID.is_encapsulated:
                self._check_frame(data, shape[1::-1])
            values = np.asarray(pixels().pixel_array(data))
        if values.shape not in (shape, shape[:2]):
            raise DataError(f"{self}: expected values of the shape {shape}, got {values.shape}")
        return values

    def _check_frame(self, data: Any, size: tuple[int, ...]) -> None:
        """Raise if a picture of another size is compressed in it, whose pixels would be mixed up, or be too many."""
        encaps: Any = needed("pydicom.encaps", "pydicom", self.path, "dicom")
        frame = io.BytesIO(encaps.get_frame(data.PixelData, 0, number_of_frames=1))
        with contextlib.suppress(UnidentifiedImageError), Image.open(frame, formats=("JPEG", "JPEG2000")) as image:
            if image.size != size:
                raise DataError(f"{self}: expected {size[0]} x {size[1]} pixels, got {image.width} x {image.height}")


def _flatten(data: Any) -> None:
    """Put what an enhanced file says of its one frame where other files say it (PS3.3 C.7.6.16)."""
    for group in (group for groups in _GROUPS for group in (data.get(groups) or [])[:1]):
        for about in (about for name in _OF_A_FRAME for about in (group.get(name) or [])[:1]):
            data.update(about)


def pixels() -> Any:
    """The part of pydicom that decodes."""
    return needed("pydicom.pixels", "pydicom", "the image", "dicom")


def _windowed(values: np.ndarray, data: Any, file: object) -> np.ndarray:
    """Return values through the file's own window, PS3.3 C.11.2.1.2 and C.11.2.1.3, as uint8."""
    centre, width = (float(np.atleast_1d(data[name].value)[0]) for name in ("WindowCenter", "WindowWidth"))
    function = str(data.get("VOILUTFunction") or "LINEAR")
    if not (math.isfinite(centre) and math.isfinite(width)) or width < (0 if function == "LINEAR_EXACT" else 1):
        raise DataError(f"{file}: its window has the centre {centre:g} and the width {width:g}; {HINT}")
    if function == "SIGMOID":
        share = 1 / (1 + np.exp(-4 * (values.astype(np.float64) - centre) / width))
        return np.rint(255 * share).astype(np.uint8)
    if function == "LINEAR_EXACT":
        return mapped(values, centre - width / 2, centre + width / 2)
    if function != "LINEAR":
        raise DataError(f"{file}: expected the VOI LUT function LINEAR, LINEAR_EXACT or SIGMOID, got {function}")
    low, high = centre - 0.5 - (width - 1) / 2, centre - 0.5 + (width - 1) / 2
    return mapped(values, low, high) if low < high else np.where(values > low, 255, 0).astype(np.uint8)

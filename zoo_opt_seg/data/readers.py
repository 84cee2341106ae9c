"""Readers of what an image or a mask can be stored in: image files, colour channels, scans with a header, RLE."""

from __future__ import annotations

import struct
import warnings
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypeVar

import numpy as np
from PIL import Image, UnidentifiedImageError

from zoo_opt_seg.data.errors import DataError, needed, reason

_UNREADABLE = (OSError, SyntaxError, ValueError, EOFError, struct.error, zlib.error, Image.DecompressionBombError)
T = TypeVar("T")
_TIF = (".tif", ".tiff")


class Source(Protocol):
    """What a :class:`~zoo_opt_seg.data.files.Record` may hold in place of a path; ``str`` names it in messages."""

    def read(self) -> np.ndarray:
        """Return an image, uint8 (H, W) or (H, W, 3), or the values of a mask, (H, W); raise DataError."""
        ...


@dataclass(frozen=True)
class Channels:
    """Some channels of a colour image: a pixel has the largest of their values.

    Parameters
    ----------
    path : Path
    channels : tuple of int
        0 red, 1 green, 2 blue.
    """

    path: Path
    channels: tuple[int, ...]

    def __str__(self) -> str:
        return str(self.path)

    def read(self) -> np.ndarray:
        """Return uint8 (H, W)."""
        image, _ = open_image(self.path, "mask")
        return np.asarray(image.convert("RGB"))[..., self.channels].max(axis=2)


@dataclass(frozen=True)
class Scan:
    """A two-dimensional NIfTI file, or a MetaImage (a header ``.mhd`` with its ``.raw``), of 8 bits.

    Rows go down and columns to the right, as a viewer shows them; NIfTI stores (x, y), hence the transpose.

    Parameters
    ----------
    path : Path
        The file; of a MetaImage the header.
    kind : {"image", "mask"}
        What it is, for messages.
    """

    path: Path
    kind: str = "image"

    def __str__(self) -> str:
        return str(self.path)

    def read(self) -> np.ndarray:
        """Return uint8 (H, W)."""
        return self._read()[0]

    def spacing(self) -> tuple[float, float]:
        """Distance between pixels, down and across, in mm."""
        return self._read()[1]

    def _read(self) -> tuple[np.ndarray, tuple[float, float]]:
        if not self.path.is_file():
            raise DataError(f"{self.path}: the {self.kind} file is missing")
        array, across, down = _nifti(self) if self.path.name.endswith((".nii", ".nii.gz")) else _metaimage(self)
        while array.ndim > 2 and array.shape[0] == 1:
            array = array[0]
        if array.ndim != 2:
            raise DataError(f"{self.path}: expected one two-dimensional {self.kind}, got the shape {array.shape}")
        if not (np.isfinite([down, across]).all() and down > 0 and across > 0):
            raise DataError(f"{self.path}: the header has no spacing, expected mm per pixel > 0, got {across}, {down}")
        whole = array.astype(np.uint8)
        if not np.array_equal(whole, array):
            raise DataError(f"{self.path}: expected 8 bits per pixel, got {array.dtype} with other values")
        return whole, (down, across)


def _nifti(scan: Scan) -> tuple[np.ndarray, float, float]:
    nibabel: Any = needed("nibabel", "nibabel", scan)
    try:
        image = nibabel.load(scan.path)
        array = np.asarray(image.dataobj)
        with nibabel.openers.ImageOpener(scan.path) as file:  # unchecked: nibabel would take 1 mm in place of 0
            pixdim = type(image.header).from_fileobj(file, check=False)["pixdim"]
    except (*_UNREADABLE, nibabel.filebasedimages.ImageFileError, nibabel.spatialimages.HeaderDataError) as error:
        raise DataError(f"{scan}: the {scan.kind} cannot be read ({reason(error)})") from None
    return array.T, float(pixdim[1]), float(pixdim[2])


def _metaimage(scan: Scan) -> tuple[np.ndarray, float, float]:
    itk: Any = needed("SimpleITK", "SimpleITK", scan)
    lines = (line.partition("=") for line in scan.path.read_text("latin-1").splitlines())
    header = {name.strip(): value.strip() for name, _, value in lines}
    data = header.get("ElementDataFile", "LOCAL")
    if data != "LOCAL" and not (scan.path.parent / data).is_file():
        raise DataError(f"{scan}: its data file {data} is missing")
    try:
        image = itk.ReadImage(str(scan.path))
    except RuntimeError:  # ITK's own words are a page, and blame a missing file for a short one
        raise DataError(f"{scan}: the {scan.kind} cannot be read (its header or its data is damaged)") from None
    # ITK takes 1 mm for a header that does not say.
    across, down = image.GetSpacing()[:2] if header.keys() & {"ElementSpacing", "ElementSize"} else (np.nan, np.nan)
    return itk.GetArrayFromImage(image), across, down


@dataclass(frozen=True)
class Rle:
    """A mask in the compressed run-length encoding of COCO.

    Parameters
    ----------
    path : Path
        The JSON file that it comes from.
    key : str
        Its place there, for messages.
    height, width : int
        Pixels.
    counts : str
        The runs, column by column, in COCO's letters.
    """

    path: Path
    key: str
    height: int
    width: int
    counts: str

    def __str__(self) -> str:
        return f"{self.path}, {self.key}"

    @classmethod
    def of(cls, path: Path, key: str, entry: Any) -> Rle:
        """Return the mask of a JSON entry ``{"size": [height, width], "counts": "..."}``, checked."""
        match entry:
            case {"size": [int(height), int(width)], "counts": str(counts)} if type(height) is type(width) is int:
                if min(height, width) > 0:
                    return cls(path, key, height, width, counts)
        raise DataError(f"{path}, {key}: bad RLE, expected size [height, width] and counts as a string")

    def runs(self) -> np.ndarray:
        """Lengths of background and object in turn, int64.

        Raises
        ------
        DataError
            For a string that is not of COCO's form, or does not fill the mask (of which pycocotools would read on in
            memory that is not its own).
        """
        runs: list[int] = []
        value = shift = 0
        for letter in self.counts:
            bits = ord(letter) - 48
            if not 0 <= bits < 64:
                raise DataError(f"{self}: bad RLE, COCO's strings have no {letter!r}")
            value |= (bits & 31) << shift
            shift += 5
            if not bits & 32:
                value -= (1 << shift) if bits & 16 else 0  # sign extension
                runs.append(value + (runs[-2] if len(runs) > 2 else 0))  # from the fourth on, differences
                value = shift = 0
        if shift or min(runs, default=0) < 0 or sum(runs) != self.height * self.width:
            raise DataError(
                f"{self}: bad RLE, its runs have {sum(runs)} pixels{' and are cut off' if shift else ''}, expected "
                f"{self.height} x {self.width} = {self.height * self.width}"
            )
        return np.array(runs, np.int64)

    def area(self) -> int:
        """Number of pixels of the object."""
        return int(self.runs()[1::2].sum())

    def read(self) -> np.ndarray:
        """Return uint8 (H, W), 0 and 1."""
        runs = self.runs()
        values = np.arange(len(runs), dtype=np.uint8) & 1
        return np.repeat(values, runs).reshape(self.width, self.height).T


def image_size(path: Path, kind: str = "image") -> tuple[int, int]:
    """Return width and height without decoding the pixels; raises as :func:`open_image`."""
    return _opened(path, kind, lambda image: image.size, lambda tif: tif.size)


def open_image(path: Path, kind: str, draft: int | None = None) -> tuple[Image.Image, tuple[int, int]]:
    """Return an image, fully read, and the width and height of the file.

    Parameters
    ----------
    path : Path
        An image file that Pillow reads, or a TIF that tifffile does.
    kind : {"image", "mask"}
        For messages.
    draft : int, optional
        Lets a JPEG file be decoded at a smaller scale, of at least that many pixels a side.

    Raises
    ------
    DataError
        If it is missing or cannot be read.
    """

    def loaded(image: Image.Image) -> tuple[Image.Image, tuple[int, int]]:
        size = image.size
        if draft is not None and image.format == "JPEG":
            image.draft("RGB", (draft, draft))
        image.load()
        return image, size

    return _opened(path, kind, loaded, lambda tif: (tif, tif.size))


def _opened(path: Path, kind: str, use: Callable[[Image.Image], T], use_tif: Callable[[Image.Image], T]) -> T:
    """What is made of a file that Pillow opens, or else of one that tifffile reads."""
    try:
        with Image.open(path) as image:
            return use(image)
    except FileNotFoundError:
        raise DataError(f"{path}: the {kind} file is missing") from None
    except _UNREADABLE as error:
        unknown = isinstance(error, UnidentifiedImageError)
        if unknown and path.suffix.lower() in _TIF and path.stat().st_size > 0:
            return use_tif(_tif(path, kind))
        said = "not an image, or one that Pillow does not know" if unknown else reason(error)
        raise DataError(f"{path}: the {kind} cannot be read ({said})") from None


def _tif(path: Path, kind: str) -> Image.Image:
    """Read a TIF that Pillow does not know, as those of CVC-ClinicDB."""
    tifffile: Any = needed("tifffile", "tifffile", path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            array = np.asarray(tifffile.imread(path)).squeeze()
    except Exception as error:  # damaged tags raise whatever their values lead to
        raise DataError(f"{path}: the {kind} cannot be read ({reason(error)})") from None
    if array.ndim == 3 and array.shape[0] in (3, 4) and array.shape[2] not in (3, 4):
        array = np.moveaxis(array, 0, 2)  # one plane after the other
    if array.dtype == np.bool_:
        array = array.astype(np.uint8) * 255
    if array.dtype != np.uint8 or not (array.ndim == 2 or (array.ndim == 3 and array.shape[2] in (3, 4))):
        raise DataError(f"{path}: expected 8 bits per channel, got {array.dtype} of shape {array.shape}")
    return Image.fromarray(array)

"""Image files: read by Pillow, by tifffile where Pillow does not know a TIF, turned as their EXIF orientation says."""

from __future__ import annotations

import contextlib
import io
import itertools
import warnings
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError

from zoo_opt_seg.data.errors import DataError, needed, reading
from zoo_opt_seg.data.limits import PIXELS, check_array, check_pixels, limit, whole_file

# What is read; the others that Pillow knows are not asked for, and one of them starts a program (EPS).
FORMATS = ("BMP", "GIF", "JPEG", "PNG", "TIFF", "WEBP")
_TIF = (".tif", ".tiff")
_ORIENTATION, _BITS, _KIND_OF_PAGE = 274, 258, 254  # tags of TIFF and EXIF
_TILE = (322, 323)  # width and height of its tiles, which may be larger than the image
_DEPTH = 32997  # images that lie in one page, one behind the other
_PAGES = 16  # looked at, chosen: a pyramid of smaller copies has fewer
_PIECE = 1 << 20  # bytes decompressed at a time where none are kept
_SWAPPED = (5, 6, 7, 8)  # orientations that make a row a column
_DEEP_COLOURS = ("RGB", "RGBA", "RGBX", "LA", "CMYK")  # modes of TIFF that Pillow cuts to 8 bits


@dataclass(frozen=True, eq=False)
class Picture:
    """An image file, read.

    Parameters
    ----------
    pixels : Image or ndarray
        As Pillow has them; an array (H, W) or (H, W, channels) where there are more than 8 bits of each.
    size : tuple of int (width, height)
        Of the file, turned; a JPEG may have been decoded smaller.
    """

    pixels: Image.Image | np.ndarray
    size: tuple[int, int]


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
        pixels = open_picture(self.path, "mask").pixels
        if not isinstance(pixels, Image.Image):
            raise DataError(f"{self.path}: expected a mask of 8 bits per channel, got {pixels.dtype}")
        return np.asarray(pixels.convert("RGB"))[..., self.channels].max(axis=2)


def image_size(path: Path, kind: str = "image") -> tuple[int, int]:
    """Return width and height, turned, without decoding the pixels; raises as :func:`open_picture`."""
    with reading(path, kind):
        try:
            with _opened(path) as image:
                return _turned_size(image)
        except UnidentifiedImageError as error:
            return _other(path, kind, error).size


def orientation(path: Path) -> int:
    """Return the EXIF orientation of an image file; 1: as it is, or it has none that Pillow can read."""
    with contextlib.suppress(Exception), _opened(path) as image:
        return _orientation(image)
    return 1


def open_picture(path: Path, kind: str, draft: int | None = None) -> Picture:
    """Read an image file whole, to its checksums where it has some, and turn it as its EXIF orientation says.

    Parameters
    ----------
    path : Path
        A BMP, GIF, JPEG, PNG, TIFF or WebP file, or a TIF that tifffile reads.
    kind : {"image", "mask"}
        For messages.
    draft : int, optional
        Lets a JPEG file be decoded at a smaller scale, of at least that many pixels a side.

    Raises
    ------
    DataError
        If it is missing, cannot be read, has several pages, or more pixels than the limit.
    """
    with reading(path, kind):
        try:
            with _opened(path) as image:
                return _read(image, path, kind, draft)
        except UnidentifiedImageError as error:
            return _other(path, kind, error)


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[Image.Image]:
    """A file's header, with the number of pixels checked by our limit, not by Pillow's two."""
    allowed = limit(PIXELS)
    if Image.MAX_IMAGE_PIXELS is not None and allowed > Image.MAX_IMAGE_PIXELS:
        Image.MAX_IMAGE_PIXELS = allowed  # the user raised ours
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        # Not by its path: Pillow would map a grey TIFF into memory, and mix its rows up where it has to be turned.
        with path.open("rb") as file, Image.open(file, formats=FORMATS) as image:
            check_pixels(path, *image.size)
            if image.format == "TIFF":
                tags = getattr(image, "tag_v2")  # noqa: B009 (of TIFF images alone)
                check_pixels(path, *(int(tags.get(tag, 0)) for tag in _TILE))
            yield image


def _turned_size(image: Image.Image) -> tuple[int, int]:
    if image.format == "TIFF":  # Pillow has turned its size already
        return image.size
    return image.size[::-1] if _orientation(image) in _SWAPPED else image.size


def _orientation(image: Image.Image) -> int:
    """A PNG file is decoded for it, since it may be said at the end."""
    found = image.getexif().get(ExifTags.Base.Orientation, 1)
    return found if isinstance(found, int) and 1 <= found <= 8 else 1


def _read(image: Image.Image, path: Path, kind: str, draft: int | None) -> Picture:
    _check_pages(image, path, kind)
    cut = ""  # how the file stores colours of 16 bits, which Pillow would cut
    if image.format == "PNG":
        tile = getattr(image, "tile")[0]  # noqa: B009 (of images from files alone)
        cut = str(tile.args) if image.mode != "I;16" and str(tile.args).endswith(";16B") else ""
        with Image.open(path, formats=("PNG",)) as again:  # decoding passes over the checksums of the pixels
            again.verify()
    size, turned = _turned_size(image), _orientation(image)
    if cut.startswith("LA"):
        raise DataError(f"{path}: grey of 16 bits with alpha is not read, expected it without alpha")
    if cut:
        return Picture(_turned(_deep_png(path), turned), size)
    if image.format == "TIFF" and _bits(image) > 8 and (image.mode in _DEEP_COLOURS or _swapped(image)):
        return _by_tifffile(path, kind)
    if image.format == "TIFF" and image.info.get("compression") in ("tiff_adobe_deflate", "tiff_deflate"):
        _check_deflated(image, path)
    if draft is not None and image.format == "JPEG":
        image.draft("RGB", (draft, draft))
    image.load()
    if turned != 1:
        image = ImageOps.exif_transpose(image)
    deep = image.mode.startswith(("I", "F"))
    return Picture(np.asarray(image) if deep else image, size)


def _check_pages(image: Image.Image, path: Path, kind: str) -> None:
    """Raise if all pages but the first would be lost. The preview of a photograph (MPO) is none."""
    if image.format == "TIFF":
        _check_one(_reduced(image), path, kind)
        image.seek(0)
        _check_one([False] * int(getattr(image, "tag_v2").get(_DEPTH, 1)), path, kind)  # noqa: B009 (as below)
    elif image.format != "MPO" and getattr(image, "is_animated", False):
        _check_one([False, False], path, kind)


def _reduced(image: Image.Image) -> Iterator[bool]:
    """Of each page of a TIFF whether it is a smaller copy of another."""
    with contextlib.suppress(EOFError):
        for number in itertools.count():
            image.seek(number)
            yield bool(int(getattr(image, "tag_v2").get(_KIND_OF_PAGE, 0)) & 1)  # noqa: B009 (of TIFF images alone)


def _check_one(reduced: Iterable[bool], path: Path, kind: str) -> None:
    """Raise unless all pages but the first are smaller copies; not many are looked at, for they may have no end."""
    if not all(itertools.islice(reduced, 1, _PAGES)):
        raise DataError(
            f"{path}: expected one page, the {kind} has several, and all but the first would be lost: save each as a "
            "file of its own, or all as the slices of a NIfTI file"
        )


def _bits(image: Image.Image) -> int:
    found = getattr(image, "tag_v2").get(_BITS, (8,))  # noqa: B009 (of TIFF images alone)
    return max(found) if isinstance(found, tuple) else int(found)


def _swapped(image: Image.Image) -> bool:
    """Whether Pillow would swap the bytes of a TIFF's values: libtiff, which decompresses them, has done so already."""
    compressed = image.info.get("compression", "raw") != "raw"
    return compressed and getattr(image, "tag_v2").prefix == b"MM" and image.mode in {"I", "F"}  # noqa: B009 (of TIFF)


def _check_deflated(image: Image.Image, path: Path) -> None:
    """Raise if a strip or tile does not end in its checksum, to which libtiff does not read."""
    tags = getattr(image, "tag_v2")  # noqa: B009 (of TIFF images alone)
    starts, lengths = (tags.get(strips, tags.get(tiles, ())) for strips, tiles in ((273, 324), (279, 325)))
    with path.open("rb") as file:
        for start, length in zip(starts, lengths, strict=True):
            file.seek(start)
            engine = zlib.decompressobj()
            piece = file.read(min(length, path.stat().st_size))
            while piece and not engine.eof:
                engine.decompress(piece, _PIECE)
                piece = engine.unconsumed_tail
            if not engine.eof:
                raise ValueError("a strip or tile of its pixels is cut short")


def _deep_png(path: Path) -> np.ndarray:
    """Colours of 16 bits, of which Pillow keeps the high byte alone, as uint16 (H, W, channels)."""
    itk: Any = needed("SimpleITK", "SimpleITK", path)
    return np.asarray(itk.GetArrayFromImage(itk.ReadImage(str(path), imageIO="PNGImageIO")))


def _turned(array: np.ndarray, orientation: int) -> np.ndarray:
    """Return rows and columns in the order that an EXIF orientation asks for."""
    turns = {2: array[:, ::-1], 3: array[::-1, ::-1], 4: array[::-1], 6: np.rot90(array, -1), 8: np.rot90(array)}
    turns |= {5: array.swapaxes(0, 1), 7: array[::-1, ::-1].swapaxes(0, 1)}
    return turns.get(orientation, array)


def _other(path: Path, kind: str, error: Exception) -> Picture:
    """Read a file that Pillow does not know: a TIF, as those of CVC-ClinicDB, or nothing."""
    if path.suffix.lower() not in _TIF or not path.stat().st_size:
        raise DataError(f"{path}: the {kind} cannot be read (not an image, or none of {', '.join(FORMATS)})") from error
    return _by_tifffile(path, kind)


def _by_tifffile(path: Path, kind: str) -> Picture:
    tifffile: Any = needed("tifffile", "tifffile", path)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with tifffile.TiffFile(io.BytesIO(whole_file(path))) as file:
            _check_one((page.is_reduced for page in file.pages), path, kind)
            page = file.pages[0]
            _check_one([False] * page.imagedepth, path, kind)
            if page.samplesperpixel not in (1, 3, 4):
                raise ValueError(f"expected 1, 3 or 4 values per pixel, got {page.samplesperpixel}")
            check_array(path, page.shape, page.dtype.itemsize)
            check_pixels(path, page.imagewidth, page.imagelength)
            tag = page.tags.get(_ORIENTATION)
            array = np.asarray(page.asarray()).squeeze()
    if array.ndim == 3 and array.shape[0] in (3, 4) and array.shape[2] not in (3, 4):
        array = np.moveaxis(array, 0, 2)  # one plane after the other
    if array.dtype == np.bool_:
        array = array.astype(np.uint8) * 255
    if array.dtype.kind not in "uif" or not (array.ndim == 2 or (array.ndim == 3 and array.shape[2] in (3, 4))):
        raise DataError(f"{path}: expected a grey or colour {kind}, got {array.dtype} of shape {array.shape}")
    turned = 1 if tag is None else int(tag.value)
    array = _turned(array, turned)
    pixels = Image.fromarray(np.ascontiguousarray(array)) if array.dtype == np.uint8 else array
    return Picture(pixels, (array.shape[1], array.shape[0]))

"""Scans with a header: NIfTI and MetaImage files, of one image or of several slices."""

from __future__ import annotations

import contextlib
import functools
import gzip
import math
import zlib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, Any

import numpy as np

from zoo_opt_seg.data.errors import DataError, needed, reading
from zoo_opt_seg.data.limits import check_array, check_bytes, check_pixels
from zoo_opt_seg.data.readers.windows import Window, eight_bits, mapped, value_range

NIFTI = (".nii", ".nii.gz")
_PIECE = 1 << 20  # bytes read at a time where nothing of them is kept
_HEADER = 1 << 16  # bytes of the longest MetaImage header that is read
_TYPES = {
    **{"MET_UCHAR": "u1", "MET_CHAR": "i1", "MET_USHORT": "u2", "MET_SHORT": "i2", "MET_UINT": "u4", "MET_INT": "i4"},
    **{"MET_FLOAT": "f4", "MET_DOUBLE": "f8"},
}


@dataclass(frozen=True)
class Stored:
    """What a scan's file holds.

    Parameters
    ----------
    shape : tuple of int
        (..., H, W), slices first.
    spacing : tuple of float
        Distance between pixels down and across, in mm; NaN where the header does not say.
    thickness : float
        Distance between slices, the same.
    values : ndarray or None
        None: they were not asked for.
    axes : str
        Where the axes of the file point, such as "RAS"; "" where the header does not say.
    """

    shape: tuple[int, ...]
    spacing: tuple[float, float]
    thickness: float
    values: np.ndarray | None = None
    axes: str = ""


@dataclass(frozen=True)
class Scan:
    """A two-dimensional NIfTI file, or a MetaImage (a header ``.mhd`` with its ``.raw``).

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
        """Return the values, (H, W)."""
        values = self._stored(True).values
        return np.empty((0, 0)) if values is None else values.reshape(values.shape[-2:])

    def picture(self, window: Window | None) -> np.ndarray:
        """Return uint8 (H, W)."""
        return eight_bits(self.read(), window, self)

    def size(self) -> tuple[int, int]:
        """Width and height."""
        height, width = self._stored(False).shape[-2:]
        return width, height

    def spacing(self) -> tuple[float, float]:
        """Distance between pixels, down and across, in mm."""
        return self._stored(False).spacing

    def _stored(self, values: bool) -> Stored:
        found = stored(self.path, self.kind, values=values)
        down, across = found.spacing
        if len(found.shape) < 2 or math.prod(found.shape[:-2]) != 1:
            raise DataError(f"{self}: expected one two-dimensional {self.kind}, got the shape {found.shape}")
        if not (np.isfinite([down, across]).all() and down > 0 and across > 0):
            raise DataError(f"{self}: the header has no spacing, expected mm per pixel > 0, got {across}, {down}")
        return found


@dataclass(frozen=True)
class Slice:
    """A slice of a three-dimensional NIfTI file; a window that depends on the values is that of all its slices.

    Parameters
    ----------
    path : Path
    index : int
        Along the last axis of the file, from 0.
    kind : {"image", "mask"}
        For messages.
    """

    path: Path
    index: int
    kind: str = "image"

    def __str__(self) -> str:
        return f"{self.path}, slice {self.index}"

    def read(self) -> np.ndarray:
        """Return the values, (H, W)."""
        volume = self._volume()
        if self.index >= len(volume):
            raise DataError(
                f"{self.path}: the {self.kind} has {len(volume)} slices, expected one of number {self.index}"
            )
        return volume[self.index]

    def picture(self, window: Window | None) -> np.ndarray:
        """Return uint8 (H, W)."""
        low, high = _volume_range(self.path, self.kind, _changed(self.path), window)
        return mapped(self.read(), low, high)

    def size(self) -> tuple[int, int]:
        """Width and height."""
        height, width = stored(self.path, self.kind, values=False).shape[-2:]
        return width, height

    def _volume(self) -> np.ndarray:
        return _volume(self.path, self.kind, _changed(self.path))


def _changed(path: Path) -> tuple[int, int] | None:
    """What tells a file from one that was there under its name before."""
    return (path.stat().st_mtime_ns, path.stat().st_size) if path.is_file() else None


@functools.lru_cache(maxsize=2)  # of images and of masks; slices of one file follow each other
def _volume(path: Path, kind: str, changed: object) -> np.ndarray:
    values = stored(path, kind).values
    if values is None or values.ndim != 3:
        raise DataError(f"{path}: expected a three-dimensional {kind}")
    return values


@functools.lru_cache(maxsize=2)
def _volume_range(path: Path, kind: str, changed: object, window: Window | None) -> tuple[float, float]:
    values = _volume(path, kind, changed)
    if window is not None:
        return value_range(values, window, path)
    eight_bits(values, None, path)  # raises for other values, of which a slice alone may have none
    return 0, 255


def forget_volumes() -> None:
    """Give back the memory of the volumes whose slices were read last."""
    _volume.cache_clear()
    _volume_range.cache_clear()


def stored(path: Path, kind: str, *, values: bool = True) -> Stored:
    """Read a NIfTI or MetaImage file; a compressed one to its end, where its checksum is.

    Parameters
    ----------
    path : Path
    kind : str
        What it is, for messages.
    values : bool
        Whether to return the values as well, or to read the header alone, and no checksum.

    Raises
    ------
    DataError
        If it is missing, damaged, cut short, or would take more memory than the limit.
    """
    read = _nifti if path.name.lower().endswith(NIFTI) else _metaimage
    if not path.is_file():
        raise DataError(f"{path}: the {kind} file is missing")
    with reading(path, kind):
        found = read(path, values)
        check_pixels(path, *found.shape[:-3:-1])
        return found


# ------------------------------------------------------------------------------------------------ NIfTI


def _nifti(path: Path, values: bool) -> Stored:
    nibabel: Any = needed("nibabel", "nibabel", path)
    opened: Any = gzip.GzipFile if path.name.lower().endswith(".gz") else open
    with opened(path, "rb") as file:
        head = file.read(348)
        second = len(head) > 1 and 540 in (int.from_bytes(head[:4], "little"), int.from_bytes(head[:4], "big"))
        head += file.read(540 - 348) if second else b""
        kind = nibabel.Nifti2Header if second else nibabel.Nifti1Header
        if (head[4:8] if second else head[344:348])[:3] not in (b"n+1", b"n+2"):
            raise ValueError("expected the header of a NIfTI file that holds its values")
        pixdim = kind(head, check=False)["pixdim"]  # unchecked: nibabel would take 1 mm in place of 0
        header = kind(head)
        shape = tuple(int(length) for length in header.get_data_shape())[::-1]
        dtype, offset = header.get_data_dtype(), int(header.get_data_offset()) or (544 if second else 352)  # 0: unset
        if dtype.kind not in "iuf" or len(shape) < 2:
            raise ValueError(f"expected grey values in at least two dimensions, got {dtype} of shape {shape}")
        slope, shift = (None if value is None else float(value) for value in header.get_slope_inter())
        scaled = slope is not None and (slope, shift) != (1, 0)
        count = check_array(path, shape, dtype.itemsize)
        check_array(path, shape, max(dtype.itemsize, 8 if scaled else 1))
        axes = _axes(nibabel, header)
        found = Stored(shape, (float(pixdim[2]), float(pixdim[1])), float(pixdim[3]), axes=axes)
        if not values:
            return found
        _pass_over(file, offset - len(head), path)
        content = _taken(file, count)
        if len(content) != count:
            raise ValueError(f"cut short, {len(content)} bytes of values, expected {count}")
        if beyond := _pass_over(file, None, path):
            raise ValueError(f"{beyond} bytes more than the {count} of values that its header asks for")
    array = np.frombuffer(content, dtype).reshape(shape)
    if scaled and slope is not None:
        array = array * slope + (shift or 0.0)
    return replace(found, values=array.astype(array.dtype.newbyteorder("="), copy=False))


def _axes(nibabel: Any, header: Any) -> str:
    with contextlib.suppress(Exception):  # an affine that is no number, or of no use
        if header["sform_code"] > 0 or header["qform_code"] > 0:
            return "".join(code or "?" for code in nibabel.aff2axcodes(header.get_best_affine()))
    return ""


def _taken(file: IO[bytes], count: int) -> bytearray:
    """Read so many bytes, or what there is; a single read would take memory for all of them first."""
    content = bytearray()
    while piece := file.read(min(_PIECE, count - len(content))):
        content += piece
    return content


def _pass_over(file: IO[bytes], count: int | None, path: Path) -> int:
    """Read so many bytes, or all that are left, keep none, and return how many they were."""
    passed = 0
    while piece := file.read(_PIECE if count is None else min(_PIECE, max(count - passed, 0))):
        passed += len(piece)
        check_bytes(path, passed, "what lies beside its values")
    return passed


# ------------------------------------------------------------------------------------------------ MetaImage


def _metaimage(path: Path, values: bool) -> Stored:
    header, end = _fields(path)
    shape = tuple(int(length) for length in header["DimSize"].split())[::-1]
    kind = _TYPES.get(header.get("ElementType", "MET_UCHAR"))
    if kind is None or header.get("ElementNumberOfChannels", "1") != "1" or not _true(header, "BinaryData", "True"):
        raise ValueError(f"expected one binary channel of {', '.join(_TYPES)}")
    if len(shape) < 2 or min(shape) < 1:
        raise ValueError(f"expected DimSize with two lengths or more, got {header['DimSize']}")
    dtype = np.dtype(
        (">" if _true(header, "BinaryDataByteOrderMSB", header.get("ElementByteOrderMSB", "")) else "<") + kind
    )
    count = check_array(path, shape, dtype.itemsize)
    distances = [float(d) for d in header.get("ElementSpacing", header.get("ElementSize", "")).split()]
    across, down, apart = (*distances, *[math.nan] * 3)[:3]
    found = Stored(shape, (down, across), apart)
    data = path if header["ElementDataFile"].upper() == "LOCAL" else _beside(path, header["ElementDataFile"])
    if not values:
        return found
    skip = int(header.get("HeaderSize", "0")) if data != path else end
    with data.open("rb") as file:
        if skip == -1:
            file.seek(-count, 2)
        else:
            file.seek(skip)
        content = _inflated(file, count) if _true(header, "CompressedData", "") else _taken(file, count + 1)
    if len(content) != count:
        held = f"more than {count}" if len(content) > count else len(content)
        raise ValueError(f"{data.name} holds {held} bytes, expected {count}")
    return Stored(shape, found.spacing, apart, np.frombuffer(content, dtype).astype(kind, copy=False).reshape(shape))


def _fields(path: Path) -> tuple[dict[str, str], int]:
    """The header's lines ``KEY = VALUE`` up to the one that names the data, and where that one ends."""
    with path.open("rb") as file:
        head = file.read(_HEADER)
    fields: dict[str, str] = {}
    end = 0
    for line in head.splitlines(keepends=True):
        end += len(line)
        name, equals, value = (part.strip() for part in line.decode("latin-1").partition("="))
        if not equals:
            raise ValueError(f"expected lines KEY = VALUE in the header, got {name!r:.40}")
        if fields.setdefault(name, value) != value:
            raise ValueError(f"the header has {name!r:.40} twice")
        if name == "ElementDataFile":
            break
    for name in ("DimSize", "ElementDataFile"):
        if name not in fields:
            raise ValueError(f"the header has no {name}")
    return fields, end


def _true(header: dict[str, str], name: str, absent: str) -> bool:
    return header.get(name, absent).lower() in ("true", "1")


def _beside(path: Path, name: str) -> Path:
    """The file of the data, which lies where its header does."""
    if Path(name).name != name or "\\" in name or name in ("", ".", ".."):
        raise DataError(f"{path}: expected its data in a file beside it, got {name!r:.80}")
    if not (path.parent / name).is_file():
        raise DataError(f"{path}: its data file {name} is missing")
    return path.parent / name


def _inflated(file: IO[bytes], count: int) -> bytearray:
    """Decompress zlib or gzip to its checksum, but stop after one byte more than expected."""
    engine, content = zlib.decompressobj(wbits=47), bytearray()  # 32 + 15: zlib or gzip, by its head
    while not engine.eof and len(content) <= count:
        piece = engine.unconsumed_tail or file.read(_PIECE)
        content += engine.decompress(piece, count + 1 - len(content))
        if not piece:
            raise ValueError("its data are cut short")
    return content

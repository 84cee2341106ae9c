"""Arrays by name, of npz and HDF5 files: from the file itself alone, to their checksums, no more than the limit."""

from __future__ import annotations

import contextlib
import io
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, Any

import numpy as np

from zoo_opt.support.loading import require
from zoo_opt_seg.data.errors import DataError, reading
from zoo_opt_seg.data.limits import check_array, check_bytes


def npz_arrays(file: Path | IO[bytes], names: Sequence[str] | None = None, what: str = "file") -> dict[str, np.ndarray]:
    """Return arrays of an npz file.

    Parameters
    ----------
    file : Path or binary file
    names : sequence of str, optional
        Which; without, all.
    what : str
        What the file is, for messages.

    Raises
    ------
    DataError
        If it is missing, damaged, lacks an array, or has objects or more bytes than the limit.
    """
    with reading(file, what), zipfile.ZipFile(file) as archive:
        entries = {entry.filename.removesuffix(".npy"): entry for entry in archive.infolist()}
        check_bytes(file, sum(entry.file_size for entry in entries.values()), f"the {what}")
        wanted = list(entries) if names is None else list(names)
        _check_names(file, wanted, entries)
        return {name: _npy(file, archive.read(entries[name])) for name in wanted}


def _npy(file: object, content: bytes) -> np.ndarray:
    """An array of the npy format (numpy.lib.format), whose length must be what its header says."""
    stream = io.BytesIO(content)
    version = np.lib.format.read_magic(stream)
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, fortran, dtype = read(stream)
    if dtype.hasobject:
        raise ValueError("expected arrays of numbers or text, got objects")
    count, rest = check_array(file, shape, dtype.itemsize), content[stream.tell() :]
    if len(rest) != count:
        raise ValueError(f"an array has {len(rest)} bytes, its header asks for {count}")
    array = np.frombuffer(bytearray(rest), dtype)
    return array.reshape(shape[::-1]).T if fortran else array.reshape(shape)


@contextlib.contextmanager
def hdf5_file(path: Path, what: str) -> Iterator[Any]:
    """Open an HDF5 file to read; what h5py raises meanwhile is a DataError. ImportError if h5py is not installed."""
    h5py: Any = require("h5py", "h5py", extra="seg")
    with reading(path, what), h5py.File(path, "r") as file:
        yield file


def hdf5_arrays(path: Path, file: Any, names: Sequence[str]) -> dict[str, np.ndarray]:
    """Return arrays of numbers of an open HDF5 file, which must lie in this file itself.

    Raises
    ------
    DataError
        If one is missing, is a link, lies in another file, or has more bytes than the limit.
    """
    h5py: Any = require("h5py", "h5py", extra="seg")
    _check_names(path, names, file)
    found = {}
    for name in names:
        if not isinstance(file.get(name, getlink=True), h5py.HardLink):
            raise DataError(f"{path}: expected {name} as an array of this file, got a link")
        data = file[name]
        if not isinstance(data, h5py.Dataset) or data.dtype.kind not in "fiub":
            raise DataError(f"{path}: expected {name} as an array of numbers, got {data!r:.80}")
        if data.external or data.is_virtual:
            raise DataError(f"{path}: expected {name} as an array of this file, its values lie in another")
        for shape in (data.shape, data.chunks or ()):
            check_array(path, shape, data.dtype.itemsize)
        found[name] = np.asarray(data[()])
    return found


def hdf5_attribute(path: Path, file: Any, name: str) -> Any:
    """Return a short attribute of numbers, or None where there is none."""
    if name not in file.attrs:
        return None
    about = file.attrs.get_id(name)
    if about.dtype.kind not in "fiub" or np.prod(about.shape, dtype=float) > 64:
        raise DataError(f"{path}: expected the attribute {name} as a few numbers, got {about.dtype} of {about.shape}")
    return file.attrs[name]


def _check_names(file: object, names: Sequence[str], there: Any) -> None:
    for name in names:
        if name not in there:
            raise DataError(f"{file}: expected the arrays {' and '.join(names)} in it, {name} is missing")

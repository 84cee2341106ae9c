"""The arrays of an npz archive, which take no more memory than the archive itself, whatever it says of them."""

from __future__ import annotations

import io
import math
import zipfile
from collections.abc import Mapping
from typing import Any

import numpy as np

_KINDS = "biufcmMSU"  # of arrays that hold numbers, times and strings, and no objects
_HEADER = 10_000  # bytes of an array's header, as numpy's own limit


class StoredArrays:
    """Arrays by name; each is made once.

    Parameters
    ----------
    payload : bytes
        What `numpy.savez` wrote. Compressed arrays, which it never writes, are refused: a megabyte of them may expand
        to gigabytes. So are arrays that lie in the same bytes, are of other kinds than numbers, times and strings, or
        say that they are larger than they are.

    Raises
    ------
    ValueError
        If it is anything else, with the reason.
    """

    def __init__(self, payload: bytes) -> None:
        try:
            self._zip = zipfile.ZipFile(io.BytesIO(payload))
        except (zipfile.BadZipFile, NotImplementedError) as error:
            raise ValueError(f"it is no archive of arrays: {error}") from error
        self._members: Mapping[str, zipfile.ZipInfo] = {info.filename: info for info in self._zip.infolist()}
        for name, info in self._members.items():
            if info.compress_type != zipfile.ZIP_STORED or info.file_size != info.compress_size or info.flag_bits & 1:
                raise ValueError(f"its {name} is compressed or encrypted, which zoo_opt does not write")
        if sum(info.file_size for info in self._zip.infolist()) > len(payload):
            raise ValueError("its arrays are larger than the file")
        self._arrays: dict[str, np.ndarray[Any, Any]] = {}

    def size(self, name: str) -> int:
        """Return how many bytes an array takes in the archive."""
        return self._members[f"{name}.npy"].file_size

    def __call__(self, name: str) -> np.ndarray[Any, Any]:
        """Return an array; KeyError if there is none of the name."""
        if name not in self._arrays:
            self._arrays[name] = npy_array(self._zip.read(self._members[f"{name}.npy"]))
        return self._arrays[name]


def npy_array(member: bytes) -> np.ndarray[Any, Any]:
    """Return the array that the bytes of an npy file hold, in memory of its own; ValueError if they hold none."""
    stream = io.BytesIO(member)
    read = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
    version = np.lib.format.read_magic(stream)
    if version not in read:
        raise ValueError(f"an array has npy format {version}, expected 1.0 or 2.0")
    shape, fortran, dtype = read[version](stream, max_header_size=_HEADER)
    start = stream.tell()
    if dtype.kind not in _KINDS or not dtype.itemsize or min(shape, default=0) < 0:
        raise ValueError(f"an array is of type {dtype} and shape {shape}, expected numbers or strings")
    if math.prod(shape) * dtype.itemsize != len(member) - start:
        raise ValueError(f"an array of type {dtype} and shape {shape} has {len(member) - start} bytes")
    if start == len(member):
        return np.empty(shape, dtype)
    return np.frombuffer(member, dtype, offset=start).reshape(shape, order="F" if fortran else "C").copy("K")

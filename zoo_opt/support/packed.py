"""Files of text that may be compressed: read whole, to their checksums, but no more of them than a limit."""

from __future__ import annotations

import gzip
import lzma
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

_PIECE = 1 << 20  # bytes read at a time
_OPEN: dict[str, Callable[[Path], Any]] = {".gz": gzip.open, ".xz": lzma.open}


def read_packed(path: Path, most: int) -> bytes | None:
    """Return the bytes of a file, decompressed if its name ends in ``.gz`` or ``.xz``; None of more than ``most``.

    Raises
    ------
    ValueError
        If it is no whole file of that kind.
    OSError
        If it cannot be read.
    """
    content = bytearray()
    try:
        with _OPEN.get(path.suffix, _plain)(path) as file:
            while piece := file.read(_PIECE):  # the last one is empty: only then was the checksum reached
                content += piece
                if len(content) > most:
                    return None
    except (EOFError, gzip.BadGzipFile, lzma.LZMAError, zlib.error) as error:
        raise ValueError(f"{path} is not a whole {path.suffix} file: {error}") from error
    return bytes(content)


def _plain(path: Path) -> IO[bytes]:
    return path.open("rb")

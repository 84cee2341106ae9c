"""A file that is to be there whole or not at all, whose room on the disk is taken before its content is known."""

from __future__ import annotations

import contextlib
import itertools
import os
import time
from pathlib import Path

ENDING = ".tmp"  # of what a killed process leaves beside the file
_numbers = itertools.count()


class Place:
    """The place of a file.

    Parameters
    ----------
    path : Path
        Its folder is made where it does not exist.
    size : int
        Bytes that the file may come to have; they are taken now, where the system can. 0 takes none.

    Raises
    ------
    OSError
        If there is no room.
    """

    def __init__(self, path: Path, size: int = 0) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._path = path
        self._temporary = path.with_name(f"{os.getpid()}-{next(_numbers)}-{time.time_ns()}{ENDING}")
        self._file = self._temporary.open("xb")
        try:
            if size and hasattr(os, "posix_fallocate"):
                os.posix_fallocate(self._file.fileno(), 0, size)
        except BaseException:
            self.__exit__()
            raise

    def write(self, *parts: bytes) -> None:
        """Write the file, which is there from now on."""
        for part in parts:
            self._file.write(part)
        self._file.truncate()
        self._file.close()
        os.replace(self._temporary, self._path)

    def __enter__(self) -> Place:
        return self

    def __exit__(self, *_: object) -> None:
        """Take away what was not written."""
        for undo in (self._file.close, self._temporary.unlink):
            with contextlib.suppress(OSError):  # of a full disk; it was written
                undo()

"""A file that is only appended to: what was written is on the disk, and a line that an interruption cut off goes."""

from __future__ import annotations

import os
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

from zoo_opt.storage.checkpoint import sync_folder


class AppendFile:
    """Lines, each on the disk before `append` returns.

    Parameters
    ----------
    path : path-like
        Made if absent. What an interrupted write left after the last newline is cut off.
    in_use : Exception or None
        Raised if another process writes to the file, which is locked until `close`. None: it is not locked.
    """

    def __init__(self, path: str | os.PathLike[str], *, in_use: Exception | None = None) -> None:
        self.path = Path(path)
        new = not self.path.exists()
        self._file = self.path.open("ab+")
        if in_use is not None and not locked(self._file):
            self._file.close()
            raise in_use
        self._file.seek(0)
        self._file.truncate(self._file.read().rfind(b"\n") + 1)
        if new:
            sync_folder(self.path.parent)

    def append(self, data: bytes) -> None:
        """Write whole lines; when this returns they are on the disk."""
        self._file.write(data)
        self._sync()

    def clear(self) -> None:
        """Take everything away."""
        self._file.truncate(0)
        self._sync()

    def _sync(self) -> None:
        self._file.flush()
        os.fsync(self._file.fileno())

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def locked(file: BinaryIO) -> bool:
    """Lock ``file`` until it is closed, where the system can; return whether nobody else had."""
    try:
        import fcntl
    except ImportError:  # not a POSIX system
        return True
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True

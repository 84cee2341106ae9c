"""The sole use of a file or a folder, while its lock file is held."""

from __future__ import annotations

import contextlib
import errno
import os
import platform
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Self

from zoo_opt.storage.own_file import OwnFile

_LONGEST = 300  # bytes of a lock file that are shown


class Lock:
    """Held from its making to `release`, by this process and not by children that it forks; gone if it is killed.

    Parameters
    ----------
    path : Path
        The lock file. It says who holds it, and is deleted on release; one that a killed process left is taken over.
        Where a file system has no locks, nothing is locked.
    in_use : callable
        ``in_use(holder)``: the exception to raise if it is held, by another process or in this one; `holder` is
        " (process 17 on host since ...)".

    Raises
    ------
    OSError
        If the lock file cannot be made or opened.
    """

    def __init__(self, path: Path, in_use: Callable[[str], Exception]) -> None:
        while True:
            self._file = OwnFile(path, os.O_RDWR | os.O_CREAT)
            if take(self._file.fd) is False:
                holder = os.read(self._file.fd, _LONGEST).decode(errors="replace").strip()
                self._file.close()
                raise in_use(f" ({holder})" if holder else "")
            if self._file.in_place():
                break
            self._file.close()  # released, and deleted, between the two
        with contextlib.suppress(OSError):  # on a full disk it holds as well
            os.ftruncate(self._file.fd, 0)
            now = datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
            os.write(self._file.fd, f"process {os.getpid()} on {platform.node()} since {now}\n".encode())

    def in_place(self) -> bool:
        """Return whether the lock file was neither deleted nor replaced, so that no other can hold it."""
        return self._file.in_place()

    def release(self) -> None:
        """Let go of it."""
        if self._file.is_open and self._file.in_place():
            with contextlib.suppress(OSError):
                self._file.path.unlink()
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()


def take(fd: int) -> bool | None:
    """Lock an open file and return whether nobody else had; None where the system or the file system has no locks."""
    try:
        import fcntl
    except ImportError:  # not a POSIX system
        return None
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):
        return False
    except OSError:
        return None
    return True


def is_read_only(error: OSError) -> bool:
    """Return whether a lock file could not be made because nothing may be written there."""
    return error.errno in (errno.EACCES, errno.EPERM, errno.EROFS)

"""A file that is only appended to: what was written is on the disk, and a line that an interruption cut off goes."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self

from zoo_opt.storage.atomic import sync_folder
from zoo_opt.storage.lock import Lock
from zoo_opt.storage.own_file import OwnFile


class ReplacedError(OSError):
    """The file was deleted or replaced while it was appended to: what is written is lost when it is closed."""


class AppendFile:
    """Lines, each on the disk before `append` returns.

    Parameters
    ----------
    path : path-like
        Made if absent. What an interrupted write left after the last newline is cut off.
    whole : callable, optional
        ``whole(line)``: whether the last line, without its newline, is as it was written; one that is not is cut off
        too, as a crash of the machine may have left it.
    kept : callable, optional
        ``kept(content)``: the length of what is whole, for a file that is not made of lines; takes the place of both.
    lock : Lock or None
        Held by the caller; released by `close`. None: the caller sees to it that nobody else writes.

    Notes
    -----
    Children that are forked cannot write to it (`OwnFile`). A write that fails leaves the lines before it, and the
    next one may succeed.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        whole: Callable[[bytes], bool] | None = None,
        kept: Callable[[bytes], int] | None = None,
        lock: Lock | None = None,
    ) -> None:
        self.path, self._lock = Path(path), lock
        new = not self.path.exists()
        self._file = OwnFile(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND)
        content = self.path.read_bytes()
        self._size = whole_part(content, whole) if kept is None else kept(content)
        self._cut()
        if new:
            sync_folder(self.path.parent)

    def append(self, data: bytes, sync: bool = True) -> None:
        """Write whole lines; when this returns they are on the disk, or without ``sync`` with the system.

        Raises
        ------
        ReplacedError
            If the file at the path, or the lock, is another one now, or none.
        OSError
            If they cannot be written, and are not.
        """
        self._cut()  # what a second interrupt may have left
        try:
            left = memoryview(data)
            while left:
                left = left[os.write(self._file.fd, left) :]
            if sync:
                os.fsync(self._file.fd)
        except OSError as error:
            with contextlib.suppress(OSError):
                self._cut()
            error.filename = error.filename or str(self.path)  # so that the message names it
            raise
        except BaseException:  # an interrupt: a line that is there as a whole stays
            if os.fstat(self._file.fd).st_size == self._size + len(data):
                self._size += len(data)
            raise
        self._size += len(data)
        if not self.in_place():
            raise ReplacedError(f"{self.path} or its lock was deleted or replaced while it was in use")

    def clear(self) -> None:
        """Take everything away."""
        self._size = 0
        self._cut()
        os.fsync(self._file.fd)

    def _cut(self) -> None:
        if os.fstat(self._file.fd).st_size > self._size:
            os.ftruncate(self._file.fd, self._size)

    def in_place(self) -> bool:
        """Return whether the file at the path is still this one, and so is the lock: neither deleted nor replaced."""
        return self._file.in_place() and self.is_locked

    @property
    def is_locked(self) -> bool:
        """Whether the lock, if it has one, is in its place, so that nobody else writes."""
        return self._lock is None or self._lock.in_place()

    @property
    def is_open(self) -> bool:
        """Whether it is open here, and not in the process that this one was forked from."""
        return self._file.is_open

    def close(self) -> None:
        """Close the file, and release the lock."""
        self._file.close()
        if self._lock is not None:
            self._lock.release()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def whole_part(content: bytes, whole: Callable[[bytes], bool] | None = None) -> int:
    """Return the length of ``content`` up to the end of its last whole line (see `AppendFile`)."""
    end = content.rfind(b"\n") + 1
    start = content.rfind(b"\n", 0, end - 1) + 1
    return start if end and whole is not None and not whole(content[start : end - 1]) else end

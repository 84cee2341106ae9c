"""The file of a ledger: shared by processes, locked while a line is written, synced by one thread for all lines."""

from __future__ import annotations

import contextlib
import json
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from zoo_opt.core.errors import CheckpointError
from zoo_opt.storage.append import whole_part
from zoo_opt.storage.atomic import sync_folder
from zoo_opt.storage.own_file import OwnFile
from zoo_opt.support.json_files import is_json_object, json_line, read_json_lines
from zoo_opt_seg.blackbox.protocol import BlackBoxGone
from zoo_opt_seg.remote.books import Books

FORMAT = {"zoo-opt-seg ledger": 1}


class LedgerFile:
    """The file of a ledger, which other processes append to as well; what they append goes into the books."""

    def __init__(self, path: Path, books: Books) -> None:
        self._path, self._books, self._seen, self._lines = path, books, 0, 0
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = OwnFile(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
        self._written = threading.Event()
        try:
            with self.held():
                if not self._seen:
                    self.append(json_line(FORMAT))
                    sync_folder(path.parent)
        except BaseException:
            self._file.close()
            raise
        self._closing = False
        self._syncing = threading.Thread(target=self._sync, name="ledger", daemon=True)
        self._syncing.start()

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Have the file alone, with all of its lines in the books."""
        try:
            _flock(self._file.fd, True)
        except (OSError, ValueError) as error:
            raise BlackBoxGone(f"the ledger cannot be locked: {error}") from error
        try:
            self._take_in()
            yield
        finally:
            with contextlib.suppress(OSError, ValueError):
                _flock(self._file.fd, False)

    def append(self, data: bytes) -> None:
        """Write a line, whole or not at all; the lock is held."""
        if not self._file.in_place():
            raise BlackBoxGone(f"the ledger {self._path} was deleted or replaced while it was in use")
        try:
            left = memoryview(data)
            while left:
                left = left[os.write(self._file.fd, left) :]
        except OSError as error:
            with contextlib.suppress(OSError):
                os.ftruncate(self._file.fd, self._seen)
            raise BlackBoxGone(f"the ledger {self._path} cannot be written: {error}") from error
        self._seen += len(data)
        self._lines += 1
        self._written.set()

    def close(self) -> None:
        """Have it all on the disk, and close it."""
        if not self._file.is_open:
            return
        self._closing = True
        self._written.set()
        self._syncing.join()
        with contextlib.suppress(OSError):
            os.fsync(self._file.fd)  # what came while it was synced the last time
        self._file.close()

    def _take_in(self) -> None:
        """Read what others have appended; a last line that a kill cut off is taken away."""
        size = os.fstat(self._file.fd).st_size
        if size == self._seen:
            return
        if size < self._seen:
            raise BlackBoxGone(f"the ledger {self._path} was cut off while it was in use")
        content = _read(self._file.fd, self._seen, size)
        whole = whole_part(content, is_json_object)
        self._lines += read_into(self._books, self._path, content[:whole], self._lines)
        if whole < len(content):
            os.ftruncate(self._file.fd, self._seen + whole)
        self._seen += whole

    def _sync(self) -> None:
        while not self._closing:
            self._written.wait()
            self._written.clear()
            with contextlib.suppress(OSError, ValueError):
                os.fsync(self._file.fd)


def read_into(books: Books, path: Path, content: bytes, before: int = 0) -> int:
    """Take the whole lines of a ledger into books, and return how many there are.

    Parameters
    ----------
    books : Books
    path : Path
        For messages.
    content : bytes
    before : int
        Lines that come before; without them the first one must say what the file is.

    Raises
    ------
    CheckpointError
        If it is no ledger, or a line is damaged.
    """
    lines = _parsed(path, content)
    if not before and not lines:
        raise CheckpointError(f"{path} is no ledger: it has not one whole line")
    for number, line in enumerate(lines, before + 1):
        if number == 1:
            if line != FORMAT:
                raise CheckpointError(f"{path} is no ledger of this release: its first line is {content[:40]!r}")
            continue
        try:
            books.add(line)
        except (ValueError, TypeError) as error:
            raise CheckpointError(f"{path} is corrupt at line {number}: {error}") from None
    return len(lines)


def _parsed(path: Path, content: bytes) -> list[Any]:
    """Return the objects of whole lines; all at once where they are as they were written, which is much faster."""
    texts = content.split(b"\n")[:-1]
    with contextlib.suppress(ValueError, RecursionError):
        lines = json.loads(b"[%s]" % b",".join(texts))
        if len(lines) == len(texts) and all(type(line) is dict for line in lines):
            return lines
    lines, cut = read_json_lines(path, content, CheckpointError)
    if cut:
        raise CheckpointError(f"{path} is corrupt at line {len(lines) + 1}: it must be a JSON object")
    return lines


def read_ledger(path: str | os.PathLike[str]) -> Books:
    """Return what a ledger holds, without writing to it; a last line that was cut off is passed over.

    Raises
    ------
    CheckpointError
        If it is no ledger, or a line is damaged.
    OSError
        If it cannot be read.
    """
    books, content = Books(), Path(path).read_bytes()
    read_into(books, Path(path), content[: whole_part(content, is_json_object)])
    return books


def _read(fd: int, begin: int, end: int) -> bytes:
    parts = []
    while begin < end and (part := os.pread(fd, end - begin, begin)):
        parts.append(part)
        begin += len(part)
    return b"".join(parts)


def _flock(fd: int, on: bool) -> None:
    try:
        import fcntl
    except ImportError:  # not a POSIX system
        return
    fcntl.flock(fd, fcntl.LOCK_EX if on else fcntl.LOCK_UN)

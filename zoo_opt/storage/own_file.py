"""An open file of this process alone: a child that is forked does not keep it, and so does not keep its lock."""

from __future__ import annotations

import os
import weakref
from pathlib import Path


class OwnFile:
    """A descriptor that is closed in forked children.

    A lock of ``flock`` belongs to the open file, which a fork shares: workers that outlive a killed parent would hold
    it. A record lock of POSIX is not inherited, but ends when the process closes any descriptor of the file, such as
    that of a reader, and does not hold against a second run in the same process; hence ``flock``, and closing it in
    children, which also keeps them from writing.

    Parameters
    ----------
    path : Path
        What to open.
    flags : int
        As of `os.open`.
    mode : int
        Permissions of a file that is made, of which the umask takes away.
    """

    def __init__(self, path: Path, flags: int, mode: int = 0o666) -> None:
        self.path = path
        fd = os.open(path, flags | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0), mode)
        self._fd, self.close = fd, weakref.finalize(self, os.close, fd)
        self._opened = os.fstat(fd)
        _OPEN.add(self)

    @property
    def fd(self) -> int:
        """The descriptor; ValueError once it is closed, which it is in a forked child."""
        if not self.close.alive:
            raise ValueError(f"{self.path} is closed, or was opened by the process that this one was forked from")
        return self._fd

    @property
    def is_open(self) -> bool:
        """Whether it is open here."""
        return self.close.alive

    def in_place(self) -> bool:
        """Return whether the file at the path is still this one: neither deleted nor replaced."""
        return same_file(self.path, self._opened)


def same_file(path: Path, known: os.stat_result | None) -> bool:
    """Return whether the file at ``path`` is the one that was ``known``."""
    try:
        return known is not None and os.path.samestat(os.stat(path), known)
    except OSError:
        return False


_OPEN: weakref.WeakSet[OwnFile] = weakref.WeakSet()


def _close_all() -> None:
    for file in list(_OPEN):
        file.close()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_close_all)

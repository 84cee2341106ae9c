"""Files that are written whole or not at all."""

from __future__ import annotations

import contextlib
import os
import secrets
import stat
from pathlib import Path
from typing import Any

from zoo_opt.storage.lock import take
from zoo_opt.storage.own_file import OwnFile

_ENDING = ".tmp"
_MOVES_OPEN = os.name != "nt"  # Windows neither moves nor deletes a file that is open


def write_atomically(path: str | os.PathLike[str], *parts: Any) -> None:
    """Replace the file at ``path`` by ``parts``, bytes or what a callable writes into the file, whole or not at all.

    A symbolic link stays one: the file that it points to is replaced. A file that is there keeps its permissions, a new
    one has those that the umask leaves. What killed processes left half written beside it goes.
    """
    target = Path(os.path.realpath(path))
    mode = stat.S_IMODE(target.stat().st_mode) if target.exists() else None
    temporary = _temporary(target, 0o666 if mode is None else 0o600)
    try:
        with os.fdopen(temporary.fd, "wb", closefd=False) as file:
            for part in parts:
                part(file) if callable(part) else file.write(part)
            file.flush()
            os.fsync(temporary.fd)
        if mode is not None:
            os.chmod(temporary.path, mode)
        if not _MOVES_OPEN:
            temporary.close()
        os.replace(temporary.path, target)
    except BaseException as error:
        if not _MOVES_OPEN:
            temporary.close()
        temporary.path.unlink(missing_ok=True)
        if isinstance(error, OSError):
            error.filename = error.filename or str(target)  # so that the message names it
        raise
    finally:
        temporary.close()
    sync_folder(target.parent)
    _sweep(target)


def _temporary(target: Path, mode: int) -> OwnFile:
    """Return a new file beside ``target``, locked, which says that its writer lives."""
    while True:
        path = target.with_name(f".{target.name}.{secrets.token_hex(4)}{_ENDING}")
        file = OwnFile(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
        if take(file.fd) is not False and file.in_place():
            return file
        file.close()  # swept between the two


def _sweep(target: Path) -> None:
    """Delete what killed processes left of writing ``target``."""
    begin = f".{target.name}."
    with contextlib.suppress(OSError):
        for name in os.listdir(target.parent):
            if name.startswith(begin) and name.endswith(_ENDING) and len(name) == len(begin) + 8 + len(_ENDING):
                file = OwnFile(target.with_name(name), os.O_RDWR)
                if take(file.fd):
                    file.path.unlink()
                file.close()


def sync_folder(folder: Path) -> None:
    """Make the names in ``folder`` durable, where the system can."""
    if hasattr(os, "O_DIRECTORY"):
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

"""Processes that end with the one that started them, however that ends.

A process that is killed runs no code, and its children live on: those of a pool wait for ever, a program that is busy
goes on with its answer. So a third process keeps watch, a bare interpreter that is told of each child. It reads from a
pipe that closes when the parent ends, in whatever way, and then ends the children that are left. It sees them while
they start, too, before any code of theirs could.
"""

from __future__ import annotations

import atexit
import contextlib
import multiprocessing
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from multiprocessing import context
from typing import Any

GRACE = 5.0  # seconds between SIGTERM and SIGKILL, for programs of the user's own; chosen
_WATCH = """
import os, select, signal, sys, time
parent, grace, kept, rest = int(sys.argv[1]), float(sys.argv[2]), {}, b""

def read():
    global rest
    data = os.read(0, 65536)
    *lines, rest = (rest + data).split(b"\\n")
    for line in lines:
        how, child = line[:1], int(line[1:] or 0)
        if how == b"q":
            os._exit(0)
        kept.pop(child, None) if how == b"-" else kept.update({child: how})
    return data

def end(child, how, sent):
    try:
        os.killpg(child, sent) if how == b"g" else os.kill(child, signal.SIGKILL)
        return True
    except OSError:
        return False

while os.getppid() == parent:  # a fork of the parent's may hold the pipe open
    if select.select([0], [], [], 0.5)[0] and not read():
        break
while select.select([0], [], [], 0)[0] and read():
    pass
for child, how in kept.items():
    end(child, how, signal.SIGTERM)
groups, last = [child for child, how in kept.items() if how == b"g"], time.monotonic() + grace
while groups and time.monotonic() < last:
    time.sleep(0.02)
    groups = [child for child in groups if end(child, b"g", 0)]
for child in groups:
    end(child, b"g", signal.SIGKILL)
"""


class _Watch:
    """The process that keeps watch for this one; started with the first child."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._of = 0  # the process that started it: a fork has none yet

    def tell(self, how: str, child: int) -> None:
        """Say of a child that it is there, alone ("p") or the first of a group ("g"), or that it is no more ("-")."""
        if os.name != "posix":
            return
        with self._lock:
            if self._process is None or self._of != os.getpid():
                if how == "-":
                    return
                self._start()
            with contextlib.suppress(OSError):  # it was ended by somebody
                os.write(self._process.stdin.fileno(), f"{how}{child}\n".encode())  # type: ignore[union-attr]

    def _start(self) -> None:
        self._of = os.getpid()
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-S", "-c", _WATCH, str(self._of), str(GRACE)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,  # Ctrl-C is not for it
        )
        atexit.register(self._end, self._of)

    def _end(self, of: int) -> None:
        """At a regular end, at which whoever started a child ends it."""
        if self._process is not None and self._of == of == os.getpid():
            self.tell("q", 0)
            self._process.stdin.close()  # type: ignore[union-attr]
            self._process.wait()
            self._process = None


_watch = _Watch()


def keep(process: subprocess.Popen[Any]) -> None:
    """Have a program, the leader of a session, end with this process, and the processes that it has started."""
    _watch.tell("g", process.pid)


def release(process: subprocess.Popen[Any]) -> None:
    """Say of a program that it has ended."""
    _watch.tell("-", process.pid)


class ChildProcess(context.SpawnProcess):
    """A process of `multiprocessing` that ends with its parent."""

    def start(self) -> None:
        """Start it."""
        super().start()
        _watch.tell("p", self.pid or 0)

    def join(self, timeout: float | None = None) -> None:
        """Wait for its end."""
        super().join(timeout)
        if self.exitcode is not None:
            _watch.tell("-", self.pid or 0)


class ChildContext(context.SpawnContext):
    """What makes them, for a `ProcessPoolExecutor` too."""

    Process = ChildProcess


@contextlib.contextmanager
def spawned_by_others() -> Iterator[None]:
    """Meanwhile, every process that a library has `multiprocessing` spawn ends with this one too."""
    before = context.SpawnContext.Process
    context.SpawnContext.Process = ChildProcess
    try:
        yield
    finally:
        context.SpawnContext.Process = before


def end_with_parent() -> None:
    """Have this child end when its parent does, where no other process keeps watch."""
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)

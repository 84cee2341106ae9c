"""A server as users start it, in a process of its own; for the scripts beside it and the tests."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass


@dataclass
class Serving:
    """A server that runs."""

    url: str
    process: subprocess.Popen

    def most_memory(self) -> int:
        """The most bytes of memory that the process has had at once (Linux)."""
        with open(f"/proc/{self.process.pid}/status") as file:
            return next(1024 * int(line.split()[1]) for line in file if line.startswith("VmHWM"))

    def end(self) -> int:
        """Ask it to end; returns its exit status."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(60)


@contextlib.contextmanager
def serving(*words: object, **environment: str) -> Iterator[Serving]:
    """``zoo-opt-seg serve`` with these words, at a free port."""
    command = [sys.executable, "-m", "zoo_opt_seg.cli", "serve", *map(str, words), "--port", "0"]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), **environment}
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
    try:
        line = process.stdout.readline()
        if " at http" not in line:
            raise RuntimeError(f"the server did not start: {line!r}")
        yield Serving(line.rpartition(" at ")[2].strip(), process)
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()
        process.stdout.close()

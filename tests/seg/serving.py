"""A server as users start it, in a process of its own, or in a thread, for tests and benchmarks."""

import contextlib
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass

from zoo_opt_seg.serve import running
from zoo_opt_seg.serve.app import application
from zoo_opt_seg.serve.desk import Desk


@dataclass
class Serving:
    """A server that runs."""

    url: str
    process: subprocess.Popen

    def rss(self) -> int:
        """Bytes of memory of the process."""
        with open(f"/proc/{self.process.pid}/statm") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")

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


@contextlib.contextmanager
def in_thread(desk: Desk, routers=(), **options) -> Iterator[str]:
    """The address of a server in this process."""
    sock = running.bound("127.0.0.1", 0)
    server = running.server_of(application(desk, routers, **options))
    thread = threading.Thread(target=server.run, args=([sock],))
    thread.start()
    try:
        yield f"http://127.0.0.1:{sock.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join()

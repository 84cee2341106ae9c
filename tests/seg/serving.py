"""A server in a thread of the tests' process."""

import contextlib
import threading
from collections.abc import Iterator

from zoo_opt_seg.serve import running
from zoo_opt_seg.serve.app import application
from zoo_opt_seg.serve.desk import Desk


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

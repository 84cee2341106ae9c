"""A stub as a server of this machine, for real clients."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from seg.remote.mapping.driving import Stub
from seg.remote.mapping.services import Asked


@contextmanager
def serving(stub: Stub) -> Iterator[tuple[str, list[Asked]]]:
    """Yield the address of a stub, and the requests that it has had."""
    seen: list[Asked] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            length = int(self.headers.get("content-length", 0))
            headers = {name.lower(): value for name, value in self.headers.items()}
            asked = Asked(self.command, self.path.partition("?")[0], headers, self.rfile.read(length))
            seen.append(asked)
            try:
                status, answer, content = stub(asked)
            except Exception as error:  # a service's own failure
                status, answer, content = 500, {"content-type": "text/plain"}, repr(error).encode()
            self.send_response(status)
            for name, value in {**answer, "content-length": str(len(content))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_POST

        def log_message(self, *args: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", seen
    finally:
        server.shutdown()
        thread.join()
        server.server_close()

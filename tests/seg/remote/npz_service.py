"""A service that speaks npz, float32 in and out, on loopback, and its adapter: for the tests of the transport."""

import io
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import numpy as np

from zoo_opt_seg.blackbox.messages import prompt_arrays, prompts_from
from zoo_opt_seg.blackbox.protocol import BlackBoxError
from zoo_opt_seg.remote.exchange import Adapter, Reply, Request


def packed(**arrays: Any) -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    return buffer.getvalue()


def unpacked(content: bytes) -> dict[str, Any]:
    with np.load(io.BytesIO(content), allow_pickle=False) as file:
        return dict(file)


def bright(images: Any, prompts: Any) -> Any:
    """A model whose answers depend on each image and its first point alone."""
    scaled = images.astype(np.float32) / (255 if images.dtype == np.uint8 else 1)
    return scaled.mean(axis=3) * (np.float32(0.5) + prompts.points[:, :1, :1] / 64).astype(np.float32)


class NpzAdapter(Adapter):
    """Asks by one request, or where ``polls`` is given by a job that is looked at so often."""

    prompted_by = "points"

    def __init__(self, url: str, polls: int | None = None, name: str = "npz:test") -> None:
        self.name, self.url, self.polls, self.checks = name, url, polls, 0

    def question(self, image, prompts, job=""):
        body = packed(image=image, **prompt_arrays(prompts))
        if self.polls is None:
            reply = yield Request(f"{self.url}/ask", body)
            return self.read(reply)
        if not job:
            reply = yield Request(f"{self.url}/jobs", body)
            job = reply.content.decode()
        while True:
            reply = yield Request(job, method="GET", paid=False, after=0.01, job=job)
            if reply.status == 200:
                return self.read(reply)

    def read(self, reply):
        try:
            return unpacked(reply.content)["mask"]
        except Exception as error:
            raise BlackBoxError(f"unreadable: {error}") from None

    def complaint(self, reply: Reply) -> str:
        return reply.content.decode(errors="replace")

    def check(self, ask):
        self.checks += 1


Upset = Callable[[int, "Handler"], bool]


class Handler(BaseHTTPRequestHandler):
    """One request; ``upset`` may answer it."""

    protocol_version = "HTTP/1.1"
    server: "Service"
    body = b""

    def log_message(self, *_):
        pass

    def do_GET(self):
        self.do_POST()

    def do_POST(self):
        self.body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        with self.server.lock:
            self.server.asked.append((self.command, self.path, dict(self.headers), self.body))
            number = len(self.server.asked)
        if self.server.upset is None or not self.server.upset(number, self):
            self.serve()

    def serve(self) -> None:
        if self.command == "GET" and self.path.startswith("/jobs/"):
            left, answer = self.server.jobs[self.path]
            self.server.jobs[self.path] = (left - 1, answer)
            self.answer(200 if left <= 0 else 202, answer if left <= 0 else b"")
            return
        question = unpacked(self.body)
        image = question.pop("image")
        time.sleep(self.server.delay)
        with self.server.lock:
            self.server.served += 1
        answer = packed(mask=self.server.model(image[None], prompts_from(question))[0])
        if self.path == "/jobs":
            place = f"/jobs/{len(self.server.jobs)}"
            self.server.jobs[place] = (self.server.polls, answer)
            answer = f"{self.server.url}{place}".encode()
        self.answer(200, answer)

    def answer(self, status: int, content: bytes = b"", **headers: str) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def drop(self) -> None:
        """Close the connection without a word."""
        self.close_connection = True
        self.connection.close()


class Service(ThreadingHTTPServer):
    """The server, in threads of this process.

    Attributes
    ----------
    url : str
    asked : list of (method, path, headers, body)
    served : int
        Images that the model was asked about.
    """

    daemon_threads = True
    request_queue_size = 64

    def __init__(
        self, model: Callable[..., Any] = bright, upset: Upset | None = None, delay: float = 0.0, port: int = 0
    ):
        super().__init__(("127.0.0.1", port), Handler)
        self.model, self.upset, self.delay, self.polls = model, upset, delay, 2
        self.asked: list[Any] = []
        self.served, self.lock, self.jobs = 0, threading.Lock(), {}
        self.url = f"http://127.0.0.1:{self.server_address[1]}"

    def __enter__(self):
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        return self

    def __exit__(self, *_):
        self.shutdown()
        self.server_close()

    def handle_error(self, *_):
        pass

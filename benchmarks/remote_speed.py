"""How much of a service's speed is left: questions in flight over loopback, and what the ledger takes.

``python benchmarks/remote_speed.py [--seconds 0.05] [--workers 8] [--images 320]``. A server in a process of its own
takes so many seconds for an image, whatever else it does meanwhile, as a service elsewhere would. Printed as JSON:

- images a second by `RemoteBlackBox` with a ledger, and their ratio to the ideal, ``workers / seconds``;
- the same by bare sockets in as many threads, taken in turn with it, which says what machine and server allow;
- milliseconds that a call takes beyond the server's, by one worker;
- the ledger: seconds to open one of 100,000 attempts, and milliseconds for the two lines of an attempt.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from zoo_opt_seg.prompts import Prompts
from zoo_opt_seg.remote.box import RemoteBlackBox
from zoo_opt_seg.remote.exchange import Adapter, Request
from zoo_opt_seg.remote.ledger import Ledger
from zoo_opt_seg.remote.terms import Terms

SIDE = 96


class Raw(Adapter):
    """Sends the bytes of an image, and takes the bytes of a mask."""

    name, prompted_by = "raw", "points"

    def __init__(self, url: str) -> None:
        self.url = url

    def question(self, image: Any, prompts: Any, job: str = "") -> Any:
        """Ask once."""
        reply = yield Request(self.url, image.tobytes())
        return np.frombuffer(reply.content, np.float32).reshape(image.shape[:2])


async def serve(seconds: float) -> None:
    """Answer every request after so many seconds, each connection on its own; say the port first."""
    content = np.zeros((SIDE, SIDE), np.float32).tobytes()
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(content) + content

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                began = asyncio.get_running_loop().time()
                length = int(head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0])
                await reader.readexactly(length)
                await asyncio.sleep(max(began + seconds - asyncio.get_running_loop().time(), 0))
                writer.write(answer)
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    server = await asyncio.start_server(connected, "127.0.0.1", 0, limit=1 << 20)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


def bare(port: int, bodies: list[bytes], workers: int) -> float:
    """Images a second by nothing but sockets."""

    def one(part: list[bytes]) -> None:
        with socket.create_connection(("127.0.0.1", port)) as sock:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for body in part:
                sock.sendall(b"POST / HTTP/1.1\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
                left = 41 + 4 * SIDE * SIDE  # the head of the answer is that long or longer
                while left > 0:
                    left -= len(sock.recv(1 << 17))

    began = time.perf_counter()
    with ThreadPoolExecutor(workers) as pool:
        list(pool.map(one, [bodies[i::workers] for i in range(workers)]))
    return len(bodies) / (time.perf_counter() - began)


def boxed(port: int, images: Any, workers: int, folder: Path) -> float:
    """Images a second by the black box."""
    prompts = Prompts(points=np.zeros((len(images), 1, 2), np.float32))
    terms = Terms(workers=workers, ledger=folder / "ledger", price=0.01, most_calls=10**9)
    with RemoteBlackBox(Raw(f"http://127.0.0.1:{port}/"), terms) as box:
        began = time.perf_counter()
        box(images, prompts)
        return len(images) / (time.perf_counter() - began)


def ledger_speed(folder: Path, attempts: int = 100_000) -> dict[str, float]:
    """Seconds to open a ledger of so many attempts, and milliseconds for an attempt's two lines."""
    path = folder / "long"
    with path.open("w") as file:
        file.write('{"zoo-opt-seg ledger":1}\n')
        for i in range(attempts):
            begin = {
                "begin": f"a-{i}",
                "at": "2026-01-01T00:00:00.000+00:00",
                "run": f"run {i % 20}",
                "model": "m" * 40,
            }
            begin |= {"question": f"{i:032x}", "images": 1, "price": 0.01, "number": 1}
            end = {"end": f"a-{i}", "how": "answered", "status": 200, "bytes": 9000, "seconds": 0.05}
            file.write(f"{json.dumps(begin)}\n{json.dumps(end)}\n")
    began = time.perf_counter()
    ledger = Ledger(Terms(ledger=path), "m")
    opened = time.perf_counter() - began
    times = []
    for i in range(300):
        began = time.perf_counter()
        ledger.end(ledger.begin(f"{i:032x}", 1), "answered", 200, 9000)
        times.append(1e3 * (time.perf_counter() - began))
    ledger.close()
    return {"open_s": round(opened, 3), "two_lines_ms": round(statistics.median(times), 3)}


def main(words: list[str] | None = None) -> dict[str, Any]:
    """Measure, and return what is printed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=0.05)
    parser.add_argument("--workers", type=int, default=8)
    parser.add_argument("--images", type=int, default=320)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args(words)
    if given.serve:
        asyncio.run(serve(given.seconds))
    images = np.random.default_rng(0).random((given.images, SIDE, SIDE, 3), dtype=np.float32)
    command = [sys.executable, __file__, "--serve", "--seconds", str(given.seconds)]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert server.stdout is not None
        port = int(server.stdout.readline())
        ours, sockets, alone = [], [], []
        with tempfile.TemporaryDirectory() as folder:
            for _ in range(given.rounds):
                sockets.append(bare(port, [image.tobytes() for image in images], given.workers))
                ours.append(boxed(port, images, given.workers, Path(folder)))
                alone.append(1e3 / boxed(port, images[:20], 1, Path(folder)) - 1e3 * given.seconds)
            ideal = given.workers / given.seconds
            found = {
                "ideal": ideal,
                "images_s": round(max(ours), 1),
                "of_ideal": round(max(ours) / ideal, 3),
                "sockets_s": round(max(sockets), 1),
                "of_sockets": round(max(ours) / max(sockets), 3),
                "overhead_ms": round(min(alone), 2),
                "ledger": ledger_speed(Path(folder)),
            }
    finally:
        server.kill()
        server.wait()
    print(json.dumps(found))
    return found


if __name__ == "__main__":
    main()

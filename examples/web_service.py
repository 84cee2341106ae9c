"""Serve an optimizer over HTTP, for workers that come and go.

`opt.ask(1)` lends a point that nobody else has; `opt.tell(id, loss)` takes its loss, in any order. An `Optimizer` may
be called from several threads. The server is the standard library's; three workers ask it for points, evaluate them and
post the losses, in JSON. A worker that fails posts null.

More: docs/parallel.md.
"""

import json
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.request import Request, urlopen

import numpy as np

import zoo_opt as zo

opt = zo.Optimizer(zo.CMAES(sigma0=0.5), np.zeros(4), rng=0, budget=600)


class Handler(BaseHTTPRequestHandler):
    """GET lends a point: {"id": ..., "x": [...]}; POST {"id": ..., "loss": ...} tells its loss."""

    def do_GET(self) -> None:
        """Lend a point; {"wait": true} while all are out, {"done": true} at the end."""
        batch = opt.ask(1)
        if len(batch):
            self._answer({"id": batch[0].id, "x": batch[0].x.tolist()})
        else:
            self._answer({"done": True} if opt.stop() else {"wait": True})

    def do_POST(self) -> None:
        """Take a loss. What does not belong (told twice, never asked for) is refused, and changes nothing."""
        told = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        try:
            opt.tell(told["id"], told["loss"])
            self._answer({"best": opt.best.loss})
        except (KeyError, ValueError, TypeError) as error:
            self.send_error(400, str(error))

    def _answer(self, what: dict[str, Any]) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(json.dumps(what).encode())

    def log_message(self, *args: Any) -> None:
        """Say nothing of each request."""


def call(url: str, told: dict[str, Any] | None = None) -> Any:
    """Return what the server answers to a GET, or to a POST of `told`."""
    with urlopen(Request(url, None if told is None else json.dumps(told).encode()), timeout=10) as answer:
        return json.load(answer)


def worker(url: str) -> None:
    """Evaluate points until there are none; one evaluation fails."""
    while "done" not in (point := call(url)):
        if "wait" in point:
            time.sleep(0.001)
            continue
        loss = None if point["id"] == 10 else float(np.sum((np.array(point["x"]) - [1, 2, 3, 4]) ** 2))
        call(url, {"id": point["id"], "loss": loss})


def main() -> None:
    """Run the server and three workers."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}"
        with ThreadPoolExecutor(3) as pool:
            list(pool.map(worker, [url] * 3))
        server.shutdown()
    print(f"{opt.nfev} evaluations by 3 workers, {opt.nfail} failed")
    print(f"best x {np.round(np.asarray(opt.best.x), 3)}, loss {opt.best.loss:.1e}")


if __name__ == "__main__":
    main()

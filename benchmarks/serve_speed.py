"""How fast `zoo-opt-seg serve --model tiny` is: one question at a time and eight, with batches and without.

    python benchmarks/serve_speed.py [--questions 200]

The ways are asked in turn, several rounds in one run, so that their ratios hold on a machine that does other things
too. A question is a 96 x 96 float image in binary tensors, over one connection for each that is in flight.
"""

from __future__ import annotations

import argparse
import http.client
import json
import statistics
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from served import serving

from zoo_opt_seg import Prompts, TinySam
from zoo_opt_seg.remote.oip import wire

ROUNDS, SIDE = 5, 96
IMAGE = np.random.default_rng(0).random((SIDE, SIDE, 3), np.float32)
POINT = np.float32([[40, 40]])
BODY, HEADERS = wire.write("inputs", {"image": IMAGE, "points": POINT}, binary=("image", "points"), ask={"mask": True})


def asked(url: str, n: int) -> list[float]:
    """Ask n questions one after the other; returns the seconds of each."""
    host, port = url.removeprefix("http://").split(":")
    connection = http.client.HTTPConnection(host, int(port), timeout=120)
    seconds = []
    for _ in range(n):
        begin = time.perf_counter()
        connection.request("POST", "/v2/models/tiny/infer", BODY, HEADERS)
        answer = connection.getresponse()
        content = answer.read()
        if answer.status != 200:
            raise RuntimeError(content[:200])
        seconds.append(time.perf_counter() - begin)
    connection.close()
    return seconds


def together(url: str, n: int, in_flight: int) -> tuple[float, list[float]]:
    """Ask n questions, so many at a time; returns the images a second, and the seconds of each."""
    with ThreadPoolExecutor(in_flight) as pool:
        begin = time.perf_counter()
        parts = list(pool.map(lambda _: asked(url, n // in_flight), range(in_flight)))
        whole = time.perf_counter() - begin
    return n // in_flight * in_flight / whole, [second for part in parts for second in part]


def in_process(n: int) -> tuple[float, list[float]]:
    """Ask the model in this process."""
    box, prompts, seconds = TinySam(), Prompts(points=POINT[None]), []
    box(IMAGE[None], prompts)
    for _ in range(n):
        begin = time.perf_counter()
        box(IMAGE[None], prompts)
        seconds.append(time.perf_counter() - begin)
    return n / sum(seconds), seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--questions", type=int, default=200, help="of each way (default: 200)")
    n = parser.parse_args().questions // ROUNDS
    found: dict[str, list[tuple[float, list[float]]]] = {}
    with serving("--model", "tiny") as batching, serving("--model", "tiny", "--batch", 1) as single:
        ways = {
            "in process": lambda: in_process(n),
            "1 in flight": lambda: together(batching.url, n, 1),
            "8 in flight, batches of 8": lambda: together(batching.url, n, 8),
            "1 in flight, no batches": lambda: together(single.url, n, 1),
            "8 in flight, no batches": lambda: together(single.url, n, 8),
        }
        for way in ways.values():
            way()  # warm
        for _ in range(ROUNDS):
            for name, way in ways.items():
                found.setdefault(name, []).append(way())
    base = statistics.median(rate for rate, _ in found["in process"])
    print(f"{'':28}images/s  of in process  median ms  95 % ms")
    for name, rounds in found.items():
        rate = statistics.median(rate for rate, _ in rounds)
        seconds = sorted(second for _, part in rounds for second in part)
        middle, late = (1e3 * seconds[int(share * (len(seconds) - 1))] for share in (0.5, 0.95))
        print(f"{name:28}{rate:8.1f}{rate / base:15.2f}{middle:11.1f}{late:9.1f}")
    print(json.dumps({name: round(statistics.median(rate for rate, _ in rounds), 1) for name, rounds in found.items()}))


if __name__ == "__main__":
    main()

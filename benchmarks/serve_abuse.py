"""Hostile requests against `zoo-opt-seg serve`: each gets its status, memory is bounded, good ones are answered.

    python benchmarks/serve_abuse.py [--requests 500]

Sizes that are lies, decompression bombs, NaN points, wrong types, wrong headers, wrong tokens, deep JSON, huge numbers,
slow and broken bodies, half-closed sockets, and what is no HTTP at all; eight at a time, by raw sockets.
"""

from __future__ import annotations

import argparse
import base64
import io
import json
import random
import re
import socket
import struct
import sys
import time
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import cycle, islice

import numpy as np
from PIL import Image
from served import Serving, serving

from zoo_opt_seg.remote.oip import wire

TOKEN = "correct-horse-battery"
BODY, PIXELS, POINTS, SECONDS = 4 << 20, 1 << 20, 100, 4
WORDS = ["--model", "tiny", "--token", "$SERVE_TOKEN", "--most-body", BODY, "--most-pixels", PIXELS]
WORDS += ["--most-points", POINTS, "--queue", 16, "--body-seconds", SECONDS]
MEMORY = 400 << 20  # bytes beyond what one good question took: what the server promises with these limits
INFER, AUTH = "/v2/models/tiny/infer", f"Authorization: Bearer {TOKEN}\r\n"


@dataclass(frozen=True)
class Attack:
    """One hostile request.

    Parameters
    ----------
    kind : str
    parts : tuple of bytes
        What is sent, with ``pause`` seconds between them.
    statuses : tuple of int
        One of these must come back; 0 is a connection that is closed without a word.
    """

    kind: str
    parts: tuple[bytes, ...]
    statuses: tuple[int, ...]
    pause: float = 0.0
    half_closed: bool = False
    reads: bool = True


def request(path: str, body: bytes = b"", headers: str = AUTH, method: str = "POST", length: object = None) -> bytes:
    """The bytes of a request."""
    said = len(body) if length is None else length
    head = f"{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {said}\r\n{headers}\r\n"
    return head.encode("latin-1") + body


def png(width: int = 64, height: int = 64, seed: int = 0) -> bytes:
    buffer = io.BytesIO()
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def bomb(width: int, height: int, extra: bytes = b"", rows: int | None = None) -> bytes:
    """A small PNG of very many black pixels."""
    line = b"\0" + bytes(width)
    engine = zlib.compressobj(9)
    data = b"".join(engine.compress(line) for _ in range(height if rows is None else rows)) + engine.flush()
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + extra + chunk(b"IDAT", data) + chunk(b"IEND", b"")


def tensors(**arrays: np.ndarray) -> tuple[bytes, str]:
    given = {"image": np.zeros((16, 16, 3), np.float32), "points": np.float32([[3, 3]]), **arrays}
    body, headers = wire.write("inputs", given, binary=tuple(given))
    return body, AUTH + "".join(f"{name}: {value}\r\n" for name, value in headers.items())


JSON = AUTH + "Content-Type: application/json\r\n"
GOOD64 = base64.b64encode(png()).decode()
WRONG, LARGE, TOKENLESS, CLOSED = (400, 415), (413,), (401,), (0, 400, 408)


def sizes(rng: random.Random) -> Iterator[Attack]:
    """Lengths that are lies, and bodies that are large."""
    while True:
        yield Attack("length", (request("/segment?point=1,1", b"abc", length=10 ** rng.randint(8, 17)),), LARGE)
        yield Attack(
            "length",
            (request("/segment?point=1,1", b"abc", length=rng.choice(["-1", "1e3", "x", "9" * 40])),),
            (400, 413),
        )
        yield Attack("large", (request("/segment?point=1,1", bytes(BODY + rng.randint(1, 1 << 20))),), LARGE)
        head = request("/segment?point=1,1").replace(b"Content-Length: 0", b"Transfer-Encoding: chunked")
        yield Attack("chunks", (head, *[b"80000\r\n" + bytes(1 << 19) + b"\r\n"] * 12, b"0\r\n\r\n"), LARGE)
        yield Attack("chunks", (head + b"zz\r\nabc\r\n0\r\n\r\n",), (400, 0))
        yield Attack("empty", (request("/segment?point=1,1"),), (415,))
        yield Attack(
            "both lengths",
            (request("/segment?point=1,1", b"", AUTH + "Transfer-Encoding: chunked\r\n") + b"0\r\n\r\n",),
            (400, 415),
        )


def bombs(rng: random.Random) -> Iterator[Attack]:
    """Images that are much larger than their files."""
    huge = [bomb(20_000, 20_000, rows=10), bomb(1_200_000, 1), bomb(1 << 30, 1 << 30, rows=1), bomb(8000, 8000)]
    text = zlib.compress(bytes(100 << 20), 9)
    extras = [chunk(b"zTXt", b"a\0\0" + text), chunk(b"iCCP", b"a\0\0" + text), chunk(b"iTXt", b"a\0\1\0\0\0" + text)]
    almost = bomb(1024, 1024, rows=100)
    jpeg = io.BytesIO()
    Image.new("RGB", (8, 8)).save(jpeg, "JPEG")
    wide = re.sub(rb"(?<=\xff\xc0\x00\x11\x08)....", b"\xff" * 4, jpeg.getvalue(), flags=re.S)
    while True:
        for content in huge:
            yield Attack("bomb", (request("/segment?point=1,1", content),), LARGE)
            said = {"image": base64.b64encode(content).decode(), "points": [[1, 1]]}
            yield Attack("bomb", (request("/segment", json.dumps(said).encode(), JSON),), LARGE)
        for extra in extras:
            yield Attack("text bomb", (request("/segment?point=1,1", bomb(64, 64, extra)),), (200, 400, 415))
        yield Attack("cut short", (request("/segment?point=1,1", almost[:-30]),), (400,))
        yield Attack("bomb", (request("/segment?point=1,1", wide),), LARGE)
        content = bytearray(png())
        for _ in range(20):
            content[rng.randrange(8, len(content))] = rng.randrange(256)
        yield Attack("damaged", (request("/segment?point=1,1", bytes(content)),), (200, 400, 413, 415))


def values(rng: random.Random) -> Iterator[Attack]:
    """Points, boxes and JSON that are nothing of the kind."""
    words = ["nan,1", "inf,1", "1e999,1", "1", "1,2,3,4", "a,b", "1,1,2", "1,1,nan", "-1,5", "64,5", "%00,1", ""]
    documents = [
        b"",
        b"null",
        b"[]",
        b"{}",
        b"{",
        b"[" * 100_000,
        b'{"a":' * 100_000,
        b"1" * 100_000,
        b'"' + b"\\u0000" * 1000 + b'"',
        b'{"image": NaN}',
        b'{"image": 1e400}',
        b"\xff\xfe\x00",
        b'{"image": "\\ud800"}',
        b"[" + b"0," * 1_900_000 + b"0]",
    ]
    fields: list[dict[str, object]] = [
        {"points": "1,1"},
        {"points": [[1]]},
        {"points": [[1, "x"]]},
        {"points": [[1, 1, 7]]},
        {"points": [[None, 1]]},
        {"points": [[1e308, 1]]},
        {"points": [[10**30, 1]]},
        {"box": [1, 2, 3]},
        {"box": [5, 5, 1, 1]},
        {"box": "all"},
        {"text": 5},
        {"answer": "all"},
        {"version": 3},
        {"extra": 1},
        {"image": 5},
        {"image": "?"},
        {"image": ""},
    ]
    while True:
        for word in words:
            yield Attack("point", (request(f"/segment?point={word}", png()),), WRONG)
        yield Attack(
            "box",
            (request(f"/segment?box={rng.choice(['1,2', '9,9,1,1', 'nan,1,2,3', '1e30,1,2e30,2'])}", png()),),
            WRONG,
        )
        yield Attack("points", (request("/segment?" + "&".join(["point=1,1"] * (POINTS + 1)), png()),), LARGE)
        yield Attack("text", (request("/segment?text=" + "x" * 5000, png()),), (400, 413))
        for document in documents:
            yield Attack("JSON", (request("/segment", document, JSON),), (400, 413))
            yield Attack("JSON", (request(INFER, document),), (400, 413))
        for field in fields:
            said = {"image": GOOD64, "points": [[1, 1]], **field}
            yield Attack("field", (request("/segment", json.dumps(said).encode(), JSON),), WRONG)


def messages(rng: random.Random) -> Iterator[Attack]:
    """Tensors that are not what they say."""
    arrays = [
        {"image": np.full((16, 16, 3), np.nan, np.float32)},
        {"image": np.zeros((16, 16), np.float32)},
        {"image": np.zeros((16, 16, 3), np.int8)},
        {"image": np.zeros((0, 0, 3), np.uint8)},
        {"points": np.float32([[np.nan, 1]])},
        {"points": np.float32([[np.inf, 1]])},
        {"points": np.float32([[3e38, 1]])},
        {"points": np.zeros((1, 3), np.float32)},
        {"labels": np.int64([9])},
        {"labels": np.int64([1, 1, 1])},
        {"box": np.float32([np.nan] * 4)},
        {"box": np.float32([3e38] * 4)},
        {"text": np.array([b"\xff\xfe"], object)},
        {"colour": np.float32([1])},
    ]
    body, headers = tensors()
    length = int(re.search(r"content-length: (\d+)", headers)[1])  # type: ignore[index]
    entry = {"name": "image", "datatype": "UINT8", "shape": [4, 4, 3]}
    shapes: list[object] = [
        [-1, 4, 3],
        [1 << 62, 1 << 62, 3],
        [4.5, 4, 3],
        "4",
        [[4]],
        [4] * 100,
        [1 << 20, 1 << 20, 3],
        None,
    ]
    sizes: list[object] = [-1, 1 << 62, "all", 2.5, 47, 0]
    while True:
        for given in arrays:
            yield Attack("tensors", (request(INFER, *tensors(**given)),), WRONG)
        for said in (0, 1, length - 1, length + 1, len(body) + 1, -5, "9" * 50, "0x10", ""):
            lie = headers.replace(f"content-length: {length}", f"content-length: {said}")
            yield Attack("header lies", (request(INFER, body, lie),), WRONG)
        for shape in shapes:
            whole = {"inputs": [{**entry, "shape": shape, "data": [0] * 48}]}
            yield Attack("shape", (request(INFER, json.dumps(whole).encode()),), (400, 413))
        for size in sizes:
            whole = {"inputs": [{**entry, "parameters": {"binary_data_size": size}}]}
            text = json.dumps(whole).encode()
            yield Attack("size", (request(INFER, text + bytes(48), AUTH + f"{wire.LENGTH}: {len(text)}\r\n"),), WRONG)
        text = json.dumps({"inputs": [{**entry, "name": f"n{k}", "data": []} for k in range(5000)]}).encode()
        yield Attack("many tensors", (request(INFER, text),), WRONG)
        cut = rng.randrange(len(body))
        yield Attack("cut short", (request(INFER, body[:cut], headers),), WRONG)
        noise = bytes(rng.randrange(256) for _ in range(3000))
        yield Attack("noise", (request(INFER, noise, headers),), WRONG)
        yield Attack("large tensor", (request(INFER, *tensors(image=np.zeros((1200, 1000, 3), np.uint8))),), LARGE)


def callers(rng: random.Random) -> Iterator[Attack]:
    """Who may not ask, and what is not there."""
    good = request("/segment?point=1,1", png())
    while True:
        for said in (
            "",
            "Bearer",
            f"Bearer {TOKEN}x",
            f"Bearer {TOKEN[:-1]}",
            TOKEN,
            "Basic Og==",
            "Basic ???",
            "Bearer \xff\xfe",
            "Bearer " + "x" * 30_000,
        ):
            header = f"Authorization: {said}\r\n" if said else ""
            yield Attack("token", (good.replace(AUTH.encode(), header.encode("latin-1")),), TOKENLESS)
        yield Attack(
            "origin", (good.replace(AUTH.encode(), (AUTH + "Origin: https://evil.example\r\n").encode()),), (403,)
        )
        for path in (
            "/",
            "/../../etc/passwd",
            "/%2e%2e/x",
            "/v2/models/%00",
            "/v2/models/" + "x" * 3000,
            "/segment/../v2x",
        ):
            yield Attack("path", (request(path, method="GET"),), (400, 404, 405))
        for method in ("GET", "PUT", "DELETE", "TRACE", "FOO", "CONNECT"):
            yield Attack("method", (request("/segment", method=method),), (400, 404, 405))
        yield Attack("headers", (request("/segment", headers=AUTH + "X: " + "y" * 200_000 + "\r\n"),), (400, 431, 0))
        yield Attack(
            "headers",
            (request("/segment", headers=AUTH + "".join(f"X{k}: y\r\n" for k in range(20_000))),),
            (400, 431, 0),
        )
        upgrade = (
            "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: eA==\r\nSec-WebSocket-Version: 13\r\n"
        )
        yield Attack("upgrade", (request("/v2", headers=AUTH + upgrade, method="GET"),), (200, 400, 404, 426))


def sockets(rng: random.Random) -> Iterator[Attack]:
    """What happens on bad connections."""
    good = request("/segment?point=1,1", png())
    head, _, body = good.partition(b"\r\n\r\n")
    while True:
        yield Attack("slow body", (head + b"\r\n\r\n", *(body[k : k + 1] for k in range(10))), (408,), pause=0.6)
        yield Attack("silent body", (head + b"\r\n\r\n" + body[: rng.randrange(len(body))],), (408,))
        yield Attack("half closed", (head + b"\r\n\r\n" + body[:50],), CLOSED, half_closed=True)
        yield Attack("half closed", (good,), (200, 0), half_closed=True)
        yield Attack("hangs up", (head + b"\r\n\r\n" + body[:50],), (), reads=False)
        yield Attack("hangs up", (good,), (), reads=False)
        yield Attack("no HTTP", (bytes(rng.randrange(256) for _ in range(500)) + b"\r\n\r\n",), (400, 0))
        yield Attack("no HTTP", (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(200) + b"\r\n\r\n",), (400, 0))
        yield Attack("no HTTP", (b"GET /\r\n\r\n",), (400, 0))


def attacks(n: int, seed: int = 17) -> list[Attack]:
    """``n`` of them, of all kinds in turn."""
    rng = random.Random(seed)
    kinds = [make(rng) for make in (sizes, bombs, values, messages, callers, sockets, values, messages)]
    return list(islice((next(kind) for kind in cycle(kinds)), n))


def launch(url: str, attack: Attack) -> int:
    """Send it; returns the status that came back, 0 for none."""
    host, port = url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=30) as sock:
        try:
            for part in attack.parts:
                sock.sendall(part)
                time.sleep(attack.pause)
            if attack.half_closed:
                sock.shutdown(socket.SHUT_WR)
        except OSError:  # the server has said what it had to say
            pass
        if not attack.reads:
            return -1
        answer = b""
        try:
            while piece := sock.recv(1 << 16):
                answer += piece
        except ConnectionError:
            pass
    found = re.match(rb"HTTP/1.1 (\d{3}) ", answer)
    if b"Traceback" in answer:
        raise AssertionError(f"a traceback was sent for {attack.kind}")
    return int(found[1]) if found else 0


def good_answer(url: str) -> bytes:
    """What a good question is answered by; the same one each time."""
    sock_answer = b""
    host, port = url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=120) as sock:
        sock.sendall(request("/segment?point=30,30&answer=probabilities", png(seed=5)))
        while piece := sock.recv(1 << 16):
            sock_answer += piece
    head, _, body = sock_answer.partition(b"\r\n\r\n")
    if not head.startswith(b"HTTP/1.1 200 "):
        raise AssertionError(f"a good question was answered by {head[:200]!r}")
    return body


def abuse(server: Serving, n: int, say: Callable[[str], None] = lambda text: None) -> dict[str, object]:
    """Attack a server; returns what it came to."""
    expected = good_answer(server.url)
    before = server.most_memory()
    wrong: list[str] = []
    seen: Counter[int] = Counter()
    todo = attacks(n)
    with ThreadPoolExecutor(8) as pool:
        for begin in range(0, n, 50):
            part = todo[begin : begin + 50]
            for attack, status in zip(part, pool.map(lambda attack: launch(server.url, attack), part), strict=True):
                seen[status] += 1
                if attack.reads and status not in attack.statuses and status != 429:
                    wrong.append(f"{attack.kind}: expected {attack.statuses}, got {status}: {attack.parts[0][:120]!r}")
            if good_answer(server.url) != expected:
                wrong.append(f"after {begin + len(part)} attacks a good question had another answer")
            say(f"{begin + len(part)} of {n}: {server.most_memory() >> 20} MiB, {dict(sorted(seen.items()))}")
    return {
        "requests": n,
        "wrong": wrong,
        "statuses": dict(sorted(seen.items())),
        "memory_before": before,
        "memory_most": server.most_memory(),
        "alive": server.process.poll() is None,
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--requests", type=int, default=500)
    arguments = parser.parse_args()
    with serving(*WORDS, SERVE_TOKEN=TOKEN) as server:
        found = abuse(server, arguments.requests, print)
        print(json.dumps(found, indent=1))
        more = int(found["memory_most"]) - int(found["memory_before"])  # type: ignore[call-overload]
        print(f"memory: {more >> 20} MiB more than one good question took; the limit is {MEMORY >> 20} MiB")
        status = server.end()
    good = not found["wrong"] and found["alive"] and more <= MEMORY and status == 0
    print("held" if good else "NOT held")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())

"""What the Open Inference Protocol costs: a 256 x 256 image, on loopback, to a model that answers at once.

python benchmarks/oip_speed.py

The wire work is timed in this process, part by part, with float32, which an image is once a prompt was added. The calls
are whole: a black box ``oip:`` and, in a process of its own, ``zoo-opt-seg serve``. An image goes as float32, as the
bytes of a file, and by JSON. Best and median of all calls are printed, and the processors' time of both processes
together: on a busy machine it alone says what a call costs.
"""

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from served import serving

from zoo_opt_seg.blackbox.registry import OIP
from zoo_opt_seg.prompts import Prompts
from zoo_opt_seg.remote.exchange import Reply
from zoo_opt_seg.remote.oip import wire
from zoo_opt_seg.remote.oip.adapter import OipAdapter
from zoo_opt_seg.remote.terms import Terms

IMAGE = np.random.default_rng(0).random((256, 256, 3), dtype=np.float32)
BYTES, RED = (255 * IMAGE).astype(np.uint8), IMAGE[..., 0] > 0.5
POINT = Prompts(points=[[[100.0, 50.0]]])


def instant() -> Callable[..., Any]:
    """Return the model that is served: it answers at once, where the image's red is above a half."""
    return lambda images, prompts: images[..., 0] > (0.5 if images.dtype == np.float32 else 127)


def processors(process: int) -> float:
    """Return the milliseconds of processors that a process has taken so far."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return 1e3 * (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def timed(what: str, call: Callable[[], object], repeats: int) -> float:
    """Print what a call takes; return the best, in milliseconds."""
    call()
    taken = []
    for _ in range(repeats):
        begin = time.perf_counter()
        call()
        taken.append(1e3 * (time.perf_counter() - begin))
    print(f"{what:<44} {min(taken):8.2f} ms best {np.median(taken):8.2f} ms median")
    return min(taken)


def wire_work() -> float:
    """Time what client and server do with tensors; return the sum, in milliseconds."""
    adapter = OipAdapter("http://127.0.0.1/red")
    request = next(adapter.question(IMAGE, POINT))
    answer, headers = wire.write("outputs", {"mask": RED}, binary=["mask"])

    def read() -> None:
        exchange = adapter.question(IMAGE, POINT)
        next(exchange)
        try:
            exchange.send(Reply(200, headers, answer))
        except StopIteration as end:
            assert end.value.tobytes() == RED.tobytes()

    parts = {
        "client: question written, answer read": read,
        "server: question read": lambda: wire.read("inputs", request.content, request.headers),
        "server: answer written": lambda: wire.write("outputs", {"mask": RED}, binary=["mask"]),
    }
    return sum(timed(what, part, 200) for what, part in parts.items())


def main() -> None:
    """Time the parts, then whole calls."""
    print(f"image {IMAGE.nbytes:,} bytes as float32, {BYTES.nbytes:,} as uint8; answer {RED.nbytes:,} bytes of mask")
    print(f"{'wire work':<44} {wire_work():8.2f} ms")
    words = ["--model", f"{Path(__file__).stem}:instant", "--name", "red", "--batch", "1"]
    forms = (("uint8", BYTES, "yes", 200), ("float32", IMAGE, "yes", 200), ("float32, JSON", IMAGE, "no", 20))
    with serving(*words) as server:
        for form, image, binary, repeats in forms:
            with OIP.make(f"{server.url}/red", terms=Terms(workers=1), options={"binary": binary}) as box:
                both = server.process.pid, os.getpid()
                before = sum(map(processors, both))
                timed(f"whole call, {form}", lambda box=box, image=image: box(image[None], POINT), repeats)
                taken = (sum(map(processors, both)) - before) / (repeats + 1)
                print(f"{'':<44} {taken:8.2f} ms of processors, client and server")


if __name__ == "__main__":
    main()

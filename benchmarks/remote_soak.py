"""An adaptation through a service that is killed, busy and drops connections, against the same one in process.

``python benchmarks/remote_soak.py OUT [--calls 300] [--kills 20] [--client-kills 5] [--busy 0.1] [--drops 0.05]``. The
tiny SAM is adapted in process, and then behind HTTP by a server on loopback that answers a share of the questions with
429 or 503, closes another share of the connections after the model has been asked, and is killed and started again so
many times; the client is killed and started again as well. Prints JSON, and fails unless

- prompt, measures and calls are the same, bit for bit;
- no answer that came was asked for again: as many are in the ledger as the run needs;
- whatever the model did beyond these answers is in the ledger as perhaps paid.
"""

from __future__ import annotations

import argparse
import contextlib
import faulthandler
import hashlib
import json
import os
import random
import signal
import socket
import sys
import time
import traceback
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "tests")]

import numpy as np  # noqa: E402
import torch  # noqa: E402
from seg.remote.npz_service import Handler, NpzAdapter, Service  # noqa: E402

from zoo_opt_seg import cli  # noqa: E402
from zoo_opt_seg.blackbox.tiny import TinySam  # noqa: E402
from zoo_opt_seg.remote.box import RemoteBlackBox  # noqa: E402
from zoo_opt_seg.remote.ledger_file import read_ledger  # noqa: E402

QUICK = ["--data", "disc", "--batch", "4", "--validate", "3", "--validation-images", "8", "--test-images", "6"]
QUICK += ["--repeats", "1", "-o", "sigma0=0.1", "--quiet", "--wait", "300"]
MODEL = TinySam()


class OneByOne:
    """The model in process, asked about each image alone, as a service is."""

    name, prompted_by = "npz:tiny", "points"

    def __call__(self, images: Any, prompts: Any) -> Any:
        """Return the masks."""
        return np.concatenate([MODEL(images[i : i + 1], prompts[i : i + 1]) for i in range(len(images))])


def connect(terms: Any) -> RemoteBlackBox:
    """What ``--model`` names behind HTTP."""
    return RemoteBlackBox(NpzAdapter(os.environ["SERVICE_URL"], name="npz:tiny"), terms)


def serving(port: int, log: Path, seed: int, busy: float, drops: float) -> None:
    """Serve for ever; every question that the model was asked is a line of the log, written before the answer."""
    rng = random.Random(seed)
    file = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    def asked(images: Any, prompts: Any) -> Any:
        masks = MODEL(images, prompts)
        told = hashlib.sha256(images.tobytes() + prompts.key(0)).hexdigest()
        os.write(file, f"{told}\n".encode())
        return masks

    def upset(number: int, handler: Handler) -> bool:
        draw = rng.random()
        if draw < busy:
            more = {"Retry_After": "0"} if draw < busy / 4 else {}
            handler.answer(429 if draw < busy / 2 else 503, b"busy", **more)
        elif draw < busy + drops:
            handler.wfile = None  # type: ignore[assignment]
            with contextlib.suppress(AttributeError):
                handler.serve()
            handler.wfile = handler.connection.makefile("wb")  # type: ignore[assignment]
            handler.drop()
        return draw < busy + drops

    Service.allow_reuse_address = True
    Service(asked, upset, port=port).serve_forever()


def born(do: Any, errors: Path) -> int:
    """Fork a process that does something and ends, its standard error in a file."""
    if pid := os.fork():
        return pid
    status = 1
    try:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        os.dup2(os.open(errors, os.O_WRONLY | os.O_CREAT | os.O_APPEND), 2)
        faulthandler.register(signal.SIGUSR1)
        status = do()
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(status or 0)


def free_port(rng: random.Random) -> int:
    """Return a port below those that the system gives out, so that nobody takes it while the server is down."""
    while True:
        port = rng.randint(20_000, 32_000)
        with contextlib.suppress(OSError), socket.socket() as sock:
            sock.bind(("127.0.0.1", port))
            return port


def outcome(out: Path) -> dict[str, Any]:
    """What must be the same."""
    metrics = json.loads((out / "metrics.json").read_text())
    for name in ("seconds", "spent"):
        metrics.pop(name, None)
    with np.load(out / "prompt.npz", allow_pickle=False) as file:
        prompt = hashlib.sha256(b"".join(name.encode() + file[name].tobytes() for name in file.files)).hexdigest()
    return {"prompt": prompt, "last": (out / "state" / "last.npy").read_bytes().hex(), "metrics": metrics}


def main(words: list[str] | None = None) -> dict[str, Any]:
    """Run both, compare, and return what is printed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    for name, kind, default in (("calls", int, 300), ("kills", int, 20), ("client-kills", int, 5), ("seed", int, 0)):
        parser.add_argument(f"--{name}", type=kind, default=default)
    parser.add_argument("--busy", type=float, default=0.1)
    parser.add_argument("--drops", type=float, default=0.05)
    given = parser.parse_args(words)
    given.out.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1)
    adapt = ["adapt", *QUICK, "--calls", str(given.calls), "--seed", str(given.seed)]
    near, far, log = given.out / "near", given.out / "far", given.out / "served"
    errors, alone = given.out / "errors", [*adapt, "--model", "remote_soak:OneByOne", "--out", str(near)]
    status = os.waitpid(born(lambda: cli.main(alone), errors), 0)[1]
    assert status == 0, errors.read_text()
    began, rng = time.monotonic(), random.Random(given.seed)
    port = free_port(rng)
    os.environ["SERVICE_URL"] = f"http://127.0.0.1:{port}"
    terms = ["--workers", "4", "--price", "0.01", "--ask-again", "5", "--timeout", "30"]
    command = [*adapt, "--model", "remote_soak:connect", *terms, "--out", str(far)]

    def server(number: int) -> int:
        return born(lambda: serving(port, log, given.seed + number, given.busy, given.drops), errors)  # type: ignore[func-returns-value]

    def count() -> int:
        return log.read_bytes().count(b"\n") if log.exists() else 0

    life, client, kills, client_kills, ended = server(0), born(lambda: cli.main(command), errors), 0, 0, 0
    every = max(given.calls // (given.kills + given.client_kills + 1), 1)
    target = every
    while not ended:
        ended, status = os.waitpid(client, os.WNOHANG)
        assert ended or os.waitpid(life, os.WNOHANG)[0] == 0, "the server has ended by itself"
        if not ended and count() >= target and kills + client_kills < given.kills + given.client_kills:
            time.sleep(rng.uniform(0.0, 0.05))
            target = count() + rng.randint(1, every)
            if (
                rng.random() * (given.kills + given.client_kills - kills - client_kills)
                < given.client_kills - client_kills
            ):
                os.kill(client, signal.SIGKILL)
                os.waitpid(client, 0)
                client, client_kills = born(lambda: cli.main(command), errors), client_kills + 1
            else:
                os.kill(life, signal.SIGKILL)
                os.waitpid(life, 0)
                time.sleep(rng.uniform(0.0, 0.5))
                life, kills = server(kills + 1), kills + 1
        time.sleep(0.01)
    os.kill(life, signal.SIGKILL)
    os.waitpid(life, 0)
    spent = read_ledger(far / "ledger.jsonl").total()
    whole, cut = (outcome(path) if (path / "metrics.json").exists() else {} for path in (near, far))
    metrics = whole["metrics"]
    needed = metrics["calls"] + metrics["test"]["calls"] + metrics["panel_calls"] + 1  # one for the forecast
    answered = spent.calls - spent.perhaps
    found = {
        "same": whole == cut,
        "status": os.waitstatus_to_exitcode(status),
        "kills": kills,
        "client_kills": client_kills,
        "needed": needed,
        "answered": answered,
        "perhaps_paid": spent.perhaps,
        "model_asked": count(),
        "not_served": spent.unserved,
        "not_sent": spent.unsent,
        "seconds": round(time.monotonic() - began, 1),
    }
    found["right"] = found["same"] and answered == needed and answered <= count() <= answered + spent.perhaps
    print(json.dumps(found))
    return found


if __name__ == "__main__":
    sys.exit(not main()["right"])

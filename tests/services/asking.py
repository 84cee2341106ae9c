"""Real servers of the Open Inference Protocol, and what they are asked: the likeness of `servers/likeness.py`."""

import contextlib
import dataclasses
import json
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2 as httpx
import numpy as np
import pytest
from services import harness
from services.servers.likeness import likeness

from zoo_opt_seg.blackbox.registry import OIP
from zoo_opt_seg.prompts import Prompts
from zoo_opt_seg.remote.terms import Terms

SERVERS = harness.HERE / "servers"
TERMS = Terms(workers=4, connect=10, read=30, total=60)
IMAGES = np.random.default_rng(3).random((4, 20, 28, 3), dtype=np.float32)
PROMPTS = Prompts(  # each row another kind
    points=[[[3, 4], [20, 9]], [[27, 19], [5, 5]], [[0, 0], [0, 0]], [[12, 8], [0, 0]]],
    labels=[[1, 1], [1, 0], [-1, -1], [1, -1]],
    boxes=[[np.nan] * 4, [np.nan] * 4, [2, 3, 17, 11], [4, 4, 20, 15]],
)


def expected(images: Any = IMAGES, prompts: Prompts = PROMPTS) -> Any:
    """Return what the served model answers, computed here."""
    masks = []
    for image, one in zip(images, prompts, strict=True):
        ((_, only),) = one.groups()
        points = {"points": only.points[0], "labels": only.labels[0]} if only.points.size else {}
        masks.append(likeness(image, **points, box=None if only.boxes is None else only.boxes[0]))
    return np.stack(masks)


def answers(url: str, images: Any = IMAGES, prompts: Prompts = PROMPTS, terms: Any = None, **options: Any) -> Any:
    """Return what a black box of this address answers, by terms beside those above."""
    with OIP.make(url, terms=dataclasses.replace(TERMS, **(terms or {})), options=options) as box:
        return box(images, prompts)


@contextlib.contextmanager
def triton(folder: Path) -> Iterator[str]:
    """Run a real Triton with two models; skip the test where it cannot run."""
    python = harness.interpreter("triton")
    http, grpc = harness.free_port(), harness.free_port()
    url = f"http://127.0.0.1:{http}"
    libraries = {"LD_LIBRARY_PATH": harness.about(python)[2], "PYTHONPATH": ""}
    command = [python, SERVERS / "triton.py", str(http), str(grpc)]
    with harness.running(command, f"{url}/v2/models/decoder/ready", folder / "triton.log", env=libraries):
        yield url


@contextlib.contextmanager
def mlserver(folder: Path) -> Iterator[str]:
    """Run a real MLServer with a model that has metadata, ``likeness``, and one without, ``silent``."""
    python = harness.interpreter("mlserver")
    http, grpc = harness.free_port(), harness.free_port()
    url = f"http://127.0.0.1:{http}"
    settings = {"host": "127.0.0.1", "http_port": http, "grpc_port": grpc, "parallel_workers": 0}
    settings |= {"metrics_endpoint": None, "cache_enabled": False}
    inputs = {
        "image": ("FP32", [-1, -1, 3]),
        "points": ("FP32", [-1, 2]),
        "labels": ("INT64", [-1]),
        "box": ("FP32", [4]),
    }
    sides = {"inputs": inputs, "outputs": {"mask": ("FP32", [-1, -1])}}
    tensors = {
        side: [{"name": name, "datatype": kind, "shape": shape} for name, (kind, shape) in tensors.items()]
        for side, tensors in sides.items()
    }
    (folder / "settings.json").write_text(json.dumps(settings))
    for name, more in (("likeness", tensors), ("silent", {})):
        (folder / name).mkdir()
        model = {"name": name, "implementation": "mlserver_runtime.Likeness", **more}
        (folder / name / "model-settings.json").write_text(json.dumps(model))
    environment = {"PYTHONPATH": str(SERVERS)}
    command = [python.with_name("mlserver"), "start", folder]
    with harness.running(
        command, f"{url}/v2/models/silent/ready", folder / "mlserver.log", env=environment, cwd=folder
    ):
        yield url


def kserve_answers(folder: Path, asked: list[dict[str, Any]], script: str = "kserve_model.py") -> list[Any]:
    """Return what a real KServe answers by some options, with a model of ``servers``.

    It listens on all addresses, and no setting changes that: so it, and the client with it, runs in a network namespace
    of its own, in which there is loopback alone.
    """
    python = harness.interpreter("kserve")
    alone = ["unshare", "--net", "sh", "-c", 'ip link set lo up && exec "$@"', "sh"]
    if not shutil.which("unshare") or not shutil.which("ip"):
        pytest.skip("kserve: a network namespace needs unshare and ip")
    if subprocess.run([*alone, "true"], capture_output=True, check=False).returncode:
        pytest.skip("kserve: a network namespace needs the rights of root")
    (folder / "asked.json").write_text(json.dumps(asked))
    command = [*alone, sys.executable, "-m", "services.asking", python, folder, script]
    done = subprocess.run(
        list(map(str, command)), cwd=harness.ROOT / "tests", capture_output=True, text=True, timeout=400
    )
    assert done.returncode == 0, done.stderr[-4000:]
    return [np.load(folder / f"{i}.npy") for i in range(len(asked))]


def main() -> None:
    """Run KServe where this process is, ask it, and leave the answers in a folder: see `kserve_answers`."""
    python, folder, script = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]
    port = harness.free_port()
    url = f"http://127.0.0.1:{port}"
    command = [python, SERVERS / script, str(port), harness.ROOT, sysconfig.get_path("purelib")]
    with harness.running(command, f"{url}/v2/models/likeness/ready", folder / "kserve.log", env={"PYTHONPATH": ""}):
        for i, options in enumerate(json.loads((folder / "asked.json").read_text())):
            np.save(folder / f"{i}.npy", answers(f"{url}/likeness", **options))
        wrong = {"inputs": [{"name": "picture", "shape": [1], "datatype": "FP32", "data": [0]}]}
        reply = httpx.post(f"{url}/v2/models/likeness/infer", json=wrong)
        (folder / "wrong.json").write_text(json.dumps([reply.status_code, reply.text]))


if __name__ == "__main__":
    main()

"""`zoo-opt-seg serve` as users start it: what is wrong is said, the adapted model answers, it ends gracefully."""

import json
import os
import signal
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx2 as httpx
import numpy as np
import pytest
import serve_abuse
from PIL import Image
from seg.checks import fails
from served import serving

from zoo_opt_seg import TinySam
from zoo_opt_seg.blackbox import as_black_box
from zoo_opt_seg.prompts import Prompts
from zoo_opt_seg.remote.oip import wire
from zoo_opt_seg.serve.segmenting import segmenter_in
from zoo_opt_seg.visual_prompts import make_prompt, save_prompt

POINT = Prompts(points=np.float32([[[40, 30]]]))

WAITING = """
import time
from pathlib import Path
import numpy as np


class Box:
    name = "waiting"

    def __call__(self, images, prompts):
        while not Path("go").exists():
            time.sleep(0.05)
        return images[..., 0].astype(np.float32) / 255
"""
PIDS = """
import os
import time
import numpy as np


class Box:
    name = "pids"

    def __call__(self, images, prompts):
        time.sleep(0.2)
        return np.full(images.shape[:3], os.getpid() % 251 / 255, np.float32)
"""


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--model", "nothing"], "--model must be"),
        (["--model", "tiny", "--port", "99999"], "--host 127.0.0.1 --port 99999"),
        (["--model", "tiny", "--host", "0.0.0.0"], "--token must be given where others reach the server"),
        (["--model", "tiny", "--token", "$SURELY_NOT_SET"], "SURELY_NOT_SET must be set"),
        (["--model", "tiny", "--token", "two words"], "--token must be one word"),
        (["--model", "tiny", "--workers", "0"], "--workers must be >= 1"),
        (["--model", "tiny", "--queue", "0"], "queue must be"),
        (["--model", "tiny", "--most-pixels", "-1"], "pixels must be"),
        (["--model", "tiny", "--batch", "0"], "batch must be"),
        (["--model", "tiny", "--batch-wait-ms", "-1"], "wait must be"),
        (["--model", "tiny", "--name", "a/b"], "--name must be of letters"),
        (["--model", "tiny", "--adapted", "nowhere"], "--adapted nowhere:"),
        (["--model", "tiny", "--size", "3"], "--size: size must be"),
    ],
)
def test_what_is_wrong_is_said(run, words, said):
    fails(run("serve", "--port", "0", *words), said)


def question(image, **options):
    content, headers = wire.write(
        "inputs", {"image": image, "points": POINT.points[0]}, binary=("image", "points"), ask={"mask": True}, **options
    )
    return {"content": content, "headers": headers}


def mask_of(answer):
    assert answer.status_code == 200, answer.text
    return wire.read("outputs", answer.content, answer.headers).tensors["mask"]


@pytest.mark.slow
def test_the_adapted_model_answers_and_curl_gets_it(tmp_path):
    prompt = make_prompt("filter", 96)
    save_prompt(tmp_path / "prompt.npz", prompt, np.linspace(-0.2, 0.2, prompt.dim).astype(np.float32))
    (tmp_path / "config.json").write_text(json.dumps({"prepared": {"fit": "pad"}}))
    image = np.random.default_rng(0).integers(0, 256, (70, 110, 3), np.uint8)
    Image.fromarray(image).save(tmp_path / "photo.png")
    want = segmenter_in(tmp_path, as_black_box(TinySam()))(image, POINT)
    words = ["--model", "tiny", "--adapted", tmp_path, "--token", "$SERVE_TOKEN", "--name", "mine"]
    with serving(*words, SERVE_TOKEN="s3cret") as server:
        header = {"Authorization": "Bearer s3cret"}
        asked = question(image)
        answer = httpx.post(
            f"{server.url}/v2/models/mine/infer",
            content=asked["content"],
            headers=asked["headers"] | header,
            timeout=120,
        )
        np.testing.assert_array_equal(mask_of(answer), want)
        address = f"{server.url}/segment?point=40,30"
        command = [
            "curl",
            "-sf",
            "-H",
            "Authorization: Bearer s3cret",
            "--data-binary",
            f"@{tmp_path}/photo.png",
            address,
        ]
        content = subprocess.run([*command, "-o", tmp_path / "mask.png"], check=True, capture_output=True)
        assert content.stdout == b""
        np.testing.assert_array_equal(np.asarray(Image.open(tmp_path / "mask.png")), np.where(want > 0.5, 255, 0))
        assert subprocess.run(["curl", "-sf", address], capture_output=True).returncode == 22  # no token
        assert "s3cret" not in Path(f"/proc/{server.process.pid}/cmdline").read_text()
        listed = httpx.get(f"{server.url}/versions", headers=header, timeout=120).json()
        assert listed["versions"] == [{"name": "1", "about": {"adapted": tmp_path.name}}]
        assert server.end() == 0


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_ends_when_what_is_in_flight_is_answered(tmp_path, monkeypatch, number):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "waitingbox.py").write_text(WAITING)
    image = np.full((8, 50, 3), 255, np.uint8)
    image = np.repeat(image, 5, axis=0)
    with (
        serving("--model", "waitingbox:Box", "--batch", "1") as server,
        httpx.Client(timeout=120) as client,
        ThreadPoolExecutor(2) as pool,
    ):
        url = f"{server.url}/v2/models/waitingbox/infer"
        waiting = [pool.submit(client.post, url, **question(image)) for _ in range(2)]
        while "zoo_opt_queue 2.0" not in client.get(f"{server.url}/metrics").text:
            time.sleep(0.05)
        server.process.send_signal(number)
        status = 0
        while status != 503:
            answer = httpx.get(f"{server.url}/v2/health/ready", timeout=120)
            status = answer.status_code
        assert answer.json() == {"error": "the server is ending"} and answer.headers["retry-after"] == "1"
        refused = httpx.post(url, **question(image), timeout=120)
        assert refused.status_code == 503 and refused.json() == {"error": "the server is ending"}
        assert server.process.poll() is None
        (tmp_path / "go").touch()
        for one in waiting:
            assert mask_of(one.result()).all()
        assert server.process.wait(60) == 0


@pytest.mark.slow
def test_several_processes_count_together_and_one_that_dies_is_started_anew(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "pids.py").write_text(PIDS)
    image = np.zeros((40, 50, 3), np.uint8)
    with serving("--model", "pids:Box", "--workers", "2", "--batch", "1", "--most-points", "3") as server:
        url = f"{server.url}/v2/models/pids/infer"

        def ask(_):
            with httpx.Client(timeout=120) as client:
                return round(float(mask_of(client.post(url, **question(image)))[0, 0]) * 255)

        with ThreadPoolExecutor(8) as pool:
            pids = set()
            while len(pids) < 2:
                pids |= set(pool.map(ask, range(8)))
            answers = httpx.get(f"{server.url}/metrics", timeout=120).text
            said = [line for line in answers.splitlines() if line.startswith("zoo_opt_images_total")]
            assert float(said[0].split()[1]) >= 8 and float(said[0].split()[1]) % 8 == 0, said
            children = Path(f"/proc/{server.process.pid}/task/{server.process.pid}/children").read_text().split()
            workers = [int(pid) for pid in children if int(pid) % 251 in pids]
            os.kill(workers[0], signal.SIGKILL)
            while workers[0] % 251 in pids or len(pids) < 2:
                try:
                    pids = set(pool.map(ask, range(8)))
                except httpx.TransportError:
                    continue
        assert server.end() == 0


@pytest.mark.slow
def test_a_hundred_hostile_requests():
    with serving(*serve_abuse.WORDS, SERVE_TOKEN=serve_abuse.TOKEN) as server:
        found = serve_abuse.abuse(server, 100)
        assert found["wrong"] == [] and found["alive"]
        assert found["memory_most"] - found["memory_before"] < serve_abuse.MEMORY
        assert server.end() == 0

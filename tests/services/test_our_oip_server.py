"""Clients of the Open Inference Protocol, ours and NVIDIA's, of ``zoo-opt-seg serve``: the tiny SAM, bit for bit."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from services import harness
from services.asking import answers

from zoo_opt_seg.blackbox.tiny import TinySam
from zoo_opt_seg.prompts import Prompts

pytestmark = pytest.mark.slow
RNG = np.random.default_rng(5)
IMAGES = RNG.random((3, 40, 56, 3), dtype=np.float32)
BYTES = RNG.integers(0, 256, IMAGES.shape, np.uint8)
POINTS = {"points": np.array([[[9, 20], [40, 7]]] * 3, np.float32), "labels": np.array([[1, 0]] * 3)}
BOXES = {"boxes": np.array([[4, 6, 30, 33]] * 3, np.float32)}


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    port, log = harness.free_port(), tmp_path_factory.mktemp("serve") / "log"
    url = f"http://127.0.0.1:{port}"
    command = [sys.executable, "-m", "zoo_opt_seg.cli", "serve", "--model", "tiny", "--port", str(port)]
    with harness.running(command, f"{url}/v2/health/ready", log, env={"PYTHONPATH": str(harness.ROOT)}):
        yield url


def in_process(images: Any, prompts: Prompts) -> Any:
    """The masks of the model in this process, asked about one image at a time."""
    model = TinySam()
    return np.concatenate([model(images[row : row + 1], prompts[row]) for row in range(len(images))])


@pytest.mark.parametrize("binary", ["auto", "no"])
@pytest.mark.parametrize("images", [IMAGES, BYTES], ids=["floats", "bytes"])
@pytest.mark.parametrize("kinds", [POINTS, BOXES, POINTS | BOXES], ids=["points", "boxes", "both"])
def test_our_client_gets_what_the_model_answers_in_process(url: str, binary: str, images: Any, kinds: Any) -> None:
    prompts = Prompts(**kinds)
    came = answers(f"{url}/tiny", images, prompts, terms={"workers": 1}, binary=binary)
    assert came.dtype == np.float32 and came.tobytes() == in_process(images, prompts).tobytes()


def test_a_hard_mask_can_be_asked_for(url: str) -> None:
    prompts = Prompts(**POINTS)
    hard = answers(f"{url}/tiny", IMAGES, prompts, parameters={"mask_datatype": "BOOL"})
    assert hard.dtype == np.bool_ and (hard == (in_process(IMAGES, prompts) > 0.5)).all()


def test_tritonclient_gets_what_the_model_answers_in_process(url: str, tmp_path: Path) -> None:
    python = harness.interpreter("tritonclient")
    asked, came = tmp_path / "asked.npz", tmp_path / "came.npz"
    given = {"points": POINTS["points"][0], "labels": POINTS["labels"][0], "box": BOXES["boxes"][0]}
    np.savez(asked, image=IMAGES[0], bytes=BYTES[0], **given)
    script = harness.HERE / "clients" / "ask_by_tritonclient.py"
    command = [python, script, url.removeprefix("http://"), "tiny", asked, came]
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr[-3000:]
    with np.load(came) as found:
        assert {"image", "points", "labels", "box"} <= set(found["inputs"].tolist())
        for name, said in (("alone", "asked by points or boxes, got an image alone"), ("other", "picture")):
            status, message = found[name].tolist()
            assert status == "400" and said in message
        for kind, prompts in {"points": POINTS, "box": BOXES}.items():
            for pixels, images in (("image", IMAGES), ("bytes", BYTES)):
                wanted = in_process(images[:1], Prompts(**prompts)[:1])[0]
                for binary in (True, False):
                    mask = found[f"{kind}-{pixels}-{binary}"]
                    assert mask.dtype == np.float32 and mask.tobytes() == wanted.tobytes()

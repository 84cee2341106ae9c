"""Roboflow's own client against our stub of its server, and what it sends beside what our mapping sends."""

import json
import subprocess
from pathlib import Path

import numpy as np
import pytest
from seg.remote.mapping import services
from seg.remote.mapping.driving import drive
from seg.remote.mapping.scenes import HEIGHT, WIDTH, disc, picture, png
from seg.remote.mapping.serving import serving
from services import harness

from zoo_opt_seg.prompts import Prompts
from zoo_opt_seg.remote.codecs.masks import MaskForm
from zoo_opt_seg.remote.mapping.factories import preset_mapping
from zoo_opt_seg.remote.mapping.service import MappedService

pytestmark = pytest.mark.slow
CLIENT = """
import json, sys
from inference_sdk import InferenceHTTPClient
address, file = sys.argv[1:]
client = InferenceHTTPClient(api_url=address, api_key="nobody")
box = {"x": 27.0, "y": 31.0, "width": 26.0, "height": 26.0}
prompt = {"box": box, "points": [{"x": 27.0, "y": 31.0, "positive": True}]}
print(json.dumps([
    client.sam2_segment_image(file, prompts=[prompt], sam2_version_id="hiera_large", mask_input_format="rle"),
    client.sam3_visual_segment(file, prompts=[prompt], mask_input_format="rle"),
    client.sam3_concept_segment(file, prompts=[{"type": "text", "text": "green disc"}], format="rle"),
]))
"""


def test_the_client_understands_the_stub_and_sends_what_the_mappings_send(tmp_path: Path) -> None:
    python = harness.interpreter("inference-sdk")
    file = tmp_path / "picture.png"
    file.write_bytes(png(picture()))
    with serving(services.roboflow) as (address, seen):
        done = subprocess.run(
            [python, "-c", CLIENT, address, file], capture_output=True, text=True, timeout=120, check=False
        )
    assert done.returncode == 0, done.stderr[-2000:]
    one, two, three = json.loads(done.stdout)
    rle = MaskForm(codec="rle")
    for answer, name in (
        (one["predictions"], "red disc"),
        (two["predictions"], "red disc"),
        (three["prompt_results"][0]["predictions"], "green disc"),
    ):
        assert (rle.read(answer[0]["masks"], (HEIGHT, WIDTH)) == disc(name)).all()

    clicked = Prompts(np.array([[[27, 31]]], np.float32), boxes=np.array([[14, 18, 40, 44]], np.float32))
    asked = {
        "roboflow-sam2-rle": clicked,
        "roboflow-sam3": clicked,
        "roboflow-sam3-text": Prompts(texts=("green disc",)),
    }
    for theirs, (preset, prompts) in zip(seen, asked.items(), strict=True):
        ours = drive(MappedService(preset_mapping(preset)), services.roboflow, picture(), prompts).requests[0]
        assert ours.url == f"http://127.0.0.1:9001{theirs.path}"
        sent, wanted = json.loads(ours.content), theirs.json()
        assert sent["image"]["type"] == wanted["image"]["type"]
        for body in (sent, wanted):  # two writers of PNG files
            body["image"] = services.from64(body["image"]["value"]).image.tolist()
        assert {**wanted, **sent} == wanted and set(wanted) - set(sent) <= {"api_key"}

"""The real Label Studio with our backend: clicks answered, annotations learnt from, and the next answers better."""

import os
import sys
import time
from pathlib import Path

import httpx2 as httpx
import numpy as np
import pytest
from services import harness
from services.label_studio_app import TOKEN, clicked, label_studio, project, submit, uploaded

from zoo_opt_seg.measures.metrics import dice
from zoo_opt_seg.serve.label_studio.clicks import brush_masks, brush_result, brush_results
from zoo_opt_seg.serve.label_studio.scheme import Scheme

PASSWORD = "of-the-backend"
SIDE, LEARNT, FRESH = 96, 5, 4
FIRST = 9  # image; after it some are left to learn: of the four before, the black box finds .93 without learning


@pytest.mark.slow
def test_annotating_with_the_real_application(tmp_path: Path) -> None:
    """A project made, images uploaded, clicks answered, annotations submitted, webhooks seen, answers better."""
    from zoo_opt_seg.data import load_data

    samples = load_data("disc", None, SIDE, 0).train[FIRST : FIRST + LEARNT + FRESH]
    port = harness.free_port()
    own, out = f"http://127.0.0.1:{port}", tmp_path / "labels"
    with label_studio(tmp_path) as client:
        number = project(client)
        tasks = [uploaded(client, number, f"{n}.png", image) for n, image in enumerate(samples.images)]
        words = ["--model", "tiny", "--project", number, "--url", str(client.base_url), "--token", "$LS_TOKEN"]
        words += ["--password", "$BACKEND_PASSWORD", "--out", out, "--port", port, "--every", LEARNT]
        command = [sys.executable, "-m", "zoo_opt_seg.cli", "label-studio", *map(str, words)]
        secret = {"LS_TOKEN": TOKEN, "BACKEND_PASSWORD": PASSWORD, "PYTHONPATH": os.pathsep.join(sys.path)}
        backend = httpx.Client(base_url=own, auth=("zoo-opt", PASSWORD), timeout=60)
        with harness.running(command, f"{own}/v2/health/live", tmp_path / "backend.log", env=secret), backend:
            until = time.monotonic() + 120
            while "connected" not in (said := (tmp_path / "backend.log").read_text()) and time.monotonic() < until:
                time.sleep(0.2)
            assert "connected" in said, said
            first = [_dice(client, task, samples.masks[row]) for row, task in enumerate(tasks[-FRESH:], LEARNT)]
            for row, task in enumerate(tasks[:LEARNT]):
                clicked(client, task, _middle(samples.masks[row]), size=(SIDE, SIDE))
                scheme = Scheme("image", "image", "brush", ("object",))
                submit(client, task, [brush_result(samples.masks[row], scheme, "object", 1.0)])
            until = time.monotonic() + 300
            while backend.get("/versions").json()["current"] == "0" and time.monotonic() < until:
                time.sleep(0.5)
            page = backend.get("/").text
            assert backend.get("/versions").json()["current"] == "1", page
            assert f"{LEARNT} labelled images, {LEARNT} of them with clicks" in page
            second = [_dice(client, task, samples.masks[row]) for row, task in enumerate(tasks[-FRESH:], LEARNT)]
            assert f"{LEARNT + FRESH} answers of the black box so far" in backend.get("/").text  # none was paid twice
    assert np.mean(second) > np.mean(first), (first, second)
    assert PASSWORD not in said and TOKEN not in said


def _middle(mask: np.ndarray) -> tuple[float, float, bool]:
    from zoo_opt_seg.data.points import centre_points

    x, y = centre_points(mask[None]).points[0, 0].tolist()
    return x + 0.5, y + 0.5, True


def _dice(client: httpx.Client, task: int, mask: np.ndarray) -> float:
    results = clicked(client, task, _middle(mask), size=(SIDE, SIDE))
    (found,) = brush_masks(brush_results(results))
    return float(dice(found[None], mask[None])[0])

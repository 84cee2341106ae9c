"""The real Label Studio for tests: started on the loopback address, a project made, images uploaded, by its REST."""

import contextlib
import io
from collections.abc import Iterator
from pathlib import Path

import httpx2 as httpx
import numpy as np
from PIL import Image
from services import harness

from zoo_opt_seg.serve.label_studio.scheme import EXAMPLE

TOKEN = "0123456789abcdef0123456789abcdef01234567"
USER, PASSWORD = "a@example.com", "test12345"
SECONDS = 600  # to make its data base, on a busy machine


@contextlib.contextmanager
def label_studio(folder: Path) -> Iterator[httpx.Client]:
    """Start it with its data in a folder; yields a client that is logged in by its token."""
    python = harness.interpreter("label-studio")
    port = harness.free_port()
    environment = {
        "LABEL_STUDIO_BASE_DATA_DIR": str(folder / "data"),
        "COLLECT_ANALYTICS": "false",
        "LATEST_VERSION_CHECK": "false",
        "ML_BLOCK_LOCAL_IP": "false",  # these two: the backend is on this machine
        "SSRF_PROTECTION_ENABLED": "false",
        "LABEL_STUDIO_ENABLE_LEGACY_API_TOKEN": "true",
        "LABEL_STUDIO_USERNAME": USER,
        "LABEL_STUDIO_PASSWORD": PASSWORD,
        "LABEL_STUDIO_USER_TOKEN": TOKEN,
    }
    (folder / "data").mkdir(parents=True, exist_ok=True)
    command = [python.parent / "label-studio", "start", "--no-browser", "--internal-host", "127.0.0.1"]
    url = f"http://127.0.0.1:{port}"
    log = folder / "label-studio.log"
    with (
        harness.running([*command, "--port", str(port)], f"{url}/health", log, env=environment, seconds=SECONDS),
        httpx.Client(base_url=url, headers={"Authorization": f"Token {TOKEN}"}, timeout=120) as client,
    ):
        yield client


def project(client: httpx.Client, title: str = "discs") -> int:
    """Make a project, and return its number."""
    reply = client.post("/api/projects", json={"title": title, "label_config": EXAMPLE})
    assert reply.status_code == 201, reply.text
    return int(reply.json()["id"])


def uploaded(client: httpx.Client, number: int, name: str, image: np.ndarray) -> int:
    """Upload an image, and return the number of its task."""
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "PNG")
    files = {"file": (name, buffer.getvalue(), "image/png")}
    reply = client.post(f"/api/projects/{number}/import?return_task_ids=1", files=files)
    assert reply.status_code == 201, reply.text
    return int(reply.json()["task_ids"][0])


def clicked(client: httpx.Client, task: int, *clicks: tuple[float, float, bool], size: tuple[int, int]) -> list[dict]:
    """Click on a task's image as the browser does, through Label Studio, and return the answer's results."""
    (backend,) = client.get("/api/ml", params={"project": client.get(f"/api/tasks/{task}").json()["project"]}).json()
    results = []
    for x, y, positive in clicks:
        value = {"x": 100 * x / size[0], "y": 100 * y / size[1], "width": 0.3, "keypointlabels": ["object"]}
        about = {"original_width": size[0], "original_height": size[1], "image_rotation": 0, "value": value}
        names = {"from_name": "point", "to_name": "image", "type": "keypointlabels", "is_positive": positive}
        results.append({**names, **about})
    body = {"task": task, "context": {"result": results}}
    reply = client.post(f"/api/ml/{backend['id']}/interactive-annotating", json=body)
    assert reply.status_code == 200 and "errors" not in reply.json(), reply.text
    return reply.json()["data"]["result"]


def submit(client: httpx.Client, task: int, results: list[dict]) -> int:
    """Submit an annotation, as the browser does, and return its number."""
    reply = client.post(f"/api/tasks/{task}/annotations/", json={"result": results})
    assert reply.status_code == 201, reply.text
    return int(reply.json()["id"])

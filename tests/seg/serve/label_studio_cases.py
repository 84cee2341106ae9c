"""A Label Studio that is not there: its pages that we ask for, on a real connection; images, clicks and annotations."""

import contextlib
import io
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
from PIL import Image

from zoo_opt_seg.serve.label_studio.brush import encoded
from zoo_opt_seg.serve.label_studio.scheme import EXAMPLE

TOKEN = "0123456789abcdef"
SIZE = 32  # of the squares


class Blurred:
    """Finds a disc about the point, too small: what a refiner can learn to enlarge."""

    name, prompted_by = "blurred", "points"

    def __init__(self):
        self.calls = 0

    def __call__(self, images, prompts):
        self.calls += len(images)
        y, x = np.mgrid[: images.shape[1], : images.shape[2]]
        found = []
        for points, labels in zip(prompts.points, prompts.labels, strict=True):
            px, py = points[labels == 1][0]
            found.append(1 / (1 + np.exp(((x - px) ** 2 + (y - py) ** 2 - 9.0) / 6)))
        return np.array(found, np.float32)


def disc(number, width=48, height=32):
    """An image with a bright disc, and its mask."""
    rng = np.random.default_rng(number)
    cx, cy, r = rng.uniform(14, width - 14), rng.uniform(12, height - 12), rng.uniform(7, 9)
    y, x = np.mgrid[:height, :width]
    mask = (x - cx) ** 2 + (y - cy) ** 2 < r**2
    image = np.where(mask[..., None], 200, 60) + rng.integers(-15, 15, (height, width, 3))
    return image.astype(np.uint8), mask, (cx, cy)


def png(image):
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "PNG")
    return buffer.getvalue()


def click(number, positive=True, at=None):
    """A click on the disc of an image, as Label Studio sends it."""
    image, _, centre = disc(number)
    x, y = centre if at is None else at
    value = {"x": 100 * x / image.shape[1], "y": 100 * y / image.shape[0], "keypointlabels": ["object"]}
    size = {"original_width": image.shape[1], "original_height": image.shape[0]}
    return {"type": "keypointlabels", "value": value, "is_positive": positive, "image_rotation": 0, **size}


def question(number, *clicks, project=1):
    """A request of /predict."""
    task = {"id": number, "data": {"image": f"/data/upload/{project}/{number}.png"}}
    params = {"context": {"result": list(clicks) or [click(number)]}}
    return {"tasks": [task], "project": f"{project}.1700000000", "label_config": EXAMPLE, "params": params}


def submitted(number, action="ANNOTATION_CREATED", mask=None):
    """A request of /webhook."""
    mask = disc(number)[1] if mask is None else mask
    value = {"format": "rle", "rle": encoded(mask.astype(np.uint8) * 255), "brushlabels": ["object"]}
    size = {"original_width": mask.shape[1], "original_height": mask.shape[0], "image_rotation": 0}
    annotation = {"id": 100 + number, "result": [{"type": "brushlabels", "value": value, **size}]}
    return {"action": action, "project": {"id": 1}, "task": {"id": number}, "annotation": annotation}


@contextlib.contextmanager
def label_studio(*annotated: int) -> Iterator[tuple[str, list[str]]]:
    """Serve images and an export; yields the address, and what was asked with which authorization."""
    asked: list[str] = []

    class Pages(BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append(f"{self.path} {self.headers.get('Authorization')}")
            path, status, content, headers = self.path.partition("?")[0], 200, b"", {}
            if self.headers.get("Authorization") not in (f"Token {TOKEN}", "Bearer short"):
                status = 401
            elif path.startswith("/data/upload/"):
                content = png(disc(int(path.rpartition("/")[2].removesuffix(".png")))[0])
            elif path == "/moved":
                status, headers = 302, {"Location": "/data/upload/1/3.png"}
            elif path == "/elsewhere":
                status, headers = 302, {"Location": "http://127.0.0.2:9/secret.png"}
            elif path == "/circle":
                status, headers = 302, {"Location": "/circle"}
            elif path == "/turned.jpg":
                image, exif = Image.fromarray(disc(3)[0]), Image.Exif()
                exif[0x0112] = 6
                buffer = io.BytesIO()
                image.save(buffer, "JPEG", exif=exif)
                content = buffer.getvalue()
            elif path == "/long":
                content = bytes(1 << 20)
            elif path.endswith("/export"):
                made = [submitted(number)["annotation"] for number in annotated]
                tasks = [{"id": n, "annotations": [one]} for n, one in zip(annotated, made, strict=True)]
                content = json.dumps(tasks).encode()
            else:
                status = 404
            self.send_response(status)
            for name, value in {"Content-Length": str(len(content)), **headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(content)

        def do_POST(self):
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            asked.append(f"{self.path} {body}")
            content = json.dumps({"access": "short"}).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Pages)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", asked
    finally:
        server.shutdown()
        server.server_close()
        thread.join()

"""Services as their public descriptions have them, small enough to run here: what each takes, and what it answers.

Written from the facts of the services alone; nothing of the package is imported. Each is called with a request and
returns the status, the headers and the body of its reply. What a service would not take is answered as it would.
"""

import base64
import email.parser
import email.policy
import io
import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from seg.remote.mapping.scenes import Scene, black_and_white, coco_rle, data_uri, grey, logits, pixels, png, text64

Answer = tuple[int, dict[str, str], bytes]


@dataclass
class Asked:
    """A request: its path without the address, and its body."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        assert self.headers["content-type"] == "application/json"
        return json.loads(self.body)


def told(value: Any, status: int = 200) -> Answer:
    return status, {"content-type": "application/json"}, json.dumps(value).encode()


class Misused(Exception):
    """The request is none that the service takes."""


def need(truth: Any, why: str) -> None:
    if not truth:
        raise Misused(why)


def only(table: Any, *keys: str) -> None:
    need(isinstance(table, dict) and set(table) <= set(keys), f"unexpected {sorted(set(table) - set(keys))}")


def numbers(value: Any, count: int) -> list[float]:
    need(isinstance(value, list) and len(value) == count and all(type(v) in (int, float) for v in value), f"{value!r}")
    return [float(v) for v in value]


def from64(text: Any) -> Scene:
    need(isinstance(text, str), "no base64")
    return Scene(pixels(base64.b64decode(text, validate=True)))


def from_uri(text: Any) -> Scene:
    need(isinstance(text, str) and text.startswith("data:image/png;base64,"), "no data URI")
    return from64(text.partition(",")[2])


# --------------------------------------------------------------------------------------------------------- Roboflow
def roboflow(asked: Asked) -> Answer:
    try:
        body = asked.json()
        need(body.get("image", {}).get("type") == "base64", "image must be {type: base64, value}")
        scene = from64(body["image"]["value"])
        return ROBOFLOW[asked.path](scene, body)
    except (Misused, KeyError) as error:
        return told({"message": f"Invalid request: {error}"}, 400)


def _sam1(scene: Scene, body: Any) -> Answer:
    only(
        *(body, "image", "image_id", "format", "embeddings", "embeddings_format", "orig_im_size", "point_coords"),
        *("point_labels", "has_mask_input", "mask_input", "use_mask_input_cache", "sam_version_id", "api_key"),
    )
    need(body.get("format") in ("json", "binary"), "format")
    points = [numbers(point, 2) for point in body["point_coords"]]
    need({*body["point_labels"]} <= {1, 0}, "labels")  # -1 would be no point
    mask = scene.at(points, [label == 1 for label in body["point_labels"]])
    file = io.BytesIO()
    small = logits(mask)[::2, ::2]
    np.savez_compressed(file, masks=logits(mask)[None], low_res_masks=small[None])
    return 200, {"content-type": "application/octet-stream"}, file.getvalue()


def _sam23(scene: Scene, body: Any, binary: bool) -> Answer:
    only(
        *(
            body,
            "image",
            "image_id",
            "prompts",
            "format",
            "multimask_output",
            "mask_input",
            "sam2_version_id",
            "api_key",
        ),
        *("model_id", "save_logits_to_cache", "load_logits_from_cache"),
    )
    masks = []
    for prompt in body["prompts"]["prompts"]:
        only(prompt, "box", "points")
        points = [(point["x"], point["y"]) for point in prompt.get("points") or []]
        labels = [point["positive"] for point in prompt.get("points") or []]
        need({type(label) for label in labels} <= {bool}, "positive must be a bool")
        box = None
        if prompt.get("box"):
            only(prompt["box"], "x", "y", "width", "height")
            x, y, w, h = (float(prompt["box"][key]) for key in ("x", "y", "width", "height"))
            box = (x - w / 2, y - h / 2, x + w / 2, y + h / 2)  # x and y are the centre
        masks.append(scene.at(points, labels, box))
    if body.get("format") == "rle":
        said = [{"masks": coco_rle(mask), "confidence": 0.9, "format": "rle"} for mask in masks]
        return told({"predictions": said, "time": 0.1})
    need(binary and body.get("format") == "binary", "format")
    file = io.BytesIO()
    stacked = np.stack([logits(mask) for mask in masks])
    np.savez_compressed(file, masks=stacked, low_res_masks=stacked[:, ::2, ::2])
    return 200, {"content-type": "application/octet-stream"}, file.getvalue()


def _concept(scene: Scene, body: Any) -> Answer:
    only(body, "image", "prompts", "output_prob_thresh", "nms_iou_threshold", "format", "model_id", "api_key")
    need(0 < len(body["prompts"]) <= 16 and body["format"] == "rle", "prompts")
    results = []
    for index, prompt in enumerate(body["prompts"]):
        need(prompt["type"] == "text", "type")
        said = [{"masks": coco_rle(m), "confidence": 0.8, "format": "rle"} for m in scene.named(prompt["text"])]
        results.append({"prompt_index": index, "echo": {"text": prompt["text"]}, "predictions": said})
    return told({"prompt_results": results, "time": 0.1})


ROBOFLOW: dict[str, Callable[[Scene, Any], Answer]] = {
    "/sam/segment_image": _sam1,
    "/sam2/segment_image": lambda scene, body: _sam23(scene, body, True),
    "/sam3/visual_segment": lambda scene, body: _sam23(scene, body, False),
    "/sam3/concept_segment": _concept,
}


# ----------------------------------------------------------------------------------------------------- Hugging Face
def hugging_face(asked: Asked) -> Answer:
    """The task image-segmentation: bytes of an image, or JSON; each label has a black and white mask."""
    if asked.headers.get("content-type", "").startswith("application/json"):
        body = asked.json()
        only(body, "inputs", "parameters")
        only(body.get("parameters", {}), "mask_threshold", "overlap_mask_area_threshold", "subtask", "threshold")
        scene = from64(body["inputs"])
    else:
        scene = Scene(pixels(asked.body))
    said = []
    for label in ("red disc", "green disc"):
        said += [
            {"label": label, "mask": text64(png(black_and_white(mask))), "score": 0.9} for mask in scene.named(label)
        ]
    return told(said)


def own_handler(asked: Asked) -> Answer:
    """A handler of one's own, as a user would write it: points and a box in the parameters, grey levels."""
    body = asked.json()
    scene, how = from64(body["inputs"]), body.get("parameters", {})
    points = [numbers(point, 2) for point in how.get("points", [])]
    mask = scene.at(points, [label == 1 for label in how.get("labels", [])], how.get("box"))
    other = scene.at([], []) if mask.any() else mask
    return told(
        [
            {"label": "object", "score": 0.2, "mask": text64(png(grey(other)))},
            {"label": "object", "score": 0.9, "mask": text64(png(grey(mask)))},
        ]
    )


# -------------------------------------------------------------------------------------------------------------- fal
def fal_mask(body: Any) -> bytes:
    only(body, "image_url", "prompts", "box_prompts", "apply_mask", "sync_mode", "output_format")
    scene = from_uri(body["image_url"])
    need(body.get("apply_mask") is False and body.get("output_format") == "png", "apply_mask")
    points, labels, box = [], [], None
    for prompt in body.get("prompts", []):
        need({type(prompt[key]) for key in ("x", "y", "label")} == {int}, "whole numbers")
        points.append((prompt["x"], prompt["y"]))
        labels.append(prompt["label"] == 1)
    for prompt in body.get("box_prompts", []):
        need({type(value) for value in prompt.values()} == {int}, "whole numbers")
        box = tuple(prompt[key] for key in ("x_min", "y_min", "x_max", "y_max"))
    return png(black_and_white(scene.at(points, labels, box)), "RGB")


def fal(asked: Asked) -> Answer:
    body = asked.json()
    if asked.path == "/fal-ai/sam-3/image":
        masks = from_uri(body["image_url"]).named(body.get("prompt", "wheel"))
        need(body.get("apply_mask") is False, "apply_mask, which is true unless it is said")
        return told({"masks": [{"url": data_uri(png(black_and_white(mask)))} for mask in masks]})
    need(asked.path == "/fal-ai/sam2/image" and body.get("sync_mode") is True, "sync_mode")
    return told({"image": {"url": data_uri(fal_mask(body)), "content_type": "image/png"}})


@dataclass
class FalQueue:
    """The queue: a status that is 202 twice before it is 200; the mask on another host."""

    address: str = "https://queue.fal.run"
    jobs: dict[str, bytes] = field(default_factory=dict)
    looks: int = 0

    def __call__(self, asked: Asked) -> Answer:
        if asked.method == "POST":
            name = f"job-{len(self.jobs)}"
            self.jobs[name] = fal_mask(asked.json())
            base = f"{self.address}/fal-ai/sam2/requests/{name}"
            return told(
                {"request_id": name, "status_url": f"{base}/status", "response_url": base, "status": "IN_QUEUE"}
            )
        name, _, rest = asked.path.rpartition("/requests/")[2].partition("/")
        if rest == "status":
            self.looks += 1
            done = self.looks % 3 == 0
            return told({"status": "COMPLETED" if done else "IN_PROGRESS"}, 200 if done else 202)
        if asked.path.startswith("/files/"):
            return 200, {"content-type": "image/png"}, self.jobs[asked.path.removeprefix("/files/")]
        return told({"image": {"url": f"https://v3.fal.media/files/{name}"}})


# -------------------------------------------------------------------------------------------------------- Replicate
@dataclass
class Replicate:
    """Predictions that are polled; prompts are texts, the output is an address of another host."""

    fails: bool = False
    waits: bool = True
    jobs: dict[str, bytes] = field(default_factory=dict)
    looks: int = 0
    created: int = 0

    def __call__(self, asked: Asked) -> Answer:
        if asked.method == "POST":
            self.created += 1
            body = asked.json()
            only(body, "version", "input")
            need(body["version"] and asked.path == "/v1/predictions", "version")
            how = body["input"]
            need(isinstance(how["click_coordinates"], str) and isinstance(how["click_labels"], str), "texts")
            points = [(int(x), int(y)) for x, y in re.findall(r"\[(\d+),(\d+)\]", how["click_coordinates"])]
            labels = [label == "1" for label in how["click_labels"].split(",")]
            self.jobs["p1"] = png(black_and_white(from_uri(how["image"]).at(points, labels)))
            return told({"id": "p1", "status": "starting", "urls": {"get": "elsewhere"}}, 201)
        if asked.path == "/pbxt/p1.png":
            return 200, {"content-type": "image/png"}, self.jobs["p1"]
        need(asked.path == "/v1/predictions/p1", "no such prediction")
        self.looks += 1
        if self.looks < 3 and self.waits:
            return told({"id": "p1", "status": "processing", "output": None})
        if self.fails:
            return told({"id": "p1", "status": "failed", "error": "CUDA out of memory", "output": None})
        return told({"id": "p1", "status": "succeeded", "output": "https://replicate.delivery/pbxt/p1.png"})


# ------------------------------------------------------------------------------------------------------------ others
def cvat(asked: Asked) -> Answer:
    body = asked.json()
    only(body, "image", "pos_points", "neg_points", "obj_bbox", "threshold")
    points = [*body["pos_points"], *body["neg_points"]]
    labels = [True] * len(body["pos_points"]) + [False] * len(body["neg_points"])
    corners = body["obj_bbox"]
    box = None if corners is None else (*corners[0], *corners[1])
    return told({"mask": from64(body["image"]).at(points, labels, box).astype(int).tolist()})


def _own(body: Any, image: Any) -> str:
    scene = from64(image)
    points = [numbers(point, 2) for point in body.get("points", [])]
    box = numbers(body["box"], 4) if "box" in body else None
    return text64(png(grey(scene.at(points, [label == 1 for label in body.get("labels", [])], box))))


def container(asked: Asked) -> Answer:
    """A container of one's own, as behind SageMaker and Azure ML."""
    body = asked.json()
    return told({"mask": _own(body, body["image"])})


def vertex(asked: Asked) -> Answer:
    need(asked.path.endswith(":predict"), "path")
    body = asked.json()
    only(body, "instances", "parameters")
    return told({"predictions": [{"mask": _own(one, one["image"]["b64"])} for one in body["instances"]]})


def form_fields(asked: Asked) -> dict[str, bytes]:
    """The fields of a form, by the standard library's reader of mail."""
    head = f"Content-Type: {asked.headers['content-type']}\r\n\r\n".encode()
    message = email.parser.BytesParser(policy=email.policy.HTTP).parsebytes(head + asked.body)
    fields = {}
    for part in message.iter_parts():
        content = part.get_payload(decode=True)
        assert isinstance(content, bytes)
        fields[str(part.get_param("name", header="content-disposition"))] = content
    return fields


def livepeer(asked: Asked) -> Answer:
    """Prompts are JSON in texts, and so are the answers, as Python writes lists."""
    fields = form_fields(asked)
    need(asked.path == "/segment-anything-2" and fields["return_logits"] == b"true", "return_logits")
    scene = Scene(pixels(fields["image"]))
    points = json.loads(fields.get("point_coords", b"[]"))
    labels = [label == 1 for label in json.loads(fields.get("point_labels", b"[]"))]
    box = json.loads(fields["box"]) if "box" in fields else None
    mask = scene.at(points, labels, box)
    masks = [logits(~mask), logits(mask), logits(np.zeros_like(mask))]
    return told({"masks": str([m.tolist() for m in masks]), "scores": "[0.1, 0.95, 0.4]", "logits": "[]"})

"""The Open Inference Protocol, version 2, as a served model speaks it: JSON, and tensors in bytes behind it.

A question has the inputs ``image`` (FP32 in [0, 1] or UINT8, [H, W, 3]) and some of ``points`` (FP32 [k, 2], x and y in
pixels), ``labels`` (INT64 [k]), ``box`` (FP32 [4]: x0, y0, x1, y1) and ``text`` (BYTES [1]), all of them with a leading
axis of 1 if one likes. The answer is ``mask``: FP32 [H, W], the probability of the object; BOOL, where it is above 0.5,
if the question's parameters have ``"mask_datatype": "BOOL"``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from fastapi import APIRouter, Request, Response

from zoo_opt._version import __version__
from zoo_opt_seg.prompts import Array, Prompts
from zoo_opt_seg.remote.oip import wire
from zoo_opt_seg.remote.oip.form import PLATFORM
from zoo_opt_seg.remote.oip.tensors import DTYPES, text_of
from zoo_opt_seg.serve.desk import Desk
from zoo_opt_seg.serve.limits import Limits
from zoo_opt_seg.serve.problems import Problem, busy
from zoo_opt_seg.serve.versions import Version

INPUTS = {  # name: its types, the first one being that of the metadata; its shape
    "image": (("FP32", "UINT8"), (-1, -1, 3)),
    "points": (("FP32", "FP64"), (-1, 2)),
    "labels": (("INT64", "INT32"), (-1,)),
    "box": (("FP32", "FP64"), (4,)),
    "text": (("BYTES",), (1,)),
}
MASK = "mask"
OUTPUTS = [{"name": MASK, "datatype": "FP32", "shape": [-1, -1]}]
_QUESTION = {
    "description": "A question as the protocol has it; by the binary extension too, see the description above."
}


def oip_router(desk: Desk) -> APIRouter:
    """Return the routes of the protocol."""
    routes = APIRouter(tags=["Open Inference Protocol v2"])

    def check(model: str, version: str) -> None:
        if model != desk.name:
            raise Problem(404, f"there is no model {model!r:.80}, only {desk.name}")
        if version and version not in desk.versions.names:
            raise Problem(404, f"there is no version {version!r:.80}, only {', '.join(desk.versions.names)}")

    @routes.get("/v2")
    async def server() -> dict[str, Any]:
        """What this server is."""
        return {"name": "zoo-opt-seg", "version": __version__, "extensions": [wire.BINARY]}

    @routes.get("/v2/health/live")
    async def live() -> dict[str, bool]:
        """Whether the process answers."""
        return {"live": True}

    @routes.get("/v2/health/ready")
    async def ready() -> dict[str, bool]:
        """Whether questions are answered; 503 while the server ends."""
        if desk.ending:
            raise busy("the server is ending", 503)
        return {"ready": True}

    @routes.get("/v2/models/{model}")
    @routes.get("/v2/models/{model}/versions/{version}")
    async def metadata(model: str, version: str = "") -> dict[str, Any]:
        """What the model takes and gives."""
        check(model, version)
        return {
            "name": model,
            "versions": desk.versions.names,
            "platform": PLATFORM,
            "inputs": input_types(desk),
            "outputs": OUTPUTS,
            "parameters": {"current_version": desk.versions.current.name, "size": desk.versions.current.segmenter.size},
        }

    @routes.get("/v2/models/{model}/ready")
    @routes.get("/v2/models/{model}/versions/{version}/ready")
    async def model_ready(model: str, version: str = "") -> dict[str, Any]:
        """Whether questions to this model are answered."""
        check(model, version)
        if desk.ending:
            raise busy("the server is ending", 503)
        return {"name": model, "ready": True}

    body = {"requestBody": {"content": {"application/json": {"schema": _QUESTION}}, "required": True}}

    @routes.post("/v2/models/{model}/infer", openapi_extra=body)
    @routes.post("/v2/models/{model}/versions/{version}/infer", openapi_extra=body)
    async def infer(request: Request, model: str, version: str = "") -> Response:
        """Segment one image: the form is that of the metadata."""
        check(model, version)
        content, headers = await request.body(), dict(request.headers)
        message = await desk.parsed(lambda: wire.read("inputs", content, headers, most_json=desk.limits.json))
        asked = TensorQuestion(message, desk.limits)
        body, said = await desk.answer(
            asked.read, asked.write(model), pixels=asked.pixels, version=version, receive=request.receive
        )
        return Response(body, headers=said)

    return routes


def input_types(desk: Desk) -> list[dict[str, Any]]:
    """Return the inputs of what answers now, as metadata have them."""
    by = desk.versions.current.segmenter.model.prompted_by
    named = {"points": ("points", "labels", "box"), "boxes": ("box",), "text": ("text",)}.get(by or "", ())
    return [
        {"name": name, "datatype": types[0], "shape": list(shape)}
        for name, (types, shape) in INPUTS.items()
        if name == "image" or not named or name in named
    ]


class TensorQuestion:
    """A question in tensors.

    Parameters
    ----------
    message : Message
    limits : Limits

    Attributes
    ----------
    pixels : int
        Of its image.

    Raises
    ------
    Problem
        If it is of another form than `INPUTS`, or too much.
    """

    def __init__(self, message: wire.Message, limits: Limits) -> None:
        for name in message.tensors:
            if name not in INPUTS:
                raise Problem(400, f"inputs must be some of {', '.join(INPUTS)}, got {name!r:.80}")
        if "image" not in message.tensors:
            raise Problem(400, "inputs must hold image")
        for name in message.asked:
            if name != MASK:
                raise Problem(400, f"outputs must be {MASK}, got {name!r:.80}")
        self._message, self._limits = message, limits
        self._batched = message.tensors["image"].ndim == 4
        self._given = {name: _one(name, array) for name, array in message.tensors.items()}
        height, width = self._given["image"].shape[:2]
        self.pixels = limits.check_image(width, height)
        self._datatype = (message.head.get("parameters") or {}).get("mask_datatype", "FP32")
        if self._datatype not in ("FP32", "BOOL"):
            raise Problem(400, f"mask_datatype must be FP32 or BOOL, got {self._datatype!r:.40}")

    def read(self) -> tuple[Array, Prompts]:
        """Return the image and its prompts; a TypeError or ValueError if they are wrong."""
        with np.errstate(over="ignore"):  # what is too large for a float is infinite, and refused as that
            return self._given["image"], self._prompts()

    def _prompts(self) -> Prompts:
        kinds: dict[str, Any] = {}
        points, labels, box = (self._given.get(name) for name in ("points", "labels", "box"))
        if points is not None:
            self._limits.check_points(len(points))
            kinds |= {"points": points[None].astype(np.float32)}
        if labels is not None:
            kinds |= {"labels": labels[None].astype(np.int64)}
        if box is not None:
            if not np.isfinite(box).all():
                raise ValueError(f"box must be finite, got {box.tolist()}")
            kinds |= {"boxes": box[None].astype(np.float32)}
        if "text" in self._given:
            text = text_of("text", self._given["text"])
            self._limits.check_text(text)
            kinds |= {"texts": (text,)}
        return Prompts(**kinds) if kinds else Prompts.nothing(1)

    def tensor(self, mask: Array) -> Array:
        """Return the tensor of a mask in the form that the question asks for."""
        values = mask > 0.5 if self._datatype == "BOOL" else mask
        return values[None] if self._batched else values

    def write(self, model: str) -> Callable[[Version, Array], tuple[bytes, dict[str, str]]]:
        """Return what writes the answer."""

        def written(version: Version, mask: Array) -> tuple[bytes, dict[str, str]]:
            head = {"model_name": model, "model_version": version.name}
            if isinstance(known := self._message.head.get("id"), str):
                head["id"] = known
            binary = (MASK,) if self._message.wants_binary(MASK) else ()
            return wire.write("outputs", {MASK: self.tensor(mask)}, binary=binary, head=head)

        return written


def _one(name: str, array: Array) -> Array:
    """Return a tensor without a leading axis of 1; a Problem if its type or shape is another than that of `INPUTS`."""
    types, shape = INPUTS[name]
    if array.ndim == len(shape) + 1 and array.shape[0] == 1:
        array = array[0]
    fits = array.ndim == len(shape) and all(want in (-1, got) for want, got in zip(shape, array.shape, strict=True))
    known = array.dtype == np.object_ if types == ("BYTES",) else any(array.dtype == DTYPES[kind] for kind in types)
    if not (fits and known):
        form = f"{' or '.join(types)} of shape {['any' if side < 0 else side for side in shape]}"
        raise Problem(400, f"{name} must be {form}, got {array.dtype} of shape {list(array.shape)}")
    return array

"""A small form of question for people and scripts: an image file and where the object is, in pixels; a mask back.

Either the body is the image file and the rest stands in the address, or the body is JSON with the file in base64.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Callable
from typing import Annotated, Any, Literal

import numpy as np
from fastapi import APIRouter, Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, ValidationError

from zoo_opt_seg.prompts import Array, Prompts
from zoo_opt_seg.serve.desk import Desk
from zoo_opt_seg.serve.limits import Limits
from zoo_opt_seg.serve.pictures import Picture8, coco_rle, png_of
from zoo_opt_seg.serve.problems import Problem
from zoo_opt_seg.serve.versions import Version

Answer = Literal["mask", "probabilities", "rle"]
Point = tuple[FiniteFloat, FiniteFloat] | tuple[FiniteFloat, FiniteFloat, Literal[0, 1]]


class Asked(BaseModel):
    """A question in JSON."""

    model_config = ConfigDict(extra="forbid", strict=False)
    image: str = Field(description="A PNG, JPEG, WebP or BMP file in base64; a data URI too")
    points: list[Point] = Field(default=[], description="[x, y] or [x, y, label]: 1 the object (default), 0 not it")
    box: tuple[FiniteFloat, FiniteFloat, FiniteFloat, FiniteFloat] | None = Field(
        default=None, description="x0, y0, x1, y1: the first and the last pixel of the object"
    )
    text: str = Field(default="", description="What to find, for a model that is asked by text")
    answer: Answer = Field(default="mask", description="A PNG of 0 and 255, of 255 times the probability, or COCO RLE")
    version: str = Field(default="", description="Of the model; by default the current one")

    def prompts(self, limits: Limits) -> Prompts:
        """Return points, box and text as `Prompts` of one image."""
        limits.check_points(len(self.points))
        limits.check_text(self.text)
        with np.errstate(over="ignore"):  # what is too large for a float is infinite, and refused as that
            return self._arrays()

    def _arrays(self) -> Prompts:
        kinds: dict[str, Any] = {}
        if self.points:
            kinds["points"] = np.array([[point[:2] for point in self.points]], np.float32)
            kinds["labels"] = np.array([[point[2] if len(point) > 2 else 1 for point in self.points]], np.int64)
        if self.box is not None:
            kinds["boxes"] = np.array([self.box], np.float32)
        if self.text:
            kinds["texts"] = (self.text,)
        if not kinds:
            raise Problem(400, "the question must have points, a box or a text")
        return Prompts(**kinds)


def plain_router(desk: Desk) -> APIRouter:
    """Return the routes ``/segment`` and ``/versions``."""
    routes = APIRouter(tags=["images and masks"])
    file = {"schema": {"type": "string", "format": "binary"}}
    files = {f"image/{kind}": file for kind in ("png", "jpeg", "webp", "bmp")}
    body = {"requestBody": {"required": True, "content": {**files, "application/json": {"schema": _schema()}}}}
    masks: dict[int | str, dict[str, Any]] = {
        200: {"content": {"image/png": {}, "application/json": {}}, "description": "The mask"}
    }

    @routes.post("/segment", openapi_extra=body, responses=masks, response_class=Response)
    async def segment(
        request: Request,
        point: Annotated[list[str], Query(description="x,y or x,y,label; again for more")] = [],  # noqa: B006
        box: Annotated[str, Query(description="x0,y0,x1,y1")] = "",
        text: str = "",
        answer: Answer = "mask",
        version: str = "",
    ) -> Response:
        """Segment one image: its file is the body, or stands in JSON; all coordinates are pixels of it."""
        content = await request.body()
        kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind == "multipart/form-data":
            raise Problem(415, "the image file must be the body itself (curl --data-binary @FILE), not part of a form")
        if kind == "application/json":
            if request.query_params:
                raise Problem(400, "a question in JSON must have all in it, got something in the address too")
            asked, content = await desk.parsed(lambda: _of_json(content, desk.limits))
        else:
            said: dict[str, Any] = {"image": "", "text": text, "version": version, "answer": answer}
            said |= {"points": [_numbers("point", one) for one in point], "box": _numbers("box", box) if box else None}
            asked = _valid(lambda: Asked.model_validate(said))
        prompts = await desk.parsed(lambda: asked.prompts(desk.limits))
        picture = Picture8(content, desk.limits)
        return await desk.answer(
            lambda: (picture.pixels(), prompts),
            lambda version, mask: _written(asked.answer, version, mask),
            pixels=picture.size[0] * picture.size[1],
            version=asked.version,
            receive=request.receive,
        )

    @routes.get("/versions")
    async def versions() -> dict[str, Any]:
        """Which versions of the model there are, and which one answers."""
        known = [desk.versions[name] for name in desk.versions.names]
        listed = [{"name": version.name, "about": dict(version.about)} for version in known]
        return {"model": desk.name, "current": desk.versions.current.name, "versions": listed}

    return routes


def _schema() -> dict[str, Any]:
    """The schema of a question; each point is described in words, as OpenAPI 3.0's readers know no tuples."""
    schema = Asked.model_json_schema()
    return {**schema, "example": {"image": "iVBORw0KGgo...", "points": [[210, 155]], "answer": "mask"}}


def _written(answer: Answer, version: Version, mask: Array) -> Response:
    said = {"X-Model-Version": version.name}
    if answer == "rle":
        found = mask > 0.5
        whole = {"rle": coco_rle(found), "object": round(float(found.mean()), 6), "version": version.name}
        return Response(json.dumps(whole), media_type="application/json", headers=said)
    return Response(png_of(mask, answer == "probabilities"), media_type="image/png", headers=said)


def _of_json(content: bytes, limits: Limits) -> tuple[Asked, bytes]:
    """Return a question in JSON, and its image file."""
    if len(content) > limits.json:
        raise Problem(413, f"a question in JSON must have at most {limits.json} bytes; send the image file as the body")
    asked = _valid(lambda: Asked.model_validate_json(content))
    text = asked.image.partition(",")[2] if asked.image.startswith("data:") else asked.image
    try:
        return asked, base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise Problem(400, "image must be a file in base64") from None


def _valid(read: Callable[[], Asked]) -> Asked:
    try:
        return read()
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"][:2])
        raise Problem(400, f"{where or 'the question'}: {first['msg']}") from None


def _numbers(name: str, text: str) -> list[float]:
    """Return the numbers of an address, as ``210,155``."""
    try:
        return [float(word) for word in text.split(",")]
    except ValueError:
        raise Problem(400, f"{name} must be numbers with commas between them, got {text!r:.80}") from None

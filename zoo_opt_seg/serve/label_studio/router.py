"""What Label Studio asks of a backend, and what a person sees of it."""

from __future__ import annotations

import json
import threading
from collections import OrderedDict
from collections.abc import Callable
from functools import lru_cache
from typing import Any
from urllib.parse import parse_qs

import httpx2
from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, RedirectResponse
from PIL import Image
from starlette.concurrency import run_in_threadpool

from zoo_opt_seg.serve.label_studio.clicks import brush_result, brush_results, read_context
from zoo_opt_seg.serve.label_studio.host import LabelStudioHost
from zoo_opt_seg.serve.label_studio.learner import Learner
from zoo_opt_seg.serve.label_studio.page import versions_page
from zoo_opt_seg.serve.label_studio.scheme import read_scheme
from zoo_opt_seg.serve.problems import Problem, problem_of

_KEPT_PIXELS = 1 << 26  # of images that are kept for the next click; chosen
_known_scheme = lru_cache(maxsize=8)(read_scheme)


class Backend:
    """Label Studio's backend for one project.

    Parameters
    ----------
    learner : Learner
    host : LabelStudioHost
    project : int
        The one that is answered.
    """

    def __init__(self, learner: Learner, host: LabelStudioHost, project: int) -> None:
        self.learner, self.host, self.project = learner, host, project
        self._images: OrderedDict[tuple[int, str], Image.Image] = OrderedDict()
        self._lock = threading.Lock()

    def setup(self, body: dict[str, Any]) -> dict[str, Any]:
        """Return which version answers, if the project can be answered."""
        self._check_project(body)
        _known_scheme(_text(body, "schema"))
        return {"model_version": self.learner.name}

    def predict(self, body: dict[str, Any]) -> dict[str, Any]:
        """Return a mask for each task that something is asked about; to open a task asks nothing, and costs nothing."""
        self._check_project(body)
        tasks, params = body.get("tasks"), body.get("params") or {}
        if not isinstance(tasks, list) or not all(isinstance(task, dict) for task in tasks):
            raise ValueError("tasks must be a list of tasks")
        if not isinstance(params, dict):
            raise ValueError(f"params must be an object of JSON, got {type(params).__name__}")
        asked = read_context(params.get("context"))
        if asked is None:
            return {"results": []}
        if len(tasks) != 1:
            raise ValueError(f"clicks must be about one task, got {len(tasks)}")
        task, data = _number(tasks[0].get("id")), tasks[0].get("data")
        if not isinstance(data, dict):
            raise ValueError("the task must have data")
        scheme = _known_scheme(_text(body, "label_config"))
        image = self._image(task, scheme.address(data), asked.size)
        mask = self.learner.answer(task, image, asked.prompts)
        inside = mask > 0.5
        score = float(mask[inside].mean()) if inside.any() else 0.0
        found = [brush_result(inside, scheme, scheme.label(asked.label), score)] if inside.any() else []
        return {"results": [{"model_version": self.learner.name, "score": score, "result": found}]}

    def webhook(self, body: dict[str, Any]) -> dict[str, Any]:
        """Take what was submitted, changed or deleted."""
        project = body.get("project")
        if isinstance(project, dict) and project.get("id") != self.project:
            raise ValueError(f"project must be {self.project}, got {project.get('id')!r:.40}")
        action = body.get("action")
        if action in ("ANNOTATION_CREATED", "ANNOTATION_UPDATED"):
            annotation, task = body.get("annotation"), body.get("task")
            if not isinstance(annotation, dict):
                raise ValueError("annotation must be an object of JSON")
            number = task.get("id") if isinstance(task, dict) else annotation.get("task")
            results = [] if annotation.get("was_cancelled") else brush_results(annotation.get("result"))
            self.learner.labelled(_number(number), _number(annotation.get("id")), results)
        elif action in ("ANNOTATIONS_DELETED", "ANNOTATION_DELETED"):
            gone = body.get("annotations") or [body.get("annotation")]
            for one in gone if isinstance(gone, list) else []:
                self.learner.unlabelled(_number(one.get("id") if isinstance(one, dict) else one))
        elif action == "ANNOTATIONS_CREATED":  # many at once
            self.catch_up()
        elif action == "START_TRAINING":
            self.learner.learn()
        else:
            return {"status": "not for this backend"}
        return {"status": "taken"}

    def rollback(self, body: dict[str, Any]) -> dict[str, Any]:
        """Have another version answer, or again always the newest."""
        if body["version"] == "newest":
            self.learner.let_go()
        else:
            self.learner.use(_number(body["version"]))
        return {}

    def catch_up(self) -> int:
        """Take what was submitted while this backend was away; return how many annotations there are."""
        count = 0
        for task, annotation, results in self.host.annotations(self.project):
            count += 1
            self.learner.labelled(task, annotation, brush_results(results))
        return count

    def _image(self, task: int, address: str, size: tuple[int, int]) -> Image.Image:
        """Return a task's image, kept for the next click where it is small enough."""
        key = task, address
        with self._lock:
            image = self._images.get(key)
        if image is None or image.size != size:
            image = self.host.image(address, size)
        with self._lock:
            self._images[key] = image
            self._images.move_to_end(key)
            while sum(kept.width * kept.height for kept in self._images.values()) > _KEPT_PIXELS:
                self._images.popitem(last=False)
        return image

    def _check_project(self, body: dict[str, Any]) -> None:
        said = body.get("project")
        if str(said).partition(".")[0] != str(self.project):
            raise ValueError(f"project must be {self.project}, which this backend is for, got {said!r:.40}")


def label_studio_router(backend: Backend) -> APIRouter:
    """Return the routes of a backend, for `zoo_opt_seg.serve.app.application`, which guards them."""
    router = APIRouter(tags=["label studio"])

    @router.get("/health")
    async def health() -> dict[str, str]:
        """Whether the server is there."""
        return {"status": "UP", "model_class": "zoo-opt-seg"}

    @router.post("/setup")
    async def setup(request: Request) -> dict[str, Any]:
        """Hold a project's labelling configuration against what is needed."""
        return _done(backend.setup, await _body(request))

    @router.post("/predict")
    async def predict(request: Request) -> dict[str, Any]:
        """Answer clicks and boxes by a brush mask."""
        return await run_in_threadpool(_done, backend.predict, await _body(request))

    @router.post("/webhook")
    async def webhook(request: Request) -> dict[str, Any]:
        """Take what was submitted."""
        return await run_in_threadpool(_done, backend.webhook, await _body(request))

    @router.get("/")
    async def page() -> HTMLResponse:
        """Show a person the versions."""
        safe = {"Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'"}
        return HTMLResponse(versions_page(backend.learner), headers=safe)

    @router.post("/rollback")
    async def rollback(request: Request) -> RedirectResponse:
        """Have another version answer: its number, or "newest", in a form."""
        if request.headers.get("sec-fetch-site") not in (None, "same-origin", "none"):
            raise Problem(403, "this is not taken from another site")
        words = parse_qs((await request.body()).decode("latin-1"))
        await run_in_threadpool(_done, backend.rollback, {"version": (words.get("version") or [""])[0]})
        return RedirectResponse("/", status_code=303)

    return router


def _done(act: Callable[[dict[str, Any]], dict[str, Any]], body: dict[str, Any]) -> dict[str, Any]:
    """Return what an act comes to; what goes wrong becomes a Problem."""
    try:
        return act(body)
    except ValueError as error:
        raise Problem(400, str(error)) from error
    except httpx2.HTTPError as error:
        raise Problem(502, f"the image cannot be fetched from Label Studio: {error}") from error
    except Exception as error:
        raise problem_of(error) from error


async def _body(request: Request) -> dict[str, Any]:
    try:
        body = json.loads(await request.body())
    except (ValueError, RecursionError):
        raise Problem(400, "the request must be JSON") from None
    if not isinstance(body, dict):
        raise Problem(400, f"the request must be an object of JSON, got {type(body).__name__}")
    return body


def _text(body: dict[str, Any], name: str) -> str:
    value = body.get(name)
    if not isinstance(value, str):
        raise ValueError(f"{name} must be a text, got {type(value).__name__}")
    return value


def _number(value: Any) -> int:
    """Return the number of a task, an annotation or a version."""
    if isinstance(value, str) and value.isascii() and value.isdecimal() and len(value) < 16:
        return int(value)
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < 1 << 53:
        raise ValueError(f"a number must be a whole one >= 0, got {value!r:.40}")
    return value

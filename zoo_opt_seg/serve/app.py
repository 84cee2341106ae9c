"""The application of a served model: its routes behind one guard."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from fastapi import APIRouter, FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from prometheus_client import CONTENT_TYPE_LATEST
from starlette.exceptions import HTTPException

from zoo_opt._version import __version__
from zoo_opt_seg.serve.desk import Desk
from zoo_opt_seg.serve.ending import Ending
from zoo_opt_seg.serve.guard import Guard
from zoo_opt_seg.serve.open_inference import oip_router
from zoo_opt_seg.serve.plain import plain_router
from zoo_opt_seg.serve.problems import Problem

ABOUT = """\
Finds objects in images: where a point, a box or a text says. Coordinates are pixels, x to the right and y down.

- `POST /segment`: the image file as the body, or in JSON; a PNG mask comes back.
- `/v2`: the Open Inference Protocol, version 2, with binary tensors.
- `/metrics`: for Prometheus.

What is refused has a status and `{"error": "one sentence"}`: 400 wrong, 401 no token, 404, 408 too slow, 413 too
large, 415 no image, 429 and 503 (after `Retry-After` seconds it may be answered), 500 the model failed.
"""


def application(desk: Desk, routers: Sequence[APIRouter] = (), *, token: str = "") -> FastAPI:
    """Return the application, for any server of ASGI.

    Parameters
    ----------
    desk : Desk
        Ended with the application.
    routers : sequence of APIRouter
        Further routes; what they raise as `Problem` is answered so.
    token : str
        See `Guard`.

    Notes
    -----
    After SIGTERM new questions get 503, and those in flight their answers; then the server ends.
    """

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        with Ending(desk):
            yield
        await asyncio.get_running_loop().run_in_executor(None, desk.close)

    app = FastAPI(title=f"zoo-opt-seg: {desk.name}", version=__version__, description=ABOUT, lifespan=lifespan)
    app.state.desk = desk
    app.add_middleware(Guard, desk=desk, token=token)
    for router in (oip_router(desk), plain_router(desk), *routers):
        app.include_router(router)

    @app.get("/metrics", tags=["server"], response_class=Response)
    async def metrics() -> Response:
        """What was counted, for Prometheus."""
        return Response(desk.metrics.text(), headers={"Content-Type": CONTENT_TYPE_LATEST})

    async def problem(_: Request, error: Exception) -> Response:
        assert isinstance(error, Problem)
        return JSONResponse({"error": error.message}, error.status, error.headers)

    async def not_found(_: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        return JSONResponse({"error": str(error.detail)}, error.status_code, error.headers)

    async def wrong(_: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)
        first = error.errors()[0]
        return JSONResponse({"error": f"{'.'.join(map(str, first['loc'][1:3]))}: {first['msg']}"}, 400)

    app.add_exception_handler(Problem, problem)
    app.add_exception_handler(HTTPException, not_found)
    app.add_exception_handler(RequestValidationError, wrong)
    return app

"""``zoo-opt-seg serve``: a black box, adapted or not, behind HTTP."""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import re
import sys
from typing import TYPE_CHECKING, Any

from zoo_opt.cli.exits import DONE, UsageError
from zoo_opt.core.errors import CheckpointError
from zoo_opt.support.loading import require
from zoo_opt.support.secrets import hidden_command, resolved
from zoo_opt_seg.cli import inputs, services

if TYPE_CHECKING:
    from fastapi import FastAPI

    from zoo_opt_seg.blackbox.protocol import BlackBox

WORDS = "ZOO_OPT_SEG_SERVE"  # the environment variable by which the processes of one server know its command


def do_serve(arguments: argparse.Namespace) -> int:
    """Serve a black box until the process is told to end."""
    for module, package in (("fastapi", ""), ("uvicorn", ""), ("prometheus_client", "prometheus-client")):
        require(module, package, "serve")
    from zoo_opt_seg.serve import running

    token = token_of(arguments.token)
    if not token and not running.is_loopback(arguments.host):
        raise UsageError(f"--token must be given where others reach the server, at --host {arguments.host}")
    if arguments.workers < 1:
        raise UsageError(f"--workers must be >= 1, got {arguments.workers}")
    with inputs.blamed(f"--host {arguments.host} --port {arguments.port}:", OverflowError):
        sock = running.bound(arguments.host, arguments.port)
    with contextlib.ExitStack() as stack:
        stack.enter_context(sock)
        app = None if arguments.workers > 1 else application_of(arguments, stack)
        host, port = sock.getsockname()[:2]
        url = f"http://{f'[{host}]' if ':' in host else host}:{port}"
        print(f"serving {hidden_command(arguments.model)} at {url}", flush=True)
        if app is not None:
            running.run(app, sock)
        else:
            os.environ[WORDS] = json.dumps(arguments.words[1:])
            running.run_several("zoo_opt_seg.cli.worker:application_of_environment", sock, arguments.workers)
    print("ended", file=sys.stderr)
    return DONE


def token_of(word: str | None, option: str = "--token") -> str:
    """Return the token that an option says, "" without; ``$NAME`` stands for the environment's value.

    Raises
    ------
    UsageError
        If it is not set, or is no word of visible ASCII.
    """
    if word is None:
        return ""
    with inputs.blamed(f"{option}:"):
        (token,) = resolved([word])
    if not re.fullmatch(r"[!-~]+", token):
        raise UsageError(f"{option} must be one word of visible ASCII characters")
    return token


def desk_options(arguments: argparse.Namespace) -> dict[str, Any]:
    """Return limits and batches of a `Desk` as the options say.

    Raises
    ------
    UsageError
        If one is not of its form.
    """
    from zoo_opt_seg.serve.limits import Limits

    most = {"body": arguments.most_body, "pixels": arguments.most_pixels, "points": arguments.most_points}
    with inputs.blamed("--most-body, --most-pixels, --most-points, --queue, --body-seconds:"):
        limits = Limits(
            **most, queue=arguments.queue, json=min(arguments.most_body, Limits.json), seconds=arguments.body_seconds
        )
    return {"limits": limits, "batch": arguments.batch, "wait": arguments.batch_wait_ms / 1000}


def application_of(arguments: argparse.Namespace, stack: contextlib.ExitStack) -> FastAPI:
    """Return the application that the options say; its model is ended with the stack."""
    from zoo_opt_seg.serve.app import application
    from zoo_opt_seg.serve.desk import Desk
    from zoo_opt_seg.serve.segmenting import Segmenter, segmenter_in
    from zoo_opt_seg.serve.versions import Versions

    model: BlackBox = stack.enter_context(services.black_box(arguments, "serve"))
    with inputs.blamed(f"--adapted {arguments.adapted}:" if arguments.adapted else "--size:", CheckpointError):
        segmenter = (
            segmenter_in(arguments.adapted, model) if arguments.adapted else Segmenter(model, None, arguments.size)
        )
    if arguments.size not in (None, segmenter.size):
        raise UsageError(f"--size must be {segmenter.size}, that of the prompt, got {arguments.size}")
    about = {"adapted": os.path.basename(os.path.normpath(arguments.adapted))} if arguments.adapted else {}
    name = arguments.name or arguments.model.partition(":")[0]
    if not re.fullmatch(r"[\w.-]{1,100}", name):
        raise UsageError(f"--name must be of letters, digits and . _ -, got {name!r}")
    with inputs.blamed("--batch, --batch-wait-ms:"):
        desk = Desk(name, Versions(segmenter, about=about), **desk_options(arguments))
    return application(desk, token=token_of(arguments.token))

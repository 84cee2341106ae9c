"""``zoo-opt-seg label-studio``: a black box that people annotate with, and that learns from them."""

from __future__ import annotations

import argparse
import contextlib
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

from zoo_opt.cli.exits import DONE, UsageError
from zoo_opt.core.errors import CheckpointError
from zoo_opt.support.loading import require
from zoo_opt.support.secrets import hidden, hidden_command
from zoo_opt_seg.cli import inputs, services
from zoo_opt_seg.cli.serving import token_of

if TYPE_CHECKING:
    from zoo_opt_seg.serve.label_studio.host import LabelStudioHost


def do_label_studio(arguments: argparse.Namespace) -> int:
    """Serve a project of Label Studio until the process is told to end."""
    for module, package, extra in (
        ("fastapi", "", "serve"),
        ("uvicorn", "", "serve"),
        ("prometheus_client", "prometheus-client", "serve"),
        ("httpx2", "", "remote"),
    ):
        require(module, package, extra)
    import httpx2

    from zoo_opt_seg.serve import running
    from zoo_opt_seg.serve.app import application
    from zoo_opt_seg.serve.desk import Desk
    from zoo_opt_seg.serve.label_studio.host import LabelStudioHost
    from zoo_opt_seg.serve.label_studio.learner import Learner
    from zoo_opt_seg.serve.label_studio.router import Backend, label_studio_router
    from zoo_opt_seg.serve.segmenting import prepared_in, trained_in

    password = token_of(arguments.password, "--password")
    if not password and not running.is_loopback(arguments.host):
        raise UsageError(f"--password must be given where others reach the server, at --host {arguments.host}")
    for name in ("project", "every", "ask_clicks"):
        if getattr(arguments, name) < 1:
            raise UsageError(f"--{name.replace('_', '-')} must be >= 1, got {getattr(arguments, name)}")
    with inputs.blamed("--url:"):
        host = LabelStudioHost(arguments.url, token_of(arguments.token, "--token"))
    with contextlib.ExitStack() as stack:
        stack.callback(host.close)
        ledger = Path(arguments.out) / "ledger.jsonl"
        model = stack.enter_context(services.black_box(arguments, "label-studio", ledger))
        if model.prompted_by == "text":
            raise UsageError("--model must be asked by points or boxes, for people click")
        prompt = None
        prepared: dict[str, Any] = {"fit": "stretch", "crop": None}
        if arguments.adapted:
            with inputs.blamed(f"--adapted {arguments.adapted}:", CheckpointError):
                prompt, prepared = trained_in(arguments.adapted, model), prepared_in(arguments.adapted)
        if prepared["crop"]:
            raise UsageError("--adapted must be a run without --crop, as people click anywhere")
        size = prompt.prompt.size if prompt else inputs.size_for(arguments.model, arguments.size)
        with inputs.blamed(f"--out {arguments.out}:", CheckpointError):
            learner = Learner(
                model,
                Path(arguments.out),
                project=arguments.project,
                size=size,
                prompt=prompt,
                fit=prepared["fit"],
                every=arguments.every,
                most_questions=arguments.most_questions,
                asked=arguments.ask_clicks,
            )
        stack.callback(learner.close)
        with inputs.blamed(f"--host {arguments.host} --port {arguments.port}:", OverflowError):
            sock = stack.enter_context(running.bound(arguments.host, arguments.port))
        own, port = sock.getsockname()[:2]
        url = arguments.own_url or f"http://{f'[{own}]' if ':' in own else own}:{port}"
        backend = Backend(learner, host, arguments.project)
        app = application(Desk("labels", learner.served), [label_studio_router(backend)], token=password)
        with inputs.blamed(f"--url {arguments.url}:", httpx2.HTTPError):
            count = backend.catch_up()
        print(f"answering project {arguments.project} at {url}/; {count} annotations so far", flush=True)
        if arguments.connect:
            tell = threading.Thread(target=_connected, args=(host, arguments.project, url, password), daemon=True)
            tell.start()
        running.run(app, sock)
    print(f"ended; {hidden_command(arguments.model)} has answered {learner.paid} questions", file=sys.stderr)
    return DONE


def _connected(host: LabelStudioHost, project: int, url: str, password: str) -> None:
    """Have Label Studio ask this server; it asks back at once, so that the server must be there."""
    import httpx2

    try:
        host.connect(project, url, "zoo-opt", "zoo-opt", password)
        print(f"connected: {host.url} asks this server about project {project}", flush=True)
    except (ValueError, httpx2.HTTPError) as error:
        print(f"zoo-opt-seg: --url {host.url}: {hidden(str(error))}; add the server by hand", file=sys.stderr)

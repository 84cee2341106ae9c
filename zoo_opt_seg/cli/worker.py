"""What each of the processes of ``zoo-opt-seg serve --workers N`` serves."""

from __future__ import annotations

import contextlib
import json
import os
from typing import TYPE_CHECKING

from zoo_opt_seg.cli.arguments import parser
from zoo_opt_seg.cli.serving import WORDS, application_of

if TYPE_CHECKING:
    from fastapi import FastAPI

_KEPT = contextlib.ExitStack()  # the model, for as long as the process lives


def application_of_environment() -> FastAPI:
    """Return the application of a process, by the words of the command that started it."""
    return application_of(parser().parse_args(json.loads(os.environ[WORDS])), _KEPT)

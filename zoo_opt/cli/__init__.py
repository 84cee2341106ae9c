"""The command line: ``zoo-opt list | run | bench | report | export``."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from zoo_opt.cli.arguments import parser
from zoo_opt.cli.completion import completing
from zoo_opt.cli.exits import ending
from zoo_opt.cli.reading import joined


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit status (0 done, 1 failed, 2 wrong usage, 130 interrupted)."""
    completing(parser)
    words = joined(sys.argv[1:] if argv is None else argv)
    if words[:2] == ["bench", "compare"]:  # one command of two words
        words[:2] = ["bench compare"]
    arguments = parser().parse_args(words)
    again = "; the same command goes on from the last finished run"
    return ending("zoo-opt", lambda: arguments.do(arguments), interrupted=again)

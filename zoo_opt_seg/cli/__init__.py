"""The command line of the plugin: ``zoo-opt-seg adapt | evaluate | predict | table | spend | list``."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Sequence

from zoo_opt.cli.completion import completing
from zoo_opt.cli.exits import FAILED, ending
from zoo_opt.cli.reading import joined
from zoo_opt.support.loading import require


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit status (0 done, 1 failed, 2 wrong usage, 130 interrupted)."""
    try:
        for module, package in (("torch", ""), ("PIL", "pillow")):
            if importlib.util.find_spec(module) is None:
                require(module, package, extra="seg")
    except ImportError as error:  # the package comes with zoo-opt, what it needs does not
        print(f"zoo-opt-seg: {error}", file=sys.stderr)
        return FAILED
    from zoo_opt_seg.cli.arguments import parser

    completing(parser)
    words = joined(sys.argv[1:] if argv is None else argv)
    if words[:1] == ["table"]:
        from zoo_opt_seg.tables import run as tables

        return ending("zoo-opt-seg table", lambda: tables.main(words[1:]), interrupted="; the same command goes on")
    arguments = parser().parse_args(words)
    arguments.words = ["zoo-opt-seg", *words]
    lasting = arguments.command == "adapt"
    return ending(
        "zoo-opt-seg",
        lambda: arguments.do(arguments),
        failed="; nothing paid for is lost: the same command goes on" if lasting else "",
        interrupted="; the same command goes on from here" if lasting else "",
    )

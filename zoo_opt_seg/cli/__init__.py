"""The command line of the plugin: ``zoo-opt-seg adapt | evaluate | predict | table | list``."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from zoo_opt.cli.run import UsageError
from zoo_opt_seg.cli.arguments import parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit status (0 done, 1 failed, 2 wrong usage, 130 interrupted)."""
    words = list(sys.argv[1:] if argv is None else argv)
    sys.path.insert(0, os.getcwd())
    if words[:1] == ["table"]:
        from zoo_opt_seg.tables import run as tables

        return int(tables.main(words[1:]))
    arguments = parser().parse_args(words)
    arguments.words = ["zoo-opt-seg", *words]
    try:
        return int(arguments.do(arguments))
    except (UsageError, ValueError, TypeError) as error:
        said, again, status = str(error), "", 2
    except (ImportError, OSError, RuntimeError) as error:
        said, again, status = str(error), "; nothing paid for is lost: the same command goes on", 1
    except KeyboardInterrupt:
        said, again, status = "interrupted", "; the same command goes on from here", 130
    print(f"zoo-opt-seg: {said}{again if arguments.command == 'adapt' else ''}", file=sys.stderr)
    return status

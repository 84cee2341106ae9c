"""The command line: ``zoo-opt list | run | bench | report | export``."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from zoo_opt.cli.arguments import parser
from zoo_opt.cli.run import UsageError


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit status (0 done, 1 failed, 2 wrong usage, 130 interrupted)."""
    words = list(sys.argv[1:] if argv is None else argv)
    if words[:2] == ["bench", "compare"]:  # one command of two words
        words[:2] = ["bench compare"]
    arguments = parser().parse_args(words)
    try:
        status = int(arguments.do(arguments))
        sys.stdout.flush()
        return status
    except UsageError as error:
        print(f"zoo-opt: {error}", file=sys.stderr)
        return 2
    except BrokenPipeError:  # the reader, such as `head`, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except (ImportError, TypeError, ValueError, OSError) as error:
        print(f"zoo-opt: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("zoo-opt: interrupted; the same command goes on from the last finished run", file=sys.stderr)
        return 130

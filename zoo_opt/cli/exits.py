"""How a command ends: one rule for every command of both programs.

The exit status is 0 if it is done; 2 for wrong usage, when what was asked for is refused: a word of the command line,
or what a file that it names says; 1 if something failed that was asked for rightly: evaluations, runs, a file that
cannot be written, a package that is not installed; 130 if it was interrupted.
"""

from __future__ import annotations

import contextlib
import logging
import os
import sys
import traceback
from collections.abc import Callable, Iterator

from zoo_opt.support.secrets import hidden

DONE, FAILED, USAGE, INTERRUPTED = 0, 1, 2, 130


class UsageError(Exception):
    """Something that the user can put right; printed without a traceback."""


def ending(program: str, do: Callable[[], int], *, failed: str = "", interrupted: str = "") -> int:
    """Do a command, say what it raises in one sentence, and return the exit status.

    Parameters
    ----------
    program : str
        Said before the sentence.
    do : callable
        Returns an exit status.
    failed, interrupted : str
        Said after the sentence where the command failed or was interrupted: how to go on.
    """
    try:
        with _waiting_said(program):
            status = int(do())
        sys.stdout.flush()
        return status
    except BrokenPipeError:  # the reader, such as `head`, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return DONE
    except (UsageError, TypeError, ValueError) as error:
        said, status = str(error), USAGE
    except (ImportError, OSError, RuntimeError) as error:
        said, status = f"{error}{failed}", FAILED
    except KeyboardInterrupt:
        said, status = f"interrupted{interrupted}", INTERRUPTED
    except Exception:  # of no kind that a user is told of in a sentence
        print(hidden(traceback.format_exc()), end="", file=sys.stderr)
        return FAILED
    print(f"{program}: {hidden(said)}", file=sys.stderr)
    return status


@contextlib.contextmanager
def _waiting_said(program: str) -> Iterator[None]:
    """Print that an outage is waited for, which else looks like a program that hangs."""
    log, handler = logging.getLogger("zoo_opt.outage"), logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter(f"{program}: %(message)s"))
    log.addHandler(handler)
    try:
        yield
    finally:
        log.removeHandler(handler)

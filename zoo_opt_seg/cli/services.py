"""Options for a black box that is a service: by which terms it is asked, and what that will come to."""

from __future__ import annotations

import argparse
import contextlib
import inspect
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from zoo_opt.cli.exits import UsageError
from zoo_opt.cli.reading import read_options
from zoo_opt.support.secrets import hidden_command
from zoo_opt_seg.blackbox.registry import BLACK_BOXES
from zoo_opt_seg.cli import inputs

if TYPE_CHECKING:
    from zoo_opt_seg.adaptation.plan import Plan
    from zoo_opt_seg.blackbox.protocol import BlackBox

# Options, the term that each is, and how it is read and explained.
TERMS: dict[str, tuple[str, Any, str, str]] = {
    "--workers": ("workers", int, "N", "most questions in flight (default: 4)"),
    "--rate": ("rate", float, "N", "most requests per second"),
    "--images-rate": ("images_rate", float, "N", "most images per second"),
    "--timeout": ("read", float, "SECONDS", "longest wait for the next part of an answer (default: 60)"),
    "--ledger": ("ledger", str, "FILE", "record of every request; several runs may share it"),
    "--price": ("price", float, "MONEY", "price of an image"),
    "--most-calls": (
        "most_calls",
        int,
        "N",
        "most calls in the ledger; the run ends before it sends one more",
    ),
    "--most-money": ("most_money", float, "MONEY", "the same limit for their cost"),
    "--most-seconds": ("most_seconds", float, "SECONDS", "the same limit for the seconds that they took"),
    "--ask-again": (
        "repeats",
        int,
        "N",
        "repeat a question N times if no answer came, though it may be paid for (default: 1)",
    ),
}


def add_options(sub: argparse.ArgumentParser, workers: bool = True) -> None:
    """Add the options of services to a command; ``workers``: this one too."""
    group = sub.add_argument_group("if MODEL is a service")
    words = {"action": "append", "default": []}
    group.add_argument("-m", "--model-option", **words, metavar="NAME=VALUE", help="option of MODEL; may be repeated")  # type: ignore[arg-type]
    for name, (_, kind, metavar, about) in TERMS.items():
        if name == "--workers" and not workers:
            continue
        group.add_argument(name, type=kind, metavar=metavar, help=about)
    header = "HTTP header, sent to the host of MODEL only; $NAME takes a value from the environment, @FILE from a file"
    group.add_argument("--header", **words, metavar="'NAME: VALUE'", help=header)  # type: ignore[arg-type]


@contextlib.contextmanager
def black_box(arguments: argparse.Namespace, run: str = "", ledger: Path | None = None) -> Iterator[BlackBox]:
    """Yield what ``--model`` and the options beside it name, as `inputs.black_box`; with ``--also`` it is several.

    Parameters
    ----------
    arguments : argparse.Namespace
    run : str
        What the ledger of a service calls this run.
    ledger : Path, optional
        Where a service's attempts are written down unless ``--ledger`` says where.

    Raises
    ------
    UsageError
        If it cannot be made, or what is for services was given for something else.
    """
    if not arguments.also:
        if arguments.model_name:
            raise UsageError("--model-name is for several black boxes, as --also gives them")
        with _one(arguments, arguments.model, arguments.cache, run, ledger) as box:
            yield box
        return
    from zoo_opt_seg.blackbox import Cached, SeveralBoxes

    with contextlib.ExitStack() as stack:
        specs = [arguments.model, *arguments.also]
        boxes = [stack.enter_context(_one(arguments, spec, None, run, ledger)) for spec in specs]
        served = is_service(arguments.model)  # it has several questions in flight itself
        with inputs.blamed("--also, --model-name:"):
            several = stack.enter_context(SeveralBoxes(boxes, arguments.model_name, rows=_in_flight(arguments, served)))
        yield several if arguments.cache is None else Cached(several, arguments.cache)


@contextlib.contextmanager
def _one(
    arguments: argparse.Namespace, spec: str, cache: str | None, run: str, ledger: Path | None
) -> Iterator[BlackBox]:
    """Yield one black box."""
    how = {"device": arguments.device, "dtype": arguments.dtype, "cache": cache}
    given = _given(arguments)
    if not is_service(spec):
        need_kind(spec)
        if given:
            raise UsageError(f"{given[0]} is for a service, which {hidden_command(spec)} is not")
        with inputs.black_box(spec, **how) as box:
            yield box
        return
    from zoo_opt_seg.remote.terms import Terms
    from zoo_opt_seg.remote.transport import headers_of

    terms = {TERMS[name][0]: getattr(arguments, _attribute(name)) for name in given if name in TERMS}
    with inputs.blamed("the terms of --model:"):
        made = Terms(**{"ledger": ledger, "run": run, **terms}, headers=headers_of(arguments.header))
    options = read_options(arguments.model_option)
    with inputs.black_box(spec, **how, terms=made, options=options) as box:
        yield box


def _in_flight(arguments: argparse.Namespace, served: bool) -> int:
    """Return the images of one question to one of several black boxes."""
    from zoo_opt_seg.remote.terms import Terms

    if not served:
        return 1
    return Terms.workers if arguments.command == "serve" or arguments.workers is None else arguments.workers


def is_service(spec: str) -> bool:
    """Return whether ``--model`` names a service: one of ours, or a function of yours that takes ``terms``."""
    name = spec.partition(":")[0]
    if name in BLACK_BOXES:
        return BLACK_BOXES.find(name).remote
    with contextlib.suppress(Exception):  # whatever is wrong with it is said where it is made
        return "terms" in inspect.signature(inputs.from_here(spec)).parameters
    return False


def need_kind(spec: str) -> None:
    """Raise a UsageError where ``--model`` is the address of a service and does not say of which kind it is."""
    if re.match(r"https?://|[\w.-]+:\d+(/|$)", spec, re.IGNORECASE):
        forms = ", ".join(entry.form for entry in BLACK_BOXES.entries() if entry.remote and "URL" in entry.form)
        raise UsageError(f"--model must say how to ask the service at {hidden_command(spec)}, as one of {forms}")


def agreed(plan: Plan, sure: bool) -> bool:
    """Say what a service will be asked, how long that takes and what it costs; return whether to go on.

    Unless that is ``sure``, somebody is asked at a terminal.
    """
    from zoo_opt_seg.cli.expecting import forecast

    print(forecast(plan).words, file=sys.stderr)
    if sure or not sys.stdin.isatty():
        return True
    print("Go on? [y/N] ", end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def spent_words(spent: dict[str, Any]) -> str:
    """Return in words what a run has asked of a service, from ``metrics["spent"]``."""
    perhaps = f", {spent['perhaps']:,} of them perhaps paid, as no answer came" if spent["perhaps"] else ""
    money = f", {spent['money']:,.8g}" if spent["money"] else ""
    return f"the service was asked {spent['calls']:,} times{perhaps}{money}; it took {spent['seconds']:,.0f} s"


def _given(arguments: argparse.Namespace) -> list[str]:
    """The options for services that were given."""
    lists = [name for name in ("--model-option", "--header") if getattr(arguments, _attribute(name))]
    terms = [name for name in TERMS if (arguments.command, name) != ("serve", "--workers")]  # of a server, processes
    return lists + [name for name in terms if getattr(arguments, _attribute(name)) is not None]


def _attribute(option: str) -> str:
    return option.removeprefix("--").replace("-", "_")

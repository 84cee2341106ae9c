"""``zoo-opt completion SHELL``: what completes the words of a command line in bash, zsh and fish, by ``argcomplete``.

The script that is printed asks the program itself, so that names of methods, problems and suites are those installed.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Iterable
from types import ModuleType
from typing import Any, cast

from zoo_opt.support.loading import require

SHELLS = ("bash", "zsh", "fish")
PROGRAMS = ("zoo-opt", "zoo-opt-seg")

Completer = Callable[..., Iterable[str]]


def do_completion(arguments: argparse.Namespace) -> int:
    """Print the script of a shell for both programs."""
    print(_argcomplete().shellcode(PROGRAMS, shell=arguments.shell))
    return 0


def completing(parser: Callable[[], argparse.ArgumentParser]) -> None:
    """Where a shell asks for completions, answer it and end the process."""
    if "_ARGCOMPLETE" in os.environ:
        _argcomplete().autocomplete(parser(), exclude=["bench compare"])  # the parser's one word for two


def completed_by(action: argparse.Action, completer: Completer) -> None:
    """Let the words of an argument be completed by ``completer(prefix, parsed_args=)``."""
    cast(Any, action).completer = completer


def methods(**_: Any) -> Iterable[str]:
    """Return the names of methods."""
    import zoo_opt as zo

    return list(zo.METHODS.registry)


def problems(*, prefix: str, **_: Any) -> Iterable[str]:
    """Return the names of problems, and files of Python."""
    from zoo_opt.bench.problems.registry import PROBLEMS

    return [*PROBLEMS, *_files(prefix, "py")]


def suites(*, prefix: str, **_: Any) -> Iterable[str]:
    """Return the names of shipped suites, TOML files, and the word after which results are compared."""
    from zoo_opt.bench.suite import shipped

    return [*shipped(), *_files(prefix, "toml"), "compare"]


def settings(*, parsed_args: argparse.Namespace, **_: Any) -> Iterable[str]:
    """Return the settings of the method that was chosen, as ``name=``."""
    from zoo_opt.cli.listing import settings_of

    return [f"{name}=" for name in settings_of(parsed_args.method)]


def _files(prefix: str, ending: str) -> list[str]:
    completers = require("argcomplete.completers", "argcomplete", extra="completion")
    return list(completers.FilesCompleter((ending,))(prefix))


def _argcomplete() -> ModuleType:
    return require("argcomplete", extra="completion")

"""What FUNCTION of ``zoo-opt run`` stands for: a function of one's own, or a named problem.

Either can be sent to other processes: by its name, for which each process loads or makes it once.
"""

from __future__ import annotations

import functools
import importlib
import json
import os
import sys
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import zoo_opt
from zoo_opt.cli.exits import UsageError
from zoo_opt.support.loading import load_object
from zoo_opt.support.secrets import hidden

if TYPE_CHECKING:
    from zoo_opt.bench.problems.protocol import Problem

PLACE = str(Path(zoo_opt.__file__).parent)  # of this package's code
_LINES = 12  # of a traceback; chosen
_MACHINERY = tuple(f'  File "{place}' for place in ("<frozen importlib", Path(importlib.__file__).parent, PLACE))
_LIBRARY = f'  File "{Path(os.__file__).parent}'


class Named:
    """A function of the user's, ``"module:function"`` or ``"file.py:function"``.

    Parameters
    ----------
    name : str
    folder : str
        Where modules and files are looked for first.
    """

    def __init__(self, name: str, folder: str) -> None:
        self._given = name, folder
        self._function = _loaded(name, folder)
        self.__wrapped__ = self._function  # whose signature is this one's

    def __call__(self, *args: Any, **more: Any) -> Any:
        """Call the function."""
        return self._function(*args, **more)

    def __reduce__(self) -> tuple[Any, ...]:
        return Named, self._given


@functools.cache
def _loaded(name: str, folder: str) -> Callable[..., Any]:
    if folder not in sys.path:
        sys.path.insert(0, folder)
    try:
        function = load_object(name)
    except ValueError as error:
        raise UsageError(f"FUNCTION: {error}{_of_the_user(error.__cause__)}") from error
    if not callable(function):
        raise UsageError(f"FUNCTION must name a function, got {name!r}, which is {function!r}")
    loaded: Callable[..., Any] = function
    return loaded


def _of_the_user(error: BaseException | None) -> str:
    """The last lines of what the user's module raised; "" if it came to none of its own."""
    lines = "" if error is None else last_lines(error)
    return f"\n{lines}" if "\n" in lines else ""


class Losses:
    """The losses of a named problem.

    Parameters
    ----------
    name : str
    options : mapping
        The problem's arguments.
    seed : int
        Of its minibatches or noise.
    """

    def __init__(self, name: str, options: Mapping[str, Any], seed: int) -> None:
        self._given = name, options, seed
        self._seed = seed
        self.problem = _made(name, json.dumps(options))

    def __call__(self, x: Any, step: int) -> Any:
        """The loss of a point (d,), or the losses of the points (n, d) of a step."""
        import numpy as np

        x = np.asarray(x)
        losses = self.problem.losses(np.atleast_2d(x), step, self._seed)
        return losses if x.ndim == 2 else losses[0]

    def __reduce__(self) -> tuple[Any, ...]:
        return Losses, self._given


@functools.cache
def _made(name: str, options: str) -> Problem:
    from zoo_opt.bench.problems.registry import make_problem

    return make_problem(name, json.loads(options))


def objective_of(name: str, options: Mapping[str, Any], seed: int) -> Named | Losses:
    """Return what FUNCTION stands for.

    Raises
    ------
    UsageError
        If there is no such function or problem.
    """
    from zoo_opt.bench.problems.registry import PROBLEMS
    from zoo_opt.bench.problems.targets import is_target

    if name in PROBLEMS or is_target(name):
        return Losses(name, options, seed)
    if ":" not in name:
        known = ", ".join(PROBLEMS)
        raise UsageError(f'FUNCTION must be "module:function", "file.py:function" or one of {known}; got {name!r}')
    if options:
        raise UsageError("--problem-option goes with a named problem, not with a function")
    return Named(name, os.getcwd())


def last_lines(error: BaseException | str) -> str:
    """Return the last lines of a traceback: the user's frames, not those of this package or the standard library."""
    if isinstance(error, BaseException):
        error = _traceback_of(error)
    entries: list[list[str]] = []
    for line in error.splitlines():
        if line.startswith("  File ") or not line.startswith(" ") or not entries:
            entries.append([])
        entries[-1].append(line)
    while len(entries) > 1 and entries[0][0].startswith(("Traceback ", *_MACHINERY)):
        entries.pop(0)
    own = [entry for entry in entries if not entry[0].startswith(_LIBRARY) or "site-packages" in entry[0]]
    entries = own if any(entry[0].startswith("  File ") for entry in own) else entries
    while len(entries) > 1 and sum(map(len, entries)) > _LINES:
        entries.pop(0)
    return hidden("\n".join([line for entry in entries for line in entry][-_LINES:]))


def _traceback_of(error: BaseException) -> str:
    """The traceback in words; of what another process raised, the note that came with it."""
    notes: list[str] = getattr(error, "__notes__", [])
    if error.__traceback__ is None and notes:
        return notes[-1]
    return "".join(traceback.format_exception(None, error, error.__traceback__))

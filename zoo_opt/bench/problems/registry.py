"""Benchmark problems by name: what is minimised, where a run starts, and what a good result is.

A problem never sees an optimiser. It is made by a factory, named by one of the short names in `PROBLEMS`, as
``"module:function"`` (in a suite's file only of one that declares itself, see `check_problem_in_file`), or as
``"prefix:name"`` of an installed plugin (`zoo_opt.bench.problems.targets`). Other packages declare theirs in the group
``zoo_opt.problems`` of their entry points.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import product
from typing import Any

from zoo_opt.bench.problems.protocol import Problem
from zoo_opt.bench.problems.split import MORE_WILD, REAL_TASKS
from zoo_opt.bench.problems.targets import is_target, make_target
from zoo_opt.bench.problems.wrappers import wrapped
from zoo_opt.support.declaring import need_declared
from zoo_opt.support.loading import load_object
from zoo_opt.support.registry import Entry, Registry


@dataclass(frozen=True, kw_only=True)
class ProblemEntry(Entry):
    """A problem that can be chosen by name.

    Parameters
    ----------
    name, factory, about, needs, extra
        See `Entry`. The factory is called with the problem's options and returns a `Problem`.
    functions : range or None
        Numbers of the functions of one of COCO's suites, whose problems a suite may list by ``functions``,
        ``dimensions`` and ``instances``.
    each : str
        The option that distinguishes its problems. A suite lists values of it under its name with an s. "" for none.
    parts : mapping
        Named lists of values of `each`: a suite may give ``part = "name"`` in place of a list.
    """

    functions: range | None = None
    each: str = ""
    parts: Mapping[str, tuple[Any, ...]] = field(default_factory=dict)


def _own(name: str, factory: str, about: str, needs: str = "", **rest: Any) -> ProblemEntry:
    place = f"zoo_opt.bench.problems.{factory}"
    modules = (needs,) if needs else ()
    return ProblemEntry(name=name, factory=place, about=about, needs=modules, extra="bench", **rest)


_BBOB = "COCO bbob, 24 functions: function=1..24, dimension=2|3|5|10|20|40, instance=1.."
_NOISY = "COCO bbob-noisy, 30 functions: function=101..130, dimension, instance as for bbob"
_LARGE = "COCO bbob-largescale: function=1..24, dimension=20|40|80|160|320|640, instance=1.."
_MIXINT = "COCO bbob-mixint on the unit cube: function=1..24, dimension=5|10|20|40|80|160, instance=1..15"
_DIGITS = "scikit-learn digits, 64-128-10 MLP of 9,610 parameters by minibatch loss: hidden=128, batch=128"
_PENDULUM = "gymnasium's Pendulum-v1, swing-up by a small network: hidden=8, episodes=8"
_SVM = "an SVM on scikit-learn's breast cancer set: C, gamma and 30 feature scales by random splits"
_MORE_WILD = "Moré and Wild's 53 problems: number=1..53 (or part), kind=smooth|piecewise|noisy"
_REAL = "twelve real tasks with solvers inside: task=sir|truss|lens|... (or part)"
PROBLEMS = Registry(
    "problem",
    "zoo_opt.problems",
    ProblemEntry,
    _own("bbob", "coco:Bbob", _BBOB, "cocoex", functions=range(1, 25)),
    _own("bbob-noisy", "coco:BbobNoisy", _NOISY, "cocoex", functions=range(101, 131)),
    _own("bbob-largescale", "coco:BbobLargescale", _LARGE, "cocoex", functions=range(1, 25)),
    _own("bbob-mixint", "mixint:BbobMixint", _MIXINT, "cocoex", functions=range(1, 25)),
    _own("digits", "digits:DigitsMLP", _DIGITS, "sklearn"),
    _own("pendulum", "control:PendulumPolicy", _PENDULUM),
    _own("svm", "svm:SVMScales", _SVM, "sklearn"),
    _own("more-wild", "more_wild.problem:MoreWild", _MORE_WILD, each="number", parts=MORE_WILD),
    _own("real", "real.tasks:make_task", _REAL, "scipy", each="task", parts=REAL_TASKS),
    _own("sphere", "sphere:SphereProblem", "f(x) = |x|^2: dimension=10"),
)
"""The problems by name."""

_LISTS = {"functions": "function", "dimensions": "dimension", "instances": "instance"}


def expand(kind: str, arguments: Mapping[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    """Problems (kind, arguments) that a suite's table stands for.

    COCO's suites take lists: every combination of ``functions`` (all of the suite's by default), ``dimensions`` and
    ``instances`` (1 by default); a problem that comes in parts takes the ``part``, or a list of its problems. Any other
    table is one problem.

    Raises
    ------
    TypeError
        If a list has an argument beside it that does not go with lists.
    ValueError
        If there is no such part.
    """
    entry = PROBLEMS.find(kind) if kind in PROBLEMS else None
    if entry is not None and {"part", f"{entry.each}s"} & set(arguments) and entry.each:
        return [(kind, found) for found in _of_part(entry, dict(arguments))]
    every = None if entry is None else entry.functions
    if every is None or not set(_LISTS) & set(arguments):
        return [(kind, dict(arguments))]
    rest = {key: value for key, value in arguments.items() if key not in _LISTS}
    if set(rest) - {"wrap"}:
        raise TypeError(f"functions, dimensions and instances go with no {sorted(set(rest) - {'wrap'})[0]!r}")
    functions = arguments.get("functions", every)
    dimensions, instances = arguments.get("dimensions", (10,)), arguments.get("instances", (1,))
    return [
        (kind, {"function": f, "dimension": d, "instance": i, **rest})
        for d, f, i in product(dimensions, functions, instances)
    ]


def _of_part(entry: ProblemEntry, arguments: dict[str, Any]) -> list[dict[str, Any]]:
    """Arguments of every problem of a part, or of a list, which goes before it."""
    part, values = arguments.pop("part", None), arguments.pop(f"{entry.each}s", None)
    if values is None and part not in entry.parts:
        raise ValueError(f"part of {entry.name} must be one of {sorted(entry.parts)}, got {part!r}")
    return [{entry.each: value, **arguments} for value in (entry.parts[part] if values is None else values)]


def check_problem_in_file(kind: str, trust: bool) -> None:
    """Raise a ValueError unless a file may name this problem: see `zoo_opt.support.declaring`."""
    if kind not in PROBLEMS and not is_target(kind) and ":" in kind:
        need_declared(kind, "problem", trust)


def make_problem(kind: str, arguments: Mapping[str, Any] | None = None) -> Problem:
    """Make a problem.

    Parameters
    ----------
    kind : str
        A name in `PROBLEMS`, ``"module:function"`` of a factory that returns a `Problem`, or ``"prefix:name"`` of a
        plugin's target, such as ``"seg:tiny/disc/baps"``.
    arguments : mapping or None
        Keyword arguments of the factory; a table ``wrap`` among them holds those of `Wrapped`.

    Raises
    ------
    ValueError
        If the name is unknown or the factory refuses the arguments.
    ImportError
        If what a plugin leans on is not installed.
    """
    factory: Callable[..., Any]
    if is_target(kind):

        def factory(**options: Any) -> Any:
            return make_target(kind, options)

    elif ":" in kind:
        factory = load_object(kind)
    else:
        factory = PROBLEMS.find(kind, "problem must be one of", ', "module:function" or "plugin:name"').load()
    arguments = dict(arguments or {})
    wrap = arguments.pop("wrap", {})
    try:
        problem = factory(**arguments)
    except TypeError as error:
        raise ValueError(f"problem {kind!r} refuses its arguments {arguments}: {error}") from error
    if not isinstance(problem, Problem):
        raise ValueError(f"problem {kind!r} must make a zoo_opt.bench.Problem, got a {type(problem).__name__}")
    return wrapped(problem, wrap)

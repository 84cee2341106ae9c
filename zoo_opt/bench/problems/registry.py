"""Benchmark problems: what is minimised, where a run starts, and what a good result is.

A problem never sees an optimiser. It is made by a factory, named in a suite by one of the short names in `PROBLEMS`, as
``"module:function"``, or as ``"prefix:name"`` of an installed plugin (`zoo_opt.support.plugins`), so that anyone's
problem can take part.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import product
from typing import Any

import numpy as np

from zoo_opt.bench.problems.coco import BBOB_TARGETS, Bbob, BbobLargescale, BbobNoisy
from zoo_opt.bench.problems.control import PendulumPolicy
from zoo_opt.bench.problems.digits import DigitsMLP
from zoo_opt.bench.problems.protocol import FloatArray, Problem, pair_seed
from zoo_opt.bench.problems.svm import SVMScales
from zoo_opt.bench.problems.wrappers import wrapped
from zoo_opt.support.loading import load_object
from zoo_opt.support.plugins import is_plugin, make_target

__all__ = [
    "PROBLEMS",
    "Bbob",
    "BbobLargescale",
    "BbobNoisy",
    "DigitsMLP",
    "PendulumPolicy",
    "Problem",
    "SVMScales",
    "Sphere",
    "expand",
    "make_problem",
]


class Sphere:
    """f(x) = |x|^2 from x0 ~ N(0, 1): the smallest problem there is, for trying things out; needs numpy alone."""

    curve = "precision"
    targets: Sequence[float] = BBOB_TARGETS
    bounds = (-5.0, 5.0)
    reusable = True

    def __init__(self, dimension: int = 10) -> None:
        if dimension < 1:
            raise ValueError(f"dimension must be 1 or more, got {dimension!r}")
        self.name, self.dim = f"sphere-d{dimension}", dimension
        self.optimum: float | None = 0.0

    def x0(self, seed: int) -> FloatArray:
        """N(0, I)."""
        return np.random.default_rng(pair_seed(self.name, seed)).standard_normal(self.dim)

    def losses(self, X: FloatArray, step: int, seed: int) -> FloatArray:
        """|x|^2 for every row, shape (n,)."""
        return np.asarray(np.einsum("ij,ij->i", X, X))

    def metrics(self, x: FloatArray) -> dict[str, float]:
        """No figure but the precision, which the runner adds."""
        return {}


PROBLEMS: dict[str, tuple[Callable[..., Problem], str]] = {
    "bbob": (Bbob, "COCO bbob, 24 functions: function=1..24, dimension=2|3|5|10|20|40, instance=1.."),
    "bbob-noisy": (BbobNoisy, "COCO bbob-noisy, 30 functions: function=101..130, dimension, instance as for bbob"),
    "bbob-largescale": (
        BbobLargescale,
        "COCO bbob-largescale: function=1..24, dimension=20|40|80|160|320|640, instance=1..",
    ),
    "digits": (
        DigitsMLP,
        "scikit-learn digits, 64-128-10 MLP of 9,610 parameters by minibatch loss: hidden=128, batch=128",
    ),
    "pendulum": (PendulumPolicy, "gymnasium's Pendulum-v1, swing-up by a small network: hidden=8, episodes=8"),
    "svm": (SVMScales, "an SVM on scikit-learn's breast cancer set: C, gamma and 30 feature scales by random splits"),
    "sphere": (Sphere, "f(x) = |x|^2: dimension=10"),
}
_LISTS = {"functions": "function", "dimensions": "dimension", "instances": "instance"}


def expand(kind: str, arguments: Mapping[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    """Problems (kind, arguments) that a suite's table stands for.

    COCO's suites take lists: every combination of ``functions`` (all of the suite's by default), ``dimensions`` and
    ``instances`` (1 by default). Any other table is one problem.

    Raises
    ------
    TypeError
        If a list has an argument beside it that does not go with lists.
    """
    if not (kind.startswith("bbob") and set(_LISTS) & set(arguments)):
        return [(kind, dict(arguments))]
    rest = {key: value for key, value in arguments.items() if key not in _LISTS}
    if set(rest) - {"wrap"}:
        raise TypeError(f"functions, dimensions and instances go with no {sorted(set(rest) - {'wrap'})[0]!r}")
    functions = arguments.get("functions", range(101, 131) if kind == "bbob-noisy" else range(1, 25))
    dimensions, instances = arguments.get("dimensions", (10,)), arguments.get("instances", (1,))
    return [
        (kind, {"function": f, "dimension": d, "instance": i, **rest})
        for d, f, i in product(dimensions, functions, instances)
    ]


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
    if is_plugin(kind):

        def factory(**options: Any) -> Any:
            return make_target(kind, options)

    elif ":" in kind:
        factory = load_object(kind)
    elif kind in PROBLEMS:
        factory = PROBLEMS[kind][0]
    else:
        raise ValueError(f'problem must be one of {sorted(PROBLEMS)}, "module:function" or "plugin:name", got {kind!r}')
    arguments = dict(arguments or {})
    wrap = arguments.pop("wrap", {})
    try:
        problem = factory(**arguments)
    except TypeError as error:
        raise ValueError(f"problem {kind!r} refuses its arguments {arguments}: {error}") from error
    if not isinstance(problem, Problem):
        raise ValueError(f"problem {kind!r} must make a zoo_opt.bench.Problem, got a {type(problem).__name__}")
    return wrapped(problem, wrap)

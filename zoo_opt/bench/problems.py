"""Benchmark problems: what is minimised, where a run starts, and what a good result is.

A problem never sees an optimiser. It is made by a factory, named in a suite either by one of the short names in
`PROBLEMS` or as ``"module:function"``, so that anyone's problem can take part.
"""

from __future__ import annotations

import contextlib
import importlib
import tempfile
import zlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..interop.peer import require

FloatArray = NDArray[np.floating[Any]]


@runtime_checkable
class Problem(Protocol):
    """What the runner asks of a problem.

    Attributes
    ----------
    name : str
        Unique within a suite.
    dim : int
        Number of parameters.
    optimum : float or None
        Lowest possible loss, subtracted before comparing with `targets`; None if unknown.
    targets : sequence of float
        Precisions (or values of `curve`'s metric) to hit, from easy to hard; may be empty.
    curve : str
        Quantity that the convergence curve and targets are about: ``"precision"`` (best loss so far minus the
        optimum, known at every evaluation) or the name of one of `metrics`' figures (taken at check-points, from the
        optimiser's `mean`).
    """

    name: str
    dim: int
    optimum: float | None
    targets: Sequence[float]
    curve: str

    def x0(self, seed: int) -> FloatArray:
        """Start of the run with this seed, shape (dim,): the same for every method."""
        ...

    def losses(self, X: FloatArray, step: int, seed: int) -> FloatArray:
        """Losses, shape (n,), of the candidates `X`, shape (n, dim), all of which belong to one step."""
        ...

    def metrics(self, x: FloatArray) -> dict[str, float]:
        """Figures of a result that cost no evaluation, such as the accuracy on a test set; may be empty."""
        ...


def pair_seed(name: str, seed: int) -> list[int]:
    """Entropy that depends on a problem's name and a seed alone, for what methods must share."""
    return [zlib.crc32(name.encode()), seed]


BBOB_TARGETS = tuple(float(t) for t in 10.0 ** np.linspace(2, -8, 51))


class Bbob:
    """A function of COCO's bbob suite through ``coco-experiment``.

    Runs start uniformly in [-4, 4]^d. Every instance has its own optimum, rotation and offset.

    Parameters
    ----------
    function : int
        1 to 24.
    dimension : {2, 3, 5, 10, 20, 40}
    instance : int
        1 and up; the suite's instances of 2009 are 1 to 15.

    References
    ----------
    N. Hansen et al., Real-parameter black-box optimization benchmarking 2009: noiseless functions definitions, RR-6829.
    """

    curve = "precision"
    targets: Sequence[float] = BBOB_TARGETS

    def __init__(self, function: int, dimension: int, instance: int = 1) -> None:
        cocoex = require("cocoex", "coco-experiment")
        if function not in range(1, 25):
            raise ValueError(f"function must be in 1..24, got {function!r}")
        if dimension not in (2, 3, 5, 10, 20, 40):
            raise ValueError(f"dimension must be one of 2, 3, 5, 10, 20, 40, got {dimension!r}")
        if instance < 1:
            raise ValueError(f"instance must be 1 or more, got {instance!r}")
        self._suite = cocoex.Suite("bbob", f"instances: {instance}", f"dimensions: {dimension}")
        self._f = self._suite.get_problem_by_function_dimension_instance(function, dimension, instance)
        self.name = f"bbob-f{function:02d}-i{instance}-d{dimension}"
        self.dim = dimension
        self.optimum: float | None = self._find_optimum()

    def _find_optimum(self) -> float:
        """Value at the minimiser, which cocoex gives only as a file in the working directory.

        bbob's offsets are defined with two decimals, so rounding removes what the evaluation itself rounds off.
        """
        with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
            self._f._best_parameter("print")
            x = np.loadtxt(next(Path(folder).glob("*best_parameter*")))
        value = float(self._f(x))
        if not self._f.final_target_hit:
            raise RuntimeError(f"cocoex's minimiser of {self.name} is not one: {value!r}")
        return round(value, 2)

    def x0(self, seed: int) -> FloatArray:
        """Uniform in [-4, 4]^d."""
        return np.random.default_rng(pair_seed(self.name, seed)).uniform(-4, 4, self.dim)

    def losses(self, X: FloatArray, step: int, seed: int) -> FloatArray:
        """The function's values, shape (n,); nothing is random."""
        f = self._f
        return np.array([f(x) for x in np.ascontiguousarray(X, dtype=np.float64)])

    def metrics(self, x: FloatArray) -> dict[str, float]:
        """No figure but the precision, which the runner adds."""
        return {}


class Sphere:
    """f(x) = |x|^2 from x0 ~ N(0, 1): the smallest problem there is, for trying things out; needs numpy alone."""

    curve = "precision"
    targets: Sequence[float] = BBOB_TARGETS

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


def _bbob(
    functions: Iterable[int] = range(1, 25),
    dimensions: Iterable[int] = (10,),
    instances: Iterable[int] = (1,),
) -> list[tuple[str, dict[str, int]]]:
    """Names and arguments of the problems that one table of a suite stands for."""
    return [
        ("bbob", {"function": f, "dimension": d, "instance": i})
        for d in dimensions
        for f in functions
        for i in instances
    ]


def _digits(**arguments: Any) -> Problem:
    from .digits import DigitsMLP

    return DigitsMLP(**arguments)


PROBLEMS: dict[str, tuple[Callable[..., Problem], str]] = {
    "bbob": (Bbob, "COCO bbob, 24 functions: function=1..24, dimension=2|3|5|10|20|40, instance=1.."),
    "digits": (
        _digits,
        "scikit-learn digits, 64-128-10 MLP of 9,610 parameters by minibatch loss: hidden=128, batch=128",
    ),
    "sphere": (Sphere, "f(x) = |x|^2: dimension=10"),
}


def expand(kind: str, arguments: Mapping[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    """Problems (kind, arguments) that a suite's table stands for: bbob takes lists, any other kind is one problem."""
    if kind == "bbob" and {"functions", "dimensions", "instances"} & set(arguments):
        return list(_bbob(**arguments))
    return [(kind, dict(arguments))]


def make_problem(kind: str, arguments: Mapping[str, Any] | None = None) -> Problem:
    """Make a problem.

    Parameters
    ----------
    kind : str
        A name in `PROBLEMS`, or ``"module:function"`` of a factory that returns a `Problem`.
    arguments : mapping or None
        Keyword arguments of the factory.

    Raises
    ------
    ValueError
        If the name is unknown or the factory refuses the arguments.
    """
    factory: Callable[..., Any]
    if ":" in kind:
        factory = load_object(kind)
    elif kind in PROBLEMS:
        factory = PROBLEMS[kind][0]
    else:
        raise ValueError(f'problem must be one of {sorted(PROBLEMS)} or "module:function", got {kind!r}')
    try:
        problem = factory(**(arguments or {}))
    except TypeError as error:
        raise ValueError(f"problem {kind!r} refuses its arguments {dict(arguments or {})}: {error}") from error
    if not isinstance(problem, Problem):
        raise ValueError(f"problem {kind!r} must make a zoo_opt.bench.Problem, got a {type(problem).__name__}")
    return problem


def load_object(path: str) -> Any:
    """The object that ``"module:name"`` names.

    Raises
    ------
    ValueError
        If the module cannot be imported or has no such name.
    """
    module, _, name = path.partition(":")
    try:
        return getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError) as error:
        raise ValueError(f'expected "module:name" that can be imported, got {path!r}: {error}') from error


def as_matrix(x: ArrayLike) -> FloatArray:
    """`x` as an (n, d) matrix, a vector becoming one row."""
    return np.atleast_2d(np.asarray(x))

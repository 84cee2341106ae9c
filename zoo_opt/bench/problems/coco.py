"""COCO's function suites bbob, bbob-noisy and bbob-largescale through ``coco-experiment``."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from zoo_opt.bench.problems.protocol import FloatArray, pair_seed
from zoo_opt.support.loading import require

BBOB_TARGETS = tuple(float(t) for t in 10.0 ** np.linspace(2, -8, 51))
DIMENSIONS = {
    "bbob": (2, 3, 5, 10, 20, 40),
    "bbob-noisy": (2, 3, 5, 10, 20, 40),
    "bbob-largescale": (20, 40, 80, 160, 320, 640),
    "bbob-mixint": (5, 10, 20, 40, 80, 160),
}


@cache
def _suite(name: str, dimension: int, instance: int) -> Any:
    """COCO's suite, cut down to one dimension and instance: it makes problems and must outlive them."""
    cocoex = require("cocoex", "coco-experiment")
    return cocoex.Suite(name, f"instances: {instance}", f"dimensions: {dimension}")


def coco_function(suite: str, functions: range, function: int, dimension: int, instance: int) -> Any:
    """COCO's problem, once the arguments have been checked."""
    if function not in functions:
        raise ValueError(f"function must be in {functions.start}..{functions.stop - 1}, got {function!r}")
    if dimension not in DIMENSIONS[suite]:
        allowed = ", ".join(map(str, DIMENSIONS[suite]))
        raise ValueError(f"dimension must be one of {allowed}, got {dimension!r}")
    if instance < 1:
        raise ValueError(f"instance must be 1 or more, got {instance!r}")
    return _suite(suite, dimension, instance).get_problem_by_function_dimension_instance(function, dimension, instance)


def minimiser_of(problem: Any) -> NDArray[np.float64]:
    """The minimiser, which cocoex gives only as a file in the working directory."""
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        problem._best_parameter("print")
        x: NDArray[np.float64] = np.loadtxt(next(Path(folder).glob("*best_parameter*")))
    return x


class FunctionProblem:
    """What COCO's problems share, and others like them: the box, the start, and targets for the precision."""

    curve = "precision"
    reusable = True
    targets: Sequence[float] = BBOB_TARGETS
    bounds = (-5.0, 5.0)
    name: str
    dim: int

    def x0(self, seed: int) -> FloatArray:
        """Uniform in [-4, 4]^d."""
        return np.random.default_rng(pair_seed(self.name, seed)).uniform(-4, 4, self.dim)

    def metrics(self, x: FloatArray) -> dict[str, float]:
        """No figure but the precision, which the runner adds."""
        return {}


class Bbob(FunctionProblem):
    """A function of COCO's bbob suite.

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

    suite = "bbob"

    def __init__(self, function: int, dimension: int, instance: int = 1) -> None:
        self._f = coco_function(self.suite, range(1, 25), function, dimension, instance)
        self.name = f"{self.suite}-f{function:02d}-i{instance}-d{dimension}"
        self.dim = dimension
        # bbob's offsets are defined with two decimals, so rounding removes what the evaluation itself rounds off.
        self.optimum: float | None = round(float(self._f(minimiser_of(self._f))), 2)
        if not self._f.final_target_hit:
            raise RuntimeError(f"cocoex's minimiser of {self.name} is not one: {self.optimum!r}")

    def losses(self, X: FloatArray, step: int, seed: int) -> FloatArray:
        """The function's values, shape (n,); nothing is random."""
        f = self._f
        return np.array([f(x) for x in np.ascontiguousarray(X, dtype=np.float64)])


class BbobLargescale(Bbob):
    """A function of COCO's bbob-largescale suite: bbob's 24 with block-wise rotations, for many dimensions.

    Parameters
    ----------
    function : int
        1 to 24.
    dimension : {20, 40, 80, 160, 320, 640}
    instance : int
        1 and up.

    References
    ----------
    K. Varelas et al., A comparative study of large-scale variants of CMA-ES, PPSN 2018.
    """

    suite = "bbob-largescale"


class BbobNoisy(FunctionProblem):
    """A function of COCO's bbob-noisy suite: ten of bbob's functions, each with Gaussian, uniform and Cauchy noise.

    f = f_opt + noise(f_true - f_opt) + 1.01e-8 + 100 * (squared distance from the box [-5, 5]^d). The precision,
    targets and curve are about the noise-free values of the points evaluated, as in COCO's own data.

    cocoex draws its noise from counters that all problems of a process share, and does not give the noise-free value.
    Here the noise is drawn from the run's own Generator. The noise-free value comes from cocoex's Cauchy variant of
    the function, most of whose evaluations (80 to 95 %) are off by a known constant and nothing else: two equal values
    cannot be outliers.

    Parameters
    ----------
    function : int
        101 to 130. In threes: Gaussian, uniform, Cauchy; 101 to 106 moderate noise, the others severe.
    dimension : {2, 3, 5, 10, 20, 40}
    instance : int
        1 and up; the suite's instances of 2009 are 1 to 15.

    References
    ----------
    N. Hansen et al., Real-parameter black-box optimization benchmarking 2009: noisy functions definitions, RR-6869.
    """

    _TOL = 1e-8  # below it there is no noise
    _SHIFT = 1.01e-8

    def __init__(self, function: int, dimension: int, instance: int = 1) -> None:
        self._model = (function - 101) % 3
        self._cauchy = coco_function("bbob-noisy", range(101, 131), function, dimension, instance)
        if self._model != 2:
            self._cauchy = coco_function("bbob-noisy", range(101, 131), function - self._model + 2, dimension, instance)
        moderate = function <= 106
        self._strength = 0.01 if moderate else 1.0  # beta and the Cauchy noise's alpha
        self._outliers = 0.05 if moderate else 0.2  # p
        self._alpha = self._strength * (0.49 + 1 / dimension)  # the uniform noise's alpha
        self.name = f"bbob-noisy-f{function}-i{instance}-d{dimension}"
        self.dim = dimension
        self.optimum: float | None = round(self._clean(minimiser_of(self._cauchy)), 2)

    def _clean(self, x: NDArray[np.float64]) -> float:
        """f_true(x), the penalty included: the value that the Cauchy variant gives twice."""
        seen: set[float] = set()
        while (value := float(self._cauchy(x))) not in seen and value == value:
            seen.add(value)
        return value - 1000 * self._strength - self._SHIFT

    def true_losses(self, X: FloatArray, step: int, seed: int) -> FloatArray:
        """Noise-free values, shape (n,), to about 1e-12."""
        return np.array([self._clean(x) for x in np.ascontiguousarray(X, dtype=np.float64)])

    def observe(self, X: FloatArray, true: FloatArray, rng: Generator) -> FloatArray:
        """Noisy values, shape (n,), by equations 1 to 4 of RR-6869."""
        n, optimum = len(X), self.optimum or 0.0
        with np.errstate(over="ignore", invalid="ignore"):  # of a method that diverges
            penalty = 100 * np.square(np.maximum(np.abs(X) - 5, 0)).sum(axis=1)
            f = np.maximum(true - penalty - optimum, 0)
            if self._model == 0:
                noisy = f * np.exp(self._strength * rng.standard_normal(n))
            elif self._model == 1:
                u, v = rng.random((2, n))
                noisy = f * u**self._strength * np.maximum(1, (1e9 / (f + 1e-99)) ** (self._alpha * v))
            else:
                u, (a, b) = rng.random(n), rng.standard_normal((2, n))
                cauchy = np.where(u < self._outliers, a / (np.abs(b) + 1e-199), 0)
                noisy = f + self._strength * np.maximum(0, 1000 + cauchy)
        return np.asarray(np.where(f >= self._TOL, noisy + self._SHIFT, f) + penalty + optimum)

    def losses(self, X: FloatArray, step: int, seed: int) -> FloatArray:
        """Noisy values, shape (n,), with noise from (seed, step)."""
        rng = np.random.default_rng([*pair_seed(self.name, seed), 1 + step])
        return self.observe(X, self.true_losses(X, step, seed), rng)

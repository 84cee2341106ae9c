"""COCO's suite bbob-mixint, in which four fifths of the variables are integers, on the unit cube."""

from __future__ import annotations

import numpy as np

from zoo_opt.bench.problems.coco import FunctionProblem, coco_function, minimiser_of
from zoo_opt.bench.problems.protocol import FloatArray


class BbobMixint(FunctionProblem):
    """A function of COCO's bbob-mixint suite: bbob's 24 with variables of 2, 4, 8 and 16 levels.

    A fifth of the variables has 2 levels each, and so on; the last fifth is continuous.

    The search is over the unit cube: an integer of K levels is K cells of equal width, its levels in their middles
    (k + 1/2) / K, and a continuous variable is scaled to its range. Runs start in the middle of the cube.

    Parameters
    ----------
    function : int
        1 to 24.
    dimension : {5, 10, 20, 40, 80, 160}
    instance : int
        1 to 15.

    Attributes
    ----------
    levels : tuple of int
        Number of levels of each variable, 0 for the continuous ones.

    References
    ----------
    T. Tusar, D. Brockhoff, N. Hansen, Mixed-integer benchmark problems for single- and bi-objective optimization,
    GECCO 2019.
    """

    bounds = (0.0, 1.0)

    def __init__(self, function: int, dimension: int, instance: int = 1) -> None:
        f = self._f = coco_function("bbob-mixint", range(1, 25), function, dimension, instance)
        self.name = f"bbob-mixint-f{function:02d}-i{instance}-d{dimension}"
        self.dim = dimension
        self._low = np.array(f.lower_bounds, dtype=np.float64)
        self._width = np.array(f.upper_bounds, dtype=np.float64) - self._low
        integers = f.number_of_integer_variables  # they come first
        self._levels = self._width[:integers] + 1
        self.levels = (*(int(k) for k in self._levels), *(0 for _ in range(dimension - integers)))
        value = float(f(minimiser_of(f)))
        if not f.final_target_hit:
            raise RuntimeError(f"cocoex's minimiser of {self.name} is not one: {value!r}")
        self.optimum: float | None = float(f"{value:.12g}")  # a round number times a scale, but for rounding errors

    def x0(self, seed: int) -> FloatArray:
        """The middle of the cube, as COCO proposes."""
        return np.full(self.dim, 0.5)

    def losses(self, X: FloatArray, step: int, seed: int) -> FloatArray:
        """The function's values, shape (n,); nothing is random."""
        n, k = len(self._levels), self._levels
        Z = np.array(X, dtype=np.float64)
        Z[:, :n] = np.clip(np.floor(Z[:, :n] * k), 0, k - 1)
        Z[:, n:] *= self._width[n:]
        Z += self._low
        f = self._f
        return np.array([f(z) for z in Z])

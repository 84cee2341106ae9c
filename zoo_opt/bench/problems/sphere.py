"""The smallest problem there is, for trying things out; needs numpy alone."""

from __future__ import annotations

import numpy as np

from zoo_opt.bench.problems.coco import FunctionProblem
from zoo_opt.bench.problems.protocol import FloatArray, pair_seed


class SphereProblem(FunctionProblem):
    """f(x) = |x|^2 from x0 ~ N(0, 1)."""

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

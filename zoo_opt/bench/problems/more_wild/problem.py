"""The 53 problems in three kinds: sums of squares, of absolute values, and of squares with deterministic noise."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from zoo_opt.bench.problems.more_wild.lowest import LOWEST
from zoo_opt.bench.problems.more_wild.residuals import RESIDUALS, mancino_start
from zoo_opt.bench.problems.protocol import FloatArray

Float64 = NDArray[np.float64]
KINDS = ("smooth", "piecewise", "noisy")
NOISE = 1e-3  # the paper's epsilon_f
TAUS = tuple(float(tau) for tau in 10.0 ** (-np.arange(1, 17) / 2))
"""Tolerances tau of the convergence test f(x) <= f_L + tau (f(x_0) - f_L)."""

# (function, n, m, s): the run begins at 10^s times the standard start. As the data beside the paper list them.
TABLE: tuple[tuple[int, int, int, int], ...] = (
    *((1, 9, 45, 0), (1, 9, 45, 1), (2, 7, 35, 0), (2, 7, 35, 1), (3, 7, 35, 0), (3, 7, 35, 1)),
    *((4, 2, 2, 0), (4, 2, 2, 1), (5, 3, 3, 0), (5, 3, 3, 1), (6, 4, 4, 0), (6, 4, 4, 1)),
    *((7, 2, 2, 0), (7, 2, 2, 1), (8, 3, 15, 0), (8, 3, 15, 1), (9, 4, 11, 0), (10, 3, 16, 0)),
    *((11, 6, 31, 0), (11, 6, 31, 1), (11, 9, 31, 0), (11, 9, 31, 1), (11, 12, 31, 0), (11, 12, 31, 1)),
    *((12, 3, 10, 0), (13, 2, 10, 0), (14, 4, 20, 0), (14, 4, 20, 1)),
    *((15, 6, 6, 0), (15, 7, 7, 0), (15, 8, 8, 0), (15, 9, 9, 0), (15, 10, 10, 0), (15, 11, 11, 0)),
    *((16, 10, 10, 0), (17, 5, 33, 0), (18, 11, 65, 0), (18, 11, 65, 1)),
    *((19, 8, 8, 0), (19, 10, 12, 0), (19, 11, 14, 0), (19, 12, 16, 0), (20, 5, 5, 0), (20, 6, 6, 0), (20, 8, 8, 0)),
    *((21, 5, 5, 0), (21, 5, 5, 1), (21, 8, 8, 0), (21, 10, 10, 0), (21, 12, 12, 0), (21, 12, 12, 1)),
    *((22, 8, 8, 0), (22, 8, 8, 1)),
)
_STARTS: dict[int, Sequence[float]] = {
    4: (-1.2, 1),
    5: (-1, 0, 0),
    6: (3, -1, 0, 1),
    7: (0.5, -2),
    8: (1, 1, 1),
    9: (0.25, 0.39, 0.415, 0.39),
    10: (0.02, 4000, 250),
    12: (0, 10, 20),
    13: (0.3, 0.4),
    14: (25, 5, -5, -1),
    17: (0.5, 1.5, 1, 0.01, 0.02),
    18: (1.3, 0.65, 0.65, 0.7, 0.6, 3, 5, 7, 2, 4.5, 5.5),
    22: (-0.3, -0.39, 0.3, -0.344, -1.2, 2.69, 1.59, -1.5),
}
_ALL_EQUAL = {1: 1.0, 2: 1.0, 3: 1.0, 11: 0.5, 16: 0.5, 19: 1.0, 20: 0.5}
_NONNEGATIVE = (8, 9, 13, 16, 17, 18)  # functions whose sum of absolute values is that at max(x, 0)


def standard_start(function: int, n: int) -> Float64:
    """Where the problems of one of the 22 functions begin, shape (n,), before it is scaled."""
    if function in _ALL_EQUAL:
        return np.full(n, _ALL_EQUAL[function])
    if function == 15:
        return np.arange(1.0, n + 1) / (n + 1)
    return mancino_start(n) if function == 21 else np.array(_STARTS[function], dtype=np.float64)


def wave(X: FloatArray) -> Float64:
    """The paper's noise phi(x) in [-1, 1], shape (n,): the Chebyshev polynomial T_3 of sines of norms of x."""
    X = np.asarray(X, dtype=np.float64)
    with np.errstate(all="ignore"):
        one, most, two = np.abs(X).sum(axis=1), np.abs(X).max(axis=1), np.linalg.norm(X, axis=1)
        phi = 0.9 * np.sin(100 * one) * np.cos(100 * most) + 0.1 * np.cos(two)
    return np.asarray(np.nan_to_num(phi * (4 * phi**2 - 3)))


class MoreWild:
    """One of Moré and Wild's 53 problems, which are 22 functions in several dimensions and from several starts.

    The sum of squares of the residuals ("smooth"), of their absolute values ("piecewise"), or of squares times
    1 + 1e-3 phi(x) ("noisy"); of the last the optimiser is told the noisy values and judged by those without noise.
    There is no box, and one start, whatever the seed.

    The targets are f_L + tau (f(x_0) - f_L) with tau = 10^-0.5, 10^-1, ..., 10^-8. In the paper f_L is the lowest value
    that any of the solvers compared found; here it is the lowest known (see `zoo_opt.bench.problems.more_wild.lowest`),
    so that a result does not depend on who else took part. Where only a local minimum is in reach, no one solves.

    Parameters
    ----------
    number : int
        1 to 53.
    kind : {"smooth", "piecewise", "noisy"}

    References
    ----------
    J. J. Moré, S. M. Wild, Benchmarking derivative-free optimization algorithms, SIAM J. Optim. 20, 2009.
    """

    curve = "precision"
    reusable = True
    bounds: tuple[float, float] | None = None

    def __init__(self, number: int, kind: str = "smooth") -> None:
        if not 1 <= number <= len(TABLE):
            raise ValueError(f"number must be in 1..{len(TABLE)}, got {number!r}")
        if kind not in KINDS:
            raise ValueError(f"kind must be one of {KINDS}, got {kind!r}")
        self.function, self.dim, self._m, scale = TABLE[number - 1]
        self.name, self._kind = f"more-wild-{number:02d}-{kind}", kind
        self._start = standard_start(self.function, self.dim) * 10.0**scale
        self.optimum: float | None = LOWEST["piecewise" if kind == "piecewise" else "smooth"][number - 1]
        gap = float(self.true_losses(self._start[None], 0, 0)[0]) - (self.optimum or 0.0)
        self.targets: Sequence[float] = tuple(tau * gap for tau in TAUS)

    def x0(self, seed: int) -> Float64:
        """10^s times the standard start, shape (dim,)."""
        return self._start.copy()

    def residuals(self, x: FloatArray) -> Float64:
        """The residuals that are summed, shape (m,)."""
        z: Float64 = np.asarray(x, dtype=np.float64)
        if self._kind == "piecewise" and self.function in _NONNEGATIVE:
            z = np.maximum(z, 0)
        with np.errstate(all="ignore"):
            return RESIDUALS[self.function - 1](z, self._m)

    def true_losses(self, X: FloatArray, step: int, seed: int) -> Float64:
        """The sums without noise, shape (n,); infinite where a residual overflows."""
        with np.errstate(over="ignore", invalid="ignore"):
            r = np.array([self.residuals(x) for x in X])
            y = np.abs(r).sum(axis=1) if self._kind == "piecewise" else np.square(r).sum(axis=1)
        return np.where(np.isnan(y), np.inf, y)

    def observe(self, X: FloatArray, true: FloatArray, rng: Generator) -> Float64:
        """What an optimiser is told, shape (n,): the noise of the noisy kind is a function of x."""
        return np.asarray(true * (1 + NOISE * wave(X)) if self._kind == "noisy" else true, dtype=np.float64)

    def losses(self, X: FloatArray, step: int, seed: int) -> Float64:
        """What an optimiser is told, shape (n,)."""
        return self.observe(X, self.true_losses(X, step, seed), np.random.default_rng(0))

    def metrics(self, x: FloatArray) -> dict[str, float]:
        """No figure but the precision, which the runner adds."""
        return {}

"""The counting wrapper: what an optimiser truly spent, and when it reached what."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from zoo_opt.bench.problems.protocol import NoisyProblem, Problem, as_matrix, pair_seed
from zoo_opt.outage import waited_for

CURVE_POINTS = 60  # log-spaced evaluation counts at which a curve is kept


class BudgetExceeded(RuntimeError):
    """An optimiser asked for more evaluations than its budget."""


def curve_marks(budget: int) -> NDArray[np.int64]:
    """Evaluation counts, increasing from 1 to `budget`, at which the convergence curve is recorded."""
    marks = np.geomspace(1, budget, min(CURVE_POINTS, budget)).round().astype(np.int64)
    return np.unique(marks)


class Counted:
    """A problem's losses for one run: counted, bounded and followed.

    Parameters
    ----------
    problem : Problem
    budget : int
        A call that would go beyond it raises, before anything is evaluated.
    seed : int
        Fixes the minibatches and the noise.

    Attributes
    ----------
    nfev : int
        Candidates evaluated.
    best : float
        Lowest loss so far, as the optimiser saw it.
    precision : float
        Lowest loss so far without noise, minus the optimum: what targets and curve are about if the problem's curve
        is its precision.
    best_x : ndarray or None
        Where.
    hits : list of int or None
        For each target of the problem the evaluation that first reached it.
    curve : list of (int, float)
        (evaluations, value), at the marks of `curve_marks`.
    """

    def __init__(self, problem: Problem, budget: int, seed: int) -> None:
        self.problem, self.budget, self.seed = problem, budget, seed
        self.nfev = 0
        self.best = self._lowest = np.inf
        self.best_x: NDArray[Any] | None = None
        self.hits: list[int | None] = [None] * len(problem.targets)
        self.curve: list[tuple[int, float]] = []
        self._targets = np.asarray(problem.targets, dtype=float)
        self._marks = curve_marks(budget)
        self._by_precision = problem.curve == "precision"
        self._noisy = problem if isinstance(problem, NoisyProblem) else None  # asked once: it takes 20 us
        self._rng = np.random.default_rng([*pair_seed(problem.name, seed), 0])
        self._next_mark = self._next_target = 0

    def __call__(self, X: ArrayLike, step: int = 0) -> NDArray[np.float64]:
        """Losses, shape (n,), of the candidates X, shape (n, d) or (d,); raises `BudgetExceeded` beyond the budget."""
        points = as_matrix(X)
        n = len(points)
        if self.nfev + n > self.budget:
            raise BudgetExceeded(f"{n} evaluations asked for after {self.nfev} of {self.budget}")
        true, losses = waited_for(partial(self._evaluate, points, step))
        finite = np.where(np.isnan(losses), np.inf, losses)
        i = int(np.argmin(finite))
        if self._by_precision:
            self._follow(true)
        if finite[i] < self.best:
            self.best, self.best_x = float(finite[i]), np.array(points[i])
        self.nfev += n
        return losses

    def _evaluate(self, points: NDArray[Any], step: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Losses without noise and as observed, both of shape (n,)."""
        if self._noisy is not None:
            true = np.asarray(self._noisy.true_losses(points, step, self.seed), dtype=np.float64)
            return true, np.asarray(self._noisy.observe(points, true, self._rng), dtype=np.float64)
        losses = np.asarray(self.problem.losses(points, step, self.seed), dtype=np.float64)
        return losses, losses

    def _follow(self, true: NDArray[np.float64]) -> None:
        """Record marks and hits within a batch from the best noise-free loss after each of its evaluations."""
        running = np.minimum.accumulate(np.minimum(np.where(np.isnan(true), np.inf, true), self._lowest))
        self._lowest = float(running[-1])
        value = running - (self.problem.optimum or 0.0)
        end = self.nfev + len(value)
        while self._next_mark < len(self._marks) and self._marks[self._next_mark] <= end:
            mark = int(self._marks[self._next_mark])
            self.curve.append((mark, float(value[mark - self.nfev - 1])))
            self._next_mark += 1
        while self._next_target < len(self._targets) and value[-1] <= self._targets[self._next_target]:
            first = int(np.argmax(value <= self._targets[self._next_target]))
            self.hits[self._next_target] = self.nfev + first + 1
            self._next_target += 1

    def check_point(self, x: ArrayLike) -> dict[str, float] | None:
        """Take the problem's metrics at the optimiser's mean if a mark has been passed; costs no evaluation."""
        if self._by_precision or self._next_mark >= len(self._marks) or self.nfev < self._marks[self._next_mark]:
            return None
        figures = self.metrics(x)
        self.curve.append((self.nfev, figures[self.problem.curve]))
        while self._next_mark < len(self._marks) and self._marks[self._next_mark] <= self.nfev:
            self._next_mark += 1
        while self._next_target < len(self._targets) and self.curve[-1][1] <= self._targets[self._next_target]:
            self.hits[self._next_target] = self.nfev
            self._next_target += 1
        return figures

    def metrics(self, x: ArrayLike) -> dict[str, float]:
        """Return the problem's metrics at a point; as the losses, they are waited for in an outage."""
        return waited_for(partial(self.problem.metrics, np.asarray(x)))

    @property
    def precision(self) -> float:
        """Lowest loss so far without noise, minus the optimum."""
        return self._lowest - (self.problem.optimum or 0.0)

    @property
    def solved(self) -> bool:
        """Whether the last target was reached, so that a run may end."""
        return bool(self.hits) and self.hits[-1] is not None

"""Data and performance profiles of Moré and Wild: who has solved how many problems by when.

J. J. Moré, S. M. Wild, Benchmarking derivative-free optimization algorithms, SIAM J. Optim. 20, 2009, section 2.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from zoo_opt.bench.problems.more_wild.problem import TAUS
from zoo_opt.bench.statistics.hits import FloatArray, Run

SHOWN = (1e-1, 1e-3, 1e-5)  # tolerances tau that the paper shows
PREFIX = "more-wild-"


@dataclass(frozen=True)
class Solved:
    """When each method passed the convergence test of each problem.

    Attributes
    ----------
    methods : list of str
    at : ndarray, shape (methods, problems)
        Evaluations t_{p,s}, a problem with another seed being another one; inf where not passed within the budget, NaN
        where the method did not run.
    dim : ndarray, shape (problems,)
    """

    methods: list[str]
    at: FloatArray
    dim: FloatArray

    def data(self, kappa: Sequence[float] | FloatArray) -> FloatArray:
        """d_s(kappa): the share of problems solved within kappa (d + 1) evaluations, shape (methods, len(kappa)).

        A method's share is of the problems that it ran on; NaN where that is none.
        """
        return _shares(self.at / (self.dim + 1), np.asarray(kappa, dtype=float))

    def performance(self, alpha: Sequence[float] | FloatArray) -> FloatArray:
        """rho_s(alpha): the share solved within alpha times the least of all, shape (methods, len(alpha))."""
        with np.errstate(all="ignore"):
            least = np.nanmin(np.where(np.isnan(self.at), np.inf, self.at), axis=0)
            ratio = np.where(np.isinf(self.at) | np.isinf(least), np.inf, self.at / least)
        return _shares(np.where(np.isnan(self.at), np.nan, ratio), np.asarray(alpha, dtype=float))


def _shares(at: FloatArray, limits: FloatArray) -> FloatArray:
    ran = (~np.isnan(at)).sum(axis=1).astype(float)
    within = (at[:, :, None] <= limits * (1 + 1e-12)).sum(axis=1)
    return np.asarray(within / np.where(ran > 0, ran, np.nan)[:, None])


def has_profiles(runs: Sequence[Run]) -> bool:
    """Whether all of these runs are on Moré and Wild's problems."""
    return bool(runs) and all(run["problem"].startswith(PREFIX) for run in runs)


def solved(runs: Sequence[Run], tau: float) -> Solved:
    """When the runs of a group passed the test f(x) <= f_L + tau (f(x_0) - f_L).

    Parameters
    ----------
    runs : sequence of dict
        On Moré and Wild's problems.
    tau : float
        One of `zoo_opt.bench.problems.more_wild.problem.TAUS`.

    Raises
    ------
    ValueError
        If it is none of them.
    """
    found = np.flatnonzero(np.isclose(TAUS, tau, rtol=1e-6))
    if found.size != 1:
        raise ValueError(f"tau must be one of 10^-0.5, 10^-1, ..., 10^-8, got {tau!r}")
    methods = list(dict.fromkeys(run["method"] for run in runs))
    problems = {(run["problem"], run["seed"]): run["dim"] for run in runs}
    place = {problem: k for k, problem in enumerate(problems)}
    at = np.full((len(methods), len(problems)), np.nan)
    for run in runs:
        hit = run["hits"][found[0]] if run["hits"] else None
        at[methods.index(run["method"]), place[run["problem"], run["seed"]]] = np.inf if hit is None else hit
    return Solved(methods, at, np.array(list(problems.values()), dtype=float))

"""Expected running times, and the performance profiles made from them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from zoo_opt.bench.statistics.group_parts import coco_problem
from zoo_opt.bench.statistics.hits import FloatArray, Run, codes, hits_of


@dataclass(frozen=True)
class RunningTimes:
    """Expected evaluations until a target is reached, of every method, case and target.

    Attributes
    ----------
    methods, cases : tuple of str
        A case is a problem or, pooled over COCO's instances, a function in a dimension (``"bbob-f01-d10"``).
    targets : ndarray, shape (targets,)
        From easy to hard.
    ert : ndarray, shape (methods, cases, targets)
        Evaluations; inf where no run reached the target, NaN where the method did not run the case or the case does
        not have the target.
    successes : ndarray of int, shape (methods, cases, targets)
        Runs that reached it.
    runs : ndarray of int, shape (methods, cases)
    """

    methods: tuple[str, ...]
    cases: tuple[str, ...]
    targets: FloatArray
    ert: FloatArray
    successes: NDArray[np.int64]
    runs: NDArray[np.int64]


def running_times(runs: Sequence[Run], targets: ArrayLike | None = None, *, pool: bool = False) -> RunningTimes:
    """ERT: evaluations spent by all runs until they reached the target or ended, divided by the runs that reached it.

    Parameters
    ----------
    runs : sequence of dict
        Of one group. A run that failed counts as one that spent its budget.
    targets : array_like or None
        Some of the recorded targets; None takes all.
    pool : bool
        Whether the instances of a COCO function count as runs of one case, as in COCO's own tables. Else every problem
        is a case, and its seeds are the runs.

    Raises
    ------
    ValueError
        If a target was not recorded.

    References
    ----------
    N. Hansen et al., COCO: performance assessment, arXiv 1605.03560, section 3.4.
    """
    at, wanted = _aligned(runs, targets)
    spent = hits_of(runs).spent[:, None]
    method, case = codes(run["method"] for run in runs), codes(case_of(run, pool=pool) for run in runs)
    methods = tuple(dict.fromkeys(run["method"] for run in runs))
    cases = tuple(dict.fromkeys(case_of(run, pool=pool) for run in runs))

    def total(values: NDArray[Any]) -> NDArray[Any]:
        """Sums over the runs of each method on each case."""
        sums = np.zeros((len(methods), len(cases), *values.shape[1:]), values.dtype)
        np.add.at(sums, (method, case), values)
        return sums

    evaluations = total(np.where(np.isfinite(at), at, np.where(np.isnan(at), 0.0, spent)))
    has, successes, count = (total(there.astype(int)) for there in (~np.isnan(at), np.isfinite(at), method >= 0))
    ert = np.full(evaluations.shape, np.inf)
    np.divide(evaluations, successes, out=ert, where=successes > 0)
    return RunningTimes(methods, cases, wanted, np.where(has > 0, ert, np.nan), successes, count)


def _aligned(runs: Sequence[Run], targets: ArrayLike | None) -> tuple[FloatArray, FloatArray]:
    """The hits with one column for each of the wanted targets, NaN where a run does not have it; and these targets."""
    rows_of: dict[tuple[float, ...], list[int]] = {}
    for i, run in enumerate(runs):
        rows_of.setdefault(tuple(run["targets"]), []).append(i)
    recorded = {t for own in rows_of for t in own}
    wanted = sorted(recorded if targets is None else np.ravel(np.asarray(targets, dtype=float)).tolist(), reverse=True)
    hits = hits_of(runs).at
    at = np.full((len(runs), len(wanted)), np.nan)
    for column, target in enumerate(wanted):
        if not any(_same(target, t) for t in recorded):
            raise ValueError(f"targets must be among those of the record, got {target!r}")
        for own, rows in rows_of.items():
            here = [i for i, t in enumerate(own) if _same(target, t)]
            if here:
                at[rows, column] = hits[rows, here[0]]
    return at, np.array(wanted, dtype=float)


def _same(a: float, b: float) -> bool:
    return math.isclose(a, b, rel_tol=1e-9)


def case_of(run: Run, *, pool: bool) -> str:
    """The run's problem, or if it is one of COCO's and `pool`, its function in its dimension."""
    coco = coco_problem(run["problem"]) if pool else None
    return f"{coco.suite}-f{coco.function:02d}-d{coco.dim}" if coco else str(run["problem"])


@dataclass(frozen=True)
class Profile:
    """Performance profiles of some methods over the cases that all of them ran.

    Attributes
    ----------
    methods, cases : tuple of str
        Compared, and on what.
    left_out : tuple of str
        Methods that ran fewer cases and are not compared.
    ratios : ndarray, shape (methods, pairs)
        ERT divided by the least of the compared methods', of every (case, target) pair; inf where not reached.
    """

    methods: tuple[str, ...]
    cases: tuple[str, ...]
    left_out: tuple[str, ...]
    ratios: FloatArray

    def at(self, factors: ArrayLike) -> FloatArray:
        """Fraction of the pairs that each method reached within so many times the least ERT, (methods, factors)."""
        tau = np.asarray(factors, dtype=float)
        within = [np.searchsorted(np.sort(own), tau, side="right") for own in self.ratios]
        reached: FloatArray = np.array(within, dtype=float).reshape(len(self.methods), *tau.shape)
        return np.asarray(reached / max(self.ratios.shape[1], 1))


def performance_profile(times: RunningTimes, methods: Sequence[str] | None = None) -> Profile:
    """Profiles after Dolan and Moré on expected running times. Pairs that no method reached stay in the count.

    Parameters
    ----------
    times : RunningTimes
    methods : sequence of str or None
        To compare, over the cases that all of them ran; None takes those that ran every case, and names the others in
        `left_out`.

    Raises
    ------
    ValueError
        If a method is unknown.

    References
    ----------
    E. D. Dolan and J. J. Moré, Benchmarking optimization software with performance profiles, Mathematical Programming
    91, 2002, equation 1.1 and what follows.
    """
    ran: NDArray[np.bool_] = times.runs > 0
    if methods is None:
        methods = [name for name, own in zip(times.methods, ran, strict=True) if own.all()]
    unknown = [name for name in methods if name not in times.methods]
    if unknown:
        raise ValueError(f"methods must be among {list(times.methods)}, got {unknown[0]!r}")
    rows = [times.methods.index(name) for name in methods]
    common: NDArray[np.bool_] = np.logical_and.reduce(ran[rows])
    ert = times.ert[rows][:, common].reshape(len(rows), -1)
    ert = ert[:, ~np.isnan(ert).any(axis=0)]
    least = ert.min(axis=0, initial=np.inf)
    with np.errstate(invalid="ignore"):
        ratios = np.where(np.isfinite(ert), ert / least, np.inf)
    return Profile(
        tuple(methods),
        tuple(case for case, ok in zip(times.cases, common, strict=True) if ok),
        tuple(name for name in times.methods if name not in methods),
        ratios,
    )

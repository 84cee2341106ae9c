"""When runs reached their targets, as one matrix: what every statistic of targets is made from."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

Run = dict[str, Any]  # an entry of a record
FloatArray = NDArray[np.float64]
IntArray = NDArray[np.intp]
T = TypeVar("T")
K = TypeVar("K", bound=Hashable)


@dataclass(frozen=True)
class Hits:
    """Evaluations at which each of some runs reached each of its targets.

    Attributes
    ----------
    at : ndarray, shape (runs, targets)
        Evaluations; inf where a target was not reached, NaN where a run has fewer targets than others.
    dim, budget : ndarray, shape (runs,)
    spent : ndarray, shape (runs,)
        Evaluations that the run cost; one that ended in an error counts as its whole budget.
    """

    at: FloatArray
    dim: FloatArray
    budget: FloatArray
    spent: FloatArray

    @property
    def targets(self) -> FloatArray:
        """Number of targets of each run, shape (runs,)."""
        return np.asarray((~np.isnan(self.at)).sum(axis=1), dtype=float)

    @property
    def reached(self) -> FloatArray:
        """Number of targets that each run reached, shape (runs,)."""
        return np.asarray(np.isfinite(self.at).sum(axis=1), dtype=float)

    @property
    def areas(self) -> FloatArray:
        """Sum over each run's targets of 1 - log(evaluations) / log(budget), 0 where not reached; shape (runs,)."""
        budget = self.budget[:, None]
        with np.errstate(divide="ignore", invalid="ignore"):
            share = 1 - np.log(self.at) / np.log(budget)
        return np.asarray(np.where(self.at < budget, share, 0.0).sum(axis=1))


def hits_of(runs: Sequence[Run]) -> Hits:
    """The matrix of some runs, in their order."""

    def column(values: Iterable[float]) -> FloatArray:
        return np.fromiter(values, dtype=float, count=len(runs))

    width = max((len(run["targets"]) for run in runs), default=0)
    at = np.full((len(runs), width), np.nan)
    for row, run in zip(at, runs, strict=True):
        row[: len(run["targets"])] = [np.inf if hit is None else hit for hit in run["hits"]]
    return Hits(
        at,
        dim=column(run["dim"] for run in runs),
        budget=column(run["budget"] for run in runs),
        spent=column(run["budget"] if run["error"] else run["nfev"] for run in runs),
    )


def codes(values: Iterable[Hashable]) -> IntArray:
    """Number 0, 1, ... of each value in the order of first appearance."""
    number: dict[Hashable, int] = {}
    return np.array([number.setdefault(value, len(number)) for value in values], dtype=np.intp)


def grouped(items: Iterable[T], key: Callable[[T], K]) -> dict[K, list[T]]:
    """The items with the same key, in the order of first appearance."""
    parts: dict[K, list[T]] = {}
    for item in items:
        parts.setdefault(key(item), []).append(item)
    return parts


def by_group(runs: Iterable[Run]) -> dict[str, list[Run]]:
    """The runs of each group of the suite."""
    return grouped(runs, itemgetter("group"))


def units(runs: Sequence[Run]) -> tuple[str, IntArray]:
    """What is resampled and ranked, "problems" or of one problem "seeds", and each run's number of it."""
    problems = codes(run["problem"] for run in runs)
    if len(problems) and problems.max() == 0:
        return "seeds", codes(run["seed"] for run in runs)
    return "problems", problems


def sum_by(code: IntArray, values: FloatArray) -> FloatArray:
    """Sums of the values with the same code, shape (number of codes,)."""
    return np.asarray(np.bincount(code, weights=values), dtype=float)

"""Ranks of methods on problems that have no scale in common: real tasks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from zoo_opt.bench.statistics.hits import FloatArray, Run


@dataclass(frozen=True)
class Ranks:
    """Final figures and their ranks, method by problem.

    Attributes
    ----------
    methods, problems : list of str
    final : ndarray, shape (methods, problems)
        Median over the seeds; inf where a run failed, NaN where the method did not run.
    ranks : ndarray, shape (methods, problems)
        1 for the lowest, equal ones share the mean of theirs; among the methods that ran all problems, NaN for others.
    """

    methods: list[str]
    problems: list[str]
    final: FloatArray
    ranks: FloatArray

    @property
    def mean(self) -> FloatArray:
        """Mean rank of each method, shape (methods,); NaN for those that did not run all problems."""
        return np.asarray(self.ranks.mean(axis=1))


def ranks_of(runs: Sequence[Run]) -> Ranks:
    """Ranks by the final figure of every run of a group, median over its seeds; lower is better."""
    methods = list(dict.fromkeys(run["method"] for run in runs))
    problems = list(dict.fromkeys(run["problem"] for run in runs))
    final = np.full((len(methods), len(problems)), np.nan)
    found: dict[tuple[str, str], list[float]] = {}
    for run in runs:
        value = np.inf if run["error"] else run["figures"].get(run["curve_of"], np.inf)
        found.setdefault((run["method"], run["problem"]), []).append(np.inf if value is None else float(value))
    for (method, problem), values in found.items():
        final[methods.index(method), problems.index(problem)] = np.median(values)
    whole = ~np.isnan(final).any(axis=1)
    ranks = np.full(final.shape, np.nan)
    inside = final[whole]
    below = (inside[None] < inside[:, None]).sum(axis=1)
    equal = (inside[None] == inside[:, None]).sum(axis=1)
    ranks[whole] = below + (equal + 1) / 2
    return Ranks(methods, problems, final, ranks)

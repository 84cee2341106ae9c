"""Statistics over the runs of a record: plain functions of entries, no plotting."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from operator import itemgetter
from statistics import median as median_of
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from zoo_opt.bench.statistics.bootstrap import Interval, bounds, interval
from zoo_opt.bench.statistics.hits import FloatArray, Run, by_group, grouped, hits_of, sum_by, units


def ecdf(runs: Iterable[Run]) -> tuple[FloatArray, FloatArray]:
    """Empirical distribution of the evaluations per dimension at which (problem, target, seed) triples were reached.

    Returns
    -------
    budgets : ndarray
        Sorted evaluations / d of the triples that were reached.
    fractions : ndarray
        Fraction of all triples, reached or not, that were reached by then.

    References
    ----------
    N. Hansen et al., COCO: performance assessment, arXiv 1605.03560, section 4: runtime distributions.
    """
    hits = hits_of(list(runs))
    per_dim = hits.at / hits.dim[:, None]
    budgets, counts = np.unique(per_dim[np.isfinite(per_dim)], return_counts=True)
    return budgets, np.cumsum(counts) / max(hits.targets.sum(), 1)


def ecdf_band(runs: Sequence[Run], grid: ArrayLike, *, level: float = 0.95) -> tuple[FloatArray, FloatArray]:
    """Pointwise bootstrap bounds of the ECDF at some budgets, resampling problems (seeds where there is one problem).

    Parameters
    ----------
    runs : sequence of dict
        Of one method.
    grid : array_like, shape (m,)
        Evaluations / d.
    level : float
        Of confidence at each budget by itself.

    Returns
    -------
    low, high : ndarray, shape (m,)
        NaN with fewer than two problems, or seeds of the one problem.
    """
    hits, (_, unit) = hits_of(runs), units(runs)
    at = np.asarray(grid, dtype=float)
    weights = sum_by(unit, hits.targets)
    per_dim = hits.at / hits.dim[:, None]
    parts = [np.searchsorted(np.sort(per_dim[unit == u], axis=None), at, side="right") for u in range(len(weights))]
    has = weights > 0
    return bounds(np.array(parts, dtype=float).reshape(-1, at.size)[has], weights[has], level=level)


def fraction_reached(runs: Sequence[Run]) -> float:
    """Fraction of the (problem, target, seed) triples reached; NaN of none."""
    hits = hits_of(runs)
    return _ratio(hits.reached, hits.targets)


def ecdf_area(runs: Sequence[Run]) -> float:
    """Area under the ECDF over log(evaluations) from 1 to each run's budget, scaled to [0, 1]; NaN without targets.

    A triple reached at the first evaluation adds 1, one reached at the end of the budget or never adds 0.
    """
    hits = hits_of(runs)
    return _ratio(hits.areas, hits.targets)


def _ratio(parts: FloatArray, weights: FloatArray) -> float:
    return float(parts.sum() / weights.sum()) if weights.sum() else float("nan")


@dataclass(frozen=True)
class Band:
    """Quartiles over seeds of a convergence curve, on a common grid of evaluations."""

    evaluations: FloatArray
    low: FloatArray
    median: FloatArray
    high: FloatArray


def curve_band(runs: Sequence[Run]) -> Band:
    """Median and quartiles over the runs' curves, each held at its last value: one that solved its problem stays."""
    grid = np.unique([point[0] for run in runs for point in run["curve"]]).astype(float)
    rows = np.array([curve_at(run["curve"], grid) for run in runs if run["curve"]])
    if rows.size == 0:
        empty = np.empty(0)
        return Band(empty, empty, empty, empty)
    keep = ~np.isnan(rows).any(axis=0)
    low, median, high = quartiles(rows[:, keep])
    return Band(grid[keep], low, median, high)


def curve_at(curve: Sequence[Sequence[float | None]], grid: ArrayLike) -> FloatArray:
    """The curve's latest value at each point of `grid`; NaN before the first, inf where it is null."""
    at = np.array([point[0] for point in curve], dtype=float)
    value = np.array([np.inf if point[1] is None else point[1] for point in curve] + [np.nan], dtype=float)
    return np.asarray(value[np.searchsorted(at, grid, side="right") - 1])


def quartiles(rows: ArrayLike) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Lower quartile, median and upper quartile over the first axis by linear interpolation; infinities allowed."""
    ordered: FloatArray = np.sort(np.asarray(rows, dtype=float), axis=0)

    def at(q: float) -> FloatArray:
        position = q * (len(ordered) - 1)
        below = int(position)
        weight = position - below
        if weight == 0:
            return np.asarray(ordered[below])
        same = ordered[below] == ordered[below + 1]
        with np.errstate(invalid="ignore"):
            mixed = ordered[below] * (1 - weight) + ordered[below + 1] * weight
        return np.asarray(np.where(same, ordered[below], mixed))

    return at(0.25), at(0.5), at(0.75)


def geometric_mean(values: ArrayLike, floor: float = 1e-8) -> float:
    """Geometric mean of values that are clipped from below at `floor`; inf if one is."""
    v = np.maximum(np.asarray(values, dtype=float), floor)
    return float(np.exp(np.mean(np.log(v)))) if v.size else float("nan")


def by_ratio(runs: Iterable[Run]) -> bool:
    """Whether final figures are compared by ratio: precisions, and others if none of them is negative."""
    return all(run["curve_of"] == "precision" or final(run) >= 0 for run in runs)


@dataclass(frozen=True)
class Row:
    """One method's results on one problem, over seeds. A run that failed counts as a final figure of inf."""

    group: str
    problem: str
    method: str
    seeds: int  # runs that did not fail
    figure: str  # what low to sd are about
    low: float
    median: float
    high: float
    mean: float
    sd: float  # sample standard deviation over seeds; NaN of fewer than two
    extra: dict[str, float]  # medians of the problem's other figures
    reached: float  # fraction of (target, seed) pairs
    evaluations: float  # median spent
    seconds: float  # median
    errors: int


def rows(runs: Iterable[Run]) -> list[Row]:
    """A row for every (group, problem, method), in the order of first appearance."""
    cells = grouped(runs, lambda run: (run["group"], run["problem"], run["method"]))
    return [_row(*key, cell) for key, cell in cells.items()]


def _row(group: str, problem: str, method: str, cell: list[Run]) -> Row:
    figure = cell[0]["curve_of"]
    good = [run for run in cell if not run["error"]]
    finals = [final(run) for run in cell]
    low, median, high = (float(v) for v in quartiles(finals))
    mean = sum(finals) / len(finals)
    squares = sum((value - mean) ** 2 for value in finals) if math.isfinite(mean) else math.nan
    targets = sum(len(run["targets"]) for run in cell)
    names = sorted({name for run in good for name in run["figures"]} - {figure})

    def middle(values: list[float]) -> float:
        return float(median_of(values)) if values else math.nan

    return Row(
        group=group,
        problem=problem,
        method=method,
        seeds=len(good),
        figure=figure,
        low=low,
        median=median,
        high=high,
        mean=mean,
        sd=math.sqrt(squares / (len(finals) - 1)) if len(finals) > 1 else math.nan,
        extra={n: middle([math.inf if (v := r["figures"].get(n)) is None else v for r in good]) for n in names},
        reached=sum(hit is not None for run in cell for hit in run["hits"]) / targets if targets else math.nan,
        evaluations=middle([run["nfev"] for run in good]),
        seconds=middle([run["seconds"] for run in good]),
        errors=len(cell) - len(good),
    )


def final(run: Run) -> float:
    """The run's final figure, lower is better; inf where it overflowed or the run failed."""
    value = None if run["error"] else run["figures"].get(run["curve_of"])
    return float("inf") if value is None else float(value)


@dataclass(frozen=True)
class Summary:
    """One method's results on those of a group's problems that it ran."""

    group: str
    method: str
    reached: float
    area: float
    score: float  # geometric mean over problems of the median figure; arithmetic where not `by_ratio`
    extra: dict[str, float]  # mean over problems of the rows' medians
    microseconds: float  # median CPU time per evaluation, objective included
    errors: int
    runs: int
    problems: int  # that it ran
    all_problems: int  # of the group, by any method
    reached_interval: Interval  # 95 %, resampling problems; seeds where the group has one problem
    area_interval: Interval

    @property
    def complete(self) -> bool:
        """Whether it ran every problem of the group; if not, its figures cannot be held against the others'."""
        return self.problems == self.all_problems


def summaries(runs: Sequence[Run]) -> list[Summary]:
    """A summary for every (group, method), best first within a group; methods that ran fewer problems come last."""
    made: list[Summary] = []
    for of_group in by_group(runs).values():
        problems = len({run["problem"] for run in of_group})
        average = geometric_mean if by_ratio(of_group) else np.mean
        own = [_summary(runs, problems, average) for runs in grouped(of_group, itemgetter("method")).values()]
        made += sorted(own, key=lambda s: (not s.complete, *(-np.nan_to_num(v) for v in (s.area, s.reached)), s.score))
    return made


def _summary(own: list[Run], all_problems: int, average: Callable[[list[float]], Any]) -> Summary:
    mine = rows(own)
    hits, (_, unit) = hits_of(own), units(own)
    weights = sum_by(unit, hits.targets)
    has = weights > 0
    reached, area = (interval(sum_by(unit, part)[has], weights[has]) for part in (hits.reached, hits.areas))
    paces = [1e6 * run["seconds"] / run["nfev"] for run in own if run["nfev"]]
    extras = dict.fromkeys(name for row in mine for name in row.extra)
    return Summary(
        group=own[0]["group"],
        method=own[0]["method"],
        reached=reached.estimate,
        area=area.estimate,
        score=float(average([row.median for row in mine])),
        extra={name: float(np.mean([row.extra[name] for row in mine if name in row.extra])) for name in extras},
        microseconds=float(np.median(paces)) if paces else float("nan"),
        errors=sum(row.errors for row in mine),
        runs=len(own),
        problems=len(mine),
        all_problems=all_problems,
        reached_interval=reached,
        area_interval=area,
    )

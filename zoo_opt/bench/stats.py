"""Statistics over the runs of a record: plain functions of entries, no plotting."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

Run = dict[str, Any]
FloatArray = NDArray[np.float64]


def ecdf(runs: Iterable[Run]) -> tuple[FloatArray, FloatArray]:
    """Empirical distribution of the evaluations per dimension at which (problem, target, seed) triples were reached.

    Returns
    -------
    budgets : ndarray
        Sorted evaluations / d of the triples that were reached.
    fractions : ndarray
        Fraction of all triples, reached or not, that were reached by then.
    """
    hits: list[float] = []
    total = 0
    for run in runs:
        total += len(run["targets"])
        hits += [hit / run["dim"] for hit in run["hits"] if hit is not None]
    if not hits:
        return np.empty(0), np.empty(0)
    budgets, counts = np.unique(np.array(hits), return_counts=True)
    return budgets, np.cumsum(counts) / total


def fraction_reached(runs: Sequence[Run]) -> float:
    """Fraction of the (problem, target, seed) triples reached; NaN of none."""
    total = sum(len(run["targets"]) for run in runs)
    reached = sum(h is not None for run in runs for h in run["hits"])
    return reached / total if total else float("nan")


def ecdf_area(runs: Sequence[Run]) -> float:
    """Area under the ECDF over log(evaluations) from 1 to each run's budget, scaled to [0, 1]; NaN without targets.

    A triple reached at the first evaluation adds 1, one reached at the end of the budget or never adds 0.
    """
    total = sum(len(run["targets"]) for run in runs)
    area = sum(
        1 - np.log(h) / np.log(run["budget"])
        for run in runs
        for h in run["hits"]
        if h is not None and h < run["budget"]
    )
    return float(area / total) if total else float("nan")


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
    rows = np.array([held(run["curve"], grid) for run in runs if run["curve"]])
    if rows.size == 0:
        empty = np.empty(0)
        return Band(empty, empty, empty, empty)
    keep = ~np.isnan(rows).any(axis=0)
    low, median, high = quartiles(rows[:, keep])
    return Band(grid[keep], low, median, high)


def held(curve: Sequence[Sequence[float | None]], grid: ArrayLike) -> FloatArray:
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


@dataclass(frozen=True)
class Row:
    """One method's results on one problem, over seeds."""

    group: str
    problem: str
    method: str
    seeds: int
    figure: str  # what low, median and high are about
    low: float
    median: float
    high: float
    extra: dict[str, float]  # medians of the problem's other figures
    reached: float  # fraction of (target, seed) pairs
    evaluations: float  # median spent
    seconds: float  # median
    errors: int


def rows(runs: Iterable[Run]) -> list[Row]:
    """A row for every (group, problem, method), in the order of first appearance."""
    cells: dict[tuple[str, str, str], list[Run]] = {}
    for run in runs:
        cells.setdefault((run["group"], run["problem"], run["method"]), []).append(run)
    return [_row(*key, cell) for key, cell in cells.items()]


def _row(group: str, problem: str, method: str, cell: list[Run]) -> Row:
    figure = cell[0]["curve_of"]
    good = [run for run in cell if not run["error"]]

    def values(name: str) -> list[float]:
        return [np.inf if run["figures"].get(name) is None else run["figures"][name] for run in good]

    low, median, high = (float(v) for v in quartiles(values(figure))) if good else (np.inf,) * 3
    others = sorted({name for run in good for name in run["figures"]} - {figure})
    return Row(
        group=group,
        problem=problem,
        method=method,
        seeds=len(good),
        figure=figure,
        low=low,
        median=median,
        high=high,
        extra={name: float(np.median(values(name))) for name in others},
        reached=fraction_reached(cell),
        evaluations=float(np.median([run["nfev"] for run in good])) if good else float("nan"),
        seconds=float(np.median([run["seconds"] for run in good])) if good else float("nan"),
        errors=len(cell) - len(good),
    )


@dataclass(frozen=True)
class Summary:
    """One method's results on a group's problems together."""

    group: str
    method: str
    reached: float
    area: float
    score: float  # geometric mean over problems of the median figure
    extra: dict[str, float]  # mean over problems of the rows' medians
    microseconds: float  # median CPU time per evaluation, objective included
    errors: int


def summaries(runs: Sequence[Run]) -> list[Summary]:
    """A summary for every (group, method), best first within a group."""
    made: list[Summary] = []
    for group in dict.fromkeys(run["group"] for run in runs):
        of_group = [run for run in runs if run["group"] == group]
        table = rows(of_group)
        found = []
        for method in dict.fromkeys(run["method"] for run in of_group):
            own = [run for run in of_group if run["method"] == method]
            mine = [row for row in table if row.method == method]
            extra = {
                name: float(np.mean([row.extra[name] for row in mine if name in row.extra])) for name in mine[0].extra
            }
            paces = [1e6 * run["seconds"] / run["nfev"] for run in own if run["nfev"]]
            found.append(
                Summary(
                    group,
                    method,
                    fraction_reached(own),
                    ecdf_area(own),
                    geometric_mean([row.median for row in mine]),
                    extra,
                    float(np.median(paces)) if paces else float("nan"),
                    sum(row.errors for row in mine),
                )
            )
        made += sorted(found, key=lambda s: (-s.reached, s.score))
    return made

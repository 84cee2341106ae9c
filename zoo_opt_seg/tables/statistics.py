"""Figures of a table: means with their spread over seeds, and paired tests over the test images."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from zoo_opt.bench.statistics.bootstrap import Interval, interval
from zoo_opt.bench.statistics.pairs import holm, wilcoxon
from zoo_opt_seg.tables.suite import Row, TableGroup, is_floor

Runs = Mapping[str, Mapping[str, Any]]  # by key
FIGURES = ("dice", "hd95")


@dataclass(frozen=True)
class Spread:
    """Mean over seeds of the mean over images and points, and the standard deviation (n - 1) over seeds."""

    mean: float
    sd: float
    seeds: int


@dataclass(frozen=True)
class RowTest:
    """A row against the reference on one domain.

    Attributes
    ----------
    row, domain : str
    gain : dict
        By figure ("dice", "hd95"): row minus reference, mean over images, with its paired bootstrap interval.
    p : dict
        By figure: Wilcoxon's signed-rank test, corrected after Holm for the rows of the domain.
    images, groups, seeds : int
        What both have. Groups are what is resampled and ranked: the images that share a patient, a sequence or, where
        samples are parts of an image, that image; as many as images where all stand alone.
    """

    row: str
    domain: str
    gain: dict[str, Interval]
    p: dict[str, float]
    images: int
    groups: int
    seeds: int


def cells_of(group: TableGroup, row: Row, domain: str, runs: Runs) -> dict[int, Mapping[str, Any]]:
    """The finished cells of a row on a domain, by seed."""
    known = {seed: runs.get(group.cell(row, domain, seed).key) for seed in group.seeds}
    return {seed: run for seed, run in known.items() if run is not None and not run["error"]}


def spread(values: Sequence[float]) -> Spread:
    """Mean and standard deviation; NaN of nothing, and the deviation of one."""
    if not values:
        return Spread(np.nan, np.nan, 0)
    return Spread(float(np.mean(values)), float(np.std(values, ddof=1)) if len(values) > 1 else np.nan, len(values))


def spread_over_seeds(cells: Mapping[int, Mapping[str, Any]], figure: str) -> Spread:
    """Spread of a figure over the seeds."""
    return spread([_float(cell["figures"][figure]) for cell in cells.values()])


def per_image(cells: Mapping[int, Mapping[str, Any]], seeds: Sequence[int], figure: str) -> np.ndarray:
    """Mean over `seeds` of each image's figure, shape (n,); an image that failed once is NaN."""
    return np.mean([[_float(v) for v in cells[seed][figure]] for seed in seeds], axis=0)


def row_tests(group: TableGroup, domain: str, runs: Runs) -> list[RowTest]:
    """Every row against the group's reference on a domain, over the seeds that both have."""
    rows = [row for row, where in group.places() if where == domain]
    reference = next((row for row in rows if row.label == group.reference), None)
    if reference is None or not (theirs := cells_of(group, reference, domain, runs)):
        return []
    tests = []
    for row in rows:
        ours = cells_of(group, row, domain, runs)
        seeds = sorted(ours.keys() & theirs.keys())
        if row.label == reference.label or not seeds or not _same_data(seeds, ours, theirs):
            continue
        gain, p, images, groups = {}, {}, 0, 0
        for figure in FIGURES:
            difference = per_image(ours, seeds, figure) - per_image(theirs, seeds, figure)
            sums, counts = _grouped(difference, ours[seeds[0]].get("groups"))
            gain[figure], p[figure] = interval(sums, counts), wilcoxon(sums / counts)
            images, groups = int(counts.sum()), len(counts)
        tests.append(RowTest(row.label, domain, gain, p, images, groups, len(seeds)))
    for figure in FIGURES:
        for test, corrected in zip(tests, holm([c.p[figure] for c in tests]), strict=True):
            test.p[figure] = corrected
    return tests


def on_other_data(group: TableGroup, domain: str, runs: Runs) -> list[str]:
    """Labels of the rows that were measured on other data than the reference: images or masks have changed since."""
    cells = {row.label: cells_of(group, row, domain, runs) for row, where in group.places() if where == domain}
    theirs = cells.pop(group.reference, {})
    return [label for label, ours in cells.items() if not _same_data(ours.keys() & theirs.keys(), ours, theirs)]


def _same_data(seeds: Iterable[int], *cells: Mapping[int, Mapping[str, Any]]) -> bool:
    """Whether cells of these seeds were measured on the same test images, as far as their entries tell."""
    entries = [by_seed[seed] for seed in seeds for by_seed in cells]
    digests = {entry["data"] for entry in entries if "data" in entry}
    return len(digests) <= 1 and len({len(entry["dice"]) for entry in entries}) <= 1


def _grouped(difference: np.ndarray, groups: Sequence[int] | None) -> tuple[np.ndarray, np.ndarray]:
    """Sum and number of the differences in each group, those that are NaN left out."""
    known = ~np.isnan(difference)
    which = np.arange(len(difference)) if groups is None else np.asarray(groups)
    counts = np.bincount(which, weights=known)
    sums = np.bincount(which, weights=np.where(known, difference, 0.0))
    return sums[counts > 0], counts[counts > 0]


def gap_closed(group: TableGroup, row: Row, domain: str, runs: Runs) -> float:
    """Part of the gap in Dice between the floor and the ceiling that a row closes, over the seeds that all three have.

    NaN where there is none, or their data are not the same.
    """
    labels = {r.label: r for r, where in group.places() if where == domain}
    if group.floor not in labels or group.ceiling not in labels:
        return float("nan")
    three = [cells_of(group, r, domain, runs) for r in (labels[group.floor], labels[group.ceiling], row)]
    seeds = set.intersection(*map(set, three))
    if not _same_data(seeds, *three):
        return float("nan")
    low, high, here = (spread_over_seeds({seed: cells[seed] for seed in seeds}, "dice").mean for cells in three)
    return (here - low) / (high - low) if high > low else float("nan")


def best_floor(group: TableGroup, domain: str, runs: Runs) -> tuple[str, float]:
    """Label of the floor (`is_floor`) that closes most of the gap on a domain, and how much; "" and NaN of none."""
    floors = [row for row, where in group.places() if where == domain and is_floor(row)]
    closed = [(row.label, gap_closed(group, row, domain, runs)) for row in floors]
    return max((one for one in closed if not np.isnan(one[1])), key=lambda one: one[1], default=("", float("nan")))


def _float(value: float | None) -> float:
    return np.nan if value is None else float(value)

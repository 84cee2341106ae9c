"""What a report embeds: a record as columns of small integers, which the page's script unpacks and computes with."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from zoo_opt.bench.engine.record import Record
from zoo_opt.bench.peers import PEERS
from zoo_opt.bench.report.terminal import FIGURES
from zoo_opt.bench.statistics.hits import FloatArray, Run
from zoo_opt.bench.statistics.stats import Summary, curve_at

DATA_FORMAT = 1
CURVE_POINTS = 48  # evaluation counts, log-spaced, at which a curve is embedded
FLOOR = 1e-9  # of a precision in a curve: a logarithmic axis has no zero
PER_DECADE = 200  # steps of a curve's values on a logarithmic scale: 1.2 % each
LINEAR_STEPS = 4000  # steps of a curve's values on a linear scale, from the lowest to the highest


def pack(record: Record, *, curves: bool = True) -> dict[str, Any]:
    """The record in the shape that the page's script reads.

    Parameters
    ----------
    record : Record
    curves : bool
        False leaves the convergence curves out, which is enough for a comparison.

    Returns
    -------
    dict
        Of plain JSON values. ``runs`` has one list per column, all equally long: indices into ``groups``, ``problems``
        and ``methods``; ``hits`` holds each run's hits as differences, without the targets never reached at its end;
        ``curves`` a run's values on the grid of ``grids`` that belongs to its budget, as differences of steps of
        ``scales``: ``[points of the grid before the first value, first value, difference, ...]``, None where it is
        infinite, and the last one held to the end of the grid.
    """
    runs = list(record.runs.values())
    session: Mapping[str, Any] = record.sessions[-1] if record.sessions else {}
    groups, problems, methods = Index(), Index(), Index()
    targets = Index()
    columns: dict[str, list[Any]] = {name: [] for name in ("group", "problem", "method")}
    for run in runs:
        columns["group"].append(groups.add(run["group"], note=session.get("notes", {}).get(run["group"], "")))
        columns["method"].append(methods.add(run["method"], ours=is_ours(run["use"])))
        columns["problem"].append(
            problems.add(
                run["problem"], dim=run["dim"], figure=run["curve_of"], targets=targets.add(tuple(run["targets"]))
            )
        )
    columns |= {name: [run[name] for run in runs] for name in ("seed", "budget", "nfev")}
    columns["ms"] = [round(1000 * run["seconds"]) for run in runs]
    columns["hits"] = [packed_hits(run["hits"]) for run in runs]
    packed = {
        "format": DATA_FORMAT,
        "title": session.get("title", "Benchmark"),
        "started": session.get("started", ""),
        "versions": session.get("versions", {}),
        "names": {name: FIGURES.get(name, name) for run in runs for name in run["figures"]},
        "groups": groups.items,
        "problems": problems.items,
        "methods": methods.items,
        "targets": [[short(target) for target in item["name"]] for item in targets.items],
        "runs": columns,
        "figures": _figures(runs),
        "failed": [i for i, run in enumerate(runs) if run["error"]],
    }
    return packed | (_curves(runs) if curves else {})


def intervals(summaries: Iterable[Summary]) -> dict[str, dict[str, dict[str, float | None]]]:
    """The areas with their intervals by group and method, so that the page shows the figures of the printed tables."""
    by_group: dict[str, dict[str, dict[str, float | None]]] = {}
    for summary in summaries:
        area = {name: short(value) for name, value in asdict(summary.area_interval).items()}
        by_group.setdefault(summary.group, {})[summary.method] = area
    return by_group


class Index:
    """Items in the order of their first appearance, each with what was said of it then."""

    def __init__(self) -> None:
        self.items: list[dict[str, Any]] = []
        self._at: dict[Any, int] = {}

    def add(self, name: Any, **facts: Any) -> int:
        """Position of `name`, added if it is new."""
        if name not in self._at:
            self._at[name] = len(self.items)
            self.items.append({"name": name, **facts})
        return self._at[name]


def is_ours(use: str) -> bool:
    """Whether a method's ``use`` names one of zoo_opt's own."""
    return ":" not in use and use not in PEERS


def short(value: float | None, digits: int = 6) -> float | None:
    """`value` with so many digits; None where it is not finite."""
    return float(f"{value:.{digits}g}") if value is not None and math.isfinite(value) else None


def differences(values: Iterable[int | None]) -> list[int | None]:
    """Each value less the last one before it that is not None; None stays."""
    gaps: list[int | None] = []
    before = 0
    for value in values:
        gaps.append(None if value is None else value - before)
        before = before if value is None else value
    return gaps


def packed_hits(hits: Sequence[int | None]) -> list[int | None]:
    """A run's hits as differences, without the targets at the end that were never reached."""
    gaps = differences(hits)
    while gaps and gaps[-1] is None:
        gaps.pop()
    return gaps


def _figures(runs: Sequence[Run]) -> dict[str, list[float | None]]:
    """A column for every figure of a result; None where a run has none or it overflowed."""
    names = dict.fromkeys(name for run in runs for name in run["figures"])
    return {name: [short(run["figures"].get(name)) for run in runs] for name in names}


# --- curves ---------------------------------------------------------------------------------------------------------


def _curves(runs: Sequence[Run]) -> dict[str, Any]:
    figures = dict.fromkeys(run["curve_of"] for run in runs)
    scales = {name: scale(name, [run for run in runs if run["curve_of"] == name]) for name in figures}
    grids = {budget: grid(budget) for budget in sorted({run["budget"] for run in runs})}
    packed = [packed_curve(run, grids[run["budget"]], scales[run["curve_of"]]) for run in runs]
    return {"scales": scales, "grids": {str(b): g.astype(int).tolist() for b, g in grids.items()}, "curves": packed}


def grid(budget: int) -> FloatArray:
    """Evaluation counts from 1 to `budget`, log-spaced, at which curves are embedded."""
    return np.unique(np.geomspace(1, budget, CURVE_POINTS).round())


def scale(figure: str, runs: Iterable[Run]) -> tuple[str, float, float]:
    """How values become steps: ``(kind, origin, step)``, logarithmic where all values are positive."""
    values = np.array([value for run in runs for _, value in run["curve"] if value is not None])
    if figure == "precision" or (values.size and values.min() > 0):
        return "log", 0.0, 1 / PER_DECADE
    low, high = (float(values.min()), float(values.max())) if values.size else (0.0, 1.0)
    return "linear", low, (high - low) / LINEAR_STEPS or 1.0


def steps_of(values: FloatArray, kind: str, origin: float, step: float) -> FloatArray:
    """Values as whole steps of a `scale`; what is infinite stays so."""
    on_axis = np.log10(np.maximum(values, FLOOR)) if kind == "log" else values
    return np.asarray(np.rint((on_axis - origin) / step))


def packed_curve(run: Run, at: FloatArray, scale: tuple[str, float, float]) -> list[int | None]:
    """A run's curve on a grid, as `pack` describes it; empty without a value."""
    values = curve_at(run["curve"], at) if run["curve"] else np.empty(0)
    known = np.flatnonzero(~np.isnan(values))
    if known.size == 0:
        return []
    steps = steps_of(values[known[0] :], *scale)
    gaps = differences(int(step) if math.isfinite(step) else None for step in steps.tolist())
    while len(gaps) > 1 and gaps[-1] == (None if gaps[-2] is None else 0):  # the last value is held
        gaps.pop()
    return [int(known[0]), *gaps]

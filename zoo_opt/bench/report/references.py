"""Peers that cannot be run: the portfolios of COCO's archive, as curves beside those that were.

The package ``cocopp`` ships, for each function and dimension, the least expected running time to each target of all
algorithms in its archive of some years. Only its files are read.
"""

from __future__ import annotations

import importlib.util
import tarfile
from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from zoo_opt.bench.engine.record import Record
from zoo_opt.bench.statistics.group_parts import coco_problem
from zoo_opt.bench.statistics.hits import FloatArray, Run
from zoo_opt.support.installed import versions
from zoo_opt.support.loading import install

PORTFOLIOS = {
    "bbob": {"best of 2009-2016": "best09-16-bbob", "best of 2009": "best2009-bbob"},
    "bbob-noisy": {"best of 2009-2016": "best09-16-bbob-noisy", "best of 2009": "best2009-bbob-noisy"},
    "bbob-largescale": {"best of 2019": "best2019-bbob-largescale"},
}
NOTE = (
    "a reference, not a run: for each target the least expected running time of all algorithms of COCO's archive of "
    "these years, on other instances and starts"
)


def with_references(record: Record) -> Record:
    """The record, and a run of each portfolio beside every problem of COCO's that the portfolios know.

    Its hits are expected running times, so it counts in curves and areas as if it were a method; rank tests against it
    say nothing of chance.

    Raises
    ------
    ImportError
        If ``cocopp`` is not installed.
    """
    runs = dict(record.runs)
    of_problem = {(run["group"], run["problem"], run["seed"]): run for run in record.runs.values()}
    for run in of_problem.values():
        coco = coco_problem(run["problem"])
        for label, name in PORTFOLIOS.get(coco.suite if coco else "", {}).items():
            times = _times(name).get((coco.function, coco.dim)) if coco else None
            if times is not None and run["curve_of"] == "precision":
                made = _as_run(run, f"{label} (reference)", name, times)
                runs[made["key"]] = made
    return replace(record, runs=runs)


def expected_times(times: FloatArray, targets: Sequence[float]) -> FloatArray:
    """Expected running time to each target, shape (targets,); inf where the portfolio has none.

    Parameters
    ----------
    times : ndarray, shape (n, 2)
        Increasing running times, and the lowest of the targets that each reached.
    targets : sequence of float
    """
    reached = times[:, 1] * (1 - 1e-9)
    first = [np.flatnonzero(reached <= target) for target in targets]
    return np.array([times[at[0], 0] if at.size else np.inf for at in first])


def _as_run(run: Run, label: str, name: str, times: FloatArray) -> Run:
    """What a record would hold of the portfolio on the problem of `run`."""
    budget = run["budget"]
    expected = expected_times(times, run["targets"])
    within = times[times[:, 0] <= budget]
    curve = [(max(1, int(np.ceil(t))), float(value)) for t, value in within]
    final = curve[-1][1] if curve else float("inf")
    return {
        **run,
        "key": f"{name}:{run['group']}:{run['problem']}:{run['seed']}",
        "method": label,
        "use": f"cocopp:{name}",
        "version": versions(["cocopp"]).get("cocopp", ""),
        "options": {},
        "note": NOTE,
        "hits": [int(np.ceil(t)) if t <= budget else None for t in expected],
        "curve": curve,
        "figures": {"precision": final},
        "best": None,
        "nfev": budget,
        "seconds": 0.0,
        "stop": {},
        "error": None,
    }


@cache
def _times(name: str) -> dict[tuple[int, int], FloatArray]:
    """Running times and targets of a portfolio by function and dimension."""
    spec = importlib.util.find_spec("cocopp")
    if spec is None or spec.origin is None:
        raise ImportError(f"the portfolios are in cocopp, which is not installed: {install('coco')}")
    path = Path(spec.origin).parent / "refalgs" / f"{name}.tar.gz"
    found: dict[tuple[int, int], FloatArray] = {}
    with tarfile.open(path) as archive:
        for member in archive:
            stem = member.name.rpartition("/")[2]
            if stem.endswith(".dat") and (file := archive.extractfile(member)) is not None:
                _, function, dim = stem.removesuffix(".dat").rsplit("_", 2)
                found[int(function[1:]), int(dim[1:])] = _table(file.read().decode().splitlines())
    return found


def _table(lines: Iterable[str]) -> FloatArray:
    """Running times and the targets that they reach, shape (n, 2)."""
    rows: list[list[Any]] = [line.split()[:2] for line in lines if line.strip() and not line.startswith("%")]
    return np.array(rows, dtype=np.float64).reshape(-1, 2)

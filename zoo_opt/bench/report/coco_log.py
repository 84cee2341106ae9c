"""A record's COCO runs as COCO's own logs (data format "bbob-new2"), which its post-processing `cocopp` reads.

A record does not hold every evaluation. What the logs hold of a run: the evaluation at which each of the 51 targets
10^2, 10^1.8, ..., 10^-8 was first reached, exactly, which is all that cocopp's tables, ECDFs and expected running times
at these targets use; the best precision at about 60 evaluation counts, spaced evenly in their logarithm; and the last
evaluation. Between those a value stands for the bound that is known: the last target reached.
"""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from zoo_opt._version import __version__
from zoo_opt.bench.engine.record import Record
from zoo_opt.bench.statistics.group_parts import Coco, coco_problem
from zoo_opt.bench.statistics.hits import Run, grouped

UNKNOWN = 1e99  # precision of a run that failed before an evaluation
BELOW = 1 - 1e-10  # of a target just reached: written as it is, a reader's rounding could put it above
ZERO = 1e-12  # least precision written: below is rounding, and cocopp takes logarithms
COLUMNS = (
    "% f evaluations | g evaluations | best noise-free fitness - Fopt ({fopt}) + sum g_i+ | measured fitness | "
    "best measured fitness or single-digit g-values | x1 | x2..."
)
COMMENT = (
    f"% Written by zoo-opt {__version__} from a record of target hits and curve marks: exact at the targets 10^(i/5) "
    "and at the marks, an upper bound in between; measured fitness and x are not recorded"
)


def export_coco(record: Record, out: str | Path) -> list[Path]:
    """Write the logs of a record's bbob, bbob-noisy and bbob-largescale runs, one folder per group and method.

    Parameters
    ----------
    record : Record
        Its other runs are left out. A run that failed is written as one that spent its whole budget.
    out : str or Path
        Folder to write into, as ``out/<group>/<method>/``. Methods to compare go to cocopp together:
        ``python -m cocopp out/<group>/*``.

    Returns
    -------
    list of Path
        The folders written, each the data of one algorithm.

    Raises
    ------
    ValueError
        If no run is of a COCO problem, or one of the folders has files already.
    """
    known = [(coco, run) for run in record.runs.values() if (coco := coco_problem(run["problem"]))]
    cells = grouped(known, lambda pair: (pair[1]["group"], pair[1]["method"]))
    if not cells:
        raise ValueError("the record holds no run of COCO's bbob, bbob-noisy or bbob-largescale problems to export")
    version = (record.sessions[-1].get("versions", {}) if record.sessions else {}).get("coco-experiment", "unknown")
    folders = _folders(Path(out), cells)
    taken = [folder for folder in folders if folder.is_dir() and any(folder.iterdir())]
    if taken:
        raise ValueError(f"out must not hold an earlier export, which cocopp would read too: {taken[0]} has files")
    for folder, ((_, method), runs) in zip(folders, cells.items(), strict=True):
        _write_algorithm(folder, method, runs, version)
    return folders


def _folders(out: Path, cells: Iterable[tuple[str, str]]) -> list[Path]:
    """A folder for each (group, method), named after them as far as file systems and cocopp's command line allow."""
    folders: list[Path] = []
    for names in cells:
        path = out.joinpath(*(re.sub(r"[^\w.+-]+", "-", name).strip("-.") or "unnamed" for name in names))
        numbered = (path.with_name(f"{path.name}_{number}") for number in itertools.count(2))
        folders.append(next(p for p in itertools.chain([path], numbered) if p not in folders))
    return folders


def _write_algorithm(folder: Path, method: str, runs: Sequence[tuple[Coco, Run]], version: str) -> None:
    """One .info file per function; under it .dat and .tdat files per dimension."""
    in_order = sorted(runs, key=lambda pair: (pair[0].function, pair[0].dim, pair[0].instance, pair[1]["seed"]))
    by_case = grouped(in_order, lambda pair: (pair[0].suite, pair[0].function, pair[0].dim))
    info: dict[int, list[str]] = {}
    name = method.replace("'", "").replace('"', "").replace(",", "")  # cocopp's parser knows no escapes
    for (suite, function, dim), case in by_case.items():
        data = Path(f"data_f{function}") / f"bbobexp_f{function}_DIM{dim}"
        trials = [_trial(coco, run) for coco, run in case]
        (folder / data).parent.mkdir(parents=True, exist_ok=True)
        (folder / data).with_suffix(".dat").write_text("".join(t.dat for t in trials))
        (folder / data).with_suffix(".tdat").write_text("".join(t.tdat for t in trials))
        ends = ", ".join(f"{t.instance}:{t.evaluations}|{t.final:.1e}" for t in trials)
        info.setdefault(function, []).append(
            f"suite = '{suite}', funcId = {function}, DIM = {dim}, Precision = 1.000e-08, algId = '{name}', "
            f"coco_version = '{version}', logger = 'zoo-opt', data_format = 'bbob-new2'\n"
            f"{COMMENT}\n{data.as_posix()}.dat, {ends}\n"
        )
    for function, lines in info.items():
        (folder / f"bbobexp_f{function}.info").write_text("".join(lines))


@dataclass(frozen=True)
class _Trial:
    """One run's part of the files."""

    instance: int
    evaluations: int
    final: float
    dat: str
    tdat: str


def _trial(coco: Coco, run: Run) -> _Trial:
    end = max(1, int(run["budget"] if run["error"] else run["nfev"]))
    marks = [(int(at), UNKNOWN if value is None else max(float(value), ZERO)) for at, value in run["curve"]]
    hits = zip(run["hits"], run["targets"], strict=True)
    reached = [(int(hit), float(target) * BELOW) for hit, target in hits if hit is not None]
    optimum = _optimum(coco, run)
    in_time = {1, end, *(at for at, _ in marks)}
    dat, tdat, best, written = [], [], math.inf, math.inf
    events = sorted([(1, UNKNOWN), *marks, *reached, (end, UNKNOWN)])
    for (at, value), (following, _) in zip(events, [*events[1:], (math.inf, 0.0)], strict=True):
        best = min(best, value)
        if at == following:
            continue  # the last event of an evaluation stands for all of them
        line = _line(at, best, math.nan if coco.suite == "bbob-noisy" else optimum)
        if best < written or at == end:
            dat.append(line)
            written = best
        if at in in_time:
            tdat.append(line)
    head = COLUMNS.format(fopt=f"{optimum:.12e}") + "\n"
    return _Trial(coco.instance, end, best, head + "".join(dat), head + "".join(tdat))


def _line(evaluations: int, precision: float, optimum: float) -> str:
    measured = precision + optimum
    return f"{evaluations} 0 {precision:+.12e} {measured:+.9e} {measured:+.9e}\n"


def _optimum(coco: Coco, run: Run) -> float:
    """Fopt as recorded, or for noiseless problems as the best loss and its precision tell; NaN where unknown."""
    known: Any = run.get("optimum")
    if known is None and coco.suite != "bbob-noisy" and run["best"] is not None and run["figures"].get("precision"):
        known = round(run["best"] - run["figures"]["precision"], 2)
    return float("nan") if known is None else float(known)

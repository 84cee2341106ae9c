"""The grids behind the settings of the table suites: validation Dice of each point of a row's grid, with seed 0.

    python benchmarks/tune_seg.py benchmarks/baps_table3.toml --row SPSA --domain disc skin --workers 2
    python benchmarks/tune_seg.py benchmarks/baps_table3.toml --row FZOO -g options.lr=1e-5,1e-4 -g options.c=0.01,0.1

Runs the same `zoo_opt_seg.adaptation.run.adapt`, or training with the gradient, as the table does, at the calls of the
suite's first group (or --group), and looks at the validation split alone: the test split is not evaluated.
Without -g it tries the row's grid in the suite.
Finished points are kept in DIR/runs.jsonl; interrupted, the same command goes on. Prints every point, the best of each
domain, and the best of the mean over domains.
"""

import argparse
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

from zoo_opt.bench.engine.record import last_line, read_record
from zoo_opt.bench.engine.runner import run_jobs
from zoo_opt.bench.engine.session import Experiment
from zoo_opt.support.progress import Progress
from zoo_opt_seg.tables.cells import adapted, job_of, to_repeat
from zoo_opt_seg.tables.reader import load_table
from zoo_opt_seg.tables.sources import absent, place_from
from zoo_opt_seg.tables.suite import Cell, Place, Row, TableGroup
from zoo_opt_seg.tables.whitebox import chosen
from zoo_opt_seg.whitebox.comparators import COMPARATORS

SEED = 0
TUNED = ("adapt", *COMPARATORS)  # uses of rows that have something to tune
Point = dict[str, Any]


def points(grid: Mapping[str, Sequence[Any]]) -> list[Point]:
    """Every combination of a grid's values, by dotted name."""
    return [dict(zip(grid, values, strict=True)) for values in product(*grid.values())]


def at(row: Row, point: Point) -> Row:
    """The row with a point's values in place of its own; what it says of single domains does not count."""
    for name, value in point.items():
        table, _, key = name.partition(".")
        row = replace(row, **{table: {**getattr(row, table), key: value}})
    return replace(row, on={})


def tuned(cell: Cell) -> dict[str, Any]:
    """One adaptation or training; of its validations the best, as it was chosen."""
    import torch

    torch.set_num_threads(1)
    if cell.row.use in COMPARATORS:
        return {"validation": chosen(cell)}
    marks = [mark for mark in adapted(cell).marks if mark.get("dice") is not None]
    best = max(marks, key=lambda mark: mark["dice"])
    start, last = marks[0]["dice"], marks[-1]["dice"]
    return {"validation": {"start": start, "dice": best["dice"], "loss": best.get("loss"), "last": last}}


def runs_of(cells: Sequence[Cell], out: Path, workers: int) -> dict[str, dict[str, Any]]:
    """The entries of the cells by key, those that the folder holds already not done again."""
    jobs, path, about = [job_of(cell, tuned) for cell in cells], out / "runs.jsonl", Experiment({"suite": "tuning"})
    with Progress("tuning") as progress:
        run_jobs(jobs, path, about, workers=workers, again=partial(to_repeat, cells), progress=progress)
    return read_record(path).runs


def shown(
    group: TableGroup, row: Row, domains: Sequence[str], grid: list[Point], place: Place, runs: dict
) -> Iterator[str]:
    """The lines to print of a row."""
    dice = np.full((len(grid), len(domains)), np.nan)
    calls = f" in {group.calls:,} calls" if row.use == "adapt" else ""
    yield f"\n{row.label}: best validation Dice{calls} (at the start, at the end)"
    for i, point in enumerate(grid):
        texts = []
        for j, domain in enumerate(domains):
            run = runs.get(group.cell(at(row, point), domain, SEED, place).key, {"error": "not done"})
            if run["error"]:
                texts.append(f"{domain} {last_line(run['error'])}")
                continue
            best = run["validation"]
            dice[i, j] = best["dice"]
            texts.append(f"{domain} {best['dice']:.4f} ({best['start']:.4f}, {best['last']:.4f})")
        yield f"  {json.dumps(point):<60} mean {dice[i].mean():.4f}   {'   '.join(texts)}"
    if np.isnan(dice).all():
        return
    for j, domain in enumerate(domains):
        if not np.isnan(dice[:, j]).all():
            yield f"  best on {domain}: {json.dumps(grid[int(np.nanargmax(dice[:, j]))])}"
    means = dice.mean(axis=1)
    if not np.isnan(means).all():
        yield f"  best of the mean: {json.dumps(grid[int(np.nanargmax(means))])}"


def value(text: str) -> Any:
    """A value as JSON where it is JSON, else as text."""
    try:
        return json.loads(text)
    except ValueError:
        return text


def main() -> None:
    """Run the grids of the rows asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("suite", type=Path)
    parser.add_argument("--row", nargs="+", required=True, metavar="LABEL")
    parser.add_argument("--domain", nargs="+", default=["disc"])
    parser.add_argument("--group", help="the suite's first if not given")
    parser.add_argument("-g", "--grid", action="append", default=[], metavar="NAME=V1,V2")
    parser.add_argument("--out", type=Path, default=Path("results/tune_seg"))
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--data-root")
    parser.add_argument("--weights")
    said = parser.parse_args()
    suite = load_table(said.suite)
    group = next(g for g in suite.groups if said.group in (None, g.name))
    rows = [row for row in group.rows if row.label in said.row]
    if len(rows) < len(said.row) or any(row.use not in TUNED for row in rows):
        parser.error(f"--row must name rows that learn: {', '.join(r.label for r in group.rows if r.use in TUNED)}")
    given = {name: [value(v) for v in values.split(",")] for name, _, values in (g.partition("=") for g in said.grid)}
    place = Place(str(said.out), **place_from(data_root=said.data_root, weights=said.weights))
    grids = {row.label: points(given or row.grid) for row in rows}
    cells = [
        group.cell(at(row, p), domain, SEED, place) for row in rows for p in grids[row.label] for domain in said.domain
    ]
    for why in {absent(cell) for cell in cells} - {""}:
        parser.error(why)
    runs = runs_of(cells, said.out, said.workers)
    for row in rows:
        print("\n".join(shown(group, row, said.domain, grids[row.label], place, runs)), flush=True)


if __name__ == "__main__":
    main()

"""The ECDF of the README: ours and other libraries on bbob, from the record in `benchmarks/results`."""

from __future__ import annotations

from pathlib import Path

import matplotlib

from drawn.small import DARK, shrink
from zoo_opt.bench.engine.record import read_record
from zoo_opt.bench.report.drawing import draw, save
from zoo_opt.bench.suite_record import current

GROUP, METHODS = "bbob, 1000 d", ("auto", "CMA-ES, BIPOP", "SPSA", "FZOO", "pycma, BIPOP", "cmaes, BIPOP")
PEERS = ("scipy L-BFGS-B", "scipy differential evolution")


def main(root: Path, out: Path) -> None:
    """Write ecdf.png and ecdf-dark.png."""
    record = current(read_record(root / "benchmarks" / "results" / "bbob.jsonl.xz"))
    for name, settings, grid in (("ecdf", {}, "0.9"), ("ecdf-dark", DARK, "0.25")):
        with matplotlib.rc_context(settings):
            figure = draw(record, group=GROUP, methods=[*METHODS, *PEERS])
            ax = figure.axes[0]
            ax.grid(True, color=grid, linewidth=0.6)
            ax.set_title("24 functions of COCO's bbob, 2 to 40 variables, 432 problems", loc="left", fontsize="medium")
            save(figure, out / f"{name}.png")
        shrink(out / f"{name}.png", 96)

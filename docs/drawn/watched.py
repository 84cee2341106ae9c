"""What the optimizers of a program did, as a picture: drawn from the run itself."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import matplotlib.figure

import zoo_opt as zo
from drawn.small import DARK, shrink

FEWEST = 5  # evaluations of a run that is worth a line
MOST = 8  # lines


@contextlib.contextmanager
def watching(picture: str) -> Iterator[None]:
    """Note every optimizer that is made meanwhile; then draw their convergence, for light and for dark pages."""
    made: list[zo.Optimizer] = []
    original = zo.Optimizer.__init__

    def noting(self: zo.Optimizer, *args: object, **options: object) -> None:
        original(self, *args, **options)  # type: ignore[arg-type]
        made.append(self)

    zo.Optimizer.__init__ = noting  # type: ignore[method-assign,assignment]
    try:
        yield
    finally:
        zo.Optimizer.__init__ = original  # type: ignore[method-assign]
    runs: dict[str, list[object]] = {}
    for opt in made:
        if opt.nfev >= FEWEST:
            runs.setdefault(type(opt.method).__name__, []).append(opt.history)
    if not runs:
        raise SystemExit("the example ran no optimizer: there is nothing to draw")
    for name, settings, grid in (("", {}, "0.9"), ("-dark", DARK, "0.25")):
        path = Path(f"{picture}{name}.png")
        with matplotlib.rc_context(settings):
            figure = matplotlib.figure.Figure(figsize=(5.0, 3.1), layout="constrained")
            ax = figure.add_subplot()
            shown = dict(list(runs.items())[:MOST])
            zo.plot.convergence(next(iter(shown.values()))[0] if sum(map(len, shown.values())) == 1 else shown, ax=ax)
            ax.grid(True, color=grid, linewidth=0.6)
            figure.savefig(path, dpi=100)
        shrink(path, 64)

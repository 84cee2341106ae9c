"""How methods look in the figures of a page: no two of one colour, zoo_opt's lines solid, the peers' broken."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from zoo_opt.bench.report.data import is_ours
from zoo_opt.bench.statistics.hits import Run

COLOURS = 16  # of theme.css, --c0 to --c15, each far from those before it
DASHES = ("2 4", "7 4", "9 3 2 3", "14 5")  # of peers, in turn
LONG = "16 2"  # of zoo_opt's methods beyond the colours of the theme


@dataclass(frozen=True)
class Look:
    """A line: a CSS colour, an SVG dash pattern ("" for a solid line), and a width in pixels."""

    color: str
    dash: str
    width: float


def colour(i: int) -> str:
    """The colour of method `i`: of the theme, and beyond it around the circle of hues by the golden angle."""
    hue = round(((i - COLOURS) * 137.5 + 15) % 360, 1)
    return f"var(--c{i})" if i < COLOURS else f"light-dark(hsl({hue:g} 75% 28%), hsl({hue:g} 65% 72%))"


def looks(runs: Sequence[Run]) -> Mapping[str, Look]:
    """The look of every method of these runs, by its name; zoo_opt's own have the first colours."""
    use = {run["method"]: run["use"] for run in reversed(runs)}
    names = dict.fromkeys(run["method"] for run in runs)
    ours = [name for name in names if is_ours(use[name])]
    found = {name: Look(colour(i), "" if i < COLOURS else LONG, 2.4) for i, name in enumerate(ours)}
    peers = [name for name in names if name not in found]
    return found | {name: Look(colour(len(ours) + k), DASHES[k % len(DASHES)], 2) for k, name in enumerate(peers)}

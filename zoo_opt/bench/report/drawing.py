"""Figures of a record for papers and pages, with matplotlib (the extra ``plot``): PDF, SVG, PNG."""

from __future__ import annotations

import colorsys
import textwrap
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from zoo_opt.bench.engine.record import Record
from zoo_opt.bench.report.data import is_ours
from zoo_opt.bench.report.terminal import FIGURES
from zoo_opt.bench.statistics.hits import Run, by_group, grouped
from zoo_opt.bench.statistics.stats import curve_band, ecdf
from zoo_opt.plot.figures import new_figure, tidy

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

FORMATS = (".pdf", ".svg", ".png", ".eps")
FIRST = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#8058c4", "#7f7f7f")  # Okabe and Ito, more
DASHES = ("-", "--", "-.", ":")  # a method's line and its colour are no other's
NOTE_WIDTH = 110  # letters in a line below the figure
APART = 0.048  # of the height between two names at the ends of curves; chosen


def colours(n: int) -> list[str]:
    """`n` colours, each once: eight that most readers tell apart, then hues between them in two lightnesses."""
    rest = max(0, n - len(FIRST))
    more = [colorsys.hls_to_rgb((0.04 + i / max(rest, 1)) % 1.0, (0.32, 0.62)[i % 2], 0.75) for i in range(rest)]
    return [*FIRST, *("#" + "".join(f"{round(255 * part):02x}" for part in rgb) for rgb in more)][:n]


def draw(record: Record, kind: str = "ecdf", *, group: str = "", methods: Sequence[str] = ()) -> Figure:
    """Draw a figure of a record.

    Parameters
    ----------
    record : Record
    kind : {"ecdf", "convergence"}
        ``"ecdf"``: the fraction of the (problem, target, seed) triples reached, over evaluations per dimension.
        ``"convergence"``: the median over seeds of the figure of merit, in a band from quartile to quartile; for groups
        of one problem.
    group : str
        A group of the suite; the first by default.
    methods : sequence of str
        Labels of those to draw, in this order; by default all that ran on every problem of the group. The others would
        be compared over other problems: they are left out, and named below the figure.

    Returns
    -------
    matplotlib.figure.Figure
        ``figure.savefig("ecdf.pdf")`` writes it.

    Raises
    ------
    ValueError
        If the record has no such group, method or kind, or nothing to draw.
    """
    if kind not in KINDS:
        raise ValueError(f"kind must be one of {', '.join(KINDS)}, got {kind!r}")
    groups = by_group(list(record.runs.values()))
    if not groups:
        raise ValueError("record must hold runs, got none")
    group = group or next(iter(groups))
    if group not in groups:
        raise ValueError(f"group must be one of {'; '.join(groups)}; got {group!r}")
    parts = grouped(groups[group], key=lambda run: run["method"])
    problems = {method: {run["problem"] for run in own} for method, own in parts.items()}
    every = set().union(*problems.values())
    if unknown := [method for method in methods if method not in parts]:
        raise ValueError(f"methods must be of {', '.join(parts)}; got {', '.join(unknown)}")
    drawn = list(methods) or [method for method, own in problems.items() if own == every]
    if any(problems[method] != problems[drawn[0]] for method in drawn):
        raise ValueError(f"methods must have run on the same problems, got {', '.join(drawn)}")
    figure = new_figure(7.2, 4.3)
    ax = figure.add_subplot()
    tidy(ax)
    KINDS[kind](ax, {method: parts[method] for method in drawn})
    out = [] if methods else [method for method in parts if method not in drawn]
    ax.set_title(group, loc="left", fontsize="medium")
    if out:
        note = textwrap.fill(f"Not drawn, as they ran on fewer problems: {', '.join(out)}", NOTE_WIDTH)
        figure.supxlabel(note, x=0.01, ha="left", fontsize="x-small", color="0.5")
    return figure


def save(figure: Figure, path: Path) -> None:
    """Write a figure in the format that the name says; the same figure gives the same bytes.

    Raises
    ------
    ValueError
        If the name does not end in .pdf, .svg, .png or .eps.
    """
    kind = path.suffix.lower()
    if kind not in FORMATS:
        raise ValueError(f"output must end in one of {', '.join(FORMATS)}, got {path}")
    import matplotlib

    fixed: dict[str, Any] = {".pdf": {"CreationDate": None}, ".svg": {"Date": None}}.get(kind, {})
    with matplotlib.rc_context({"svg.hashsalt": "zoo-opt", "svg.fonttype": "none", "pdf.fonttype": 42}):
        figure.savefig(path, dpi=160, metadata=fixed or None)


def _ecdf(ax: Axes, parts: dict[str, list[Run]]) -> None:
    """Runtime distributions: the higher and the further left, the better."""
    end = max(run["budget"] / run["dim"] for own in parts.values() for run in own)
    start = min(1.0 / run["dim"] for own in parts.values() for run in own)
    ends: dict[str, float] = {}
    for (method, own), look in _looks(parts):
        budgets, fractions = ecdf(own)
        ends[method] = float(fractions[-1]) if len(fractions) else 0.0
        x, y = np.concatenate([[start], budgets, [end]]), np.concatenate([[0.0], fractions, [ends[method]]])
        ax.plot(x, y, drawstyle="steps-post", label=method, **look)
    ax.set_xscale("log")
    ax.set_xlim(start, end)
    ax.set_ylim(0.0, min(1.0, 1.08 * max(ends.values()) or 1.0))
    ax.set_xlabel("evaluations / dimension")
    ax.set_ylabel("fraction of (problem, target) pairs reached")
    _name_ends(ax, ends)


def _convergence(ax: Axes, parts: dict[str, list[Run]]) -> None:
    """Medians over the seeds, in bands."""
    if len({run["problem"] for own in parts.values() for run in own}) > 1:
        raise ValueError('kind must be "ecdf" for a group of several problems, got "convergence"')
    figure: str = next(iter(parts.values()))[0]["curve_of"]
    ends: dict[str, float] = {}
    for (method, own), look in _looks(parts):
        band = curve_band(own)
        if not len(band.median):
            continue
        ax.plot(band.evaluations, band.median, drawstyle="steps-post", label=method, **look)
        ax.fill_between(
            band.evaluations, band.low, band.high, step="post", color=look["color"], alpha=0.15, linewidth=0
        )
        ends[method] = float(band.median[-1])
    ax.set_xscale("log")
    shown = np.concatenate([np.asarray(line.get_ydata(), dtype=float) for line in ax.lines] or [np.empty(0)])
    shown = shown[np.isfinite(shown)]
    if len(shown):  # the medians; a band of a run that diverged may leave the figure
        low, high = float(shown.min()), float(shown.max())
        if low > 0:
            ax.set_yscale("log")
            ax.set_ylim(low / (high / low) ** 0.06 / 1.01, high * (high / low) ** 0.06 * 1.01)
        else:
            ax.set_ylim(low - 0.06 * (high - low) - 1e-12, high + 0.06 * (high - low) + 1e-12)
    ax.set_xlim(right=max(run["budget"] for own in parts.values() for run in own))
    ax.set_xlabel("evaluations")
    ax.set_ylabel(FIGURES.get(figure, figure))
    _name_ends(ax, ends)


KINDS: dict[str, Callable[[Axes, dict[str, list[Run]]], None]] = {"ecdf": _ecdf, "convergence": _convergence}


def _looks(parts: dict[str, list[Run]]) -> Iterable[tuple[tuple[str, list[Run]], dict[str, Any]]]:
    """Each method with its colour, which no other has; ours are solid, the others dashed."""
    peers = 0
    for item, colour in zip(parts.items(), colours(len(parts)), strict=True):
        ours = is_ours(item[1][0]["use"])
        peers += not ours
        dash = "-" if ours else DASHES[1 + (peers - 1) % 3]
        yield item, {"color": colour, "linestyle": dash, "linewidth": 2.2 if ours else 1.5}


def _name_ends(ax: Axes, ends: dict[str, float]) -> None:
    """Write each method's name beside the end of its curve, in its colour, moved apart where they would overlap."""
    if not ends:
        return
    to_axes = ax.transData + ax.transAxes.inverted()
    right = ax.get_xlim()[1]
    at = {method: float(to_axes.transform((right, value))[1]) for method, value in ends.items()}
    names = sorted(at, key=at.__getitem__)
    for (name, place), line in zip(
        zip(names, spread([at[name] for name in names], APART), strict=True),
        [next(line for line in ax.lines if line.get_label() == name) for name in names],
        strict=True,
    ):
        ax.annotate(
            name,
            (1.0, at[name]),
            (1.03, place),
            xycoords="axes fraction",
            textcoords="axes fraction",
            va="center",
            fontsize="small",
            color=line.get_color(),
            arrowprops={"arrowstyle": "-", "color": line.get_color(), "lw": 0.7, "shrinkA": 0, "shrinkB": 0},
            annotation_clip=False,
        )


def spread(heights: Sequence[float], apart: float) -> list[float]:
    """Sorted heights, moved as little as keeps each `apart` from the next: clusters are centred on their mean."""
    clusters: list[list[float]] = []  # of the heights in it
    for height in heights:
        clusters.append([height])
        while len(clusters) > 1 and _low(clusters[-1], apart) < _low(clusters[-2], apart) + len(clusters[-2]) * apart:
            clusters[-2:] = [clusters[-2] + clusters[-1]]
    return [_low(cluster, apart) + i * apart for cluster in clusters for i in range(len(cluster))]


def _low(cluster: Sequence[float], apart: float) -> float:
    """The lowest place of a cluster."""
    return float(np.mean(cluster)) - apart * (len(cluster) - 1) / 2

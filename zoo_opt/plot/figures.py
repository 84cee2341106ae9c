"""What all plots share: figures, scales that read well, the part of an axis that is shown, marks at its upper edge."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import numpy as np

from zoo_opt.support.loading import require

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

    from zoo_opt.typing import Array

NICE = [1, 2, 2.5, 5, 10]  # distances of ticks
GREY, RED = "0.6", "tab:red"
_LETTERS = 13  # to the inch, of a legend's small text
LARGEST = 1e300  # number on an axis: matplotlib multiplies them; chosen
_DECADES = 2.0  # positive losses that span as much are shown on a log axis; chosen
_DECADES_WITH_ZERO = 4.0  # where some are 0 too, which need a linear part at the lower end; chosen
_SHOWN, _FAR = 0.75, 20.0  # the part of the losses that is always in view; what is so much higher is not; chosen


def new_figure(width: float, height: float) -> Figure:
    """Return a new figure, in inches: pyplot's if the caller has imported it, so that ``plt.show()`` shows it."""
    require("matplotlib", extra="plot")
    from matplotlib import figure

    pyplot: Any = sys.modules.get("matplotlib.pyplot")
    make: Any = figure.Figure if pyplot is None else pyplot.figure
    made: Figure = make(figsize=(width, height), layout="constrained")
    return made


def axes_of(ax: Any, width: float, height: float) -> Axes:
    """Return the Axes that were given, or those of a new figure."""
    if ax is None:
        return new_figure(width, height).add_subplot()
    if not callable(getattr(ax, "plot", None)) or not hasattr(ax, "figure"):
        raise TypeError(f"ax must be Axes of matplotlib, got {ax!r}")
    given: Axes = ax
    return given


def tidy(ax: Axes) -> None:
    """Take away the frame's upper and right side and put a light grid behind."""
    ax.spines[["top", "right"]].set_visible(False)
    ax.grid(True, color="0.9", linewidth=0.6)
    ax.set_axisbelow(True)


def scale_losses(ax: Axes, losses: Array) -> float:
    """Give the y axis the scale and the limits at which the losses read well; return the highest loss that is shown.

    The axis is logarithmic where all losses are positive and span two decades, linear at its lower end only where
    some are 0 and the others span four, and else linear. It shows all losses, unless the highest lie 20 times as far
    above the lowest as all others do.
    """
    ranked = np.sort(losses[np.isfinite(losses)])
    if not len(ranked):
        ax.set_yticks([])
        return LARGEST
    count, positive = len(ranked), ranked[ranked > 0]
    if ranked[0] > 0:
        count = _in_view(np.log10(ranked))
        if np.log10(ranked[count - 1]) - np.log10(ranked[0]) >= _DECADES:
            ax.set_yscale("log")
    elif ranked[0] == 0 and len(positive) and np.log10(positive[-1]) - np.log10(positive[0]) >= _DECADES_WITH_ZERO:
        ax.set_yscale("symlog", linthresh=10 ** np.floor(np.log10(positive[0])))
    to_axis, to_loss = ax.yaxis.get_transform(), ax.yaxis.get_transform().inverted()
    heights = to_axis.transform(ranked[:count])
    heights = heights[: _in_view(heights)]
    low, high = float(heights[0]), float(heights[-1])
    room = 0.06 * (high - low) or abs(0.1 * high) or 0.5
    with np.errstate(over="ignore"):
        ends = to_loss.transform(np.array([low - room, high + room, high + 2 * room]))  # above: room for the marks
    if np.isfinite(ends).all() and (ends[0] > 0 or ax.get_yscale() != "log"):
        ax.set_ylim(float(ends[0]), float(ends[2]))
    return float(ends[1]) if len(heights) < len(ranked) else LARGEST


def _in_view(ranked: Array) -> int:
    """Return how many of the sorted numbers do not lie far above the others."""
    above = ranked - ranked[0]
    gaps = np.flatnonzero((above[1:] > _FAR * above[:-1]) & (above[:-1] > 0))
    return int(gaps[-1]) + 1 if len(gaps) and gaps[-1] + 1 >= _SHOWN * len(ranked) else len(ranked)


def legend_above(ax: Axes, handles: Sequence[Artist]) -> None:
    """Put the legend of these above the axes, where it hides nothing, in as many columns as there is room for."""
    labels = [str(handle.get_label()) for handle in handles]
    if not labels:
        return
    room = ax.bbox.width / ax.figure.dpi * _LETTERS
    widths = [len(label) + 7 for label in labels]  # with the line before it
    columns = len(labels) if sum(widths) <= room else max(1, int(room / max(widths)))
    place: dict[str, Any] = {"loc": "lower right", "bbox_to_anchor": (1.0, 1.0), "ncols": columns}
    legend = ax.legend(handles, labels, fontsize="small", frameon=False, borderaxespad=0.6, **place)
    for handle in filter(None, legend.legend_handles):
        handle.set_alpha(1.0)


def mark_above(ax: Axes, x: NDArray[Any], losses: Array, highest: float, row: int = 0, color: str = "") -> None:
    """Mark at the upper edge where evaluations failed (x), and where the loss is above `highest`, or infinite (^).

    ``row`` counts rows of marks downwards; in `color` if one is given.
    """
    failed, above = np.isnan(losses), losses > highest
    place: dict[str, Any] = {"transform": ax.get_xaxis_transform(), "clip_on": False, "linestyle": "none"}
    for chosen, marker, own, label in ((failed, "x", RED, "failed"), (above, "^", GREY, "higher, or infinite")):
        if chosen.any():
            height = np.full(np.count_nonzero(chosen), 0.985 - 0.035 * row)
            text = "_" if color else f"{label} ({np.count_nonzero(chosen)})"  # "_": not in the legend
            ax.plot(x[chosen], height, marker=marker, markersize=4, color=color or own, label=text, **place)

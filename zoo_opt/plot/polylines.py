"""Each evaluation as a line across the parameters."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np

from zoo_opt.core.errors import integer
from zoo_opt.plot.figures import axes_of, legend_above
from zoo_opt.plot.variables import evaluations, evenly

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.cm import ScalarMappable
    from numpy.typing import NDArray

    from zoo_opt.plot.variables import Variable
    from zoo_opt.typing import Array

_COLORS = "viridis"
_DULL = "0.8"
_FEW = 12  # axes up to which ticks are drawn in between; chosen


def parallel_coordinates(
    *results: Any,
    ax: Axes | None = None,
    parameters: Iterable[str | int] | None = None,
    lines: int = 1000,
) -> Axes:
    """Draw each evaluation as a line across one axis for each parameter.

    The colour is the rank of the loss, which tells good from better whatever the scale of the losses; the bar says the
    losses. The best are on top; failed evaluations and infinite losses are grey lines below all. The axis of a
    parameter is logarithmic where the parameter is. Evaluations of several results are drawn together.

    Parameters
    ----------
    *results
        Results, optimizers or histories, lists of them, or dicts of them by label.
    ax : matplotlib.axes.Axes, optional
        What to draw into; if not given, those of a new figure.
    parameters : iterable of str or int, optional
        The names, or the numbers, of the parameters to be drawn, in this order; if not given, all.
    lines : int, default 1000
        Of more evaluations, so many are drawn, at evenly spaced ranks.

    Returns
    -------
    matplotlib.axes.Axes
        What was drawn into. Its y axis is from 0 to 1; ticks of the parameters are texts.

    Raises
    ------
    TypeError, ValueError
        If there are no results or no points, or an argument does not fit.
    ImportError
        If matplotlib is not installed.
    """
    most = integer("lines", lines, 1)

    def spaced(loss: Array) -> NDArray[np.int64]:
        return np.argsort(loss, kind="stable")[evenly(len(loss), most)][::-1]  # the best last, on top; NaN is the worst

    shown = evaluations(results, parameters, spaced)
    ax = axes_of(ax, max(4.8, min(16.0, 1.5 + 1.3 * len(shown.variables))), 4.0)
    from matplotlib.cm import ScalarMappable
    from matplotlib.collections import LineCollection
    from matplotlib.colors import Normalize

    finite = np.isfinite(shown.loss)
    good = int(np.count_nonzero(finite))
    heights = np.column_stack([variable.heights for variable in shown.variables])
    segments = np.stack([np.broadcast_to(np.arange(heights.shape[1]), heights.shape), heights], axis=2)
    bad = LineCollection(
        list(segments[~finite]),
        colors=_DULL,
        linewidths=0.8,
        zorder=1,
        label=f"failed, or infinite ({len(finite) - good})",
    )
    colors = ScalarMappable(Normalize(0, max(good - 1, 1)), _COLORS)
    rank = np.arange(good)[::-1]
    worse = rank / max(good - 1, 1)
    rgba = colors.to_rgba(rank)
    rgba[:, 3] = 0.9 - 0.6 * worse
    ranked = LineCollection(list(segments[finite]), colors=rgba, linewidths=np.where(rank, 1.6 - worse, 2.5), zorder=2)
    ax.add_collection(bad)
    ax.add_collection(ranked)
    _draw_axes(ax, shown.variables)
    if not finite.all():
        legend_above(ax, [bad])
    if good > 1:
        _bar(ax, colors, shown.loss[finite][::-1])
    return ax


def _draw_axes(ax: Axes, variables: list[Variable]) -> None:
    """Draw a vertical axis with ticks for each parameter."""
    from matplotlib.patheffects import withStroke

    halo = [withStroke(linewidth=2.5, foreground="white")]
    few = len(variables) <= _FEW
    ax.set(xlim=(-0.3, len(variables) - 0.5), ylim=(-0.03, 1.03), yticks=[])
    ax.set_xticks(range(len(variables)), [variable.name for variable in variables], rotation=0 if few else 90)
    ax.tick_params(axis="x", length=0)
    ax.spines[:].set_visible(False)
    for i, variable in enumerate(variables):
        ax.axvline(i, color="0.3", linewidth=0.8, zorder=3)
        if few:
            for height, text in variable.ticks(5):
                ax.plot([i - 0.02, i], [height, height], color="0.3", linewidth=0.8, zorder=3)
                ax.annotate(
                    text,
                    (i, height),
                    xytext=(-4, 0),
                    textcoords="offset points",
                    ha="right",
                    va="center",
                    fontsize="small",
                    zorder=4,
                    path_effects=halo,
                )


def _bar(ax: Axes, colors: ScalarMappable, losses: Array) -> None:
    """Draw the colour bar: ranks as lengths, losses as texts."""
    ranks = np.unique(np.linspace(0, len(losses) - 1, 5).astype(int))
    bar = ax.figure.colorbar(colors, ax=ax, label="loss", ticks=ranks, pad=0.02)
    bar.ax.set_yticklabels([f"{loss:.3g}" for loss in losses[ranks]])
    bar.ax.invert_yaxis()

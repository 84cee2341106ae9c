"""The losses against each parameter."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from zoo_opt.core.errors import integer
from zoo_opt.plot.figures import axes_of, mark_above, new_figure, scale_losses, tidy
from zoo_opt.plot.variables import evaluations, evenly

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from numpy.typing import NDArray

    from zoo_opt.typing import Array

_COLORS = "viridis_r"
_STAR: dict[str, Any] = {
    "marker": "*",
    "markersize": 11,
    "color": "tab:orange",
    "markeredgecolor": "0.2",
    "linestyle": "",
}
_ROW = 5  # panels in a row, unless they are many; chosen


def slices(
    *results: Any,
    ax: Axes | Sequence[Axes] | None = None,
    parameters: Iterable[str | int] | None = None,
    points: int = 5000,
) -> NDArray[np.object_]:
    """Draw the loss of each evaluation against each parameter, a panel for each, coloured from early to late.

    A star is the lowest loss. Marks at the upper edge are failed evaluations (x) and losses that are infinite or far
    above what is shown (^). The axis of a parameter is logarithmic where the parameter is; the values of a choice are
    columns. Evaluations of several results are drawn together.

    Parameters
    ----------
    *results
        Results, optimizers or histories, lists of them, or dicts of them by label.
    ax : matplotlib.axes.Axes or sequence of them, optional
        One for each parameter, or one whose place the panels take; if not given, a new figure is made.
    parameters : iterable of str or int, optional
        The names, or the numbers, of the parameters to be drawn; if not given, all.
    points : int, default 5000
        Of more evaluations, so many are drawn, evenly spaced, and the best.

    Returns
    -------
    (p,) array of matplotlib.axes.Axes
        The panels.

    Raises
    ------
    TypeError, ValueError
        If there are no results or no points, or an argument does not fit.
    ImportError
        If matplotlib is not installed.
    """
    most = integer("points", points, 1)

    def spaced(loss: Array) -> NDArray[np.int64]:
        rows = evenly(len(loss), most)
        return rows if np.isnan(loss).all() else np.union1d(rows, np.nanargmin(loss))

    shown = evaluations(results, parameters, spaced)
    lowest = None if np.isnan(shown.loss).all() else int(np.nanargmin(shown.loss))
    panels, columns = _panels(ax, len(shown.variables))
    from matplotlib.ticker import MaxNLocator, NullLocator

    colors: dict[str, Any] = {"cmap": _COLORS, "vmin": shown.number.min(), "vmax": shown.number.max()}
    for i, (panel, variable) in enumerate(zip(panels, shown.variables, strict=True)):
        tidy(panel)
        places = variable.places
        highest = scale_losses(panel, shown.loss)
        seen = shown.loss <= highest
        dots = panel.scatter(
            places[seen], shown.loss[seen], c=shown.number[seen], s=14, linewidths=0, alpha=0.7, **colors
        )
        mark_above(panel, places, shown.loss, highest)
        if lowest is not None and np.isfinite(shown.loss[lowest]):
            panel.plot(places[lowest], shown.loss[lowest], label="lowest", **_STAR)
        panel.yaxis.set_minor_locator(NullLocator())  # a third of the time of many panels
        variable.label_x(panel)
        if i % columns == 0:
            panel.set_ylabel("loss")
        else:
            panel.tick_params(which="both", left=False, labelleft=False)
    if len(shown.number) > 1:
        place: dict[str, Any] = {"ax": list(panels), "pad": 0.01, "aspect": 20 * -(-len(panels) // columns)}
        bar = panels[0].figure.colorbar(dots, label="evaluation", ticks=MaxNLocator("auto", integer=True), **place)
        bar.solids.set_alpha(1.0)
    if ax is None and panels[0].get_legend_handles_labels()[0]:
        handles, labels = panels[0].get_legend_handles_labels()
        panels[0].figure.legend(handles, labels, loc="outside upper left", ncols=3, fontsize="small", frameon=False)
    return panels


def _panels(ax: Any, count: int) -> tuple[NDArray[np.object_], int]:
    """Return one Axes for each parameter, and how many are in a row."""
    given = None if ax is None else np.atleast_1d(np.asarray(ax, dtype=object)).ravel()
    if given is not None and len(given) == count:
        return np.array([axes_of(one, 1, 1) for one in given], dtype=object), count
    columns = count if count <= _ROW else math.ceil(math.sqrt(1.6 * count))
    rows = -(-count // columns)
    columns = -(-count // rows)
    if given is None:
        figure = new_figure(max(3.6, 2.2 * columns + 0.8), 2.2 * rows + 0.6)
        grid: Any = figure.add_gridspec(rows, columns)
    else:
        place = given[0].get_subplotspec() if len(given) == 1 and hasattr(given[0], "get_subplotspec") else None
        if place is None:
            raise ValueError(
                f"ax must be {count} Axes, one for each parameter, or one of a grid of subplots, got {len(given)}"
            )
        figure = given[0].figure
        given[0].remove()
        grid = place.subgridspec(rows, columns)
    panels = np.empty(count, dtype=object)
    panels[:] = [figure.add_subplot(grid[i // columns, i % columns]) for i in range(count)]
    return panels, columns

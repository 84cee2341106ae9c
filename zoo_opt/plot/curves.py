"""The lowest loss so far."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from zoo_opt.core.history import lowest_so_far
from zoo_opt.plot.figures import NICE, axes_of, legend_above, mark_above, scale_losses, tidy
from zoo_opt.plot.runs import labelled, losses_of, numbers_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from numpy.typing import NDArray

    from zoo_opt.core.history import History
    from zoo_opt.typing import Array

_EARLY = 0.02  # evaluations are on a log axis where half of the fall comes within this part of them; chosen
_DOTS = 20_000  # of a run with more evaluations, evenly spaced ones are drawn; chosen


def convergence(*results: Any, ax: Axes | None = None, optimum: float = 0.0) -> Axes:
    """Draw the lowest loss so far against the number of evaluations.

    One run is a line, with the losses as dots. Several are a line each; those of one label are one line, the median,
    in a band from the lower to the upper quartile, where a run that ended earlier keeps its lowest loss. Marks at the
    upper edge are failed evaluations (x) and losses that are infinite or far above what is shown (^).

    The loss axis is logarithmic where all losses are positive and span two decades; the other axis is where half of the
    fall comes in the first fiftieth of the evaluations.

    Parameters
    ----------
    *results
        Results, optimizers or histories, lists of them, or dicts of them by label.
    ax : matplotlib.axes.Axes, optional
        What to draw into; if not given, those of a new figure.
    optimum : float, default 0
        The lowest loss that there can be, where it is known: the distance from it is drawn.

    Returns
    -------
    matplotlib.axes.Axes
        What was drawn into.

    Raises
    ------
    TypeError, ValueError
        If there are no results, or something else is given.
    ImportError
        If matplotlib is not installed.
    """
    groups = labelled(results)
    ax = axes_of(ax, 6.4, 4.0)
    from matplotlib.ticker import MaxNLocator

    tidy(ax)
    single = len(groups) == 1 == len(next(iter(groups.values())))
    medians, values = [], []
    for row, (label, histories) in enumerate(groups.items()):
        at, low, middle, high = _quartiles([_steps(history, optimum) for history in histories])
        text = "_" if np.isnan(middle).all() and single else "lowest so far" if single else _words(label, histories)
        style: dict[str, Any] = {"drawstyle": "steps-post", "marker": "o" if len(at) == 1 else ""}
        ax.plot(at, middle, color=f"C{row}", linewidth=1.8, markersize=5, zorder=3, label=text, **style)
        if len(histories) > 1:
            ax.fill_between(at, low, high, step="post", color=f"C{row}", alpha=0.2, linewidth=0)
        medians.append((at, middle))
        values += [low, middle, high]
    if single:
        values.append(losses_of(histories[0]) - optimum)
        highest = scale_losses(ax, np.concatenate(values))
        _draw_dots(ax, numbers_of(histories[0]), values[-1], highest)
    else:
        scale_losses(ax, np.concatenate(values))
        for row, histories in enumerate(groups.values()):
            for history in histories:
                mark_above(ax, numbers_of(history), losses_of(history), np.inf, row=row, color=f"C{row}")
    if all(_falls_early(ax, at, middle) for at, middle in medians):
        ax.set_xscale("log")
    else:
        ax.xaxis.set_major_locator(MaxNLocator("auto", steps=NICE, min_n_ticks=1, integer=True))
    ax.set(xlabel="evaluations", ylabel=f"loss - {optimum:g}" if optimum else "loss")
    legend_above(ax, ax.get_legend_handles_labels()[0])
    return ax


def _steps(history: History, optimum: float) -> tuple[NDArray[np.int64], Array]:
    """Return the evaluations at which the lowest loss fell, and the last one, and the lowest loss from each on."""
    loss = losses_of(history)
    best = lowest_so_far(loss)
    falls = np.flatnonzero(best < np.append(np.inf, best[:-1]))
    rows = np.unique(np.append(falls, len(best) - 1)) if len(best) else falls
    return numbers_of(history)[rows], best[rows] - optimum


def _quartiles(curves: list[tuple[NDArray[np.int64], Array]]) -> tuple[NDArray[np.int64], Array, Array, Array]:
    """Return all evaluations at which a curve changes, and the lower quartile, median and upper quartile there."""
    at = np.unique(np.concatenate([rows for rows, _ in curves]))
    held = [
        np.append(np.inf, values)[np.searchsorted(rows, at, side="right")] for rows, values in curves
    ]  # +inf before the first loss
    ranked = np.sort(np.array(held), axis=0)
    return at, _quantile(ranked, 0.25), _quantile(ranked, 0.5), _quantile(ranked, 0.75)


def _quantile(ranked: Array, part: float) -> Array:
    """Return a quantile of the sorted columns, +inf where it lies between a number and +inf; NaN if there is none."""
    place = part * (len(ranked) - 1)
    below = int(place)
    weight = place - below
    value = ranked[below] if not weight else (1 - weight) * ranked[below] + weight * ranked[below + 1]
    return np.where(np.isinf(value), np.nan, value)  # not drawn


def _falls_early(ax: Axes, at: NDArray[np.int64], lowest: Array) -> bool:
    """Return whether half of the fall, as the loss axis shows it, comes early."""
    drawn = np.isfinite(lowest)
    if not drawn.any():
        return False
    heights = ax.transData.transform(np.column_stack([at[drawn], lowest[drawn]]))[:, 1]
    half = at[drawn][heights <= (heights[0] + heights[-1]) / 2]
    return bool(half[0] < _EARLY * at[-1])


def _draw_dots(ax: Axes, at: NDArray[np.int64], losses: Array, highest: float) -> None:
    """Draw the losses of one run as dots."""
    step = -(-len(at) // _DOTS) or 1
    ax.plot(
        at[::step],
        np.where(losses > highest, np.nan, losses)[::step],
        ".",
        color="C0",
        alpha=0.35,
        markersize=6,
        markeredgewidth=0,
        label="evaluations" if np.isfinite(losses).any() else "_",
    )
    mark_above(ax, at, losses, highest)


def _words(label: str, histories: list[History]) -> str:
    """Return the label with the numbers of runs and of failures, where they say something."""
    failed = sum(int(np.isnan(history.loss).sum()) for history in histories)
    words = [f"{len(histories)} runs"] * (len(histories) > 1) + [f"{failed} failed"] * (failed > 0)
    return f"{label} ({', '.join(words)})" if words else label

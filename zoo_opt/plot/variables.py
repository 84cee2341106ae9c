"""The evaluated points as one column for each parameter, as an axis shows it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from zoo_opt.parameters import Choice, Float, Int
from zoo_opt.plot.figures import LARGEST, NICE
from zoo_opt.plot.runs import labelled, losses_of, numbers_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from numpy.typing import NDArray

    from zoo_opt.parameters import Parameter
    from zoo_opt.space import Space
    from zoo_opt.typing import Array

MOST = 64  # parameters in one picture; chosen
_GOLDEN = (5**0.5 - 1) / 2  # its multiples fill an interval evenly (Kronecker sequence)
_SPREAD = 0.5  # of the room of a category, over which its points are spread so that they can be told apart; chosen


@dataclass(frozen=True)
class Variable:
    """One parameter: its values, or the number of each in ``categories``.

    Attributes
    ----------
    name : str
        Its name.
    values : (n,) array
        In the order of the evaluations.
    log, whole : bool
        Whether its axis is logarithmic, whether its values are integers.
    categories : tuple of str
        What it chooses from; empty for a number.
    """

    name: str
    values: Array
    log: bool = False
    whole: bool = False
    categories: tuple[str, ...] = ()

    @property
    def places(self) -> Array:
        """Where the values are drawn: those of a choice beside each other, around its number."""
        if not self.categories:
            return self.values
        return self.values + _SPREAD * (np.arange(len(self.values)) * _GOLDEN % 1 - 0.5)

    @property
    def heights(self) -> Array:
        """`places` from 0 to 1, the least and the largest value; 0.5 if there is one value only."""
        return self._heights(self.places)

    def _heights(self, places: Array) -> Array:
        to_axis = np.log if self.log else np.asarray
        low, high = (float(to_axis(end)) for end in self._ends)
        return (to_axis(places) - low) / (high - low) if low < high else np.full(len(places), 0.5)

    @property
    def _ends(self) -> tuple[float, float]:
        if self.categories:
            return -0.5, len(self.categories) - 0.5
        return float(self.values.min()), float(self.values.max())

    def ticks(self, most: int) -> list[tuple[float, str]]:
        """Return ticks of an axis from 0 to 1, about so many at most: heights and texts."""
        from matplotlib.ticker import LogLocator, MaxNLocator

        low, high = self._ends
        if self.categories:
            places = [float(k) for k in range(len(self.categories))]
            texts = list(self.categories)
        else:
            locator = LogLocator(numticks=most) if self.log else MaxNLocator(most, steps=NICE, integer=self.whole)
            inside = [float(v) for v in locator.tick_values(low, high) if low <= v <= high]
            places = inside if len(inside) > 1 else sorted({low, high})
            texts = [f"{place:.4g}" for place in places]
        return list(zip(self._heights(np.array(places)).tolist(), texts, strict=True))

    def label_x(self, ax: Axes) -> None:
        """Give the x axis the name, scale and ticks of this parameter."""
        from matplotlib.ticker import MaxNLocator

        ax.set_xlabel(self.name)
        if self.categories:
            ax.set_xticks(range(len(self.categories)), self.categories)
            ax.set_xlim(self._ends)
        elif self.log:
            ax.set_xscale("log")
        else:
            ax.xaxis.set_major_locator(MaxNLocator(4, steps=NICE, min_n_ticks=1, integer=self.whole))


@dataclass(frozen=True)
class Evaluations:
    """Evaluations of one or several runs whose points are known.

    Attributes
    ----------
    number : (n,) array of int
        Their numbers in their run, from 1.
    loss : (n,) array
        Their losses.
    variables : list of Variable
        The parameters.
    """

    number: NDArray[np.int64]
    loss: Array
    variables: list[Variable]


def evaluations(
    results: Any,
    parameters: Iterable[str | int] | None,
    choose: Callable[[Array], NDArray[np.int64]],
) -> Evaluations:
    """Return evaluations of all runs together.

    Parameters
    ----------
    results : results, optimizers, histories
        Alone, in lists, or by label.
    parameters : iterable of str or int, optional
        Names, or numbers, of the parameters; all if not given.
    choose : callable
        Gets the losses and returns the numbers of the evaluations.

    Raises
    ------
    ValueError
        If the points are not known, are of different spaces, or the parameters are not there or too many.
    """
    histories = [history for group in labelled(results).values() for history in group if history.x.size]
    if not histories:
        raise ValueError("results must have evaluations whose points are kept, got none")
    space, widths = histories[0].space, {history.x.shape[1] for history in histories}
    if len(widths) > 1 or any(history.space != space for history in histories):
        raise ValueError(f"results must be of one space, got points of {sorted(widths)} coordinates")
    X = np.concatenate([history.x for history in histories]).clip(-LARGEST, LARGEST)
    loss = np.concatenate([losses_of(history)[-len(history.x) :] for history in histories])
    number = np.concatenate([numbers_of(history)[-len(history.x) :] for history in histories])
    chosen = choose(loss)
    variables = _named(X[chosen]) if space is None else _decoded(X[chosen], space)
    return Evaluations(number[chosen], loss[chosen], _shown(variables, parameters))


def evenly(count: int, most: int) -> NDArray[np.int64]:
    """Return the numbers of all of ``count`` evaluations, or of ``most`` evenly spaced ones."""
    return np.linspace(0, count - 1, min(most, count)).astype(np.int64)


def _named(X: Array) -> list[Variable]:
    """Return the coordinates, with the names that they have in a history's table."""
    return [Variable(f"x{i}", column) for i, column in enumerate(X.T)]


def _decoded(X: Array, space: Space) -> list[Variable]:
    """Return the parameters of a space."""
    decoded = [space.decode(x) for x in X]
    return [
        _variable(name, parameter, [params[name] for params in decoded]) for name, parameter in space.parameters.items()
    ]


def _variable(name: str, parameter: Parameter, values: list[Any]) -> Variable:
    """Return one parameter of a space."""
    if isinstance(parameter, Float | Int):
        return Variable(name, np.array(values, float), parameter.log, isinstance(parameter, Int))
    options = parameter.values if isinstance(parameter, Choice) else (False, True)
    number = {repr(option): k for k, option in enumerate(options)}  # 1, 1.0 and True are three
    places = np.array([number[repr(value)] for value in values], float)
    return Variable(name, places, categories=tuple(map(str, options)))


def _shown(variables: list[Variable], parameters: Iterable[str | int] | None) -> list[Variable]:
    """Return those of the variables that were asked for."""
    if parameters is not None:
        by_name: dict[str | int, Variable] = {variable.name: variable for variable in variables}
        by_name |= dict(enumerate(variables))
        wanted = [parameters] if isinstance(parameters, str | int) else list(parameters)
        unknown = [name for name in wanted if name not in by_name]
        if unknown or not wanted:
            names = ", ".join(variable.name for variable in variables[:MOST])
            raise ValueError(f"parameters must be of {names}, or their numbers, got {unknown or wanted}")
        variables = [by_name[name] for name in wanted]
    if len(variables) > MOST:
        raise ValueError(f"parameters must name at most {MOST} to be drawn, got {len(variables)}")
    return variables

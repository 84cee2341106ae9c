"""Spaces: named parameters as the points of a unit cube, and back."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from zoo_opt.methods.box import Box, both, check_finite_box
from zoo_opt.methods.grid import Grid
from zoo_opt.parameters import Bool, Choice, Float, Int, Parameter

if TYPE_CHECKING:
    from zoo_opt.typing import Array


@dataclass(frozen=True, init=False, eq=False)
class Space:
    """Named parameters, to be given instead of x0: the objective then gets a dict of them.

    Parameters
    ----------
    parameters : mapping of str to Float, Int, Choice or Bool, optional
        For names that are no identifiers.
    **named
        The same as keywords.

    Attributes
    ----------
    d : int
        Number of coordinates: one for a number, K for a choice of K values, none for what has one value only.

    Raises
    ------
    ValueError, TypeError
        If a parameter is of no such kind, a name stands twice, or nothing is left to search.

    Examples
    --------
    >>> import zoo_opt as zo
    >>> space = zo.Space(C=zo.Float(1e-3, 1e3, log=True), layers=zo.Int(1, 8), kernel=zo.Choice("rbf", "poly"))
    >>> space.d, space.decode([1.0, 0.0, 0.2, 0.8])
    (4, {'C': 1000.0, 'layers': 1, 'kernel': 'poly'})
    """

    parameters: dict[str, Parameter] = field(default_factory=dict)

    def __init__(self, parameters: Mapping[str, Parameter] | None = None, /, **named: Any) -> None:
        if parameters is None and len(named) == 1 and isinstance(named.get("parameters"), dict):
            parameters, named = named["parameters"], {}  # as a checkpoint has it
        given = {} if parameters is None else dict(parameters)
        twice = sorted(given.keys() & named.keys())
        if twice:
            raise ValueError(f"each parameter must be given once, got {', '.join(twice)} twice")
        object.__setattr__(self, "parameters", given | named)
        for name, parameter in self.parameters.items():
            if not isinstance(name, str):
                raise TypeError(f"names of parameters must be strings, got {name!r}")
            if not isinstance(parameter, Parameter):
                raise TypeError(f"{name} must be a Float, Int, Choice or Bool, got {parameter!r}")
        if not self.d:
            raise ValueError(f"a Space must have a parameter of more than one value, got {self!r}")

    @classmethod
    def from_names(cls, names: Iterable[str], bounds: Any, *, log: Iterable[str] = ()) -> Space:
        """Return the space of real numbers with these names.

        Parameters
        ----------
        names : iterable of str
            The names.
        bounds : box
            Finite bounds of all or of each: a pair, two arrays, or a list of pairs.
        log : iterable of str, default ()
            The names of those on a logarithmic scale.
        """
        listed, logs = list(names), set(log)
        box = check_finite_box("bounds", bounds)
        if len(set(listed)) < len(listed) or not logs <= set(listed):
            raise ValueError(f"names must differ and hold those of log, got {listed} and {sorted(logs)}")
        if any(isinstance(side, tuple) and len(side) != len(listed) for side in box):
            raise ValueError(f"bounds must be one pair, or one for each of {len(listed)} names, got {bounds!r}")
        low, high = (side.tolist() for side in both(box, len(listed)))
        return cls({name: Float(a, b, name in logs) for name, a, b in zip(listed, low, high, strict=True)})

    @classmethod
    def from_dict(cls, table: Mapping[str, Mapping[str, Any]]) -> Space:
        """Return the space that a table describes, such as one of a TOML file.

        Parameters
        ----------
        table : mapping
            For each name one of ``{"float": [low, high]}``, ``{"int": [low, high]}``, both perhaps with
            ``"log": true``, the second with ``"step"``, ``{"choice": [value, value, ...]}``, ``{"bool": true}``.
        """
        return cls({name: _described(name, entry) for name, entry in table.items()})

    @functools.cached_property
    def d(self) -> int:
        """Number of coordinates."""
        return sum(parameter.size for parameter in self.parameters.values())

    @property
    def bounds(self) -> Box:
        """The unit cube."""
        return Box(0.0, 1.0)

    @functools.cached_property
    def grid(self) -> Grid | None:
        """Which coordinates take levels, and which together are a choice; None if there are neither."""
        levels, groups = [], []
        for first, parameter in self._placed():
            if isinstance(parameter, Choice):
                groups += [(first, parameter.size)] if parameter.size else []
            elif parameter.levels:
                levels.append((first, parameter.levels))
        return Grid(self.d, tuple(levels), tuple(groups)) if levels or groups else None

    def decode(self, x: Any) -> dict[str, Any]:
        """Return the parameters at the point ``x`` (d,)."""
        u = np.asarray(x, dtype=np.float64).tolist()
        if len(u) != self.d:
            raise ValueError(f"x must have {self.d} coordinates, got {len(u)}")
        values = (parameter.decode(u[first : first + parameter.size]) for first, parameter in self._placed())
        return dict(zip(self.parameters, values, strict=True))

    def encode(self, params: Mapping[str, Any]) -> Array:
        """Return the point (d,) of parameters; those that are not given are in the middle, choices at none.

        Raises
        ------
        ValueError, TypeError
            If a name is not known, or a value is not one of the parameter's.
        """
        unknown = [str(name) for name in params if name not in self.parameters]
        if unknown:
            raise ValueError(f"parameters must be of {', '.join(self.parameters)}, got {', '.join(unknown)}")
        u = [
            coordinate
            for name, parameter in self.parameters.items()
            for coordinate in (parameter.encode(name, params[name]) if name in params else parameter.middle)
        ]
        return np.array(u)

    def at(self, params: Mapping[str, Any] | None = None, /, **named: Any) -> SpacePoint:
        """Return a start with these parameters, to be given instead of x0; the others are in the middle."""
        return SpacePoint(self, self.encode({**(params or {}), **named}))

    def __eq__(self, other: object) -> bool:
        """Return whether the parameters are equal, in their order, which is that of the coordinates."""
        if not isinstance(other, Space):
            return NotImplemented
        return list(self.parameters.items()) == list(other.parameters.items())

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        if all(map(str.isidentifier, self.parameters)):
            return f"Space({', '.join(f'{name}={value!r}' for name, value in self.parameters.items())})"
        return f"Space({self.parameters!r})"

    def _placed(self) -> Iterable[tuple[int, Parameter]]:
        """Yield each parameter with its first coordinate."""
        first = 0
        for parameter in self.parameters.values():
            yield first, parameter
            first += parameter.size


@dataclass(frozen=True, eq=False)
class SpacePoint:
    """A point of a space, what `Space.at` gives.

    Attributes
    ----------
    space : Space
        The space.
    x : (d,) array
        The point.
    """

    space: Space
    x: Array

    @property
    def params(self) -> dict[str, Any]:
        """The parameters there."""
        return self.space.decode(self.x)


_KINDS: dict[str, tuple[Any, set[str]]] = {
    "float": (Float, {"log"}),
    "int": (Int, {"log", "step"}),
    "choice": (Choice, set()),
}


def _described(name: str, entry: Any) -> Parameter:
    """Return the parameter of an entry of a table."""
    expected = f"{name} must be {{float = [low, high]}}, {{int = [low, high]}}, {{choice = [...]}} or {{bool = true}}"
    kinds = [kind for kind in (*_KINDS, "bool") if kind in entry] if isinstance(entry, Mapping) else []
    if len(kinds) != 1 or isinstance(entry[kinds[0]], str):
        raise ValueError(f"{expected}, got {entry!r}")
    (kind,) = kinds
    options = {key: entry[key] for key in entry if key != kind}
    if kind == "bool" and not options and entry[kind] is True:
        return Bool()
    try:
        make, known = _KINDS[kind]
        if not options.keys() <= known or (kind != "choice" and len(entry[kind]) != 2):
            raise ValueError(f"got {entry!r}")
        parameter: Parameter = make(*entry[kind], **options)
    except (TypeError, ValueError, KeyError) as error:
        raise ValueError(f"{expected}: {error}") from None
    return parameter

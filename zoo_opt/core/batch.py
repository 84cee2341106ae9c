"""What `ask` returns: candidates with their ids."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, overload

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from zoo_opt.typing import Array


class _Candidate(NamedTuple):
    id: int
    x: Array
    step: int
    of: int | None = None


class Candidate(_Candidate):
    """A point to evaluate; a tuple of its four attributes. It knows the optimizer that it is of, as a `Batch` does.

    Attributes
    ----------
    id : int
        Number of the candidate, increasing from 0 over the whole life of an optimizer.
    x : (d,) array
        The point, read-only.
    step : int
        Number of the step it belongs to: all candidates of a step can share one minibatch.
    of : int or None
        For a point that is evaluated again, the first id that it had; None for a new point.
    """

    _run: int | None = None
    _space: Any = None

    @property
    def params(self) -> dict[str, Any]:
        """The parameters of the point, where the optimizer was given a `Space`."""
        return params_of(self._space, self.x)


class Batch:
    """Candidates of one step, in id order.

    Iterating yields the points, read-only (d,) arrays; ``batch[i]`` is a `Candidate`, a slice of it a `Batch`, and
    ``numpy.asarray(batch)`` the (n, d) matrix. A batch records its optimizer by method, seed, start and points. Its
    slices, pickled copies and the loaded optimizer fit it. An optimizer with other points refuses its losses.

    Attributes
    ----------
    X : (n, d) array
        The points, read-only.
    ids : list of int
        Their ids.
    step : int
        The step they belong to.
    of : list of int or None
        The first ids of points that are evaluated again.
    params : list of dict
        The parameters of the points, where the optimizer was given a `Space`.
    """

    __slots__ = ("X", "_ids", "_of", "_run", "_space", "step")

    def __init__(self, X: Array, ids: Sequence[int], step: int, of: Sequence[int | None] | None = None) -> None:
        self.X = X
        self._run: int | None = None
        self._space: Any = None
        self._ids = ids
        self._of = of
        self.step = step

    @property
    def ids(self) -> list[int]:
        """The ids of the candidates, a new list."""
        return list(self._ids)

    @property
    def of(self) -> list[int | None]:
        """For each candidate the first id of its point if that is evaluated again, else None; a new list."""
        return [None] * len(self._ids) if self._of is None else list(self._of)

    @property
    def params(self) -> list[dict[str, Any]]:
        """The parameters of the points."""
        return [params_of(self._space, x) for x in self.X]

    def __len__(self) -> int:
        return len(self._ids)

    def __iter__(self) -> Iterator[Array]:
        return iter(self.X)

    @overload
    def __getitem__(self, index: int) -> Candidate: ...

    @overload
    def __getitem__(self, index: slice) -> Batch: ...

    def __getitem__(self, index: int | slice) -> Candidate | Batch:
        if isinstance(index, slice):
            part: Batch | Candidate = Batch(self.X[index], self._ids[index], self.step, self._of and self._of[index])
        else:
            of = None if self._of is None else self._of[index]
            part = Candidate(self._ids[index], self.X[index], self.step, of)
        part._run, part._space = self._run, self._space
        return part

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        return np.array(self.X, dtype=dtype, copy=copy)

    def __repr__(self) -> str:
        return f"Batch(step={self.step}, ids={self.ids}, shape={self.X.shape})"


def params_of(space: Any, x: Array) -> dict[str, Any]:
    """Return the parameters at ``x``, or raise AttributeError without a space."""
    if space is None:
        raise AttributeError("params are of an optimizer that was given a Space; this one has x alone")
    params: dict[str, Any] = space.decode(x)
    return params

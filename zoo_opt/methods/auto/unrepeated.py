"""No point twice: where all variables are integers or choices, a search meets the same points again and again."""

from __future__ import annotations

import functools
import itertools
import math
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from zoo_opt.core.keys import RESTART, generator
from zoo_opt.core.method import Asked, Method
from zoo_opt.methods.grid import Grid

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from zoo_opt.typing import Array, Key

TURNS = 20  # steps in a row without a new point after which the next point is drawn at random; chosen, not tuned
AFTER_RANDOM = 2  # the same after a point that was; chosen
SMALL = 100_000  # points up to which a grid is listed to find those that are left; chosen


@dataclass(frozen=True, slots=True)
class UnrepeatedState:
    """State between two steps.

    Attributes
    ----------
    key : Key
        Where random points come from.
    inner : object
        State of the inner method.
    turn : int
        Its next step, as it is told more steps than are evaluated.
    X, V : (n, d) and (n,) array
        The points evaluated and their losses, NaN where that failed.
    rows : (m,) array of int
        The candidates of its next step that are new.
    points : (0, d) or (1, d) array
        A random point that is evaluated in place of a step.
    reasons : dict
        Why the method has ended.
    """

    key: Key
    inner: Any
    turn: int
    X: Array
    V: Array
    rows: NDArray[np.intp]
    points: Array
    reasons: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Unrepeated(Method):
    """A method on a grid without continuous variables, each point of which is evaluated once.

    Candidates that have been evaluated keep their losses and are not asked for again; a step of which nothing is new
    goes by unseen. After some of these in a row a random point is tried. It ends when all points have been evaluated.

    Parameters
    ----------
    method : Method
        What proposes the candidates, on the grid's points.
    grid : Grid
        Without continuous coordinates.
    """

    ends: ClassVar[bool] = True

    method: Method
    grid: Grid

    @functools.cached_property
    def points(self) -> int:
        """Number of points of the grid."""
        return math.prod([*(len(positions) for _, positions in self.grid.levels), *(k for _, k in self.grid.groups)])

    # ------------------------------------------------------------------------------------- the four functions
    def init(self, x0: Array, key: Key) -> UnrepeatedState:
        """See `Method.init`."""
        return self.begun(x0, key, np.zeros((0, x0.size)), np.zeros(0))

    def begun(self, x0: Array, key: Key, X: Array, V: Array) -> UnrepeatedState:
        """Return the state at ``x0`` where the points ``X`` (n, d) have been evaluated, with the losses ``V`` (n,)."""
        none = np.zeros(0, dtype=np.intp)
        state = UnrepeatedState(key, self.method.init(x0, key), 0, X, V, none, X[:0])
        return self._settled(state)

    def size(self, state: UnrepeatedState) -> int:
        """See `Method.size`."""
        return max(1, len(state.points) + len(state.rows))

    def ask(self, state: UnrepeatedState, step: int, out: Array | None = None) -> Asked:
        """See `Method.ask`."""
        if len(state.points) or not len(state.rows):
            return Asked(state.points if len(state.points) else state.X[:1])
        asked = self.method.ask(state.inner, state.turn)
        return Asked(asked.X[state.rows], asked)

    def update(self, state: UnrepeatedState, asked: Asked, losses: list[float]) -> UnrepeatedState:
        """See `Method.update`."""
        if state.reasons:
            return state
        s = replace(state, X=np.concatenate([state.X, asked.X]), V=np.append(state.V, losses), points=state.X[:0])
        return self._settled(s, AFTER_RANDOM) if asked.memo is None else self._settled(self._told(s, asked.memo))

    def mean(self, state: UnrepeatedState) -> Array:
        """See `Method.mean`."""
        return self.method.mean(state.inner)

    def stop(self, state: UnrepeatedState) -> dict[str, Any]:
        """See `Method.stop`."""
        return dict(state.reasons) or self.method.stop(state.inner)

    def known(self, state: UnrepeatedState, X: Array, losses: list[float]) -> UnrepeatedState:
        """See `Method.known`: points of the grid, which are not evaluated again; the inner method is told them too."""
        inner = self.method.known(state.inner, X, losses)
        s = replace(state, inner=inner, X=np.concatenate([state.X, X]), V=np.append(state.V, losses))
        return s if s.reasons else self._settled(replace(s, points=s.X[:0]))

    # -------------------------------------------------------------------------------------------------- parts
    def _told(self, s: UnrepeatedState, inner: Asked) -> UnrepeatedState:
        """Return the state after a step of the inner method all of whose candidates are known."""
        values = [float(s.V[(x == s.X).all(axis=1).argmax()]) for x in inner.X]
        return replace(s, inner=self.method.update(s.inner, inner, values), turn=s.turn + 1)

    def _settled(self, s: UnrepeatedState, turns: int = TURNS) -> UnrepeatedState:
        """Return the state with something new to evaluate, or at its end."""
        if len(s.X) >= self.points:
            return replace(s, rows=s.rows[:0], reasons={"all_points": self.points})
        for _ in range(turns):
            inner = self.method.ask(s.inner, s.turn)
            rows = np.sort(np.unique(inner.X, axis=0, return_index=True)[1])
            rows = rows[[not (x == s.X).all(axis=1).any() for x in inner.X[rows]]]
            if len(rows):
                return replace(s, rows=rows)
            s = self._told(s, inner)
        rng = generator(s.key, len(s.X), RESTART)
        left = _without(self._all, s.X) if self.points <= SMALL else s.points[:0]
        while not len(left):
            X = self.grid.snap(rng.random((1, self.grid.d)))
            left = X[:0] if (s.X == X).all(axis=1).any() else X
        return replace(s, rows=s.rows[:0], points=left[rng.integers(len(left), size=1)])

    @functools.cached_property
    def _all(self) -> Array:
        """All points of the grid (n, d)."""
        grid = self.grid
        columns = [np.array(positions)[:, None] for _, positions in grid.levels] + [np.eye(k) for _, k in grid.groups]
        order = np.argsort([*(j for j, _ in grid.levels), *grid.one_hot], kind="stable")
        return np.array([np.concatenate(point)[order] for point in itertools.product(*columns)])


def _without(X: Array, taken: Array) -> Array:
    """Return the points of ``X`` (n, d), all different, that are not among ``taken``."""
    _, first, count = np.unique(np.concatenate([X, taken]), axis=0, return_index=True, return_counts=True)
    left: Array = X[np.sort(first[count == 1])]
    return left

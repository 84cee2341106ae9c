"""SOO: simultaneous optimistic optimisation, a global search that divides a box where it is best at every depth."""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from zoo_opt.core.method import Asked, Method
from zoo_opt.methods import box as boxes

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from zoo_opt.typing import Array, Key

K = 3  # parts of a divided cell, so that its centre is that of the middle one
FINEST = 33  # divisions of a side, 3^-33 of it is rounding


@dataclass(frozen=True, slots=True)
class SOOState:
    """State between two sweeps, float64: the leaves of the tree.

    Attributes
    ----------
    x, f : (d,) array, float
        The best point, and its loss; inf while there is none.
    place, divisions : (n, d) arrays of int64
        Of each leaf, in every coordinate: it is part ``place``, from 0, of the ``3 ** divisions`` of that side.
    values : (n,) array
        Losses at the leaves' centres, inf where the evaluation failed.
    """

    x: Array
    f: float
    place: NDArray[np.int64]
    divisions: NDArray[np.int64]
    values: Array

    @property
    def depths(self) -> NDArray[np.int64]:
        """Divisions of all sides together, (n,)."""
        depths: NDArray[np.int64] = self.divisions.sum(axis=1)
        return depths


@dataclass(frozen=True, kw_only=True)
class SOO(Method):
    """Simultaneous optimistic optimisation [1]: a global search without settings, for few dimensions.

    The loss at its centre stands for a cell of the box. A sweep goes through the tree of cells, from the largest cells
    to the smallest, to the depth sqrt(n) with n leaves. It divides the best leaf of a depth into three, along a side
    with the fewest divisions, if that is better than those divided before in this sweep. So it is a local search and a
    global one at the same time. Only the order of losses counts.

    The leaves of a sweep are chosen before any of them is divided, so that all new centres can be evaluated at once.
    Nothing is drawn, and no point is evaluated twice.

    Parameters
    ----------
    bounds : bounds in any form
        Finite on both sides. The first step evaluates x0 and the centre of the box.

    Notes
    -----
    A failed candidate counts as infinitely bad. It converges slowly once it is in the basin of the minimum; a local
    search from ``opt.best`` ends sooner, as `Auto` does in up to three dimensions.

    Raises
    ------
    ValueError, TypeError
        If ``bounds`` are not finite, or x0 is outside of them.

    References
    ----------
    [1] R. Munos. Optimistic optimization of a deterministic function without the knowledge of its smoothness.
    NIPS 24, 2011.
    """

    bounds: Any

    def __post_init__(self) -> None:
        object.__setattr__(self, "bounds", boxes.check_finite_box("bounds", self.bounds))

    # ------------------------------------------------------------------------------------- the four functions
    def init(self, x0: Array, key: Key) -> SOOState:
        """See `Method.init`."""
        x0 = x0.astype(np.float64)
        boxes.check_start(x0, self.bounds)
        none = np.zeros((0, x0.size), np.int64)
        return SOOState(x0, math.inf, none, none, np.zeros(0))

    def begun(self, x: Array, f: float, f_centre: float) -> SOOState:
        """Return the state after the first step: the best point, its loss, and the loss at the centre of the box."""
        whole = np.zeros((1, x.size), np.int64)
        return SOOState(x, f, whole, whole, np.array([math.inf if math.isnan(f_centre) else f_centre]))

    def size(self, state: SOOState) -> int:
        """See `Method.size`."""
        if not len(state.values):
            return 1 + bool((state.x != self._centre(state.x.size)).any())
        return (K - 1) * len(self._divided(state))

    def ask(self, state: SOOState, step: int, out: Array | None = None) -> Asked:
        """See `Method.ask`."""
        d = state.x.size
        if not len(state.values):
            centre = self._centre(d)
            return Asked(np.stack([centre, state.x] if (state.x != centre).any() else [centre]))
        leaves = self._divided(state)
        place, divisions = self._children(state, leaves)
        outer = np.arange(len(place)) % K != 1  # the middle one has its parent's centre
        return Asked(self.centres(place[outer], divisions[outer]), (leaves, place, divisions))

    def update(self, state: SOOState, asked: Asked, losses: list[float]) -> SOOState:
        """See `Method.update`."""
        values = np.where(np.isnan(losses), math.inf, losses)
        k = int(values.argmin())
        x, f = (asked.X[k].copy(), float(values[k])) if values[k] < state.f else (state.x, state.f)
        if not len(state.values):
            return self.begun(x, f, losses[0])
        leaves, place, divisions = asked.memo
        of_children = np.insert(values.reshape(-1, K - 1), 1, state.values[leaves], axis=1).ravel()
        left = np.delete(np.arange(len(state.values)), leaves)
        return SOOState(
            x,
            f,
            np.concatenate([state.place[left], place]),
            np.concatenate([state.divisions[left], divisions]),
            np.concatenate([state.values[left], of_children]),
        )

    def mean(self, state: SOOState) -> Array:
        """Return the best point."""
        return state.x

    # ------------------------------------------------------------------------------------------------- the tree
    def centres(self, place: NDArray[np.int64], divisions: NDArray[np.int64]) -> Array:
        """Return the centres of cells (n, d)."""
        low, high = self._sides
        part = (place + 0.5) / np.power(float(K), divisions)
        centres: Array = np.clip(low + part * (high - low), low, high)
        return centres

    def widths(self, divisions: NDArray[np.int64]) -> Array:
        """Return the sides of cells (n, d)."""
        low, high = self._sides
        widths: Array = (high - low) / np.power(float(K), divisions)
        return widths

    @functools.cached_property
    def _sides(self) -> tuple[Array, Array]:
        return np.asarray(self.bounds.low), np.asarray(self.bounds.high)

    @functools.cached_property
    def _is_free(self) -> NDArray[np.bool_]:
        free: NDArray[np.bool_] = np.less(*self._sides)
        return free

    def _centre(self, d: int) -> Array:
        whole = np.zeros((1, d), np.int64)
        centre: Array = self.centres(whole, whole)[0]
        return centre

    def _divided(self, state: SOOState) -> NDArray[np.intp]:
        """Return the leaves that the next sweep divides, Algorithm 2 of [1]; one at least."""
        depths, v_min = state.depths, math.inf
        chosen: list[np.intp] = []
        fine = np.all((state.divisions >= FINEST) | ~self._is_free, axis=1)
        order = np.lexsort((state.values, fine, depths))  # of each depth the best leaf first
        for h, i in zip(*np.unique(depths[order], return_index=True), strict=True):
            if h > math.sqrt(len(depths)):  # h_max(n)
                break
            leaf = order[i]
            if not fine[leaf] and (state.values[leaf] < v_min or not chosen):
                v_min = state.values[leaf]
                chosen.append(leaf)
        return np.array(chosen or order[:1], np.intp)

    def _children(self, state: SOOState, leaves: NDArray[np.intp]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return places and divisions of the three children of each leaf, (3 m, d)."""
        place, divisions = np.repeat(state.place[leaves], K, axis=0), np.repeat(state.divisions[leaves], K, axis=0)
        side = np.where(self._is_free, divisions, FINEST + 1).argmin(axis=1)
        rows = np.arange(len(place))
        place[rows, side] = K * place[rows, side] + rows % K
        divisions[rows, side] += 1
        return place, divisions

"""The coordinates of a search that are not continuous: integers, and choices in one-hot form."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from zoo_opt.typing import Array


@dataclass(frozen=True)
class Grid:
    """Which coordinates take levels only, and which together are a choice.

    Parameters
    ----------
    d : int
        Number of coordinates in all.
    levels : tuple of (int, tuple of float)
        A coordinate and the positions of its levels, at least two, increasing. Three or more have an order; of two
        levels one is chosen.
    groups : tuple of (int, int)
        The first coordinate of a choice and the number K >= 2 of its alternatives: coordinates first to first + K - 1
        are 0, and 1 for the alternative that is chosen.

    Raises
    ------
    ValueError
        If a coordinate is not one of the d or stands twice, has fewer than two levels, or levels that do not increase,
        or if a choice has fewer than two alternatives.
    """

    d: int
    levels: tuple[tuple[int, tuple[float, ...]], ...] = ()
    groups: tuple[tuple[int, int], ...] = ()

    def __post_init__(self) -> None:
        for j, positions in self.levels:
            if len(positions) < 2 or any(b <= a for a, b in itertools.pairwise(positions)):
                raise ValueError(f"levels of coordinate {j} must be two or more that increase, got {positions}")
        for first, k in self.groups:
            if k < 2:
                raise ValueError(f"the choice at coordinate {first} must have 2 alternatives or more, got {k}")
        inside = all(0 <= first <= self.d - k for first, k in self.groups)  # before they are written out
        taken = [j for j, _ in self.levels]
        taken += self.one_hot.tolist() if inside else [first for first, _ in self.groups]
        if not inside or len(set(taken)) < len(taken) or not all(0 <= j < self.d for j in taken):
            raise ValueError(f"levels and groups must be of different coordinates below {self.d}, got {sorted(taken)}")

    def __bool__(self) -> bool:
        return bool(self.levels or self.groups)

    # ---------------------------------------------------------------------------------------- integers of 3 and more
    @functools.cached_property
    def integers(self) -> NDArray[np.intp]:
        """The coordinates that take three levels or more (n,)."""
        return np.array([j for j, positions in self.levels if len(positions) > 2], dtype=np.intp)

    @functools.cached_property
    def positions(self) -> Array:
        """The levels of the integers (n, most), padded with infinity."""
        rows = [positions for _, positions in self.levels if len(positions) > 2]
        padded = np.full((len(rows), max(map(len, rows), default=1)), np.inf)
        for row, positions in zip(padded, rows, strict=True):
            row[: len(positions)] = positions
        return padded

    @functools.cached_property
    def thresholds(self) -> Array:
        """The middles between levels (n, most - 1), padded with infinity."""
        middles: Array = (self.positions[:, 1:] + self.positions[:, :-1]) / 2
        return middles

    def cell(self, V: Array) -> NDArray[np.intp]:
        """Return the number of the level that is nearest to each of ``V`` (..., n), the lower one in the middle."""
        return np.asarray((V[..., None] > self.thresholds).sum(axis=-1), dtype=np.intp)

    def nearest(self, V: Array) -> Array:
        """Return the level that is nearest to each of ``V`` (..., n), values of the integers."""
        level: Array = self.positions[np.arange(len(self.integers)), self.cell(V)]
        return level

    # ------------------------------------------------------------------------ choices: two levels, or in one-hot form
    @functools.cached_property
    def binaries(self) -> NDArray[np.intp]:
        """The coordinates that take two levels, each a choice of two."""
        return np.array([j for j, positions in self.levels if len(positions) == 2], dtype=np.intp)

    @functools.cached_property
    def ends(self) -> Array:
        """The two levels of the binaries (2, n)."""
        pairs = [positions for _, positions in self.levels if len(positions) == 2]
        return np.array(pairs).reshape(len(pairs), 2).T

    @functools.cached_property
    def one_hot(self) -> NDArray[np.intp]:
        """The coordinates that are parts of choices in one-hot form."""
        return np.array([j for first, k in self.groups for j in range(first, first + k)], dtype=np.intp)

    @functools.cached_property
    def alternatives(self) -> tuple[int, ...]:
        """The number K of alternatives of each choice: first those in one-hot form, then the binaries."""
        return (*(k for _, k in self.groups), *(2 for _ in self.binaries))

    @functools.cached_property
    def parts(self) -> list[slice]:
        """Where each choice is among the sum of K alternatives."""
        ends = itertools.accumulate(self.alternatives)
        return [slice(end - k, end) for end, k in zip(ends, self.alternatives, strict=True)]

    def weights(self, X: Array) -> Array:
        """Return the weights of the alternatives (..., sum of K) in ``X`` (..., d): 1 for one chosen, else 0."""
        low, high = self.ends
        second = np.clip((X[..., self.binaries] - low) / (high - low), 0, 1)
        pairs = np.stack([1 - second, second], axis=-1)
        return np.concatenate([X[..., self.one_hot], pairs.reshape(*X.shape[:-1], -1)], axis=-1)

    def put(self, X: Array, C: Array) -> None:
        """Write choices with the weights ``C`` (..., sum of K) into ``X`` (..., d)."""
        n = len(self.one_hot)
        X[..., self.one_hot] = C[..., :n]
        X[..., self.binaries] = np.where(C[..., n + 1 :: 2] > C[..., n::2], self.ends[1], self.ends[0])

    # ----------------------------------------------------------------------------------------------- all coordinates
    @functools.cached_property
    def ordered(self) -> NDArray[np.intp]:
        """The coordinates that are no choices: continuous ones and integers."""
        return np.setdiff1d(np.arange(self.d), np.concatenate([self.one_hot, self.binaries]))

    @functools.cached_property
    def integers_ordered(self) -> NDArray[np.intp]:
        """Where the integers are among the ordered coordinates."""
        return np.searchsorted(self.ordered, self.integers)

    @functools.cached_property
    def continuous(self) -> NDArray[np.bool_]:
        """Which of the d coordinates are neither integers nor choices."""
        mask = np.zeros(self.d, dtype=bool)
        mask[np.setdiff1d(self.ordered, self.integers)] = True
        return mask

    def snap(self, X: Array) -> Array:
        """Return ``X`` (..., d) with levels at the nearest, and 1 for the largest of the parts of a choice."""
        X = np.array(X, dtype=np.float64)
        X[..., self.integers] = self.nearest(X[..., self.integers])
        C = self.weights(X)
        for part in self.parts:
            largest = C[..., part].argmax(axis=-1)
            C[..., part] = np.arange(part.stop - part.start) == largest[..., None]
        self.put(X, C)
        return X


def cells(counts: Sequence[int]) -> Grid:
    """Return the grid of the unit cube whose coordinate j is ``counts[j]`` cells of equal width, 0: continuous.

    The levels are the middles of the cells.
    """
    return Grid(
        len(counts), tuple((j, tuple((i + 0.5) / k for i in range(k))) for j, k in enumerate(map(int, counts)) if k)
    )

"""The coordinates of a search that are not continuous: integers, and choices in one-hot form."""

from __future__ import annotations

import functools
import itertools
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
        A coordinate and the positions of its levels, at least two, increasing.
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
        taken = [*self.integers.tolist(), *self.one_hot.tolist()]
        if len(set(taken)) < len(taken) or not set(taken) <= set(range(self.d)):
            raise ValueError(f"levels and groups must be of different coordinates below {self.d}, got {sorted(taken)}")

    def __bool__(self) -> bool:
        return bool(self.levels or self.groups)

    @functools.cached_property
    def integers(self) -> NDArray[np.intp]:
        """The coordinates that take levels (n,)."""
        return np.array([j for j, _ in self.levels], dtype=np.intp)

    @functools.cached_property
    def positions(self) -> Array:
        """The levels (n, most), padded with infinity."""
        most = max((len(positions) for _, positions in self.levels), default=0)
        padded = np.full((len(self.levels), most), np.inf)
        for row, (_, positions) in zip(padded, self.levels, strict=True):
            row[: len(positions)] = positions
        return padded

    @functools.cached_property
    def thresholds(self) -> Array:
        """The middles between levels (n, most - 1), padded with infinity."""
        middles: Array = (self.positions[:, 1:] + self.positions[:, :-1]) / 2
        return middles

    @functools.cached_property
    def one_hot(self) -> NDArray[np.intp]:
        """The coordinates that are parts of choices."""
        return np.array([j for first, k in self.groups for j in range(first, first + k)], dtype=np.intp)

    @functools.cached_property
    def ordered(self) -> NDArray[np.intp]:
        """The coordinates that are no parts of choices: continuous ones and integers."""
        return np.setdiff1d(np.arange(self.d), self.one_hot)

    @functools.cached_property
    def continuous(self) -> NDArray[np.bool_]:
        """Which of the d coordinates are neither integers nor parts of choices."""
        mask = np.ones(self.d, dtype=bool)
        mask[self.integers] = mask[self.one_hot] = False
        return mask

    @functools.cached_property
    def integers_ordered(self) -> NDArray[np.intp]:
        """Where the integers are among the ordered coordinates."""
        return np.searchsorted(self.ordered, self.integers)

    def cell(self, V: Array) -> NDArray[np.intp]:
        """Return the number of the level that is nearest to each of ``V`` (..., n), the lower one in the middle."""
        return np.asarray((V[..., None] > self.thresholds).sum(axis=-1), dtype=np.intp)

    def nearest(self, V: Array) -> Array:
        """Return the level that is nearest to each of ``V`` (..., n), values of the integer coordinates."""
        level: Array = self.positions[np.arange(len(self.levels)), self.cell(V)]
        return level

    def snap(self, X: Array) -> Array:
        """Return ``X`` (..., d) with integers at their nearest levels and the largest of each choice's parts as 1."""
        X = np.array(X, dtype=np.float64)
        if self.levels:
            X[..., self.integers] = self.nearest(X[..., self.integers])
        for first, k in self.groups:
            part = X[..., first : first + k]
            X[..., first : first + k] = np.arange(k) == part.argmax(axis=-1)[..., None]
        return X

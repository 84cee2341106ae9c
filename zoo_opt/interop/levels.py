"""Integers of the unit cube, as the peers are told of them: K levels in the middles of K cells of equal width."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from zoo_opt.interop.peer import FloatArray


@dataclass(frozen=True)
class Levels:
    """The numbers of levels of the coordinates of the unit cube.

    Parameters
    ----------
    counts : (d,) array of int
        Number K of levels of each coordinate, 0 where it is continuous.
    """

    counts: Any

    @classmethod
    def of(cls, levels: Sequence[int] | None, d: int) -> Levels:
        """Return the levels that an option ``levels`` gives; None makes all ``d`` coordinates continuous.

        Raises
        ------
        ValueError
            If they are not ``d`` integers, each 0 or at least 2.
        """
        counts = np.zeros(d) if levels is None else np.asarray(levels)
        if counts.shape != (d,) or not (counts == counts.astype(int)).all() or not ((counts == 0) | (counts > 1)).all():
            raise ValueError(f"levels must be {d} integers, each 0 or at least 2, got {levels}")
        return cls(counts.astype(int))

    @property
    def integers(self) -> Any:
        """The coordinates that have levels."""
        return np.flatnonzero(self.counts)

    @property
    def continuous(self) -> Any:
        """The coordinates that have none."""
        return np.flatnonzero(self.counts == 0)

    def positions(self, j: int) -> FloatArray:
        """Return the levels (K,) of coordinate ``j``."""
        k = int(self.counts[j])
        return np.asarray((np.arange(k) + 0.5) / k)

    def numbers(self, x: FloatArray) -> FloatArray:
        """Return ``x`` (..., d) with integers in units of their levels, the first at 0; others stay."""
        k = self.counts
        return np.where(k > 0, x * k - 0.5, x)

    def snapped(self, z: FloatArray) -> FloatArray:
        """Return the points (..., d) of the cube that ``z``, in units of levels, stands for: the nearest levels."""
        k = np.maximum(self.counts, 1)
        return np.where(self.counts > 0, (np.clip(np.round(z), 0, k - 1) + 0.5) / k, z)

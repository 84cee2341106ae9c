"""Types shared by every module."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

Array: TypeAlias = NDArray[np.floating[Any]]
Bools: TypeAlias = NDArray[np.bool_]
Schedule: TypeAlias = Callable[[int], float]
RNG: TypeAlias = (
    "None | int | Sequence[int] | np.random.SeedSequence | np.random.BitGenerator | np.random.Generator"
)


class Key(NamedTuple):
    """The 128-bit Philox key that all draws of one optimizer derive from."""

    low: int
    high: int

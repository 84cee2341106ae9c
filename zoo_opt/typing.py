"""Types shared by every module; import it for annotations only, as numpy.typing is slow to import."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from zoo_opt.core.keys import Key

Array: TypeAlias = NDArray[np.floating[Any]]
Schedule: TypeAlias = Callable[[int], float]
Rate: TypeAlias = float | Schedule | Literal["auto"]  # a step size or probe radius
RNG: TypeAlias = int | Sequence[int] | np.random.SeedSequence | np.random.BitGenerator | np.random.Generator | None

__all__ = ["RNG", "Array", "Key", "Rate", "Schedule"]

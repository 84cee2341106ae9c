"""When a run is to stop beside its budget and its method's own reasons: target, time, patience, failures."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from zoo_opt.core.errors import integer, positive, real

if TYPE_CHECKING:
    from zoo_opt.core.tally import Tally

# A run in which nothing works any more ends: after so many evaluations in a row, and steps, of which all have failed.
# Chosen: with 70 % failing at random, a hundred in a row are one chance in 10^15.
FAILING, FAILING_STEPS = 100, 20


class Clock:
    """Seconds of a run, over all its saves and loads; a copy goes on from where it was made."""

    def __init__(self, before: float = 0.0) -> None:
        self.before = before
        self._start = time.perf_counter()

    @property
    def here(self) -> float:
        """Seconds since the clock was made."""
        return time.perf_counter() - self._start

    @property
    def now(self) -> float:
        """Seconds of the run."""
        return self.before + time.perf_counter() - self._start

    def __getstate__(self) -> float:
        return self.now

    def __setstate__(self, now: float) -> None:
        Clock.__init__(self, now)


@dataclass(frozen=True)
class Limits:
    """What ends a run.

    Parameters
    ----------
    target : float or None
        Loss: the best one is at most so.
    timeout : float or None
        Seconds since the optimizer was made, or loaded.
    patience : int or None
        Evaluations in a row, failed ones included, without a loss below the best one.
    """

    target: float | None = None
    timeout: float | None = None
    patience: int | None = None

    def __post_init__(self) -> None:
        if self.target is not None:
            object.__setattr__(self, "target", real("target", self.target))
        if self.timeout is not None:
            object.__setattr__(self, "timeout", positive("timeout", self.timeout))
        if self.patience is not None:
            integer("patience", self.patience, 1)

    def reached(self, tally: Tally, steps: int) -> dict[str, Any]:
        """Return the reasons to stop after so many ``steps``."""
        reasons: dict[str, Any] = {}
        if not tally.failing and self.target is self.timeout is self.patience is None:
            return reasons
        if self.target is not None and tally.best.x is not None and tally.best.loss <= self.target:
            reasons["target"] = self.target
        if self.timeout is not None and tally.clock.here >= self.timeout:
            reasons["timeout"] = self.timeout
        if self.patience is not None and tally.nfev - tally.best_at >= self.patience:
            reasons["patience"] = self.patience
        if tally.failing >= FAILING and steps - tally.failing_from > FAILING_STEPS:
            reasons["failures"] = tally.failing
        return reasons

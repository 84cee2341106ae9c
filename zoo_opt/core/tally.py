"""What a run has been told so far: counts, the best point, why evaluations failed, and the time."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from zoo_opt.core.best import Best
from zoo_opt.core.limits import Clock

if TYPE_CHECKING:
    from zoo_opt.core.ledger import OpenStep
    from zoo_opt.core.outcome import Raised
    from zoo_opt.typing import Array

_MOST_REASONS = 100  # of which the first failure is kept in words: a run may give each failure a reason of its own


class Tally:
    """The books of a run.

    Attributes
    ----------
    nfev : int
        Evaluations told, failed ones included.
    failures : dict
        Failed evaluations by reason.
    first_failures : dict
        The traceback, or the words, of the first of each reason.
    best : Best
        The best point told.
    best_at : int
        ``nfev`` when the best loss was last lowered.
    failing, failing_from : int
        Evaluations up to now of which all have failed, since the run was made or loaded, and the steps that were
        closed before them.
    sem_told : bool
        Whether a standard error was told.
    clock : Clock
        Seconds of the run.
    """

    def __init__(self) -> None:
        self.nfev = 0
        self.failures: dict[str, int] = {}
        self.first_failures: dict[str, str] = {}
        self.best = Best(None, math.inf, None)
        self.best_at = 0
        self.failing = self.failing_from = 0
        self.sem_told = False
        self.clock = Clock()

    def enter(self, parts: list[OpenStep], ids: Sequence[int], losses: list[float], reason: str, closed: int) -> int:
        """Count evaluations that were told when ``closed`` steps were; NaN is one that failed for this ``reason``.

        Return how many have failed.
        """
        self.nfev += len(ids)
        best, lost, better = self.best, 0, False
        for loss in losses:
            if loss <= best.loss:  # perhaps the same, of a lower id
                better = True
            elif loss != loss:
                lost += 1
        if not lost:
            self.failing = 0
        else:
            self.failures[reason] = self.failures.get(reason, 0) + lost
            if lost == len(losses):
                self.failing_from = self.failing_from if self.failing else closed
                self.failing += lost
            else:
                self.failing = 0
        if better:
            self.best = best.improved(parts, ids, losses)
            if self.best.loss < best.loss:
                self.best_at = self.nfev
        return lost

    def know(self, x: Array, loss: float) -> None:
        """Take in a point that nobody asked for: it is the best one if its loss is lower."""
        if loss < self.best.loss:
            x.flags.writeable = False
            self.best, self.best_at = Best(x, loss, None), self.nfev

    def explain(self, reason: str, raised: Raised) -> None:
        """Keep what was raised if it is the first for this reason."""
        if reason not in self.first_failures and len(self.first_failures) < _MOST_REASONS:
            from zoo_opt.support.secrets import hidden

            self.first_failures[reason] = hidden(raised.text)  # it is printed, logged and saved

    def begin(self) -> None:
        """Begin anew with what counts from the making or loading of an optimizer: time, and failures in a row."""
        self.clock = Clock(self.clock.now)
        self.failing = 0

    # -------------------------------------------------------------------------------------------- save, load
    def saved(self) -> dict[str, Any]:
        """Return all that `restored` needs."""
        return {
            "nfev": self.nfev,
            "failures": dict(self.failures),
            "first_failures": dict(self.first_failures),
            "best": list(self.best),
            "best_at": self.best_at,
            "sem_told": self.sem_told,
            "seconds": np.array(self.clock.now),  # of one size, whatever it says
        }

    @classmethod
    def restored(cls, data: dict[str, Any]) -> Tally:
        """Return what was saved; a file of an earlier release has less."""
        self = cls()
        self.nfev, self.failures, self.best = data["nfev"], data["failures"], Best(*data["best"])
        self.first_failures = data.get("first_failures", {})
        self.best_at = data.get("best_at", self.nfev)
        self.sem_told = data.get("sem_told", False)
        self.clock = Clock(float(data.get("seconds", 0.0)))
        if self.best.x is not None:
            self.best.x.flags.writeable = False
        return self

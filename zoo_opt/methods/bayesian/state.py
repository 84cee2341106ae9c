"""The state of a run of Bayesian optimisation."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from zoo_opt.typing import Array, Key


@dataclass(frozen=True, slots=True)
class BOState:
    """State between two steps, float64.

    Attributes
    ----------
    key : Key
        Where all draws come from.
    x, f : (d,) array, float
        The best point and its loss, NaN while no loss is known.
    radius : float
        Of the ball around x in which the next candidates are.
    X, F : (n, d) array, (n,) array
        The points that have been evaluated, and their losses, NaN where they failed.
    asked : (m, d) array
        Candidates of the next step.
    length, noise : float
        Hyper-parameters of the process, 0 before the first.
    fitted : int
        With how many points they were found.
    gains, failures : int
        Steps in a row that have lowered the loss, and that have not.
    steps : int
        Steps that have been made.
    reasons : dict
        Why the run has ended.
    """

    key: Key
    x: Array
    f: float
    radius: float
    X: Array
    F: Array
    asked: Array = field(default_factory=lambda: np.zeros((0, 0)))
    length: float = 0.0
    noise: float = 0.0
    fitted: int = 0
    gains: int = 0
    failures: int = 0
    steps: int = 0
    reasons: dict[str, Any] = field(default_factory=dict)

    @property
    def loss(self) -> float:
        """The loss at x."""
        return self.f

"""The state of a trust region's run."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from zoo_opt.methods.trust_region.model import Model

if TYPE_CHECKING:
    from zoo_opt.typing import Array, Key

START, TRIAL, GEOMETRY = "start", "trial", "geometry"  # what a step is
NO_MODEL = Model(0.0, np.zeros(0), np.zeros((0, 0)), np.zeros((0, 0)), np.zeros((0, 0)), 1.0)


@dataclass(frozen=True, slots=True)
class TRState:
    """State between two steps, float64; losses are in units of ``loss_unit``.

    Attributes
    ----------
    key : Key
        Where the signs of the first points come from.
    x, f : (d,) array, float
        The best point and its loss, NaN while that is not known.
    radius, rho : float
        Of the trust region, and its lower bound, which only falls.
    X, F : (m, d) array, (m,) array
        The points that the model passes through, x among them, and their losses; before the first step none, or a far
        one that is known.
    model : Model
        About x.
    stage : str
        What the next step is: the first points, a trial, or a point for the model's sake.
    asked : (n, d) array
        Its candidates.
    out : int
        The point whose place such a point takes.
    promised : float
        By how much the model is lower at the trial.
    starts : int
        First steps that have failed as a whole.
    reasons : dict
        Why the run has ended.
    loss_unit : float
        A power of 2 near the size of the first losses; 0 while no loss is known.
    """

    key: Key
    x: Array
    f: float
    radius: float
    rho: float
    X: Array
    F: Array
    model: Model = NO_MODEL
    stage: str = START
    asked: Array = field(default_factory=lambda: np.zeros((0, 0)))
    out: int = 0
    promised: float = 0.0
    starts: int = 0
    reasons: dict[str, Any] = field(default_factory=dict)
    loss_unit: float = 0.0

    @property
    def loss(self) -> float:
        """The loss at x."""
        return self.f * self.loss_unit

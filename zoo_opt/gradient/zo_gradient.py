"""The gradient-estimate algorithm: four pure functions composed along five axes."""

from __future__ import annotations

import math
from dataclasses import dataclass
import numpy as np

from zoo_opt.gradient.draws import Draws
from zoo_opt.gradient.estimators import Estimator
from zoo_opt.gradient.gains import Gain, Gains, GainState
from zoo_opt.gradient.scaling import Scaling, Unscaled
from zoo_opt.gradient.updates import Plain, Update
from zoo_opt.typing import Array, Key


@dataclass(frozen=True, slots=True)
class ZOState:
    """State between two steps.

    Attributes
    ----------
    key : Key
        Where all draws come from.
    x : (d,) array
        The iterate.
    m : (d,) or empty array
        The momentum buffer of the update rule.
    gains : GainState
        What the gains remember.
    """

    key: Key
    x: Array
    m: Array
    gains: GainState = GainState()


class ZOQueries:
    """The recipe of a step: its number and gains. ``delta`` is drawn when the points are, and kept for the update."""

    __slots__ = ("delta", "gain", "step")

    def __init__(self, step: int, gain: Gain) -> None:
        self.step = step
        self.gain = gain
        self.delta: Array | None = None


@dataclass(frozen=True)
class ZOGradient:
    """A zeroth-order gradient method: draws, estimator, gains, update rule and scaling."""

    draws: Draws
    estimator: Estimator
    gains: Gains
    rule: Update = Plain()
    scaling: Scaling = Unscaled()

    def init(self, x0: Array, key: Key) -> ZOState:
        """Return the state at x0, which is not copied and never written to."""
        return ZOState(key, x0, self.rule.init(x0))

    def propose(self, state: ZOState, step: int) -> ZOQueries:
        """Return the recipe of ``step``."""
        return ZOQueries(step, self.gains.at(state.gains, step))

    def points(self, state: ZOState, queries: ZOQueries) -> Array:
        """Return X (n, d), the candidates of the whole step."""
        x = state.x
        queries.delta = self.draws.draw(state.key, queries.step, (self.estimator.q, x.size), x.dtype)
        return self.estimator.place(self.rule.center(x, state.m, queries.gain), queries.delta, queries.gain.c)

    def update(self, state: ZOState, queries: ZOQueries, X: Array, losses: list[float]) -> ZOState:
        """Return the state after the step; a step with too few finite losses changes nothing."""
        slopes = self.estimator.slopes(losses, queries.gain.c)
        if slopes is None:
            return state
        factor = self.scaling.factor(losses)
        ghat = self._combine(queries.delta, slopes, factor)
        gains = state.gains
        if self.gains.observes:
            gains = self.gains.observe(gains, math.sqrt(float(np.dot(ghat, ghat))) / factor)
        x, m = self.rule.step(state.x, state.m, ghat, queries.gain)
        return ZOState(state.key, x, m, gains)

    def _combine(self, delta: Array | None, slopes: list[float], factor: float) -> Array:
        """Return ghat = factor * sum_k slope_k psi_k, a new array."""
        if delta is None:
            raise RuntimeError("update() needs the points() of the same queries to be drawn first")
        psi = self.draws.dual(delta)
        if len(slopes) == 1:
            return psi[0] * psi.dtype.type(factor * slopes[0])
        return np.array([factor * slope for slope in slopes], psi.dtype) @ psi



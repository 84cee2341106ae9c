"""The gradient-estimate algorithm: four pure functions composed along five axes."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from zoo_opt.core.buffers import BLOCK, empty, scratch
from zoo_opt.core.errors import instance
from zoo_opt.core.keys import generator
from zoo_opt.core.method import Asked
from zoo_opt.gradient.bounded import BoundedProbes, Room
from zoo_opt.gradient.draws import Draws
from zoo_opt.gradient.estimators import Estimator
from zoo_opt.gradient.gains import Gain, Gains, Observation
from zoo_opt.gradient.scaling import Memory, Scaling, Unscaled
from zoo_opt.gradient.updates import Plain, UpdateRule

if TYPE_CHECKING:
    from zoo_opt.typing import Array, Key

LARGEST = {char: math.sqrt(np.finfo(char).max) for char in "fd"}  # beyond, |ghat|^2 overflows


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
    gains : object
        What the gains remember.
    memory : tuple of float
        What the scaling remembers.
    """

    key: Key
    x: Array
    m: Array
    gains: Any = None
    memory: Memory = ()


class ZOMemo(NamedTuple):
    """What an update needs of its step: its gains, and whether its second candidate is the first one again.

    ``radii`` are those of a step that only measures: see `Gains.radii`.
    """

    gain: Gain
    repeats: bool = False
    radii: tuple[float, ...] | None = None


class Decision(NamedTuple):
    """What the losses of a step say of its directions: numbers alone, no vector.

    Attributes
    ----------
    slopes : list of float or None
        The q slopes that the estimator made; None if too few losses were finite.
    scaled : list of float or None
        The coefficients of psi in ghat, the slopes times ``factor``; None where the step changes nothing.
    factor : float
        What the scaling gave.
    memory : tuple of float
        What the scaling remembers then.
    """

    slopes: list[float] | None
    scaled: list[float] | None
    factor: float
    memory: Memory


@dataclass(frozen=True)
class ZOGradient:
    """A zeroth-order gradient method: draws, estimator, gains, update rule and scaling, within bounds or not."""

    draws: Draws
    estimator: Estimator
    gains: Gains
    rule: UpdateRule = Plain()
    scaling: Scaling = Unscaled()
    bounds: BoundedProbes | None = None

    def __post_init__(self) -> None:
        instance("draws", self.draws, Draws)
        if isinstance(self.rule, type) or not hasattr(self.rule, "step"):
            raise TypeError(f"rule must be an update such as Nesterov(), got {self.rule!r}")

    def init(self, x0: Array, key: Key) -> ZOState:
        """Return the state at x0, which is not copied and never written to."""
        return ZOState(key, x0, self.rule.init(x0), self.gains.start)

    def gain(self, state: ZOState, step: int) -> Gain:
        """Return the gains of ``step``; raise ValueError if a schedule leaves its range there."""
        return self.gains.at(state.gains, step)

    def ask(self, state: ZOState, step: int, out: Array | None = None) -> Asked:
        """See `Method.ask`."""
        gain = self.gain(state, step)
        repeats, radii = self.gains.repeats(state.gains, step), self.gains.radii(state.gains, step)
        center = self.rule.center(state.x, state.m, gain)
        q, d = self.estimator.q, center.size
        room = self._room(gain, d, center.dtype)
        if room is not None:
            center = room.center(center)
        X = empty((self.estimator.n, d), center.dtype, out)
        rng = generator(state.key, step)
        rows, columns = max(1, BLOCK // d), min(d, BLOCK) if self.draws.by_columns else d
        for k in range(0, q, rows):
            for start in range(0, d, columns):
                block = slice(start, start + columns)
                part = center[block]
                c_delta = scratch((min(rows, q - k), part.size), part.dtype)
                self.draws.sample(rng, c_delta, gain.c)
                if room is not None:
                    room.shorten(c_delta, block)
                if radii is not None:
                    c_delta *= np.array(radii[k : k + rows], c_delta.dtype)[:, np.newaxis]
                self.estimator.place(X[:, block], k, part, c_delta)
        if room is not None:
            room.keep(X)
        if not repeats:
            return Asked(X, ZOMemo(gain, radii=radii))
        X[1] = X[0]
        return Asked(X, ZOMemo(gain, True), [None, 0, *[None] * (len(X) - 2)])

    def update(self, state: ZOState, asked: Asked, losses: list[float]) -> ZOState:
        """Return the state after the step; too few finite losses, or slopes that overflow, change nothing."""
        X, (gain, repeats, radii), gains = asked.X, asked.memo, state.gains
        slopes, scaled, factor, memory = self.decide(asked.memo, losses, state.memory, LARGEST[X.dtype.char])
        if slopes is None:
            if self.gains.observes:
                gains = self.gains.observe(gains, Observation(losses, gain, repeats, self.estimator, radii=radii))
            return state if gains is state.gains else replace(state, gains=gains)
        if scaled is None:
            return state
        ghat = self._combine(scaled, X, gain.c)
        room = self._room(gain, ghat.size, ghat.dtype)
        if room is not None and self.draws.self_dual(ghat.size) is not None:  # the dual is then 1 / part times delta
            room.undo(ghat)
        if self.gains.observes:
            seen = Observation(losses, gain, repeats, self.estimator, slopes, ghat, factor)
            gains = self.gains.observe(gains, seen)
        x, m = self.rule.step(state.x, state.m, ghat, gain)
        if self.bounds is not None:
            x, m = self.bounds.project(x, m)
        return ZOState(state.key, x, m, gains, memory)

    def decide(self, memo: ZOMemo, losses: list[float], memory: Memory, largest: float) -> Decision:
        """Return the coefficients of a step's directions, for vectors of any kind.

        ``losses`` are those of its n candidates, NaN where failed; coefficients of ``largest`` or more in sum are none.
        """
        if memo.radii is not None:
            return Decision(None, None, 1.0, memory)
        counted = [losses[0], math.nan, *losses[2:]] if memo.repeats else losses
        slopes = self.estimator.slopes(counted, memo.gain.c)
        if slopes is None:
            return Decision(None, None, 1.0, memory)
        factor, new = self.scaling.factor(counted, slopes, memory)
        scaled = [factor * slope for slope in slopes]
        if not sum(map(abs, scaled)) < largest:  # a NaN too
            return Decision(slopes, None, 1.0, memory)
        return Decision(slopes, scaled, factor, new)

    def told_sem(self, state: ZOState, sem: list[float]) -> ZOState:
        """Return the state after the standard errors of a step's losses were told."""
        gains = self.gains.told_sem(state.gains, sem)
        return state if gains is state.gains else replace(state, gains=gains)

    def _room(self, gain: Gain, d: int, dtype: np.dtype[Any]) -> Room | None:
        """Return what perturbations of size c leave of the bounds."""
        return None if self.bounds is None else self.bounds.room(gain.c * self.draws.reach(d), dtype)

    def _combine(self, slopes: list[float], X: Array, c: float) -> Array:
        """Return ghat = sum_k slope_k psi_k, with the directions taken from the points: what rounding left of them."""
        d = X.shape[1]
        scale = self.draws.self_dual(d)
        if scale is not None:  # then ghat is a sum of the points
            weights = np.array(self.estimator.weights(slopes, c / scale), X.dtype)
            ghat: Array = weights.dot(X)
            return ghat
        weights = np.array(slopes, X.dtype)
        ghat = np.empty(d, X.dtype)
        columns = max(1, BLOCK // len(slopes))
        for start in range(0, d, columns):
            block = slice(start, start + columns)
            psi = self.draws.dual(self.estimator.delta(X[:, block], c))
            np.dot(weights, psi, out=ghat[block])
        return ghat

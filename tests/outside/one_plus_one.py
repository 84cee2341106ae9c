"""A method from outside: one file, public names alone."""

import math
from dataclasses import dataclass, replace

import numpy as np

import zoo_opt as zo


@dataclass(frozen=True)
class OnePlusOneState:
    key: tuple  # where all random numbers come from
    x: np.ndarray  # the parent
    sigma: float
    loss: float = math.inf  # of the parent; the start is not evaluated


@dataclass(frozen=True, kw_only=True)
class OnePlusOne(zo.Method):
    """(1+1)-evolution strategy with the one-fifth success rule (Rechenberg 1973; constants of Auger 2009)."""

    sigma0: float = 0.5
    tolx: float = 1e-11

    ends = True  # `stop` gives a reason sooner or later

    def init(self, x0, key):
        return OnePlusOneState(key, x0, self.sigma0)

    def size(self, state):  # candidates of the next step
        return 1

    def ask(self, state, step, out=None):  # (n, d); `out` is memory that may be reused
        z = zo.generator(state.key, step).standard_normal(state.x.size, dtype=state.x.dtype)  # z ~ N(0, I)
        return zo.Asked((state.x + state.x.dtype.type(state.sigma) * z)[None])

    def update(self, state, asked, losses):  # losses in candidate order, NaN where failed
        (loss,) = losses
        if math.isnan(loss):
            return state
        if loss < state.loss:
            return replace(state, x=asked.X[0].copy(), loss=loss, sigma=1.5 * state.sigma)
        return replace(state, sigma=1.5 ** (-1 / 4) * state.sigma)

    def mean(self, state):
        return state.x

    def stop(self, state):
        return {"tolx": self.tolx} if state.sigma < self.tolx else {}

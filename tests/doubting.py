"""A method that evaluates points again and uses standard errors: what the shell's tests need, in the plainest form."""

from dataclasses import dataclass, replace

import numpy as np

import zoo_opt as zo
from zoo_opt.core.keys import Key, generator


@dataclass(frozen=True)
class DoubtState:
    key: Key
    x: np.ndarray
    best: int | None = None  # row of the best candidate of the last step
    loss: float = 0.0
    sigma: float = 0.5
    sem: float = 0.0


@dataclass(frozen=True)
class Doubting(zo.Method):
    """(1, 5)-evolution strategy: the parent is evaluated again in each step, and the first child twice."""

    popsize: int = 7

    def init(self, x0, key):
        return DoubtState(key, x0)

    def size(self, state):
        return self.popsize

    def again(self, state):
        parent = None if state.best is None else state.best - self.popsize
        return (parent, None, 1, *[None] * (self.popsize - 3))

    def ask(self, state, step, out=None):
        z = generator(state.key, step).standard_normal((self.popsize, state.x.size), dtype=state.x.dtype)
        X = state.x + state.x.dtype.type(state.sigma) * z
        X[0], X[2] = state.x, X[1]
        return zo.Asked(X, again=self.again(state))

    def told_sem(self, state, asked, sem):
        return replace(state, sem=float(np.nanmean(sem)))

    def update(self, state, asked, losses):
        ranked = sorted((loss, i) for i, loss in enumerate(losses) if loss == loss)
        if not ranked:
            return replace(state, best=None)
        loss, i = ranked[0]
        sigma = max(1e-3, 0.98 * state.sigma + 0.01 * state.sem)
        return replace(state, x=asked.X[i].copy(), best=i, loss=loss, sigma=sigma)

    def mean(self, state):
        return state.x


TYPES = (Doubting, DoubtState)

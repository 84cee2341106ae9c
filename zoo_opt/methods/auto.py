"""Auto: the method that needs no settings, composed of the others."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from zoo_opt.keys import RESTART, generator
from zoo_opt.methods import box as boxes
from zoo_opt.methods.base import Method
from zoo_opt.methods.cma_es import CMAES
from zoo_opt.methods.coordinate_search import CoordinateSearch
from zoo_opt.methods.quasi_newton import QuasiNewton

if TYPE_CHECKING:
    from zoo_opt.typing import Array, Key

SIGMA0 = 2.0
TEST_AT = 8.0
QN_CAP = 100.0
RATIO = 1.0  # of QN restarts
SAMPLE = 1.0  # samples per dim before each QN restart
CMA_FIRST_BEST = True
AGAIN = True
HOPE = 10.0


@dataclass(frozen=True, slots=True)
class Arm:
    method: Any
    state: Any
    used: int = 0


@dataclass(frozen=True, slots=True)
class AutoState:
    key: Key
    stage: str
    x0: Array
    x: Array
    f: float
    f0: float = math.nan
    n: int = 0
    mix: Any = None
    local: Any = None
    coord: Any = None
    glob: Any = None
    active: str = ""
    tested: bool = False
    first: bool = True
    log: tuple = ()


@dataclass(frozen=True, kw_only=True)
class Auto(Method):
    bounds: Any = None
    scale: Any = None

    def __post_init__(self) -> None:
        if self.bounds is not None:
            object.__setattr__(self, "bounds", boxes.check_box("bounds", self.bounds))

    def init(self, x0: Array, key: Key) -> AutoState:
        x0 = x0.astype(np.float64)
        return AutoState(key, "start", x0, x0, math.inf)

    def size(self, s):
        return {"start": 1 + (self.bounds is not None), "again": 1, "mix": 2, "sample": max(2, int(SAMPLE * s.x.size))}.get(s.stage) or self._arm(s).method.size(self._arm(s).state)

    def _arm(self, s):
        return getattr(s, s.active)

    def propose(self, s, step):
        return (step, None) if s.stage != "arm" else (step, self._arm(s).method.propose(self._arm(s).state, step))

    def points(self, s, q, out=None):
        if s.stage == "start":
            X = [s.x0]
            if self.bounds is not None:
                X.append(np.broadcast_to(sum(map(np.asarray, self.bounds)) / 2, s.x.shape))
            return np.array(X)
        if s.stage == "again":
            return s.x0[None].copy()
        if s.stage == "mix":
            rng = generator(s.key, q[0])
            pick = rng.permutation(s.x.size) < (s.x.size + 1) // 2
            return np.array([np.where(pick, s.x0, s.x), np.where(pick, s.x, s.x0)])
        if s.stage == "sample":
            rng = generator(s.key, q[0])
            lo, hi = self.bounds
            c, w = (hi + lo) / 2, (hi - lo) / 2
            return c + 0.8 * w * rng.uniform(-1, 1, (self.size(s), s.x.size))
        return self._arm(s).method.points(self._arm(s).state, q[1], out)

    def update(self, s, q, X, losses):
        v = np.array(losses)
        v[np.isnan(v)] = np.inf
        k = int(v.argmin())
        fbefore = s.f
        xbefore = s.x
        if v[k] < s.f:
            s = replace(s, x=X[k].copy(), f=float(v[k]))
        s = replace(s, n=s.n + len(X))
        if s.stage == "start":
            s = replace(s, f0=v[0], stage="again")
            return s if AGAIN else self._go_qn(s, s.x)
        if s.stage == "again":
            return self._go_qn(s, s.x)
        if s.stage == "mix":
            spread = max(*v, s.f0, fbefore) - min(*v, s.f0, fbefore)
            big = max(*np.abs(v), abs(s.f0), abs(fbefore))
            sep = abs(v[0] + v[1] - s.f0 - fbefore) <= 1e-9 * spread + 1e-13 * big and spread > 1e-9 * big
            if sep:
                m = CoordinateSearch(bounds=self.bounds)
                return replace(s, tested=True, stage="arm", active="coord", coord=Arm(m, m.init(s.x, s.key)))
            s = replace(s, tested=True, stage="arm")
            if s.local.method.stop(s.local.state):
                return self._choose(s)
            return s
        if s.stage == "sample":
            return self._go_qn(s, X[k])
        arm = self._arm(s)
        runs = len(arm.state.log) if s.active == "glob" else 0
        arm = replace(arm, state=arm.method.update(arm.state, q[1], X, losses), used=arm.used + len(X))
        s = replace(s, **{s.active: arm})
        if s.active == "local":
            over = arm.method.stop(arm.state)
            if not s.tested and (over or s.n >= TEST_AT * s.x.size):
                return replace(s, stage="mix")
            st = arm.state
            if HOPE and s.glob is not None and st.stage == "search" and st.scaled and not st.trials and st.f + HOPE * st.slope > s.f:
                return self._choose(s)
            if over or s.n >= QN_CAP * s.x.size and s.glob is None:
                return self._choose(s)
        elif s.active == "glob":
            if len(arm.state.log) > runs:
                return self._choose(s)
        elif arm.method.stop(arm.state):
            return self._choose(s)
        return s

    def _go_qn(self, s, x):
        m = QuasiNewton(bounds=self.bounds)
        used = s.local.used if s.local else 0
        return replace(s, stage="arm", active="local", local=Arm(m, m.init(x, s.key), used))

    def _choose(self, s):
        if s.glob is None:
            m = CMAES(sigma0=SIGMA0, restarts="bipop", bounds=self.bounds)
            s = replace(s, glob=Arm(m, m.init(s.x if CMA_FIRST_BEST else s.x0, s.key)))
            s = replace(s, local=replace(s.local, used=0))
            return replace(s, stage="arm", active="glob")
        if s.local.used + (s.x.size) <= RATIO * s.glob.used:
            return replace(s, stage="sample")
        return replace(s, stage="arm", active="glob")

    def mean(self, s):
        return s.x

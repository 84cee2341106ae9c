"""The ``cmaes`` package (CyberAgent) behind ask and tell: ``CMA``, ``SepCMA``, and for mixed variables with margin."""

from __future__ import annotations

import warnings
from abc import abstractmethod
from dataclasses import dataclass
from typing import Any

import numpy as np

from zoo_opt.interop.levels import Levels
from zoo_opt.interop.peer import FloatArray, RestartedPeer
from zoo_opt.support.loading import require

KINDS = ("CMA", "SepCMA")


@dataclass(kw_only=True, eq=False, repr=False)
class CMAESPeer(RestartedPeer):
    """What the package's optimisers share: candidates one by one, and runs that ``should_stop()`` ends."""

    @abstractmethod
    def _made(self, x0: FloatArray, sigma0: float, popsize: int | None) -> Any:
        """The package's object at the start of a run."""

    def _run(self, x0: FloatArray, sigma0: float, popsize: int | None, limit: int | None = None) -> None:
        self._es = self._made(x0, sigma0, popsize)
        self._spent, self._limit = 0, limit
        self._asked: list[Any] = []

    def _stopped(self) -> bool:
        return bool(self._es.should_stop()) or (self._limit is not None and self._spent >= self._limit)

    def _tell(self, X: FloatArray, losses: FloatArray) -> None:
        self._es.tell(list(zip(self._asked, losses.tolist(), strict=True)))
        self._spent += len(X)
        if self._restarts is not None and self._stopped():
            self._run(*self._restarts.next(self._es.population_size, self._spent))

    def _reasons(self) -> dict[str, Any]:
        return {"should_stop": True} if self._restarts is None and self._stopped() else {}


@dataclass(kw_only=True, eq=False, repr=False)
class CMAESPackage(CMAESPeer):
    """``cmaes.CMA`` or ``cmaes.SepCMA``, restarted on its own ``should_stop()`` if asked for.

    Parameters
    ----------
    x0, sigma0, popsize, restarts, restart_from, rng, budget
        See :class:`zoo_opt.interop.peer.RestartedPeer`; a run is stopped by ``should_stop()``.
    kind : {"CMA", "SepCMA"}
        Which class of the package.
    lr_adapt : bool
        ``CMA`` alone: the package's learning-rate adaptation, meant for noise and many local minima.
    """

    kind: str = "CMA"
    lr_adapt: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.kind not in KINDS:
            raise ValueError(f"kind must be one of {KINDS}, got {self.kind!r}")
        if self.lr_adapt and self.kind != "CMA":
            raise ValueError(f"lr_adapt must be False for {self.kind}, got {self.lr_adapt!r}")
        self._class = getattr(require("cmaes"), self.kind)
        self._more = {"lr_adapt": True} if self.lr_adapt else {}
        self._run(self.x0, float(self.sigma0), self.popsize)

    def _made(self, x0: FloatArray, sigma0: float, popsize: int | None) -> Any:
        return self._class(mean=x0.copy(), sigma=sigma0, population_size=popsize, seed=self.seed(), **self._more)

    def _ask(self) -> FloatArray:
        self._asked = [self._es.ask() for _ in range(self._es.population_size)]
        return np.array(self._asked)

    def _mean(self) -> FloatArray:
        return np.asarray(self._es.mean)


@dataclass(kw_only=True, eq=False, repr=False)
class MarginPeer(CMAESPeer):
    """What the two share.

    Parameters
    ----------
    x0, sigma0, popsize, restarts, restart_from, rng, budget
        See :class:`zoo_opt.interop.peer.RestartedPeer`; a run is stopped by ``should_stop()``.
    levels : sequence of int
        Number of levels of each coordinate of the unit cube, 0 for the continuous ones.
    """

    levels: Any = None

    def __post_init__(self) -> None:
        super().__post_init__()
        self._levels = Levels.of(self.levels, self.x0.size)
        self._cmaes = require("cmaes")
        self._run(self.x0, float(self.sigma0), self.popsize)

    def _stopped(self) -> bool:
        with warnings.catch_warnings():  # where all variables are choices it says that it has no conditions
            warnings.simplefilter("ignore")
            return super()._stopped()


class CMAwM(MarginPeer):
    """``cmaes.CMAwM``: CMA-ES with margin (Hamano et al. 2022); ``sigma0`` is in units of the cube."""

    def _made(self, x0: FloatArray, sigma0: float, popsize: int | None) -> Any:
        k = self._levels.counts
        steps = np.where(k > 0, 1 / np.maximum(k, 1), 0.0)
        bounds = np.stack([steps / 2, 1 - steps / 2], axis=1)
        start = np.clip(x0, *bounds.T)
        return self._cmaes.CMAwM(start, sigma0, bounds, steps, seed=self.seed(), population_size=popsize)

    def _ask(self) -> FloatArray:
        pairs = [self._es.ask() for _ in range(self._es.population_size)]
        self._asked = [raw for _, raw in pairs]
        return np.array([x for x, _ in pairs])

    def _mean(self) -> FloatArray:
        return self._levels.snapped(self._levels.numbers(np.asarray(self._es.mean)))


class CatCMAwM(MarginPeer):
    """``cmaes.CatCMAwM``: CatCMA with margin (Hamano et al. 2025), two levels being a choice, as its notes recommend.

    ``sigma0`` is in units of its own first distribution, whose standard deviations are a fifth of the ranges: 1 is its
    default.
    """

    def _made(self, x0: FloatArray, sigma0: float, popsize: int | None) -> Any:
        k = self._levels.counts
        self._parts = x, z, c = np.flatnonzero(k == 0), np.flatnonzero(k > 2), np.flatnonzero(k == 2)
        mean = np.concatenate([x0[x], x0[z]])
        return self._cmaes.CatCMAwM(
            x_space=[[0.0, 1.0]] * x.size or None,
            z_space=[self._levels.positions(j).tolist() for j in z.tolist()] or None,
            c_space=[2] * c.size or None,
            population_size=popsize,
            mean=mean if mean.size else None,
            sigma=sigma0,
            seed=self.seed(),
        )

    def _ask(self) -> FloatArray:
        self._asked = [self._es.ask() for _ in range(self._es.population_size)]
        x, z, c = self._parts
        X = np.empty((len(self._asked), self.x0.size))
        for row, solution in zip(X, self._asked, strict=True):
            row[x] = solution.x if x.size else ()
            row[z] = solution.z if z.size else ()
            row[c] = 0.25 + 0.5 * solution.c[:, 1] if c.size else ()
        return X

    def _mean(self) -> FloatArray:
        return np.array(self.x0 if self.best.x is None else self.best.x)

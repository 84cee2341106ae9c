"""The strategies for mixed variables of the ``cmaes`` package, ``CMAwM`` and ``CatCMAwM``, on the unit cube."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np

from zoo_opt.interop.cmaes import CMAESPeer
from zoo_opt.interop.levels import Levels
from zoo_opt.interop.peer import FloatArray
from zoo_opt.support.loading import require


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

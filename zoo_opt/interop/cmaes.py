"""The ``cmaes`` package (CyberAgent): ``CMA`` and ``SepCMA`` behind the ask/tell surface of zoo_opt."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import Any

import numpy as np

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

"""The ``cmaes`` package (CyberAgent): ``CMA`` and ``SepCMA`` behind the ask/tell surface of zoo_opt."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from zoo_opt.interop.peer import FloatArray, Peer, Restarts
from zoo_opt.support.loading import require

KINDS = ("CMA", "SepCMA")


class CMAESPackage(Peer):
    """``cmaes.CMA`` or ``cmaes.SepCMA``, restarted on its own ``should_stop()`` if asked for.

    Parameters
    ----------
    x0 : array_like, shape (d,)
        Start of the first run.
    kind : {"CMA", "SepCMA"}
        Which class of the package.
    sigma0 : float
        Initial step size, in units of x.
    popsize : int or None
        Population; None takes the package's 4 + 3 log(d).
    lr_adapt : bool
        ``CMA`` alone: the package's learning-rate adaptation, meant for noise and many local minima.
    restarts : None, "ipop" or "bipop"
        What to do when ``should_stop()`` ends a run; None stops.
    restart_from : (float, float) or None
        Restarts begin uniformly in this box; None begins at `x0` again.
    rng, budget
        See :class:`zoo_opt.interop.peer.Peer`.
    """

    def __init__(
        self,
        x0: ArrayLike,
        *,
        kind: str = "CMA",
        sigma0: float = 0.3,
        popsize: int | None = None,
        lr_adapt: bool = False,
        restarts: str | None = None,
        restart_from: tuple[float, float] | None = None,
        rng: Any = None,
        budget: int | None = None,
    ) -> None:
        super().__init__(x0, rng=rng, budget=budget)
        if kind not in KINDS:
            raise ValueError(f"kind must be one of {KINDS}, got {kind!r}")
        if lr_adapt and kind != "CMA":
            raise ValueError(f"lr_adapt must be False for {kind}, got {lr_adapt!r}")
        self._class = getattr(require("cmaes", "cmaes"), kind)
        self._more = {"lr_adapt": True} if lr_adapt else {}
        self._restarts = (
            None if restarts is None else Restarts(restarts, self.x0, float(sigma0), restart_from, self.rng)
        )
        self._run(self.x0, float(sigma0), popsize)

    def _run(self, x0: FloatArray, sigma0: float, popsize: int | None, limit: int | None = None) -> None:
        """Start a run that may spend `limit` evaluations."""
        self._es = self._class(mean=x0.copy(), sigma=sigma0, population_size=popsize, seed=self.seed(), **self._more)
        self._spent, self._limit = 0, limit

    def _stopped(self) -> bool:
        return bool(self._es.should_stop()) or (self._limit is not None and self._spent >= self._limit)

    def _ask(self) -> FloatArray:
        return np.array([self._es.ask() for _ in range(self._es.population_size)])

    def _tell(self, X: FloatArray, losses: FloatArray) -> None:
        self._es.tell(list(zip(X, losses.tolist(), strict=True)))
        self._spent += len(X)
        if self._restarts is not None and self._stopped():
            self._run(*self._restarts.next(self._es.population_size, self._spent))

    def _mean(self) -> FloatArray:
        return np.asarray(self._es.mean)

    def _reasons(self) -> dict[str, Any]:
        return {"should_stop": True} if self._restarts is None and self._stopped() else {}

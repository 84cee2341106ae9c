"""pycma's CMA-ES (package ``cma``, N. Hansen) behind the ask/tell surface of zoo_opt."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from .peer import FloatArray, Peer, Restarts, require


class PyCMA(Peer):
    """``cma.CMAEvolutionStrategy``, restarted by IPOP or BIPOP if asked for.

    Draws come from a Generator of our own through pycma's option ``randn``, with ``seed=nan``: otherwise pycma seeds
    numpy's global generator, which this adapter leaves alone.

    Parameters
    ----------
    x0 : array_like, shape (d,)
        Start of the first run.
    sigma0 : float
        Initial step size, in units of x.
    popsize : int or None
        Population; None takes pycma's 4 + 3 log(d).
    diagonal : bool
        Use pycma's separable mode (``CMA_diagonal=True``), the one that it recommends in high dimension.
    restarts : None, "ipop" or "bipop"
        What to do when pycma's own criteria stop a run; None stops.
    restart_from : (float, float) or None
        Restarts begin uniformly in this box; None begins at `x0` again.
    options : dict or None
        Further options of pycma, passed as they are.
    rng, budget
        See :class:`zoo_opt.interop.peer.Peer`.
    """

    def __init__(
        self,
        x0: ArrayLike,
        *,
        sigma0: float = 0.3,
        popsize: int | None = None,
        diagonal: bool = False,
        restarts: str | None = None,
        restart_from: tuple[float, float] | None = None,
        options: dict[str, Any] | None = None,
        rng: Any = None,
        budget: int | None = None,
    ) -> None:
        super().__init__(x0, rng=rng, budget=budget)
        self._cma = require("cma", "cma (pycma)")
        self._options = {"CMA_diagonal": diagonal, **(options or {})}
        self._box = restart_from
        self._run(self.x0, float(sigma0), popsize)
        self._restarts = None if restarts is None else Restarts(restarts, self._es.popsize, float(sigma0), self.rng)

    def _run(self, x0: FloatArray, sigma0: float, popsize: int | None, limit: int | None = None) -> None:
        """Start a run of pycma that may spend `limit` evaluations."""
        options = {
            "seed": np.nan,
            "randn": lambda *shape: self.rng.standard_normal(shape),
            "verbose": -9,
            "verb_log": 0,
            **self._options,
        }
        if popsize is not None:
            options["popsize"] = popsize
        if limit is not None:
            options["maxfevals"] = limit
        self._es = self._cma.CMAEvolutionStrategy(x0, sigma0, options)

    def _ask(self) -> FloatArray:
        return np.asarray(self._es.ask())

    def _tell(self, X: FloatArray, losses: FloatArray) -> None:
        self._es.tell(list(X), losses.tolist())
        if self._restarts is not None and self._es.stop():
            popsize, sigma0, limit = self._restarts.next(self._es.countevals)
            x0 = self.x0 if self._box is None else self.rng.uniform(*self._box, size=self.x0.size)
            self._run(x0, sigma0, popsize, limit)

    def _mean(self) -> FloatArray:
        return np.asarray(self._es.mean)

    def _reasons(self) -> dict[str, Any]:
        return dict(self._es.stop()) if self._restarts is None else {}

"""Theirs as ours: trust-region methods of M. J. D. Powell's school, COBYQA of scipy and Py-BOBYQA."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import Any

import numpy as np

from zoo_opt.interop.inverted import Inverted, Objective, from_starts
from zoo_opt.interop.peer import FloatArray
from zoo_opt.support.loading import require

Box = tuple[float, float]
ENDLESS = 10**7  # evaluations, where no budget is given
PATIENCE = 20.0  # seconds that a run waits for another one's end
_COBYQA = threading.Lock()  # scipy has one of its own, on which a second run would wait for ever


@dataclass(kw_only=True, eq=False, repr=False)
class _TrustRegion(Inverted):
    """What the two share: a box or none, and new starts in a box whenever the method returns."""

    bounds: Box | None = None
    restart_from: Box | None = None
    options: dict[str, Any] | None = None

    def _of(self, x: FloatArray) -> FloatArray:
        return x if self.bounds is None else np.clip(x, *self.bounds)


@dataclass(kw_only=True, eq=False, repr=False)
class Cobyqa(_TrustRegion):
    """``scipy.optimize.minimize(method="COBYQA")``, started again from a random point of a box whenever it returns.

    Scipy allows one open run at a time: another one in the same process waits for its end, and then gives up. A run
    ends with its budget, or with `close`.

    Parameters
    ----------
    x0 : array_like, shape (d,)
        Start of the first run.
    bounds : (float, float) or None
        Box that is kept to, the same for all coordinates.
    restart_from : (float, float) or None
        Further runs begin uniformly in this box; None ends with the first.
    options : dict or None
        scipy's options, such as ``{"initial_tr_radius": 0.5}``.
    rng, budget
        See :class:`zoo_opt.interop.peer.Peer`.
    """

    def __post_init__(self) -> None:
        super().__post_init__()
        optimize = require("scipy.optimize", "scipy")
        bounds, restart_from, draws, x0 = self.bounds, self.restart_from, self.rng, self._of(self.x0.copy())
        most = self.budget or ENDLESS
        settings = {"maxfev": most, "maxiter": most, **(self.options or {})}

        def minimise(evaluate: Objective) -> None:
            if not _COBYQA.acquire(timeout=PATIENCE):
                raise RuntimeError("another run of COBYQA is open in this process, and scipy allows one: close() it")

            def run(x: FloatArray) -> None:
                optimize.minimize(
                    lambda z: float(evaluate(z)[0]),
                    x,
                    method="COBYQA",
                    bounds=None if bounds is None else [tuple(bounds)] * x.size,
                    options=settings,
                )

            try:
                from_starts(run, x0, restart_from, draws)
            finally:
                _COBYQA.release()

        self._start(minimise)

    def _tell(self, X: FloatArray, losses: FloatArray) -> None:
        super()._tell(X, losses)
        if self.budget is not None and self.nfev + len(X) >= self.budget:
            self.close()  # the next run need not wait until this object is collected


@dataclass(kw_only=True, eq=False, repr=False)
class PyBobyqa(_TrustRegion):
    """Py-BOBYQA of C. Cartis and L. Roberts, started again from a random point of a box whenever it returns.

    Parameters
    ----------
    x0, bounds, restart_from
        See :class:`Cobyqa`.
    options : dict or None
        Further arguments of ``pybobyqa.solve``, such as ``{"objfun_has_noise": True, "rhobeg": 0.5}``.
    rng, budget
        See :class:`zoo_opt.interop.peer.Peer`.
    """

    def __post_init__(self) -> None:
        super().__post_init__()
        solve = require("pybobyqa", "Py-BOBYQA", extra="").solve
        bounds, restart_from, draws, x0 = self.bounds, self.restart_from, self.rng, self._of(self.x0.copy())
        box = None if bounds is None else tuple(np.full(x0.size, edge, dtype=np.float64) for edge in bounds)
        settings = {"maxfun": self.budget or ENDLESS, "do_logging": False, **(self.options or {})}

        def minimise(evaluate: Objective) -> None:
            def run(x: FloatArray) -> None:
                solve(lambda z: float(evaluate(z)[0]), x, bounds=box, **settings)

            from_starts(run, x0, restart_from, draws)

        self._start(minimise)

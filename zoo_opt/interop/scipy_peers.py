"""Theirs as ours: scipy's minimisers behind the ask/tell surface of zoo_opt. (Ours as theirs: `scipy_method`.)"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from zoo_opt.interop.inverted import Inverted, Objective, from_starts
from zoo_opt.interop.peer import FloatArray
from zoo_opt.support.loading import require

Box = tuple[float, float]
LOCAL = ("L-BFGS-B", "BFGS", "SLSQP", "Nelder-Mead", "Powell", "COBYLA")  # COBYQA has a class of its own
_WITH_GRADIENT = ("L-BFGS-B", "BFGS", "SLSQP")
_WITHOUT_BOUNDS = ("BFGS",)


def local_search(
    optimize: Any,
    evaluate: Objective,
    x: FloatArray,
    *,
    name: str,
    bounds: Box | None = None,
    step: float = 1e-8,
    options: dict[str, Any] | None = None,
) -> FloatArray:
    """One call of ``scipy.optimize.minimize`` and its result, shape (d,): forward differences where it wants slopes.

    Parameters
    ----------
    optimize : module
        ``scipy.optimize``.
    evaluate : callable
        Of a `Dialogue`.
    x : ndarray, shape (d,)
        Start, inside the bounds.
    name, bounds, step, options
        See :class:`ScipyMinimize`.
    """
    endless = 2**31 - 1
    limits = {"L-BFGS-B": {"maxfun": endless}, "Nelder-Mead": {"maxfev": endless}, "Powell": {"maxfev": endless}}
    low, high = (-np.inf, np.inf) if bounds is None else bounds
    eye = step * np.eye(x.size)

    def value_and_gradient(x: FloatArray) -> tuple[float, FloatArray]:
        """Forward differences, backward where the box ends."""
        h = eye if bounds is None else eye * np.where(x + step > high, -1.0, 1.0)
        f = evaluate(np.vstack([x, x + h]))
        return float(f[0]), (f[1:] - f[0]) / h.diagonal()

    def value(x: FloatArray) -> float:
        return float(evaluate(x)[0])

    with np.errstate(all="ignore"):
        found = optimize.minimize(
            value_and_gradient if name in _WITH_GRADIENT else value,
            x,
            method=name,
            jac=True if name in _WITH_GRADIENT else None,
            bounds=None if bounds is None else [(low, high)] * x.size,
            options={"maxiter": endless, **limits.get(name, {}), **(options or {})},
        )
    return np.asarray(found.x, dtype=np.float64)


@dataclass(kw_only=True, eq=False, repr=False)
class ScipyMinimize(Inverted):
    """``scipy.optimize.minimize``, started again from a random point of a box whenever it returns.

    L-BFGS-B, BFGS and SLSQP get forward differences with scipy's own absolute step; a value and its gradient, d + 1
    evaluations, are one batch. The other methods ask for one point at a time.

    Parameters
    ----------
    x0 : array_like, shape (d,)
        Start of the first run.
    name : str
        "L-BFGS-B", "BFGS", "SLSQP", "Nelder-Mead", "Powell" or "COBYLA".
    bounds : (float, float) or None
        Box that is kept to, the same for all coordinates (BFGS takes none).
    restart_from : (float, float) or None
        Further runs begin uniformly in this box; None ends with the first.
    step : float
        Step of the forward differences.
    options : dict or None
        scipy's ``options`` of the method.
    rng, budget
        See :class:`zoo_opt.interop.peer.Peer`.
    """

    name: str = "L-BFGS-B"
    bounds: Box | None = None
    restart_from: Box | None = None
    step: float = 1e-8
    options: dict[str, Any] | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        optimize = require("scipy.optimize", "scipy")
        name, bounds, restart_from, step = self.name, self.bounds, self.restart_from, self.step
        if name not in LOCAL:
            raise ValueError(f"name must be one of {LOCAL}, got {name!r}")
        if bounds is not None and name in _WITHOUT_BOUNDS:
            raise ValueError(f"bounds must be None for {name}, got {bounds!r}")
        if not step > 0:
            raise ValueError(f"step must be positive, got {step!r}")
        start, draws, options = self.x0.copy(), self.rng, self.options

        def minimise(evaluate: Objective) -> None:
            def run(x: FloatArray) -> None:
                local_search(optimize, evaluate, x, name=name, bounds=bounds, step=step, options=options)

            from_starts(run, start if bounds is None else np.clip(start, *bounds), restart_from, draws)

        self._start(minimise)


@dataclass(kw_only=True, eq=False, repr=False)
class DifferentialEvolution(Inverted):
    """``scipy.optimize.differential_evolution``, a whole generation at a time, started anew when it has converged.

    Parameters
    ----------
    x0 : array_like, shape (d,)
        Member of the first population of the first run.
    bounds : (float, float)
        Box of the search, the same for all coordinates.
    options : dict or None
        Further arguments of scipy's function, such as ``{"popsize": 5, "strategy": "rand1bin"}``. ``popsize`` counts
        in multiples of d.
    rng, budget
        See :class:`zoo_opt.interop.peer.Peer`.
    """

    bounds: Box = (-5.0, 5.0)
    options: dict[str, Any] | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        optimize = require("scipy.optimize", "scipy")
        box, draws, more = [tuple(self.bounds)] * self.x0.size, self.rng, dict(self.options or {})
        start = np.clip(self.x0, *self.bounds)

        def minimise(evaluate: Objective) -> None:
            def losses(X: FloatArray) -> FloatArray:
                """X has shape (d, n), or (d,) while the result is polished."""
                f = evaluate(X.T)
                return f if X.ndim == 2 else f[0]

            x: FloatArray | None = start
            while True:
                optimize.differential_evolution(
                    losses,
                    box,
                    **{"x0": x, "maxiter": 2**31 - 1, "vectorized": True, "updating": "deferred", "rng": draws, **more},
                )
                x = None

        self._start(minimise)

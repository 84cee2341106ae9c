"""Use a method of zoo-opt in a program that calls scipy.

`zo.scipy_method` goes into the `method=` of `scipy.optimize.minimize`; `options` are those of `zo.minimize`, and the
result is scipy's. The function is a bowl under ripples: scipy's own methods stop in the ripple next to the start.

Needs scipy. More: docs/interop.md.
"""

import numpy as np
import scipy.optimize

import zoo_opt as zo


def rippled(x: np.ndarray, height: float) -> float:
    """Return a quadratic with ripples of this height on it; its minimum is 0 at x = 2."""
    return float(np.sum((x - 2.0) ** 2 + height * (1.0 - np.cos(2.0 * np.pi * (x - 2.0)))))


def main() -> None:
    """Call scipy with three methods."""
    x0 = np.full(5, -3.3)
    bounds = scipy.optimize.Bounds(-5.0, 5.0)
    ours = zo.scipy_method(zo.CMAES(sigma0=2.0, restarts="ipop"))
    options = {"budget": 4000, "rng": 0}
    for name, method, settings in (
        ("L-BFGS-B", "L-BFGS-B", {}),
        ("Nelder-Mead", "Nelder-Mead", {"maxfev": 4000}),
        ("zoo-opt's CMA-ES", ours, options),
    ):
        res = scipy.optimize.minimize(rippled, x0, args=(1.0,), method=method, bounds=bounds, options=settings)
        print(f"{name:16} loss {res.fun:8.1e} after {res.nfev} evaluations")


if __name__ == "__main__":
    main()

"""Fits of three systems of differential equations to noisy data, integrated at the tolerance 1e-4 that people use."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from zoo_opt.bench.problems.real.base import Float64, Quantity, RealTask
from zoo_opt.support.loading import require

TOLERANCE = 1e-4  # relative, of the solver inside
FINE = 1e-9  # of the one that made the data


def integrated(
    right: Callable[[float, Float64], Any], y0: Any, times: Float64, rtol: float, method: str, scale: float = 1.0
) -> Float64 | None:
    """The states at `times`, shape (variables, times), by ``scipy.integrate.solve_ivp``; None where it gave up."""
    solve = require("scipy.integrate", "scipy").solve_ivp
    found = solve(right, (0.0, times[-1]), y0, method=method, t_eval=times, rtol=rtol, atol=rtol * 1e-3 * scale)
    return np.asarray(found.y) if found.success and found.y.shape[1] == times.size else None


class Fit(RealTask):
    """Mean square of the residuals of a model from data that true parameters and noise have made."""

    truth: tuple[float, ...]
    noise: float

    def __init__(self) -> None:
        super().__init__()
        clean = self.observed(np.array(self.truth), FINE)
        if clean is None:
            raise RuntimeError(f"the true parameters of {self.task} cannot be integrated")
        self.data = clean + self.noise * np.random.default_rng(5).standard_normal(clean.shape)

    def observed(self, p: Float64, rtol: float) -> Float64 | None:
        """What the model says would be measured; None where the solver failed."""
        raise NotImplementedError

    def loss(self, p: Float64) -> float:
        """Mean square of the residuals; NaN where the solver failed."""
        y = self.observed(p, TOLERANCE)
        return np.nan if y is None else float(np.mean((y - self.data) ** 2))


class Sir(Fit):
    """An epidemic with a lockdown: SEIR in fractions of the population, by the logarithm of weekly reported cases.

    Contacts fall from beta_1 to beta_2 within about two days around day t_c; 26 weeks.
    """

    task = "sir"
    quantities = (
        Quantity("beta_1", 0.05, 1.5, True),
        Quantity("beta_2", 0.02, 1.0, True),
        Quantity("t_c", 10, 90),
        Quantity("1 / sigma", 1, 10, True),
        Quantity("1 / gamma", 2, 20, True),
        Quantity("first infected", 1e-6, 1e-2, True),
        Quantity("reported", 0.02, 1.0, True),
    )
    truth, noise = (0.42, 0.11, 41.0, 3.2, 7.5, 8e-5, 0.31), 0.15
    optimum, spread = 0.0140974, 44.5

    def observed(self, p: Float64, rtol: float) -> Float64 | None:
        """Logarithm of the cases reported in each week."""
        beta_1, beta_2, t_c, latent, ill, first, reported = p

        def right(t: float, y: Float64) -> list[float]:
            s, e, i, _ = y
            beta = beta_2 + (beta_1 - beta_2) / (1 + np.exp(min((t - t_c) / 1.0, 500.0)))
            new = beta * s * i
            return [-new, new - e / latent, e / latent - i / ill, e / latent]

        y = integrated(right, [1 - first, 0.0, first, 0.0], np.arange(0.0, 183, 7), rtol, "RK45", 1e-3)
        return None if y is None else np.log(np.maximum(reported * np.diff(y[3]), 1e-9))


class LotkaVolterra(Fit):
    """Prey and predators: four rates and both first numbers from the logarithms of 20 noisy counts of each."""

    task = "lotka-volterra"
    quantities = (
        Quantity("alpha", 0.1, 3, True),
        Quantity("beta", 0.005, 0.5, True),
        Quantity("gamma", 0.1, 3, True),
        Quantity("delta", 0.005, 0.5, True),
        Quantity("prey", 5, 100, True),
        Quantity("predators", 1, 50, True),
    )
    truth, noise = (0.9, 0.06, 0.8, 0.03, 33.0, 6.0), 0.1
    optimum, spread = 0.00645052, 19.7

    def observed(self, p: Float64, rtol: float) -> Float64 | None:
        """Logarithms of both numbers."""
        alpha, beta, gamma, delta, *first = p

        def right(t: float, y: Float64) -> list[float]:
            u, v = y
            return [alpha * u - beta * u * v, delta * u * v - gamma * v]

        y = integrated(right, first, np.linspace(0, 20, 20), rtol, "RK45")
        return None if y is None else np.log(np.maximum(y, 1e-6))


class Kinetics(Fit):
    """A stiff network A <-> B, 2 B -> C, C + A -> B + D, C -> E, D -> E by C: six rate constants over eight decades.

    Measured are A, C and E at 15 times that are spread over four decades.
    """

    task = "kinetics"
    quantities = tuple(
        Quantity(f"log10 k_{i}", low, high)
        for i, (low, high) in enumerate(((-2, 2), (-3, 1), (0, 5), (-1, 4), (-3, 1), (-2, 2)), 1)
    )
    truth, noise = (0.3, -0.7, 3.1, 1.6, -1.2, 0.2), 0.01
    optimum, spread = 6.90417e-05, 0.0501

    def observed(self, p: Float64, rtol: float) -> Float64 | None:
        """A, C and E, as fractions of the first A."""
        k1, k2, k3, k4, k5, k6 = (10.0**e for e in p)

        def right(t: float, y: Float64) -> list[float]:
            a, b, c, d, _ = y
            r1, r2, r3, r4, r5, r6 = k1 * a, k2 * b, k3 * b * b, k4 * c * a, k5 * c, k6 * d * c
            return [r2 - r1 - r4, r1 - r2 - 2 * r3 + r4, r3 - r4 - r5, r4 - r6, r5 + r6]

        y = integrated(right, [1.0, 0.0, 0.0, 0.0, 0.0], np.geomspace(0.01, 100, 15), rtol, "LSODA")
        return None if y is None else y[[0, 2, 4]]  # A + B + 2 (C + D + E) = 1

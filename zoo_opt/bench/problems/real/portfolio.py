"""Weights of a portfolio by the mean of its worst outcomes: kinks, and bounds that hold at the best."""

from __future__ import annotations

import numpy as np

from zoo_opt.bench.problems.real.base import Float64, Quantity, RealTask

ASSETS, DAYS, WORST = 12, 750, 37  # days of returns, of which the worst twentieth counts
CASH, LOAN, COST, TASTE = 0.00005, 0.0004, 0.002, 50.0  # a day; per traded unit; of the mean against the shortfall


class Portfolio(RealTask):
    """Twelve weights between 0 and 0.4, what is left in cash: expected shortfall less fifty mean returns.

    Returns of 750 days come from three factors with heavy tails. What is invested beyond 1 is borrowed dearly, and the
    change from equal weights costs 0.2 %: the loss is convex and piecewise linear, with several weights at 0 or .4. It
    is in percent a day.
    """

    task = "portfolio"
    quantities = tuple(Quantity(f"w_{i}", 0.0, 0.4) for i in range(1, ASSETS + 1))
    optimum, spread = -1.62655078, 9.71

    def __init__(self) -> None:
        super().__init__()
        rng = np.random.default_rng(8)
        factors = 0.007 * rng.standard_t(4, (DAYS, 3))
        exposures = rng.uniform(-0.3, 1.3, (3, ASSETS))
        means = rng.uniform(-0.0002, 0.0012, ASSETS)
        own = rng.uniform(0.003, 0.015, ASSETS)
        self.returns = means + factors @ exposures + own * rng.standard_t(4, (DAYS, ASSETS))

    def loss(self, p: Float64) -> float:
        """Mean loss of the worst 37 days, less fifty times the mean return, and the costs of the change."""
        left = 1 - p.sum()
        daily = self.returns @ p + (CASH * left if left >= 0 else LOAN * left)
        shortfall = -np.partition(daily, WORST)[:WORST].mean()
        change = COST * np.abs(p - 1 / ASSETS).sum()
        return float(100 * (shortfall - TASTE * daily.mean() + change))

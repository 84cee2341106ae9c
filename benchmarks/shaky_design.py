"""Losses whose last digits shake, on the instances that `auto` was designed on: the tables of docs/auto-measured.md.

``python benchmarks/shaky_design.py auto 5 1e-8`` runs 24 functions of bbob in 5 dimensions with a relative jitter of
1e-8 on every loss, ``float32`` rounds them, ``0`` leaves them; ``--budget`` is per dimension, ``--instances`` are
COCO's. It prints the area under the ECDF over log evaluations of the true losses, 51 targets from 1e2 to 1e-8, and the
fraction of them reached, to 20 d, 60 d and 200 d evaluations. Methods: auto, trust-region, bayesian-optimization,
cobyqa (scipy's, anew from a random point where it ends), pycma (BIPOP, sigma0 = 2).
"""

from __future__ import annotations

import argparse
import contextlib
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

import zoo_opt as zo
from zoo_opt.bench.problems.coco import BBOB_TARGETS, Bbob

Array = NDArray[Any]
Loss = Callable[[Array], float]
BOX = (-5.0, 5.0)


class Spent(Exception):
    """The budget is used up."""


class Shaken:
    """The losses of a problem as the method gets to see them; the true ones are kept."""

    def __init__(self, problem: Bbob, jitter: str, budget: int, seed: int) -> None:
        self.problem, self.jitter, self.budget = problem, jitter, budget
        self.rng, self.true = np.random.default_rng(seed), list[float]()

    def __call__(self, x: Array) -> float:
        """Return the loss, shaken."""
        if len(self.true) >= self.budget:
            raise Spent
        value = float(self.problem.losses(np.asarray(x)[None], 0, 0)[0])
        self.true.append(value - (self.problem.optimum or 0.0))
        if self.jitter == "float32":
            return float(np.float32(value))
        return value * (1 + float(self.jitter) * float(self.rng.standard_normal()))


def ours(method: zo.Method) -> Callable[[Loss, Array, int, int], None]:
    """Return how a method of ours is run."""

    def run(loss: Loss, x0: Array, budget: int, seed: int) -> None:
        opt = zo.Optimizer(method, x0, rng=seed, budget=budget)
        while not opt.stop():
            batch = opt.ask()
            opt.tell(batch, [loss(x) for x in batch])

    return run


def cobyqa(loss: Loss, x0: Array, budget: int, seed: int) -> None:
    """Run scipy's COBYQA, and anew where it ends."""
    from scipy.optimize import minimize

    rng = np.random.default_rng(seed)
    while True:
        minimize(loss, x0, method="COBYQA", bounds=[BOX] * x0.size, options={"maxfev": budget})
        x0 = rng.uniform(-4, 4, x0.size)


def pycma(loss: Loss, x0: Array, budget: int, seed: int) -> None:
    """Run pycma's BIPOP."""
    import cma

    options = {"bounds": list(BOX), "verbose": -9, "maxfevals": budget, "seed": seed + 1}
    cma.fmin2(loss, x0, 2.0, options, restarts=9, bipop=True)


RUNS = {
    "auto": ours(zo.Auto(bounds=BOX)),
    "trust-region": ours(zo.TrustRegion(bounds=BOX, radius=1.5)),
    "bayesian-optimization": ours(zo.BayesianOptimization(bounds=BOX, radius=2.0)),
    "cobyqa": cobyqa,
    "pycma": pycma,
}


def area(true: list[float], budget: int) -> tuple[float, float]:
    """Return the area under the ECDF over log evaluations to the budget, and the fraction of targets reached."""
    best = np.minimum.accumulate(true[:budget])
    at = np.array([np.argmax(best <= target) + 1 if best[-1] <= target else np.inf for target in BBOB_TARGETS])
    reached = np.isfinite(at)
    return float(np.where(reached, 1 - np.log(np.where(reached, at, 1)) / np.log(budget), 0).mean()), reached.mean()


def main() -> None:
    """Run what the command line says."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("method", choices=RUNS)
    parser.add_argument("dimension", type=int)
    parser.add_argument("jitter", help="relative, or float32")
    parser.add_argument("--budget", type=int, default=200, help="evaluations per dimension")
    parser.add_argument("--instances", type=int, nargs="+", default=[11])
    args = parser.parse_args()
    budgets = [n * args.dimension for n in (20, 60, 200, 1000) if n <= args.budget]
    rows, begin = [], time.process_time()
    for function in range(1, 25):
        for instance in args.instances:
            problem = Bbob(function, args.dimension, instance)
            loss = Shaken(problem, args.jitter, args.budget * args.dimension, instance * 100 + function)
            with contextlib.suppress(Spent):
                RUNS[args.method](loss, problem.x0(instance), loss.budget, instance)
            rows.append([area(loss.true, budget) for budget in budgets])
    figures = "  ".join(f"{n}: {a:.4f} ({r:.3f})" for n, (a, r) in zip(budgets, np.mean(rows, axis=0), strict=True))
    print(f"{args.method} d={args.dimension} {args.jitter}  {figures}  {time.process_time() - begin:.1f} s")


if __name__ == "__main__":
    main()

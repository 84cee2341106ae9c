"""Small budgets: four functions in 8 dimensions, 60 evaluations, box [-5, 5]. The table of docs/auto-measured.md.

``python benchmarks/small_budget.py auto`` prints the median loss over 15 seeds of each function: a rotated ellipsoid
of condition 1e4, a rotated valley of Rosenbrock's, Ackley's function (rotated, its minimum anywhere in [-3, 3]), and a
"simulator", log(1 + q) of a rotated quadratic q whose free minimum is beyond three bounds, with ripples of 1e-3.
``--jitter`` shakes the losses that the method sees: float32, or a relative deviation. Starts are uniform in [-4, 4].
Methods: any of ours, or a peer of `zoo_opt.bench` such as ``optuna:GP``; seeds are those to design on, from 100.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from zoo_opt.bench.solvers import make_solver

Array = NDArray[np.float64]
BOX = (-5.0, 5.0)
SIGMA0 = 2.0  # of evolution strategies, a fifth of the box
RIPPLE = 1e-3
BEYOND = 3  # coordinates whose free minimum is outside of the box
_PEER = {"bounds": BOX, "restart_from": (-4.0, 4.0)}
OPTIONS: dict[str, dict[str, Any]] = {
    "auto": {"bounds": BOX},
    "cma-es": {"sigma0": SIGMA0, "restarts": "bipop", "bounds": BOX},
    "pycma": {"sigma0": SIGMA0, "restarts": "bipop", "restart_from": (-4.0, 4.0), "options": {"bounds": list(BOX)}},
    "pycma:lq": {**_PEER, "sigma0": SIGMA0, "restarts": 9},
    "scipy:COBYQA": _PEER,
    "scipy:L-BFGS-B": _PEER,
    "bayesian-optimization": {"bounds": BOX, "radius": 2.0},
    "trust-region": {"bounds": BOX, "radius": 1.5},
}


def rotation(rng: np.random.Generator, d: int) -> Array:
    """Return a rotation (d, d), uniform."""
    Q, R = np.linalg.qr(rng.standard_normal((d, d)))
    turned: Array = Q * np.sign(np.diag(R))
    return turned


def ellipsoid(rng: np.random.Generator, d: int) -> Callable[[Array], float]:
    """Return a quadratic of condition 1e4."""
    B, at, curvatures = rotation(rng, d), rng.uniform(-3, 3, d), 1e4 ** np.linspace(0, 1, d)
    return lambda x: float(curvatures.dot(B.dot(x - at) ** 2))


def rosenbrock(rng: np.random.Generator, d: int) -> Callable[[Array], float]:
    """Return the valley, moved and turned."""
    B, at = rotation(rng, d), rng.uniform(-3, 3, d)

    def loss(x: Array) -> float:
        z = B.dot(x - at) + 1
        return float((100 * (z[1:] - z[:-1] ** 2) ** 2 + (1 - z[:-1]) ** 2).sum())

    return loss


def ackley(rng: np.random.Generator, d: int) -> Callable[[Array], float]:
    """Return Ackley's function, moved and turned."""
    B, at = rotation(rng, d), rng.uniform(-3, 3, d)

    def loss(x: Array) -> float:
        z = B.dot(x - at)
        return float(20 + np.e - 20 * np.exp(-0.2 * np.sqrt((z * z).mean())) - np.exp(np.cos(2 * np.pi * z).mean()))

    return loss


def simulator(rng: np.random.Generator, d: int) -> Callable[[Array], float]:
    """Return log(1 + q) with ripples; three coordinates of q's minimum are outside of the box."""
    B, at, curvatures = rotation(rng, d), rng.uniform(-3, 3, d), 1e3 ** np.linspace(0, 1, d)
    at[:BEYOND] = rng.choice([-1.0, 1.0], BEYOND) * rng.uniform(6, 8, BEYOND)

    def loss(x: Array) -> float:
        q = curvatures.dot(B.dot(x - at) ** 2)
        return float(np.log1p(q) + RIPPLE * np.sin(50 * x).sum())

    return loss


FUNCTIONS = {"ellipsoid": ellipsoid, "Rosenbrock": rosenbrock, "Ackley": ackley, "simulator": simulator}


def lowest(method: str, name: str, args: argparse.Namespace, seed: int) -> float:
    """Return the lowest loss of the points that the method evaluated, as it truly is."""
    rng = np.random.default_rng([seed, list(FUNCTIONS).index(name)])
    loss, x0 = FUNCTIONS[name](rng, args.dimension), rng.uniform(-4, 4, args.dimension)
    solver = make_solver(method, OPTIONS.get(method, {"bounds": BOX}), x0, seed=seed, budget=args.budget)
    best = np.inf
    try:
        while not solver.stop():
            batch = solver.ask()
            true = [loss(np.asarray(x)) for x in batch]
            best = min(best, *true)
            if args.jitter == "float32":
                solver.tell(batch, [float(np.float32(value)) for value in true])
            else:
                shaken = true * (1 + float(args.jitter) * rng.standard_normal(len(true)))
                solver.tell(batch, shaken.tolist())
    finally:
        getattr(solver, "close", lambda: None)()
    return best


def main() -> None:
    """Run what the command line says."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("method")
    parser.add_argument("--functions", nargs="+", choices=FUNCTIONS, default=list(FUNCTIONS))
    parser.add_argument("--dimension", type=int, default=8)
    parser.add_argument("--budget", type=int, default=60, help="evaluations")
    parser.add_argument("--jitter", default="0", help="relative, or float32")
    parser.add_argument("--seeds", type=int, default=15, help="how many, from --first on")
    parser.add_argument("--first", type=int, default=100)
    args = parser.parse_args()
    begin, medians = time.process_time(), []
    for name in args.functions:
        losses = [lowest(args.method, name, args, seed) for seed in range(args.first, args.first + args.seeds)]
        medians.append(f"{name} {np.median(losses):.4g}")
    print(f"{args.method} jitter {args.jitter}  {'  '.join(medians)}  {time.process_time() - begin:.1f} s")


if __name__ == "__main__":
    main()

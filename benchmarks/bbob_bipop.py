"""CMA-ES with BIPOP restarts, ours against pycma's: bbob's 24 functions, instances 1-3, d = 5, 10, 20, budget 1000 d.

    python benchmarks/bbob_bipop.py                    everything: about 6 minutes on 2 cores
    python benchmarks/bbob_bipop.py -d 5 -i 1          a part

Both start with sigma0 = 2 at the same point and restart uniformly in [-4, 4]^d. pycma runs its own loop, `cma.fmin2`
with `bipop=True`. A (problem, target) pair counts if the target, one of 51 from 1e2 to 1e-8, is hit within the
budget.
"""

import argparse
import contextlib
import itertools
import multiprocessing
import os
import warnings
from concurrent.futures import ProcessPoolExecutor
from typing import Any

import numpy as np

import zoo_opt as zo
from zoo_opt.bench.problems.coco import Bbob
from zoo_opt.bench.problems.counting import BudgetExceeded, Counted

SIGMA0, BOX, PER_DIM, SEED = 2.0, (-4.0, 4.0), 1000, 1


class Solved(Exception):
    """The last target was hit."""


def run_ours(counted: Counted, x0: np.ndarray) -> None:
    """Ask and tell until the budget is spent or the problem solved."""
    method = zo.CMAES(sigma0=SIGMA0, restarts="bipop", restart_from=BOX)
    opt = zo.Optimizer(method, x0, rng=SEED, budget=counted.budget)
    while not (counted.solved or opt.stop()):
        batch = opt.ask()
        opt.tell(batch, counted(batch.X, batch.step))


def run_pycma(counted: Counted, x0: np.ndarray) -> None:
    """The own BIPOP loop of pycma, cut off by the counting wrapper."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import cma

        # pycma draws its populations from numpy's global generator; each run has a process's to itself
        np.random.seed(1000 + SEED)  # noqa: NPY002
        starts = iter([x0])

        def start() -> np.ndarray:
            """x0 first, then the box: fmin2 calls this before every run."""
            return next(starts, np.random.uniform(*BOX, size=x0.size))  # noqa: NPY002

        def objective(x: np.ndarray) -> float:
            if counted.solved:
                raise Solved
            return float(counted(x)[0])

        options = {"verbose": -9, "verb_log": 0, "seed": 1000 + SEED, "maxfevals": counted.budget}
        with contextlib.suppress(BudgetExceeded, Solved):
            cma.fmin2(objective, start, SIGMA0, options, restarts=99, bipop=True)


def task(arguments: tuple[str, int, int, int]) -> dict[str, Any]:
    """One run: hits of the targets."""
    who, function, dim, instance = arguments
    problem = Bbob(function, dim, instance)
    counted = Counted(problem, PER_DIM * dim, SEED)
    {"zoo-opt": run_ours, "pycma": run_pycma}[who](counted, problem.x0(SEED))
    hits = [hit for hit in counted.hits if hit is not None]
    return {"who": who, "function": function, "dim": dim, "hit": len(hits), "of": len(counted.hits)}


def main() -> None:
    """Run all, print the fractions by dimension and by function group, and the verdict."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("-d", "--dimensions", type=int, nargs="+", default=[5, 10, 20])
    arguments.add_argument("-i", "--instances", type=int, nargs="+", default=[1, 2, 3])
    arguments.add_argument("-f", "--functions", type=int, nargs="+", default=list(range(1, 25)))
    arguments.add_argument("-w", "--workers", type=int, default=2)
    chosen = arguments.parse_args()
    who = ("zoo-opt", "pycma")
    todo = list(itertools.product(who, chosen.functions, chosen.dimensions, chosen.instances))
    todo.sort(key=lambda t: -t[2])  # the long ones first
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ[name] = "1"  # for the processes, which import numpy afresh
    with ProcessPoolExecutor(chosen.workers, multiprocessing.get_context("spawn")) as pool:
        runs = list(pool.map(task, todo))

    def fraction(name: str, **only: Any) -> float:
        mine = [r for r in runs if r["who"] == name and all(r[k] in v for k, v in only.items())]
        return sum(r["hit"] for r in mine) / max(1, sum(r["of"] for r in mine))

    print(f"fraction of (problem, target) pairs within {PER_DIM} d; instances {chosen.instances}, {len(runs)} runs")
    print(f"  {'':<22}{who[0]:>10}{who[1]:>10}{'gap':>10}")

    def line(text: str, **only: Any) -> float:
        a, b = (fraction(name, **only) for name in who)
        print(f"  {text:<22}{a:>10.4f}{b:>10.4f}{a - b:>+10.4f}")
        return a - b

    groups = {"separable": (1, 5), "moderate": (6, 9), "steep": (10, 14), "multi-modal": (15, 19), "weak": (20, 24)}
    for dim in chosen.dimensions:
        line(f"d = {dim}", dim=[dim])
        for name, (first, last) in groups.items():
            functions = [f for f in range(first, last + 1) if f in chosen.functions]
            if functions:
                line(f"    f{first}-f{last} {name}"[:22], dim=[dim], function=functions)
    gap = line("all")
    print(f"zoo-opt - pycma = {gap:+.4f}   expected >= -0.01   {'ok' if gap >= -0.01 else 'MISSED'}")


if __name__ == "__main__":
    main()

"""The lowest losses known of the real tasks, and how far a typical point is above: their `optimum` and `spread`.

Runs pycma's BIPOP and scipy's differential evolution, and polishes what they find by Nelder and Mead. None of ours
takes part. Takes about half an hour.
"""

import argparse
import time

import numpy as np
from scipy.optimize import differential_evolution, minimize

from zoo_opt.bench import Counted, make_solver
from zoo_opt.bench.problems.real.tasks import TASKS, make_task


def best_of(task, seconds):
    """The lowest loss that is found in so many seconds of CPU time, where, and the median of 1,000 points."""
    rng = np.random.default_rng(9)
    start = time.process_time()
    median = float(np.nanmedian(task.losses(rng.uniform(size=(1000, task.dim)), 0, 0)))
    cost = (time.process_time() - start) / 1000
    budget = int(min(100_000, seconds / cost / 4))

    def loss(x):
        return float(np.nan_to_num(task.losses(x[None], 0, 0)[0], nan=1e300))

    points = []
    for seed in (1, 2):
        counted = Counted(task, budget, seed)
        options = {"sigma0": 0.2, "restarts": "bipop", "restart_from": [0.0, 1.0]}
        solver = make_solver("pycma", options, task.x0(seed), seed=seed, budget=budget)
        while not solver.stop():
            batch = solver.ask()
            solver.tell(batch, counted(batch.X))
        points.append(counted.best_x)
    rounds = max(2, budget // (10 * task.dim) - 1)
    points.append(differential_evolution(loss, [(0, 1)] * task.dim, maxiter=rounds, popsize=10, polish=False, rng=3).x)
    settings = {"maxfev": budget // 4, "xatol": 1e-9, "fatol": 1e-13, "adaptive": True}
    box = [(0, 1)] * task.dim
    ends = [minimize(loss, np.clip(x, 0, 1), method="Nelder-Mead", bounds=box, options=settings).x for x in points]
    return min(((loss(x), x) for x in [*points, *ends]), key=lambda pair: pair[0]), median, cost


def main():
    """Print them."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("tasks", nargs="*", metavar="task", help="all by default")
    parser.add_argument("--seconds", type=float, default=120.0, help="of CPU time for each")
    chosen = parser.parse_args()
    for name in chosen.tasks or TASKS:
        task = make_task(name)
        (lowest, x), median, cost = best_of(task, chosen.seconds)
        at_bounds = int(np.sum((np.clip(x, 0, 1) < 1e-6) | (np.clip(x, 0, 1) > 1 - 1e-6)))
        print(
            f"{name}: optimum {lowest:.9g}, spread {median - lowest:.4g}, {at_bounds} of {task.dim} at a bound, "
            f"{1000 * cost:.2f} ms; at {np.array2string(task.physical(x), precision=5, max_line_width=200)}",
            flush=True,
        )


if __name__ == "__main__":
    main()

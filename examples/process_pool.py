"""Evaluate on all cores.

`executor=` takes a pool of `concurrent.futures`. The answer is the same, bit for bit, as without a pool: which points
are evaluated never depends on the number of workers or on who finishes first. A method hands out one step at a time,
so give it steps that keep the workers busy: here `popsize`, a multiple of the number of workers.

Two rules of Python's processes: the objective is a function of a module (not a lambda), and the pool is made under
`if __name__ == "__main__"`. More: docs/parallel.md.
"""

import time
from concurrent.futures import ProcessPoolExecutor

import numpy as np

import zoo_opt as zo


def slow_loss(x: np.ndarray) -> float:
    """Return an ill-conditioned quadratic, as a simulation that takes 5 ms."""
    time.sleep(0.005)
    return float(np.sum(np.array([1.0, 10.0, 100.0]) * (x - 1.0) ** 2))


def main() -> None:
    """Make the same run alone and with four workers."""
    method = zo.CMAES(sigma0=0.3, popsize=8)
    begin = time.perf_counter()
    alone = zo.minimize(slow_loss, np.zeros(3), method=method, budget=400, rng=0)
    seconds_alone = time.perf_counter() - begin

    with ProcessPoolExecutor(4) as pool:
        list(pool.map(abs, range(100)))  # starts the processes, which is not to be timed
        begin = time.perf_counter()
        shared = zo.minimize(slow_loss, np.zeros(3), method=method, budget=400, rng=0, executor=pool)
        seconds_shared = time.perf_counter() - begin

    print(f"loss {shared.fun:.1e} after {shared.nfev} evaluations")
    print(f"{seconds_alone:.1f} s alone, {seconds_shared:.1f} s with four workers")
    print(f"same answer: {np.array_equal(alone.x, shared.x)}")


if __name__ == "__main__":
    main()

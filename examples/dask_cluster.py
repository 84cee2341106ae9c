"""Evaluate on a dask cluster.

A `LocalCluster` stands for yours; with the address of a scheduler, `Client("tcp://...")`, nothing else changes. Use
`client.get_executor(pure=False)`: dask otherwise takes equal calls for one. At most as many calls are in flight as the
cluster has threads, and the answer does not depend on them.

Needs the extra `dask`. More: docs/interop.md.
"""

import numpy as np
from distributed import Client, LocalCluster

import zoo_opt as zo


def loss(x: np.ndarray) -> float:
    """Return an ill-conditioned quadratic."""
    return float(np.sum(np.array([1.0, 10.0, 100.0]) * (x - 1.0) ** 2))


def main() -> None:
    """Make the same run on a cluster and alone."""
    with (
        LocalCluster(n_workers=1, threads_per_worker=4, processes=False, dashboard_address=None) as cluster,
        Client(cluster) as client,
    ):
        threads = sum(client.nthreads().values())
        pool = client.get_executor(pure=False)
        res = zo.minimize(loss, np.zeros(3), method="cma-es", budget=400, rng=0, executor=pool)
    print(f"loss {res.fun:.1e} after {res.nfev} evaluations on a cluster of {threads} threads")
    alone = zo.minimize(loss, np.zeros(3), method="cma-es", budget=400, rng=0)
    print(f"same answer: {np.array_equal(res.x, alone.x)}")


if __name__ == "__main__":
    main()

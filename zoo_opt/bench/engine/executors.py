"""Where jobs are done: in this process, in others on this machine, or on a dask cluster.

Each executor is an iterator over the entries of the jobs as they finish. What is in an entry depends on the job alone,
never on where or in what company it was done; each job is done once.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence

from zoo_opt.bench.engine.cluster import on_dask
from zoo_opt.bench.engine.job import Entry, Job, run_job
from zoo_opt.bench.engine.processes import in_processes

EXECUTORS: dict[str, Callable[[Sequence[Job], str, int], Generator[Entry]]] = {
    "serial": lambda jobs, executor, workers: (run_job(job) for job in jobs),
    "processes": lambda jobs, executor, workers: in_processes(jobs, workers),
    "dask": on_dask,
}


def check_executor(name: str) -> None:
    """Raise ValueError if there is no such executor."""
    if name not in EXECUTORS and not name.startswith("dask://"):
        raise ValueError(f'executor must be "serial", "processes", "dask" or "dask://HOST:PORT", got {name!r}')


def at_a_time(executor: str, workers: int) -> int | None:
    """How many jobs are done at a time; None where only the cluster knows."""
    return None if executor.startswith("dask://") else 1 if executor == "serial" else max(1, workers)


def entries(jobs: Sequence[Job], executor: str, workers: int) -> Generator[Entry]:
    """The entries of `jobs` as they finish.

    Parameters
    ----------
    jobs : sequence of Job
    executor : str
        ``"serial"``, ``"processes"``, ``"dask"`` (a local cluster) or ``"dask://HOST:PORT"``.
    workers : int
        Processes, or the local cluster's workers; a scheduler that runs already has its own.
    """
    check_executor(executor)
    return EXECUTORS[executor.partition("://")[0]](jobs, executor, workers)

"""Jobs on a dask cluster: one on this machine, or a scheduler that runs already, with workers on any machines."""

from __future__ import annotations

import contextlib
import importlib
import itertools
import logging
import threading
from collections.abc import Generator, Iterator, Sequence
from concurrent.futures import CancelledError
from typing import Any

from zoo_opt.bench.engine.job import Entry, ExecutorError, Job, lost_job, run_job
from zoo_opt.bench.engine.processes import MAX_DEATHS
from zoo_opt.support.children import spawned_by_others
from zoo_opt.support.loading import reason, require

WAIT = 10  # seconds to find the scheduler, and then a first worker
GONE = "the dask scheduler went away; the same command goes on from here"
ALONE = 60  # seconds without any worker, which may come and go, after which the jobs end; chosen

_ONE_JOB = threading.Lock()  # some peers draw from numpy's global generator: a process has one job at a time


def on_dask(jobs: Sequence[Job], executor: str, workers: int) -> Generator[Entry]:
    """Jobs on a dask cluster, as many at a time as it has workers, which may come and go.

    A job whose worker dies is done again by dask on another one; if its workers keep dying it is given up with an
    error (on a local cluster after the second, elsewhere as the scheduler's ``allowed-failures`` says).

    Parameters
    ----------
    jobs : sequence of Job
    executor : str
        ``"dask"`` for a cluster of `workers` processes on this machine, or ``"dask://HOST:PORT"`` of a scheduler.
    workers : int
        Of the local cluster.

    Raises
    ------
    ImportError
        If ``distributed`` is not installed.
    ExecutorError
        If there is no scheduler or no worker, a worker's libraries differ in version, or the scheduler goes away.
    """
    distributed: Any = require("distributed", extra="dask")
    queue = iter(jobs)
    running: dict[Any, Job] = {}
    with _client(distributed, executor, workers) as client:

        def fill(workers: int) -> None:
            """Submit until every worker has a job."""
            for job in itertools.islice(queue, max(0, max(1, workers) - len(running))):
                running[client.submit(_remote, job, pure=False, retries=0)] = job

        fill(len(client.nthreads()))
        while running:
            with _scheduler_there():
                done = _finished(distributed, client, list(running))
            for future in done:
                job = running.pop(future)
                try:
                    entry = future.result()
                except CancelledError as error:
                    raise ExecutorError(GONE) from error
                except distributed.KilledWorker as error:
                    entry = lost_job(job, f"given up: its workers died, the last of them {error.last_worker.address}")
                future.release()
                yield entry
            with _scheduler_there():
                fill(len(client.nthreads()))


def _finished(distributed: Any, client: Any, futures: list[Any]) -> list[Any]:
    """Those of the futures that are done, once one is; none after a while, in which workers may have joined.

    Raises
    ------
    ExecutorError
        If there has been no worker for long.
    """
    alone = 0.0
    while alone < ALONE:
        try:
            with client.as_current():
                waited = distributed.wait(futures, timeout=WAIT, return_when="FIRST_COMPLETED")
            return list(waited.done)
        except TimeoutError:
            if client.nthreads():
                return []
            alone += WAIT
    raise ExecutorError(f"no dask worker has been there for {ALONE} s; the same command goes on from here")


@contextlib.contextmanager
def _scheduler_there() -> Iterator[None]:
    """Raise an ExecutorError where the scheduler does not answer any more."""
    try:
        yield
    except ExecutorError:
        raise
    except (CancelledError, OSError, RuntimeError) as error:
        raise ExecutorError(GONE) from error


@contextlib.contextmanager
def _client(distributed: Any, executor: str, workers: int) -> Iterator[Any]:
    """A client of the cluster that `executor` names; a local one ends with it."""
    with contextlib.ExitStack() as stack:
        stack.enter_context(_quiet("distributed"))
        if executor == "dask":
            config = importlib.import_module("dask.config")
            stack.enter_context(config.set({"distributed.scheduler.allowed-failures": MAX_DEATHS - 1}))
            stack.enter_context(spawned_by_others())
            try:
                cluster = distributed.LocalCluster(
                    n_workers=workers,
                    threads_per_worker=1,
                    processes=True,
                    memory_limit=0,
                    dashboard_address=None,
                    silence_logs=logging.CRITICAL,
                )
            except Exception as error:  # whatever its parts raise of a worker that was killed while it started
                raise ExecutorError(
                    f"the dask cluster on this machine did not start, as where a worker is killed ({reason(error)}); "
                    "the same command goes on from here"
                ) from error
            address = stack.enter_context(cluster)
        else:
            address = f"tcp://{executor.removeprefix('dask://')}"
        try:
            client = stack.enter_context(distributed.Client(address, timeout=WAIT, set_as_default=False))
            client.wait_for_workers(1, timeout=WAIT)
        except TimeoutError as error:
            raise ExecutorError(f"no worker has joined the scheduler at {address} for {WAIT} s") from error
        except (OSError, ValueError) as error:
            raise ExecutorError(f"there is no dask scheduler at {address}: {error}") from error
        yield client


@contextlib.contextmanager
def _quiet(library: str) -> Iterator[None]:
    """Log nothing of a library meanwhile: what matters comes back as entries and exceptions."""
    names = [name for name in logging.root.manager.loggerDict if name == library or name.startswith(f"{library}.")]
    before = {name: logging.getLogger(name).disabled for name in names}
    try:
        for name in names:
            logging.getLogger(name).disabled = True
        yield
    finally:
        for name, disabled in before.items():
            logging.getLogger(name).disabled = disabled


def _remote(job: Job) -> Entry:
    """On a worker: do the job, with one BLAS thread."""
    with _ONE_JOB, _one_blas_thread():
        return run_job(job)


def _one_blas_thread() -> contextlib.AbstractContextManager[Any]:
    """What the worker's own settings may not have done."""
    try:
        limits: contextlib.AbstractContextManager[Any] = importlib.import_module("threadpoolctl").threadpool_limits(1)
    except ImportError:
        return contextlib.nullcontext()
    return limits

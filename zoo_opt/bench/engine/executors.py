"""Where the runs of a bench are done: in this process, in others on this machine, or on a dask cluster.

Each executor is an iterator over the entries of the runs as they finish. What is in an entry depends on the run
alone, never on where or in what company it was done; each run is yielded once.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import threading
from collections import Counter, deque
from collections.abc import Callable, Generator, Iterator, Sequence
from multiprocessing import connection
from typing import Any

from zoo_opt.bench.engine.one_run import lost_run, run_task
from zoo_opt.bench.suite import Task

Entry = dict[str, Any]

DEATHS = 2  # of its process, after which a run is given up

THREADS = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "NUMEXPR_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
)


class ExecutorError(OSError):
    """The runs cannot be done where they should; what has finished is in the record."""


def check_executor(name: str) -> None:
    """Raise ValueError if there is no such executor."""
    if name not in ("serial", "processes", "dask") and not name.startswith("dask://"):
        raise ValueError(f'executor must be "serial", "processes", "dask" or "dask://HOST:PORT", got {name!r}')


def entries(tasks: Sequence[Task], executor: str, workers: int) -> Generator[Entry]:
    """The entries of `tasks` as the runs finish.

    Parameters
    ----------
    tasks : sequence of Task
    executor : str
        ``"serial"``, ``"processes"``, ``"dask"`` (a local cluster) or ``"dask://HOST:PORT"``.
    workers : int
        Processes, or the local cluster's workers; a scheduler that runs already has its own.
    """
    check_executor(executor)
    if executor == "serial":
        return (run_task(task) for task in tasks)
    if executor == "processes":
        return in_processes(tasks, workers)
    from zoo_opt.bench.engine.cluster import on_dask

    return on_dask(tasks, executor, workers)


def in_processes(
    tasks: Sequence[Any],
    workers: int,
    *,
    run: Callable[[Any], Entry] = run_task,
    lost: Callable[[Any, str], Entry] = lost_run,
) -> Generator[Entry]:
    """Runs in other processes, one at a time each, with one BLAS thread.

    A process that dies (killed for memory, crashed in a library) is replaced and its run done again; a run whose
    process died twice is given up with an error. The other processes never notice.

    Parameters
    ----------
    tasks : sequence of Task
        Or of anything with a ``key``, a ``problem_name`` and a ``method.label``.
    workers : int
    run, lost : callable
        The entry of a task, and of one whose process died, told how; functions that a new process can import.
    """
    queue = deque(tasks)
    deaths: Counter[str] = Counter()
    crew: dict[Any, _Worker] = {}  # by our ends of their pipes
    finished: list[Entry] = []
    try:
        while True:
            busy = sum(worker.task is not None for worker in crew.values())
            while len(crew) < min(workers, len(queue) + busy):
                worker = _Worker(run)
                crew[worker.pipe] = worker
            for worker in crew.values():
                if worker.ready and worker.task is None and queue:
                    worker.give(queue.popleft())
            yield from finished
            if not queue and not any(worker.task for worker in crew.values()):
                return
            finished = []
            for pipe in connection.wait(crew):
                worker = crew[pipe]
                try:
                    entry = worker.receive()
                except (EOFError, OSError):
                    del crew[pipe]
                    task, end = worker.task, worker.end()
                    if not worker.ready:
                        raise ExecutorError(
                            f"a worker process {end} before its first run; a script that runs a suite needs the lines "
                            'that do so under `if __name__ == "__main__":`'
                        ) from None
                    if task is not None:
                        deaths[task.key] += 1
                        if deaths[task.key] < DEATHS:
                            queue.appendleft(task)
                        else:
                            finished.append(lost(task, f"its process {end}, for the {DEATHS}nd time: given up"))
                    continue
                if isinstance(entry, str):
                    raise ExecutorError(entry)
                if entry is not None:
                    finished.append(entry)
    finally:
        for worker in crew.values():
            worker.process.kill()
            worker.end()


class _Worker:
    """A process that does runs, and our end of the pipe to it."""

    def __init__(self, run: Callable[[Any], Entry]) -> None:
        context = multiprocessing.get_context("spawn")
        self.pipe, theirs = context.Pipe()
        self.process = context.Process(target=_serve, args=(theirs, run))
        self.task: Any = None
        self.ready = False
        with _one_thread_each():
            self.process.start()
        theirs.close()  # so that its death is the end of the pipe

    def give(self, task: Any) -> None:
        """Have `task` done."""
        self.task = task
        with contextlib.suppress(OSError):  # it has died: the next `receive` says so
            self.pipe.send(task)

    def receive(self) -> Entry | str | None:
        """The finished run's entry, why it could not be begun, or None: the process is there for its first."""
        message: Entry | str | None = self.pipe.recv()
        self.ready, self.task = True, None
        return message

    def end(self) -> str:
        """Wait for the process's end; how it ended."""
        self.pipe.close()
        self.process.join()
        code = self.process.exitcode or 0
        return f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended with status {code}"


def _serve(pipe: connection.Connection, run: Callable[[Any], Entry]) -> None:
    """Do the runs that come through `pipe`. Ctrl-C is for the parent, without which nothing goes on."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_die_with_parent, daemon=True).start()
    pipe.send(None)
    with contextlib.suppress(EOFError):  # no more runs
        while True:
            task = pipe.recv()
            try:
                pipe.send(run(task))
            except Exception as error:  # no method's, which are entries: the problem cannot be made here
                pipe.send(f"{task.problem_name} with {task.method.label}: {type(error).__name__}: {error}")


def _die_with_parent() -> None:
    """End at once when the parent ends: its workers otherwise outlive a killed bench."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


@contextlib.contextmanager
def _one_thread_each() -> Iterator[None]:
    """Pin the BLAS threads of processes started meanwhile: they read these variables when numpy is first imported."""
    before = {name: os.environ.get(name) for name in THREADS}
    os.environ.update(dict.fromkeys(THREADS, "1"))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value

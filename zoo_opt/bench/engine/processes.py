"""Jobs in other processes of this machine, each of which may die without harm to the others."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import threading
from collections import Counter, deque
from collections.abc import Generator, Iterator, Sequence
from multiprocessing import connection
from typing import Any

from zoo_opt.bench.engine.job import Entry, ExecutorError, Job, lost_job, run_job

MAX_DEATHS = 2  # of its process, after which a job is given up

THREADS = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "NUMEXPR_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
)


def in_processes(jobs: Sequence[Job], workers: int) -> Generator[Entry]:
    """Jobs in other processes, one at a time each, with one BLAS thread.

    A process that dies (killed for memory, crashed in a library) is replaced and its job done again; a job whose
    process died twice is given up with an error. The other processes never notice.

    Raises
    ------
    ExecutorError
        If processes do not start, or a job says that it cannot be done there.
    """
    queue = deque(jobs)
    deaths: Counter[str] = Counter()
    team: dict[Any, _Worker] = {}  # by our ends of their pipes
    finished: list[Entry] = []
    try:
        while True:
            busy = sum(worker.job is not None for worker in team.values())
            while len(team) < min(workers, len(queue) + busy):
                worker = _Worker()
                team[worker.pipe] = worker
            for worker in team.values():
                if worker.ready and worker.job is None and queue:
                    worker.give(queue.popleft())
            yield from finished
            if not queue and not any(worker.job for worker in team.values()):
                return
            finished = []
            for pipe in connection.wait(team):
                worker = team[pipe]
                try:
                    entry = worker.receive()
                except (EOFError, OSError):
                    del team[pipe]
                    job, end = worker.job, worker.end()
                    if not worker.ready:
                        raise ExecutorError(
                            f"a worker process {end} before its first run; a script that runs a suite needs the lines "
                            'that do so under `if __name__ == "__main__":`'
                        ) from None
                    if job is not None:
                        deaths[job.key] += 1
                        if deaths[job.key] < MAX_DEATHS:
                            queue.appendleft(job)
                        else:
                            finished.append(lost_job(job, f"its process {end}, for the {MAX_DEATHS}nd time: given up"))
                    continue
                if isinstance(entry, str):
                    raise ExecutorError(entry)
                if entry is not None:
                    finished.append(entry)
    finally:
        for worker in team.values():
            worker.process.kill()
            worker.end()


class _Worker:
    """A process that does jobs, and our end of the pipe to it."""

    def __init__(self) -> None:
        context = multiprocessing.get_context("spawn")
        self.pipe, theirs = context.Pipe()
        self.process = context.Process(target=_serve, args=(theirs,))
        self.job: Job | None = None
        self.ready = False
        with _one_thread_each():
            self.process.start()
        theirs.close()  # so that its death is the end of the pipe

    def give(self, job: Job) -> None:
        """Have `job` done."""
        self.job = job
        with contextlib.suppress(OSError):  # it has died: the next `receive` says so
            self.pipe.send(job)

    def receive(self) -> Entry | str | None:
        """The finished job's entry, why it could not be begun, or None: the process is there for its first."""
        message: Entry | str | None = self.pipe.recv()
        self.ready, self.job = True, None
        return message

    def end(self) -> str:
        """Wait for the process's end; how it ended."""
        self.pipe.close()
        self.process.join()
        code = self.process.exitcode or 0
        return f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended with status {code}"


def _serve(pipe: connection.Connection) -> None:
    """Do the jobs that come through `pipe`. Ctrl-C is for the parent, without which nothing goes on."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_die_with_parent, daemon=True).start()
    pipe.send(None)
    with contextlib.suppress(EOFError):  # no more jobs
        while True:
            job = pipe.recv()
            try:
                pipe.send(run_job(job))
            except ExecutorError as error:
                pipe.send(str(error))
            except Exception as error:  # the entry cannot be sent
                pipe.send(f"{job.label}: {type(error).__name__}: {error}")


def _die_with_parent() -> None:
    """End at once when the parent ends: its workers otherwise outlive a killed bench."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


@contextlib.contextmanager
def _one_thread_each() -> Iterator[None]:
    """Pin the BLAS threads of processes started meanwhile: they read these variables when numpy is first imported."""
    before = {name: os.environ[name] for name in THREADS if name in os.environ}
    os.environ.update(dict.fromkeys(THREADS, "1"))
    try:
        yield
    finally:
        for name in THREADS:
            os.environ.pop(name, None)
        os.environ.update(before)

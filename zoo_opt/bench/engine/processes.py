"""Jobs in other processes of this machine, each of which may die without harm to the others."""

from __future__ import annotations

import contextlib
import os
import signal
from collections import Counter, deque
from collections.abc import Generator, Iterator, Sequence
from multiprocessing import connection
from typing import Any

from zoo_opt.bench.engine.job import Entry, ExecutorError, Job, lost_job, run_job
from zoo_opt.support.children import ChildContext, end_with_parent

MAX_DEATHS = 2  # of its process, after which a job is given up
MAX_STARTS = 5  # processes in a row that were killed before their first job, after which no more are started; chosen

THREADS = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "NUMEXPR_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
)


def in_processes(jobs: Sequence[Job], workers: int) -> Generator[Entry]:
    """Jobs in other processes, one at a time each, with one BLAS thread.

    A process that dies (killed for memory, crashed in a library) is replaced, before its first job too, and its job
    done again; a job whose process died twice is given up with an error. The other processes never notice.

    Raises
    ------
    ExecutorError
        If processes do not start, or a job says that it cannot be done there.
    """
    queue = deque(jobs)
    deaths: Counter[str] = Counter()
    team: dict[Any, _Worker] = {}  # by our ends of their pipes
    finished: list[Entry] = []
    starts = 0  # that came to nothing, since a process was last ready
    try:
        while True:
            busy = sum(worker.job is not None for worker in team.values())
            while len(team) < min(workers, len(queue) + busy):
                try:
                    worker = _Worker()
                except BrokenPipeError:  # it was killed before it was told what to do
                    starts = _failed(starts, "was killed")
                    continue
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
                        if not worker.killed:
                            raise ExecutorError(
                                f"a worker process {end} before its first run; a script that runs a suite needs the "
                                'lines that do so under `if __name__ == "__main__":`'
                            ) from None
                        starts = _failed(starts, end)
                    if job is not None:
                        deaths[job.key] += 1
                        if deaths[job.key] < MAX_DEATHS:
                            queue.appendleft(job)
                        else:
                            finished.append(lost_job(job, f"its process {end}, for the {MAX_DEATHS}nd time: given up"))
                    continue
                starts = 0
                if isinstance(entry, str):
                    raise ExecutorError(entry)
                if entry is not None:
                    finished.append(entry)
    finally:
        for worker in team.values():
            worker.process.kill()
            worker.end()


def _failed(starts: int, end: str) -> int:
    """Count one more process that was killed before its first job; too many end the jobs."""
    if starts + 1 == MAX_STARTS:
        raise ExecutorError(
            f"{MAX_STARTS} worker processes in a row were killed before their first run, the last one {end}; the same "
            "command goes on from here"
        )
    return starts + 1


class _Worker:
    """A process that does jobs, and our end of the pipe to it."""

    def __init__(self) -> None:
        context = ChildContext()
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

    @property
    def killed(self) -> bool:
        """Whether it was ended by a signal."""
        return (self.process.exitcode or 0) < 0

    def end(self) -> str:
        """Wait for the process's end; how it ended."""
        self.pipe.close()
        self.process.join()
        code = self.process.exitcode or 0
        return f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended with status {code}"


def _serve(pipe: connection.Connection) -> None:
    """Do the jobs that come through `pipe`. Ctrl-C is for the parent, without which nothing goes on."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    end_with_parent()
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

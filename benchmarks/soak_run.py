"""A kept run that things happen to: what it ends in, and how many of its calls were lost or repeated (see soak.py)."""

import contextlib
import dataclasses
import hashlib
import json
import math
import multiprocessing
import os
import signal
import sys
import time
import traceback
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path

import numpy as np

import zoo_opt as zo
from zoo_opt import resume
from zoo_opt.storage.journal import read_journal

BUDGET, DELAY, WORKERS = 200, 0.002, 2
PATIENCE = 600  # seconds after which a run counts as hung: it takes one, but others may use the machine as well
METHODS = {
    "cma-es": {},
    "sep-cma-es": {},
    "auto": {},
    "fzoo": {},
    "spsa-gc": {"lookahead": 2},
    "bar": {"recommend": "mean"},
}
EXECUTORS = ("serial", "threads", "processes", "vectorized")
X0 = np.array([1.0, -2.0, 3.0])


@dataclasses.dataclass(frozen=True)
class Paid:
    """The sphere, a twentieth of whose evaluations fail; each call leaves a byte in a file."""

    log: str
    delay: float = DELAY

    def __call__(self, x):
        """Return the loss, NaN for a failure."""
        with open(self.log, "ab", buffering=0) as file:
            file.write(b"x")
        time.sleep(self.delay)
        return math.nan if math.floor(1e6 * x[0]) % 20 == 0 else float(x @ x)

    def matrix(self, X):
        """Return the losses of a step."""
        return [self(x) for x in X]


@dataclasses.dataclass
class Run:
    """One run, in a folder of its own, and what was found of it."""

    folder: Path
    method: str
    executor: str
    disk: Path | None = None  # where the kept run is, if not in the folder
    lost: int = 0
    wrong: int = 0
    refused: int = 0
    in_flight: int = 0  # calls that were, when it was cut off

    def __post_init__(self):
        self.folder.mkdir(parents=True)
        self.path = (self.disk or self.folder) / "run.zoo"
        self.log, self.out = self.folder / "calls", self.folder / "result.json"
        self.log.touch()
        log = self.folder / "whole"
        self.whole = seen(minimize(self.method, "serial", Paid(str(log), 0)))
        self.calls = log.stat().st_size
        # a step of the vectorized ones is a call
        self.at_a_time = {"serial": 1, "vectorized": 20}.get(self.executor, WORKERS)

    @property
    def made(self):
        """Calls made."""
        return self.log.stat().st_size

    @property
    def repeated(self):
        """Calls made beyond those of a run that is left alone."""
        return max(0, self.made - self.calls)

    def live(self):
        """Go on to the end, in this process; write down what it ended in."""
        result = minimize(self.method, self.executor, Paid(str(self.log)), checkpoint=self.path)
        if result.status != zo.run.INTERRUPTED:
            self.out.write_text(json.dumps(seen(result)))
        return result

    def born(self, live=None):
        """Fork a process that lives the run; return its id."""
        sys.stdout.flush()
        pid = os.fork()
        if pid:
            return pid
        status = 1
        try:
            os.setsid()
            (live or Run.live)(self)
            status = 0
        except BaseException:
            traceback.print_exc()
            sys.stderr.flush()
        finally:
            os._exit(status)

    def waited(self, pid, patience=PATIENCE):
        """Wait for the process; return whether it ended well, None if it had to be killed."""
        end = time.monotonic() + patience
        while time.monotonic() < end:
            ended, status = os.waitpid(pid, os.WNOHANG)
            if ended:
                return status == 0
            time.sleep(0.005)
        print(f"  {self.folder.name} hangs", flush=True)
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        return None

    def after(self, calls, pid):
        """Wait until so many more calls were made, or the process has ended; return whether it has."""
        target, end = self.made + calls, time.monotonic() + PATIENCE
        while self.made < target and time.monotonic() < end:
            if os.waitpid(pid, os.WNOHANG)[0]:
                return True
            time.sleep(0.001)
        return bool(os.waitpid(pid, os.WNOHANG)[0])

    def quiet(self, group):
        """Wait until no process of the group runs or can run: a worker that outlives the run has begun what it had."""
        end, before = time.monotonic() + PATIENCE, -1
        while time.monotonic() < end:
            busy, made = any(state in "RD" for state in states(group)), self.made
            if not busy and made == before:
                return
            before = -1 if busy else made
            time.sleep(20 * DELAY)

    def kept(self):
        """Evaluations that are on the disk."""
        if not self.path.exists():
            return 0
        opt, outcomes = zo.Optimizer.load(self.path), read_journal(self.path.with_name("run.zoo.journal"))
        opt.budget = None
        opt.replay([outcome for outcome in outcomes if outcome.id >= 0])
        return opt.nfev + sum(outcome.id < 0 for outcome in outcomes)

    def finish(self):
        """Let it end, and compare."""
        if not (self.out.exists() or self.waited(self.born())):
            self.refused += 1
        elif json.loads(self.out.read_text()) != self.whole:
            self.wrong += 1
        self.lost = max(self.lost, self.repeated - self.in_flight)


def states(group):
    """The states of the processes of a group, as /proc has them: R runs or could, S sleeps, D waits for a disk."""
    for file in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):  # it has just ended
            state, _, of = file.read_text().rpartition(")")[2].split()[:3]
            if int(of) == group:
                yield state


def minimize(method, executor, paid, checkpoint=None):
    """Minimize ``paid`` on an executor, by its name or one of dask."""
    settings = {"method": method, "budget": BUDGET, "rng": 3, "checkpoint": checkpoint, **METHODS[method]}
    resume._FOLD = 40  # so that checkpoints are renewed often
    with contextlib.ExitStack() as stack:
        if executor == "threads":
            settings["executor"] = stack.enter_context(ThreadPoolExecutor(WORKERS))
        elif executor == "processes":
            context = multiprocessing.get_context("fork")
            settings["executor"] = stack.enter_context(ProcessPoolExecutor(WORKERS, context))
        elif not isinstance(executor, str):  # of dask
            settings |= {"executor": executor, "workers": WORKERS}
        if executor == "vectorized":
            return zo.minimize(paid.matrix, X0, vectorized=True, **settings)
        return zo.minimize(paid, X0, **settings)


def seen(result):
    """All that a run ends in, but for the times."""
    table = result.history
    columns = b"".join(column.tobytes() for column in (table.id, table.loss, table.step, table.x))
    digest = hashlib.sha256(columns).hexdigest()
    return [result.x.tobytes().hex(), repr(result.fun), result.nfev, result.nit, result.failures, digest]

"""Soak: kept runs are killed, interrupted, stopped, left without disk, and lose their dask workers and scheduler.

``python benchmarks/soak.py [--seconds 600]``: 100 SIGKILLs over methods and executors, SIGTERM, SIGINT twice, STOP and
CONT, a full disk (a small tmpfs where mounting is permitted, and a limit of file sizes), dask; then more SIGKILLs until
the time is over. Less time has fewer of each. Every run must end in what it ends in when left alone.

Prints for each event: lost (calls paid for, not in flight, and made again), repeated (all calls made again), wrong
(runs that ended in something else), refused (calls to go on that raised). Ends with 1 unless lost, wrong and refused
are 0.
"""

import argparse
import contextlib
import importlib.util
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from soak_dask import dask_killed
from soak_run import DELAY, EXECUTORS, METHODS, PATIENCE, Paid, Run, minimize

import zoo_opt as zo


# -------------------------------------------------------------------------------------------------------------- events
def killed(run, rng, times, how=signal.SIGKILL):
    """Cut off at random moments; forked workers of the dead live on until the run has ended. Return how often."""
    groups, done = [], 0
    for _ in range(times):
        before, kept = run.made, run.kept()
        pid = run.born()
        groups.append(pid)
        if run.after(rng.randint(0, 40), pid):
            break
        time.sleep(rng.uniform(0, 2 * DELAY))
        os.kill(pid, how)
        os.waitpid(pid, 0)
        done += 1
        if run.executor == "processes":
            run.quiet(pid)
        made, new = run.made - before, run.kept() - kept
        run.lost += max(0, made - new - run.at_a_time)
        run.in_flight += min(max(0, made - new), run.at_a_time)
    run.finish()
    for group in groups:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(group, signal.SIGKILL)
    return done


def interrupted(run, rng, times):
    """Ctrl-C, and again before that is done with; the same process goes on."""

    def live(run):
        signal.signal(signal.SIGINT, signal.default_int_handler)
        while True:
            with contextlib.suppress(KeyboardInterrupt):
                if run.live().status != zo.run.INTERRUPTED:
                    return

    pid, done = run.born(live), 0
    for _ in range(times):
        if run.after(rng.randint(1, 40), pid):
            pid = 0
            break
        for _ in range(2):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGINT)
                run.in_flight += run.at_a_time
            time.sleep(rng.choice([0, rng.uniform(0, DELAY), rng.uniform(0, 10 * DELAY)]))
        done += 1
    if pid:  # a pool of the standard library may hang after an interrupt that hit its locks: then by another process
        pool = run.executor in ("threads", "processes")
        ended = run.waited(pid, 15 if pool else PATIENCE)
        run.refused += ended is False or (ended is None and not pool)
        run.in_flight += run.at_a_time if ended is None else 0
    run.finish()
    return done


def stopped(run, rng, times):
    """SIGSTOP, and another process wants the run, and SIGCONT: nothing is repeated at all."""
    pid, done = run.born(), 0
    for _ in range(times):
        if run.after(rng.randint(1, 40), pid):
            pid = 0
            break
        os.kill(pid, signal.SIGSTOP)
        before = run.made
        try:
            minimize(run.method, "serial", Paid(str(run.log)), checkpoint=run.path)
        except zo.CheckpointError as error:
            run.wrong += f"process {pid} on" not in str(error)
        else:
            run.wrong += 1
        run.wrong += run.executor == "serial" and run.made != before
        os.kill(pid, signal.SIGCONT)
        done += 1
    if pid and not run.waited(pid):
        run.refused += 1
    run.finish()
    return done


def full(run, room):
    """Go on as ``room(k)`` gives the disk a little more after each failure, in one process; count the failures."""
    failures = run.folder / "failures"
    failures.touch()

    def live(run):
        for k in range(200):
            room(k)
            try:
                run.live()
            except OSError as error:
                failures.write_text(f"{k + 1} {error}")
            else:
                return

    pid = run.born(live)
    if not run.waited(pid):
        run.refused += 1
    done = int((failures.read_text() or "0").split()[0])
    run.in_flight += done * run.at_a_time
    run.finish()
    return done


def limit_of_size(k):
    """A limit of the size of files, which grows; Python ignores the signal, so that it is an OSError."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000 + 700 * k, resource.RLIM_INFINITY))


def ballast(folder):
    """Fill the file system of ``folder``, and then give back a page at a time."""

    def room(k):
        file = folder / "ballast"
        if k == 0:
            with contextlib.suppress(OSError), file.open("wb", buffering=0) as out:
                while out.write(bytes(4096)):
                    pass
        elif file.exists():
            os.truncate(file, max(0, file.stat().st_size - 4096))

    return room


@contextlib.contextmanager
def small_disk(folder):
    """A tmpfs of 256 KB; None where mounting is not permitted."""
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=256k", "soak", str(folder)]
    done = shutil.which("mount") and subprocess.run(command, capture_output=True, check=False).returncode == 0
    try:
        yield folder if done else None
    finally:
        if done:
            subprocess.run(["umount", "-l", str(folder)], check=False)


# ---------------------------------------------------------------------------------------------------------------- all
class Soak:
    """Runs of all kinds in turn, and the table of what became of them."""

    def __init__(self, folder, seed):
        self.folder, self.rng, self.number = folder, random.Random(seed), 0
        self.total = {"lost": 0, "repeated": 0, "wrong": 0, "refused": 0}
        print(f"{'event':24}{'times':>7}{'runs':>6}{'calls':>8}" + "".join(f"{name:>10}" for name in self.total))

    def runs(self, executors=EXECUTORS, disk=None):
        """Runs of the methods on the executors, without an end."""
        kinds = [(method, executor) for executor in executors for method in METHODS]
        self.rng.shuffle(kinds)
        while True:
            for method, executor in kinds:
                self.number += 1
                yield Run(self.folder / f"{self.number}-{method}-{executor}", method, executor, disk)
                for file in disk.iterdir() if disk else ():
                    file.unlink()

    def event(self, name, enough, act, **kinds):
        """Do ``act(run, times so far)`` until ``enough(times)``, and print a line."""
        times, found, calls, runs = 0, dict.fromkeys(self.total, 0), 0, 0
        for run in self.runs(**kinds):
            times += act(run, times)
            runs, calls = runs + 1, calls + run.made
            for what in found:
                found[what] += getattr(run, what)
            if run.lost or run.wrong or run.refused:
                print(f"  {name}: {run.folder.name}: {run.lost} lost, {run.wrong} wrong, {run.refused} refused")
            if enough(times) or runs > 1000:
                break
        for what, count in found.items():
            self.total[what] += count
        print(f"{name:24}{times:7}{runs:6}{calls:8}" + "".join(f"{n:10}" for n in found.values()), flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seconds", type=float, default=600)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    end = time.monotonic() + arguments.seconds

    def scaled(n):
        return max(1, round(n * min(1, arguments.seconds / 600)))

    with tempfile.TemporaryDirectory(prefix="soak-") as name, small_disk(Path(name) / "disk") as disk:
        soak = Soak(Path(name), arguments.seed)
        rng = soak.rng

        def until(n):
            return lambda times: times >= scaled(n)

        def some(n, times, most):
            return min(most, scaled(n) - times)

        soak.event("SIGKILL", until(100), lambda run, times: killed(run, rng, some(100, times, 6)))
        soak.event("SIGTERM", until(10), lambda run, times: killed(run, rng, some(10, times, 3), signal.SIGTERM))
        soak.event("SIGINT twice", until(20), lambda run, times: interrupted(run, rng, some(20, times, 3)))
        soak.event("STOP and CONT", until(10), lambda run, times: stopped(run, rng, some(10, times, 2)))
        soak.event("limit of file sizes", until(60), lambda run, times: full(run, limit_of_size), executors=["serial"])
        if disk:
            room = ballast(disk)
            soak.event("disk full", until(60), lambda run, times: full(run, room), disk=disk, executors=["serial"])
        else:
            print("disk full: skipped, mounting a tmpfs is not permitted here")
        if arguments.seconds < 60:
            print("dask killed: skipped in less than a minute")
        elif importlib.util.find_spec("distributed") is None:
            print("dask killed: skipped, distributed is not installed")
        else:
            soak.event("dask killed", lambda times: True, lambda run, times: dask_killed(run, rng), executors=["dask"])
        if time.monotonic() < end:
            soak.event("more SIGKILL", lambda times: time.monotonic() > end, lambda run, _: killed(run, rng, 6))
        print("total: " + ", ".join(f"{what} {count}" for what, count in soak.total.items()))
        return int(any(soak.total[what] for what in ("lost", "wrong", "refused")))


if __name__ == "__main__":
    sys.exit(main())

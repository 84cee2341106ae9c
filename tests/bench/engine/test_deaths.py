"""What is killed while it starts, who is left when the parent is killed, and a scheduler that goes away."""

import contextlib
import json
import os
import signal
import subprocess
import time
from pathlib import Path
from typing import ClassVar

import pytest
from bench.commands import ENVIRONMENT, LONG, left, process, until, zoo_opt
from bench.engine.test_executors import KILLS, SUITE, entries_in, lines_of
from refusals import raises

from zoo_opt.bench.engine import cluster
from zoo_opt.bench.engine.job import ExecutorError
from zoo_opt.bench.engine.processes import MAX_STARTS
from zoo_opt.bench.engine.record import read_record

# Python imports it when it starts: ends each spawned process at once, or as many as KILLED says.
KILLER = """
import os, signal, sys
if any("spawn_main" in word for word in sys.orig_argv):
    for number in range(int(os.environ["KILLED"])):
        try:
            os.close(os.open(os.path.join(os.environ["KILLS"], f"kill-{number}"), os.O_CREAT | os.O_EXCL))
        except FileExistsError:
            continue
        os.kill(os.getpid(), signal.SIGKILL)
"""
PLAIN = SUITE.replace('[[group.method]]\nlabel = "deadly"\nuse = "deadly:Deadly"\noptions = { ONCE }\n', "")
SLOW = """
import time
from zoo_opt.bench import SphereProblem, factory

@factory("problem")
class Slow(SphereProblem):
    def losses(self, X, step, seed):
        time.sleep(0.1)
        return super().losses(X, step, seed)
"""
SLOW_FUNCTION = """
import time

def f(x):
    time.sleep(0.05)
    return float(x @ x)
"""


@pytest.fixture
def bench(tmp_path, monkeypatch):
    """Run the suite in a folder where so many processes are killed while they start."""
    (tmp_path / "killer").mkdir()
    (tmp_path / "killer" / "sitecustomize.py").write_text(KILLER)
    (tmp_path / "s.toml").write_text(PLAIN)

    def run(killed, *words):
        path = os.pathsep.join([str(tmp_path / "killer"), ENVIRONMENT["PYTHONPATH"]])
        monkeypatch.setitem(ENVIRONMENT, "PYTHONPATH", path)
        monkeypatch.setitem(ENVIRONMENT, "KILLED", str(killed))
        monkeypatch.setitem(ENVIRONMENT, "KILLS", str(tmp_path))
        return zoo_opt("bench", "s.toml", "--out", "r", "--workers", "2", *words, cwd=tmp_path, timeout=LONG)

    return run


def killed_in(folder):
    return len(list(folder.glob("kill-*")))


@KILLS
def test_processes_that_are_killed_before_their_first_run_are_replaced(bench, tmp_path):
    done = bench(MAX_STARTS - 1)
    assert done.returncode == 0, done.stderr
    assert killed_in(tmp_path) == MAX_STARTS - 1 and len(lines_of(tmp_path / "r" / "runs.jsonl")) == 6
    zoo_opt("bench", "s.toml", "--out", "serial", "--executor", "serial", cwd=tmp_path, check=True)
    assert entries_in(tmp_path / "r") == entries_in(tmp_path / "serial")


@KILLS
def test_a_bench_whose_processes_are_always_killed_ends_and_goes_on(bench, tmp_path):
    done = bench(100)
    assert done.returncode == 1 and killed_in(tmp_path) >= MAX_STARTS
    said = done.stderr.splitlines()[-1]
    assert said.startswith(f"zoo-opt: {MAX_STARTS} worker processes in a row were killed before their first run")
    assert said.endswith("the same command goes on from here") and "Traceback" not in done.stderr
    assert bench(0).returncode == 0 and len(lines_of(tmp_path / "r" / "runs.jsonl")) == 6


@KILLS
@pytest.mark.slow
def test_a_dask_worker_that_is_killed_while_it_starts_is_told_in_one_sentence(bench, tmp_path):
    pytest.importorskip("distributed")
    done = bench(1, "--executor", "dask")
    assert done.returncode == 1 and killed_in(tmp_path) == 1
    said = [line for line in done.stderr.splitlines() if line.startswith("zoo-opt:")]
    assert "Traceback" not in done.stderr and len(said) == 1
    assert "the dask cluster on this machine did not start, as where a worker is killed" in said[0]
    assert bench(0, "--executor", "dask").returncode == 0 and len(lines_of(tmp_path / "r" / "runs.jsonl")) == 6


# -------------------------------------------------------------------------------------------------- the scheduler


def runs_in(path):
    return lines_of(path) if path.exists() else []


@KILLS
@pytest.mark.slow
def test_a_dask_scheduler_that_is_killed_ends_the_bench_and_loses_nothing(tmp_path):
    pytest.importorskip("distributed")
    (tmp_path / "slow.py").write_text(SLOW)
    (tmp_path / "s.toml").write_text(PLAIN.replace('"sphere"', '"slow:Slow"'))
    file, record = tmp_path / "scheduler.json", tmp_path / "r" / "runs.jsonl"
    ends = ("--no-dashboard", "--scheduler-file", str(file))
    with process("-m", "distributed.cli.dask_scheduler", "--port", "0", *ends, cwd=tmp_path) as scheduler:
        until(file.exists, "no scheduler")
        worker = ("--nthreads", "1", "--no-nanny", *ends)
        with process("-m", "distributed.cli.dask_worker", *worker, cwd=tmp_path):
            address = json.loads(file.read_text())["address"].removeprefix("tcp://")
            words = ["bench", "s.toml", "--trust", "--out", "r", "--executor", f"dask://{address}"]
            with process("-m", "zoo_opt.cli", *words, cwd=tmp_path, stderr=subprocess.PIPE, text=True) as bench:
                until(lambda: runs_in(record), "no run was recorded")
                scheduler.kill()
                said = bench.communicate(timeout=LONG)[1]
    assert bench.returncode == 1 and "Traceback" not in said
    assert said.splitlines()[-1] == "zoo-opt: the dask scheduler went away; the same command goes on from here"
    before = runs_in(record)
    assert 1 <= len(before) < 6
    done = zoo_opt(*words[:-2], "--executor", "serial", cwd=tmp_path, check=True, timeout=LONG)
    after = runs_in(record)
    assert len(after) == len(set(after)) == 6 and set(before) < set(after), done.stderr
    assert not any(run["error"] for run in read_record(record).runs.values())


def test_a_cluster_without_workers_ends_the_bench(monkeypatch):
    """After a while, in which others may join; a worker that has joined is given a job at once."""

    class Client:
        there: ClassVar = [{}, {"a": 1}]

        def nthreads(self):
            return self.there.pop() if self.there else {}

        as_current = staticmethod(contextlib.nullcontext)

    class Distributed:
        asked = 0

        @classmethod
        def wait(cls, futures, timeout, return_when):
            cls.asked += 1
            raise TimeoutError

    client = Client()
    assert cluster._finished(Distributed, client, []) == []
    said = "no dask worker has been there for 60 s; the same command goes on"
    raises(ExecutorError, said, cluster._finished, Distributed, client, [])
    assert Distributed.asked == 1 + cluster.ALONE // cluster.WAIT


# -------------------------------------------------------------------------------------------------- no orphans

ALIVE = pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="reads /proc, to see who is left")


ORPHANS = {
    "bench": ["bench", "s.toml", "--out", "r", "--workers", "2", "--trust", "--restart"],
    "run": ["run", "slow_function:f", "--x0", "zeros:5", "--budget", "2000", "--workers", "2", "--quiet"],
    "dask": ["bench", "s.toml", "--out", "r", "--workers", "2", "--trust", "--executor", "dask", "--restart"],
}


@ALIVE
@pytest.mark.slow
@pytest.mark.parametrize("words", ORPHANS.values(), ids=list(ORPHANS))
def test_no_child_outlives_its_parent(words, tmp_path, monkeypatch):
    """Killed while its children start, and while they work."""
    if "dask" in words:
        pytest.importorskip("distributed")
    (tmp_path / "slow.py").write_text(SLOW)
    (tmp_path / "slow_function.py").write_text(SLOW_FUNCTION)
    (tmp_path / "s.toml").write_text(PLAIN.replace('"sphere"', '"slow:Slow"'))
    for number, delay in enumerate((0.0, 0.05, 0.2, 1.0, 3.0)):
        mark = f"ORPHAN_OF_{os.getpid()}_{number}"
        monkeypatch.setitem(ENVIRONMENT, "MARK", mark)
        with process("-m", "zoo_opt.cli", *words, cwd=tmp_path) as parent:
            until(lambda: len(left(mark)) > 2 or parent.poll() is not None, "no child was started")  # noqa: B023
            time.sleep(delay)
            parent.send_signal(signal.SIGKILL)
            parent.wait()
        end = time.monotonic() + 10  # for a loaded machine: a tenth of a second is usual
        while (there := left(mark)) and time.monotonic() < end:
            time.sleep(0.05)
        assert not there

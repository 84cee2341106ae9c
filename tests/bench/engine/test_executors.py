"""The same record wherever runs are done, and whatever happens to the processes that do them."""

import os
import random
import time

import pytest
from bench.commands import python, started, zoo_opt
from bench.test_suite import GOOD, load

from zoo_opt.bench import ExecutorError, canonical, read_record, run_suite
from zoo_opt.bench.engine.executors import check_executor
from zoo_opt.bench.engine.processes import in_processes

DEADLY = """
import os, signal
from pathlib import Path
import zoo_opt as zo
from zoo_opt.bench import factory

@factory("method")
class Deadly(zo.Optimizer):
    '''SPSA whose third step kills its process: always, or if nobody has left the file `once` yet.'''

    def __init__(self, x0, *, rng, budget, once=None):
        super().__init__(zo.SPSA(lr=0.1, c=0.1), x0, rng=rng, budget=budget)
        self.once = once

    def tell(self, batch, losses):
        super().tell(batch, losses)
        if self.nit == 3 and not (self.once and Path(self.once).exists()):
            if self.once:
                Path(self.once).touch()
            os.kill(os.getpid(), signal.SIGKILL)
"""

SUITE = """
title = "T"
[[group]]
name = "g"
seeds = [1, 2, 3]
budget_per_dim = 20
problem = "sphere"
problem_options = { dimension = 3 }
[[group.method]]
use = "spsa"
options = { lr = 0.1, c = 0.1 }
[[group.method]]
label = "deadly"
use = "deadly:Deadly"
options = { ONCE }
[[group.method]]
use = "cma-es"
"""


KILLS = pytest.mark.skipif(os.name != "posix", reason="kills processes")
GIVEN_UP = {"processes": "its process was ended by SIGKILL, for the 2nd time", "dask": "given up: its workers died"}


@pytest.fixture(params=["processes", pytest.param("dask", marks=pytest.mark.slow)])
def executor(request):
    if request.param == "dask":
        pytest.importorskip("distributed")
    return request.param


def bench(cwd, *arguments, check=True):
    """``zoo-opt bench`` in a folder."""
    return zoo_opt("bench", "--trust", *arguments, cwd=cwd, check=check)


@pytest.fixture
def folder(tmp_path):
    """With a suite whose second run kills its process once, and one where it always does."""
    (tmp_path / "deadly.py").write_text(DEADLY)
    (tmp_path / "once.toml").write_text(SUITE.replace("ONCE", 'once = "died"'))
    (tmp_path / "always.toml").write_text(SUITE.replace("ONCE", ""))
    return tmp_path


def entries_in(path):
    return canonical(read_record(path / "runs.jsonl"))


def lines_of(path):
    """Keys of the runs in the file, as often as they are there."""
    return sorted(
        line.split(b'"key": "')[1][:16] for line in path.read_bytes().splitlines() if b'"kind": "run"' in line
    )


@KILLS
def test_a_run_whose_process_was_killed_is_done_again(folder, executor):
    bench(folder, "once.toml", "--out", "killed", "--executor", executor, "--workers", "2")
    assert (folder / "died").exists()
    bench(folder, "once.toml", "--out", "serial", "--executor", "serial")
    assert entries_in(folder / "killed") == entries_in(folder / "serial")
    lines, serial = (lines_of(folder / name / "runs.jsonl") for name in ("killed", "serial"))
    assert lines == serial and len(lines) == 9


@KILLS
def test_a_run_that_kills_every_process_is_given_up(folder, executor):
    done = bench(folder, "always.toml", "--out", "r", "--executor", executor, "--workers", "2", check=False)
    assert done.returncode == 1
    assert f"failed: deadly on sphere-d3, seed 1: {GIVEN_UP[executor]}" in done.stderr
    runs = read_record(folder / "r" / "runs.jsonl").runs.values()
    assert sorted(run["method"] for run in runs if not run["error"]) == ["cma-es"] * 3 + ["spsa"] * 3
    assert len(lines_of(folder / "r" / "runs.jsonl")) == 9
    (given_up, *_) = [run for run in runs if run["error"]]
    assert (given_up["nfev"], given_up["hits"]) == (0, [None] * 51)


def test_an_idle_process_takes_over_what_another_died_of(tmp_path, monkeypatch):
    """The last run is alone when its process dies: whoever is idle does it."""
    (tmp_path / "deadly.py").write_text(DEADLY)
    monkeypatch.syspath_prepend(tmp_path)
    text = SUITE.replace("ONCE", f"once = '{tmp_path / 'died'}'").replace("[1, 2, 3]", "[1]")
    tasks = load(tmp_path, text.replace('[[group.method]]\nuse = "cma-es"', ""), trust=True).tasks()
    found = list(in_processes([task.job for task in tasks], 2))
    assert sorted(entry["method"] for entry in found) == ["deadly", "spsa"]
    assert not any(entry["error"] for entry in found)


def test_a_script_without_a_guard_is_told(tmp_path):
    (tmp_path / "s.toml").write_text(GOOD)
    (tmp_path / "script.py").write_text(
        "from pathlib import Path\nfrom zoo_opt.bench import load_suite, run_suite\n"
        "run_suite(load_suite('s.toml'), Path('r.jsonl'), workers=1)\n"
    )
    done = python("script.py", cwd=tmp_path)
    assert done.returncode == 1
    assert "before its first run" in done.stderr and '`if __name__ == "__main__":`' in done.stderr
    assert read_record(tmp_path / "r.jsonl").runs == {}


def test_a_problem_that_workers_cannot_make_ends_the_bench(tmp_path, monkeypatch):
    (tmp_path / "here.py").write_text(
        "import multiprocessing\nfrom zoo_opt.bench import SphereProblem, factory\n"
        "@factory('problem')\ndef problem():\n"
        "    if multiprocessing.parent_process():\n        raise OSError('no such data set')\n"
        "    return SphereProblem(3)\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    suite = load(tmp_path, GOOD.replace('"sphere"', '"here:problem"').replace("{ dimension = 3 }", "{}"), trust=True)
    with pytest.raises(ExecutorError, match="sphere-d3 with A: OSError: no such data set"):
        run_suite(suite, tmp_path / "r.jsonl", workers=1)


def test_unknown_executors_are_refused(tmp_path):
    with pytest.raises(ValueError, match='executor must be "serial", "processes", "dask" or "dask://HOST:PORT"'):
        run_suite(load(tmp_path, GOOD), tmp_path / "r.jsonl", executor="ray")
    check_executor("dask://node:8786")


def test_a_scheduler_that_is_not_there(tmp_path, monkeypatch):
    pytest.importorskip("distributed")
    monkeypatch.setattr("zoo_opt.bench.engine.cluster.WAIT", 0.5)
    with pytest.raises(ExecutorError, match=r"no dask scheduler at tcp://127\.0\.0\.1:9"):
        run_suite(load(tmp_path, GOOD), tmp_path / "r.jsonl", executor="dask://127.0.0.1:9")


# ------------------------------------------------------------------------------------------------------- slow


VARYING_LENGTHS = """
title = "Lengths from a millisecond to a tenth of a second"
[[group]]
name = "short"
seeds = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]
budget = 60
problem = "sphere"
problem_options = { dimension = 3 }
method = [{ use = "spsa", options = { lr = 0.1 } }, { use = "cma-es" }]
[[group]]
name = "long"
seeds = [1, 2, 3, 4, 5, 6, 7, 8]
budget_per_dim = 1000
problem = "sphere"
problem_options = { dimension = 10 }
method = [
    { use = "spsa", options = { lr = 1e-3 } }, { use = "fzoo", options = { lr = 1e-3 } }, { use = "sep-cma-es" }
]
"""


@pytest.mark.slow
@KILLS
def test_twenty_kills_lose_nothing_and_repeat_nothing(tmp_path):
    """SIGKILL the whole bench at random moments, go on each time, and compare with one that was left alone."""
    (tmp_path / "s.toml").write_text(VARYING_LENGTHS)
    bench(tmp_path, "s.toml", "--out", "calm", "--executor", "serial")
    calm = entries_in(tmp_path / "calm")
    rng = random.Random(0)
    path = tmp_path / "killed" / "runs.jsonl"
    kills = torn = 0
    while kills < 20:
        before = path.read_bytes() if path.exists() else b""
        process = started("bench", "s.toml", "--out", "killed", "--workers", "2", cwd=tmp_path)
        grown = len(before) + rng.choice([0, 1, 5000, 10000])  # sometimes as soon as a line is being written
        end = time.monotonic() + 5
        while time.monotonic() < end and not (path.exists() and path.stat().st_size > grown):
            time.sleep(0.001)
        time.sleep(rng.random() * 0.02)
        process.kill()
        process.wait()
        after = path.read_bytes()
        assert after.startswith(before[: before.rfind(b"\n") + 1]), "what was on the disk stays"
        torn += not after.endswith(b"\n")
        kills += 1
    undone = len(calm) - len(lines_of(path))
    print(f"after {kills} kills {undone} of {len(calm)} runs were left to do; torn lines: {torn}")
    bench(tmp_path, "s.toml", "--out", "killed", "--workers", "2")
    assert entries_in(tmp_path / "killed") == calm
    assert lines_of(path) == lines_of(tmp_path / "calm" / "runs.jsonl")
    assert len(lines_of(path)) == len(set(lines_of(path))) == len(calm)

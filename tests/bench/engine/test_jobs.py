"""The engine, through its public names, with jobs that are of no suite: a user's own."""

import copy
import os
import signal
from functools import partial
from pathlib import Path

import numpy as np
import pytest

import zoo_opt as zo
from zoo_opt.bench import ExecutorError, Experiment, Job, read_record, run_job, run_jobs
from zoo_opt.support.progress import Progress

OUTAGES = {"not served": zo.NotServed, "refused": zo.Refused}


def squared(x, folder="", fails=""):
    """A third kind of work; `folder` has a file for each time that it was done."""
    if folder:
        here = Path(folder, str(x))
        tries = here.read_text() if here.exists() else ""
        here.write_text(tries + "x")
        if fails == "once" and not tries:
            raise ValueError(f"not {x}\nnot now")
    if fails == "not here":
        raise ExecutorError("no data on this machine")
    if fails in OUTAGES:
        raise OUTAGES[fails](f"https://me:w0rd@host {fails}")
    if fails == "dies":
        os.kill(os.getpid(), signal.SIGKILL)
    return {"square": x * x}


def jobs(numbers, **more):
    return [Job(f"square {x}", f"the square of {x}", partial(squared, x, **more)) for x in numbers]


def squares(path):
    return {key: run.get("square") for key, run in read_record(path).runs.items()}


@pytest.mark.parametrize("workers", [0, 2])
def test_jobs_run_and_resume(tmp_path, workers):
    path, done = tmp_path / "r.jsonl", tmp_path / "done"
    done.mkdir()
    seen = []
    assert run_jobs(jobs([1, 2], folder=str(done)), path, workers=workers, progress=lambda *a: seen.append(a[:2])) == 2
    assert seen == [(0, 2), (1, 2), (2, 2)]
    assert run_jobs(jobs([1, 2, 3], folder=str(done)), path, workers=workers) == 1
    assert squares(path) == {"square 1": 1, "square 2": 4, "square 3": 9}
    assert {file.name: file.read_text() for file in done.iterdir()} == {"1": "x", "2": "x", "3": "x"}
    again = run_jobs(jobs([1, 2, 3], folder=str(done)), path, workers=workers, again=lambda record: ["square 2", "no"])
    assert again == 1 and (done / "2").read_text() == "xx"


def test_an_entry_says_what_the_job_is_and_what_it_gave(tmp_path):
    (job,) = jobs([3])
    entry = run_job(job)
    assert entry == {"kind": "run", "key": "square 3", "label": "the square of 3", "square": 9, "error": None} | {
        "seconds": entry["seconds"]
    }
    own = Job("k", "l", partial(squared, 3), head={"x": 3}, lost=lambda: {"square": None})
    assert {"x": 3, "square": 9}.items() <= run_job(own).items() and "label" not in run_job(own)


def test_a_job_that_failed_is_tried_again(tmp_path):
    path = tmp_path / "r.jsonl"
    failing = jobs([5], folder=str(tmp_path), fails="once")
    assert run_jobs(failing, path, workers=0) == 1
    (run,) = read_record(path).runs.values()
    assert run["error"].endswith("ValueError: not 5\nnot now\n") and "square" not in run
    assert run_jobs(failing, path, workers=0) == 1
    assert squares(path) == {"square 5": 25}


@pytest.mark.skipif(os.name != "posix", reason="kills processes")
def test_a_job_that_kills_its_process_is_given_up(tmp_path):
    path = tmp_path / "r.jsonl"
    assert run_jobs([*jobs([1], fails="dies"), *jobs([2])], path, workers=2) == 2
    runs = read_record(path).runs
    assert "ended by SIGKILL, for the 2nd time: given up" in runs["square 1"]["error"]
    assert runs["square 2"]["square"] == 4


@pytest.mark.parametrize("workers", [0, 1])
def test_a_job_that_cannot_be_done_here_ends_the_experiment(tmp_path, workers):
    with pytest.raises(ExecutorError, match=r"^the square of 7: no data on this machine$"):
        run_jobs(jobs([7], fails="not here"), tmp_path / "r.jsonl", workers=workers)
    assert squares(tmp_path / "r.jsonl") == {}


@pytest.mark.parametrize("workers", [0, 1])
@pytest.mark.parametrize("fails", OUTAGES)
def test_an_outage_is_not_recorded_and_ends_the_experiment(tmp_path, fails, workers):
    path = tmp_path / "r.jsonl"
    said = rf"^the square of 7: https://\*\*\*@host {fails}; the same command goes on"
    with pytest.raises(ExecutorError, match=said):
        run_jobs([*jobs([1]), *jobs([7], fails=fails), *jobs([2])], path, workers=workers)
    assert squares(path) == {"square 1": 1}
    assert run_jobs(jobs([1, 7, 2]), path, workers=workers) == 2
    assert squares(path) == {"square 1": 1, "square 7": 49, "square 2": 4}


def test_a_session_is_written_for_what_is_new(tmp_path):
    path = tmp_path / "r.jsonl"
    for title in ("first", "first", "second"):
        run_jobs(jobs([1]), path, Experiment({"suite": "squares", "title": title}, command=["me"]), workers=0)
    sessions = read_record(path).sessions
    assert [session["title"] for session in sessions] == ["first", "second"]
    assert sessions[0]["command"] == "python me" and sessions[0]["versions"]["numpy"]


def test_progress_names_jobs_of_any_kind(tmp_path, capsys):
    with Progress("squares") as progress:
        run_jobs(jobs([1, 2]), tmp_path / "r.jsonl", workers=0, progress=progress)
    assert "squares: 2 of 2 runs" in capsys.readouterr().err


@pytest.mark.parametrize("result", [None, {"kind": "mine"}, {"key": "other"}, {"error": 0.03}])
def test_a_result_that_cannot_be_recorded_is_an_error_of_its_job(tmp_path, result):
    """It costs this job, not the experiment, and never the record."""
    jobs = [Job("a", "one", partial(dict, value=np.arange(3))), Job("b", "two", partial(copy.copy, result))]
    run_jobs(jobs, tmp_path / "runs.jsonl", workers=0)
    runs = read_record(tmp_path / "runs.jsonl").runs
    assert runs["a"]["value"] == [0, 1, 2] and runs["a"]["error"] is None
    assert "run must " in runs["b"]["error"]

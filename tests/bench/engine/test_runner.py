"""Running, recording, resuming; and the report of what was run."""

import json

import pytest
from bench.test_suite import GOOD, load
from refusals import raises

from zoo_opt.bench import factory, print_summary, run_suite, run_task
from zoo_opt.bench.engine.record import RecordFile, read_record
from zoo_opt.core.batch import Batch

VARYING = {"seconds", "started"}


@pytest.fixture
def suite(tmp_path):
    return load(tmp_path, GOOD)


def results(path):
    runs = read_record(path).runs
    return {key: {k: v for k, v in run.items() if k not in VARYING} for key, run in runs.items()}


def test_every_run_is_recorded_once(suite, tmp_path):
    path = tmp_path / "out" / "runs.jsonl"
    seen = []
    assert run_suite(suite, path, workers=0, progress=lambda done, total, left, entry: seen.append((done, total))) == 4
    assert seen == [(0, 4), (1, 4), (2, 4), (3, 4), (4, 4)]
    record = read_record(path)
    assert set(record.runs) == {task.key for task in suite.tasks()}
    assert [session["toml"] for session in record.sessions] == [GOOD]
    assert all(0 < run["nfev"] <= 60 and run["error"] is None for run in record.runs.values())
    assert run_suite(suite, path, workers=0) == 0
    assert len(path.read_text().splitlines()) == 5


def test_processes_give_the_same_record(suite, tmp_path):
    run_suite(suite, tmp_path / "serial.jsonl", workers=0)
    run_suite(suite, tmp_path / "pool.jsonl", workers=2)
    assert results(tmp_path / "serial.jsonl") == results(tmp_path / "pool.jsonl")


def test_methods_at_a_seed_start_together(tmp_path):
    from zoo_opt.bench.problems.sphere import SphereProblem

    path = tmp_path / "runs.jsonl"
    text = GOOD.replace("seeds = [1, 2]", "seeds = [1]") + '[[group.method]]\nlabel = "f"\nuse = "fzoo"\n'
    run_suite(load(tmp_path, text), path, workers=0)
    runs = {run["method"]: run for run in read_record(path).runs.values()}
    base = float((SphereProblem(3).x0(1) ** 2).sum())
    assert runs["f"]["curve"][0][1] == pytest.approx(base)  # FZOO's first probe is its base


def test_resumes_after_any_cut(suite, tmp_path):
    whole = tmp_path / "whole.jsonl"
    run_suite(suite, whole, workers=0)
    content = whole.read_bytes()
    ends = [i + 1 for i, byte in enumerate(content) if byte == ord("\n")]
    for cut in [0, 10, ends[0], ends[1], ends[1] + 1, ends[2] - 1, ends[3] - 20, ends[4] - 1]:
        path = tmp_path / "cut.jsonl"
        path.write_bytes(content[:cut])
        assert run_suite(suite, path, workers=0) == 4 - sum(end <= cut for end in ends[1:])
        assert results(path) == results(whole)


def test_a_run_that_failed_is_tried_again(suite, tmp_path):
    path = tmp_path / "runs.jsonl"
    run_suite(suite, path, workers=0)
    key, entry = next(iter(read_record(path).runs.items()))
    with RecordFile(path) as recorder:
        recorder.write(entry | {"error": "it broke"})
    assert key not in read_record(path).finished()
    assert run_suite(suite, path, workers=0) == 1
    assert key in read_record(path).finished()


def test_restart_puts_the_old_record_aside(suite, tmp_path):
    path = tmp_path / "runs.jsonl"
    run_suite(suite, path, workers=0)
    assert run_suite(suite, path, workers=0, resume=False) == 4
    assert len(read_record(tmp_path / "runs.jsonl.old").runs) == 4


def test_each_restart_keeps_what_was_there(tmp_path):
    path = tmp_path / "runs.jsonl"
    for text in ("one", "two", "three"):
        path.write_text(f"{text}\n")
        RecordFile(path, fresh=True).close()
        assert path.read_text() == ""
    kept = {name: (tmp_path / name).read_text() for name in ("runs.jsonl.old", "runs.jsonl.old2", "runs.jsonl.old3")}
    assert kept == {"runs.jsonl.old": "one\n", "runs.jsonl.old2": "two\n", "runs.jsonl.old3": "three\n"}


def test_a_file_that_is_no_record_is_refused(tmp_path):
    path = tmp_path / "x.jsonl"
    path.write_text("hello\nworld\n")
    raises(ValueError, "line 1 is not an entry", read_record, path)
    path.write_text(json.dumps({"kind": "session", "format": 99}) + "\n")
    raises(ValueError, "record format 99, expected 1", read_record, path)
    for line in ({"kind": "run"}, {"kind": "run", "key": 3}, {"kind": "again"}, {"key": "x"}):
        path.write_text(json.dumps({"kind": "session", "format": 1}) + "\n" + json.dumps(line) + "\n")
        raises(ValueError, r"line 2 is not an entry .*: it must have a kind, and the key of", read_record, path)


@factory("method")
class Greedy:
    """A method that ignores its budget, or breaks."""

    mean = [0.0] * 3
    nfev = 0

    def __init__(self, x0, *, rng, budget, fail=False):
        self.x0, self.fail = x0, fail

    def ask(self):
        if self.fail:
            raise RuntimeError("no idea")
        return Batch(self.x0[None].repeat(40, axis=0), range(40), 0)

    def tell(self, batch, losses): ...

    def stop(self):
        return {}


@pytest.mark.parametrize(("options", "message"), [("{}", "exceeded its budget"), ("{ fail = true }", "no idea")])
def test_a_method_that_misbehaves_is_recorded_as_an_error(tmp_path, options, message):
    text = GOOD.replace('"spsa"', '"bench.engine.test_runner:Greedy"').replace("{ lr = 0.1 }", options)
    entry = run_task(load(tmp_path, text, trust=True).tasks()[0])
    assert message in entry["error"] and entry["nfev"] <= 60


def test_tables_show_every_method(suite, tmp_path, capsys):
    run_suite(suite, tmp_path / "runs.jsonl", workers=0)
    print_summary(read_record(tmp_path / "runs.jsonl"))
    out = capsys.readouterr().out
    assert "cma-es" in out and "targets" in out and "2 seeds" in out

"""What a record holds, in what order, and what is kept of it when it is made small."""

import dataclasses
import gzip
import json
import lzma
import tracemalloc

import numpy as np
import pytest
from bench.test_suite import GOOD, load
from refusals import raises

from zoo_opt.bench.engine.record import Record, RecordFile, read_record
from zoo_opt.bench.problems.counting import curve_marks
from zoo_opt.bench.statistics.stats import curve_at, ecdf_area, fraction_reached
from zoo_opt.bench.suite_record import canonical, current, in_order, rounded, thinned, write_record
from zoo_opt.bench.suite_runner import run_suite


@pytest.fixture
def suite(tmp_path):
    return load(tmp_path, GOOD.replace("budget = 60", "budget = 2000"))


@pytest.fixture
def path(suite, tmp_path):
    path = tmp_path / "runs.jsonl"
    run_suite(suite, path, workers=0)
    return path


def numbers_of(record):
    return [(r["group"], r["problem"], r["method"], r["seed"], r["nfev"], r["hits"]) for r in record.runs.values()]


def test_order_is_the_suites_whatever_came_first(path):
    record = read_record(path)
    shuffled = Record(record.sessions, dict(sorted(record.runs.items())[::-1]))
    assert canonical(shuffled) == canonical(record)
    expected = [("A", 1), ("A", 2), ("cma-es", 1), ("cma-es", 2)]
    assert [(run["method"], run["seed"]) for run in canonical(shuffled)] == expected
    assert not any("seconds" in run for run in canonical(record))


def test_order_of_problems_is_that_of_their_numbers():
    base = {"group": "g", "method": "m", "seed": 1, "budget": 1, "dim": 2}
    names = ["bbob-f2-i1-d2", "bbob-f10-i1-d2", "bbob-f1-i10-d2", "bbob-f1-i2-d2", "ackley"]
    record = Record([], {name: base | {"problem": name, "key": name} for name in names})
    found = [run["problem"] for run in in_order(record)]
    assert found == ["ackley", "bbob-f1-i2-d2", "bbob-f1-i10-d2", "bbob-f2-i1-d2", "bbob-f10-i1-d2"]


def test_runs_that_the_suite_no_longer_has_are_left_out(path):
    record = read_record(path)
    run, *others = record.runs.values()
    for what in ({"method": "gone"}, {"options": {"lr": 7}}, {"seed": 9}, {"budget": 61}, {"group": "gone"}):
        changed = Record(record.sessions, {r["key"]: r for r in [run | what, *others]})
        assert set(current(changed).runs) == {r["key"] for r in others}, what
        assert set(current(Record([], changed.runs)).runs) == set(record.runs), "without a suite all count"


def test_of_a_repeated_run_the_later_one_counts(path):
    run = next(iter(read_record(path).runs.values()))
    with RecordFile(path) as recorder:
        recorder.write(run | {"key": "other version", "nfev": 7})
    record = read_record(path)
    assert len(record.runs) == 5
    kept = current(record)
    assert len(kept.runs) == 4 and kept.runs["other version"]["nfev"] == 7
    assert set(current(record, [run["key"]]).runs) == {run["key"]}


@pytest.mark.parametrize("ending", ["", ".gz", ".xz"])
def test_small_records_say_the_same(path, tmp_path, ending):
    small = tmp_path / f"small.jsonl{ending}"
    whole = current(read_record(path))
    write_record(whole, small)
    content = small.read_bytes()
    found = read_record(small)
    assert numbers_of(found) == numbers_of(whole)
    runs, before = list(found.runs.values()), list(whole.runs.values())
    assert ecdf_area(runs) == ecdf_area(before) and fraction_reached(runs) == fraction_reached(before)
    for run, old in zip(runs, before, strict=True):
        assert run["figures"]["precision"] == pytest.approx(old["figures"]["precision"], rel=5e-6)
        marks = curve_marks(old["budget"])[::3]
        np.testing.assert_allclose(curve_at(run["curve"], marks), curve_at(old["curve"], marks), rtol=5e-4)
        assert len(run["curve"]) <= len(marks) + 1
        assert run["targets"] == old["targets"] and run["options"] == old["options"]
    assert found.sessions == whole.sessions
    write_record(found, small)
    assert small.read_bytes() == content, "small already, and always the same bytes"
    if ending:
        assert len(content) < path.stat().st_size / 3


def test_a_cut_compressed_record_is_refused(path, tmp_path):
    for ending in (".gz", ".xz"):
        small = tmp_path / f"small.jsonl{ending}"
        write_record(read_record(path), small)
        small.write_bytes(small.read_bytes()[:-20])
        raises(ValueError, f"not a whole {ending} file", read_record, small)


def test_errors_keep_their_last_line_alone(path, tmp_path):
    record = read_record(path)
    run = next(iter(record.runs.values()))
    run["error"] = 'Traceback (most recent call last):\n  File "/somewhere/x.py", line 1\nValueError: too wide\n'
    write_record(record, tmp_path / "small.jsonl")
    assert read_record(tmp_path / "small.jsonl").runs[run["key"]]["error"] == "ValueError: too wide"


def test_numbers_are_rounded_and_curves_thinned():
    assert rounded(1.23456789) == 1.23457 and rounded(None) is None
    marks = curve_marks(1000).tolist()
    curve = [(n, 1 / n) for n in marks if n < 500]
    kept = thinned(curve, 1000)
    assert kept[0] == curve[0] and kept[-1] == curve[-1]
    assert [n for n, _ in kept[:-1]] == [n for n in marks[::3] if n < 500][: len(kept) - 1]
    assert thinned([], 1000) == []


def test_a_record_has_one_writer(path):
    with RecordFile(path), pytest.raises(OSError, match="in use by another bench"):
        RecordFile(path)


# ---------------------------------------------------------------------------------------- only, again, resume


def test_only_runs_these_methods_now(suite, tmp_path):
    path = tmp_path / "only.jsonl"
    assert run_suite(suite, path, workers=0, only=["A"]) == 2
    assert {run["method"] for run in read_record(path).runs.values()} == {"A"}
    assert run_suite(suite, path, workers=0) == 2
    assert run_suite(suite, path, workers=0, only=["A"]) == 0


def test_again_repeats_these_runs_and_keeps_their_lines(suite, path):
    before = path.read_bytes()
    keys = {task.key for task in suite.tasks() if task.method.label == "cma-es"}
    seen = []
    assert run_suite(suite, path, workers=0, again=["cma-es"], progress=lambda *a: seen.append(a[:2])) == 2
    assert seen[0] == (2, 4)
    assert path.read_bytes().startswith(before)
    runs = [json.loads(line) for line in path.read_bytes()[len(before) :].splitlines()]
    assert {run["key"] for run in runs if run["kind"] == "run"} == keys
    assert len(read_record(path).runs) == 4


def test_again_that_was_interrupted_goes_on_without_it(suite, path):
    def stop(done, total, left, entry):
        if entry:
            raise KeyboardInterrupt

    raises(KeyboardInterrupt, None, run_suite, suite, path, workers=0, again=["A", "cma-es"], progress=stop)
    assert len(read_record(path).runs) == 1, "what is to be repeated counts no longer"
    assert run_suite(suite, path, workers=0) == 3


def test_unknown_labels_are_refused(suite, path):
    before = path.read_bytes()
    for words in ({"only": ["B"]}, {"again": ["B"]}):
        with pytest.raises(ValueError, match="no method is labelled 'B'; the suite has A, cma-es"):
            run_suite(suite, path, workers=0, **words)
    assert path.read_bytes() == before


def test_a_problem_is_made_once_for_all_its_tasks(tmp_path, monkeypatch):
    import zoo_opt.bench.suite as module

    made, real = [], module.make_problem
    monkeypatch.setattr(module, "make_problem", lambda *a: made.append(a) or real(*a))
    suite = load(tmp_path, GOOD.replace("dimension = 3", "dimension = 9"))
    made.clear()
    module._name_and_dim.cache_clear()
    assert len(suite.tasks()) == len(suite.tasks()) == 4 and len(made) == 1


def test_a_reusable_problem_is_kept_for_the_next_run(suite, monkeypatch):
    from zoo_opt.bench import task as module
    from zoo_opt.bench.problems.sphere import SphereProblem

    monkeypatch.setattr(module, "_KEPT", {})
    task, *_ = suite.tasks()
    for reusable in (True, False):  # runs may leave a trace in one that is not
        monkeypatch.setattr(SphereProblem, "reusable", reusable, raising=False)
        assert (module.problem_of(task) is module.problem_of(task)) is reusable
        assert module.problem_of(dataclasses.replace(task, problem_options={"dimension": 4})).dim == 4


def test_a_method_gets_the_problems_own(tmp_path):
    from zoo_opt.bench.suite import with_problem

    class Boxed:
        name, bounds = "boxed", (-1.0, 2.0)

    assert with_problem({"bounds": "problem", "lr": 1}, Boxed()) == {"bounds": (-1.0, 2.0), "lr": 1}
    raises(ValueError, 'option scale = "problem", but boxed has no scale', with_problem, {"scale": "problem"}, Boxed())
    assert load(tmp_path, GOOD).tasks()[0].dim == 3


@pytest.mark.parametrize("ending", [".gz", ".xz"])
def test_a_flipped_bit_of_a_compressed_record_is_told(tmp_path, ending):
    """Its checksum is reached; bits of its head that say nothing of the content, such as a date, change nothing."""
    path = tmp_path / f"runs.jsonl{ending}"
    text = b"".join(json.dumps({"kind": "run", "key": f"k{i}", "nfev": i}).encode() + b"\n" for i in range(50))
    content = gzip.compress(text, mtime=0) if ending == ".gz" else lzma.compress(text)
    path.write_bytes(content)
    whole, told = read_record(path).runs, 0
    for place in range(0, 8 * len(content), 3):
        damaged = bytearray(content)
        damaged[place // 8] ^= 1 << place % 8
        path.write_bytes(damaged)
        try:
            assert read_record(path).runs == whole
        except ValueError as error:
            assert str(error).startswith(str(path))
            told += 1
    assert told > 0.9 * 8 * len(content) / 3


@pytest.mark.parametrize("ending", ["", ".gz", ".xz"])
def test_a_record_that_expands_without_end_takes_no_memory(ending, tmp_path, monkeypatch):
    path = tmp_path / f"forged.jsonl{ending}"
    pack = {"": bytes, ".gz": gzip.compress, ".xz": lzma.compress}[ending]
    path.write_bytes(pack(b'{"kind": "later", "a": [' + b"{}," * 20_000_000 + b"0]}\n"))
    assert not ending or path.stat().st_size < 2**17
    monkeypatch.setenv("ZOO_OPT_MAX_BYTES", str(2**28))
    tracemalloc.start()
    try:
        raises(ValueError, r"forged\.jsonl.* is too large: .*268435456 bytes.*ZOO_OPT_MAX_BYTES", read_record, path)
        assert tracemalloc.get_traced_memory()[1] < 40 * 2**20
    finally:
        tracemalloc.stop()


def test_the_memory_of_a_record_is_bounded_by_that_of_its_lines(tmp_path, monkeypatch):
    path = tmp_path / "dense.jsonl"
    path.write_bytes(b'{"kind": "later", "a": [' + b'{"":0},' * 200_000 + b"0]}\n")
    monkeypatch.setenv("ZOO_OPT_MAX_BYTES", str(2**26))
    tracemalloc.start()
    try:
        assert read_record(path).runs == {}
        assert tracemalloc.get_traced_memory()[1] < 2**26
    finally:
        tracemalloc.stop()

"""The command line as a user meets it."""

import json
import os
import subprocess
import time

import pytest
from bench.commands import started
from bench.commands import zoo_opt as cli
from bench.test_suite import GOOD

from zoo_opt.bench.engine.record import read_record
from zoo_opt.cli import main


def test_bench_and_report_from_any_folder(tmp_path):
    (tmp_path / "tiny.toml").write_text(GOOD)
    done = cli("bench", "tiny.toml", "--workers", "2", cwd=tmp_path, check=True)
    assert "cma-es" in done.stdout and "4 of 4 runs" in done.stderr
    report = tmp_path / "results" / "tiny" / "report.html"
    assert report.stat().st_size > 10_000
    sessions = read_record(report.with_name("runs.jsonl")).sessions
    assert sessions[0]["command"] == "zoo-opt bench tiny.toml --workers 2"
    assert main(["report", str(report.parent), "--html", str(tmp_path / "again.html")]) == 0
    assert (tmp_path / "again.html").read_text() == report.read_text()


def test_help_teaches(capsys):
    for command in ([], ["run"], ["bench"], ["bench", "compare"], ["report"], ["export"], ["list"]):
        with pytest.raises(SystemExit) as end:
            main([*command, "--help"])
        assert end.value.code == 0
        out = capsys.readouterr().out
        assert "examples:" in out or command == ["list"]


def test_list_names_everything(capsys):
    import zoo_opt as zo

    assert main(["list"]) == 0
    out = capsys.readouterr().out
    for name in [*zo.METHODS, "bbob", "digits", "quick", "pycma", "nevergrad"]:
        assert name in out


def test_a_reader_that_has_seen_enough_is_no_error(tmp_path):
    """As in ``zoo-opt list | head -1``: the pipe is closed before anything is written."""
    reading, writing = os.pipe()
    os.close(reading)
    done = cli("list", cwd=tmp_path, stdout=writing, stderr=subprocess.PIPE, capture_output=False)
    os.close(writing)
    assert (done.returncode, done.stderr) == (0, "")


def test_run_a_function_of_ones_own(tmp_path):
    (tmp_path / "mine.py").write_text("def bowl(x):\n    return float(((x - 1) ** 2).sum())\n")
    options = ["--x0", "zeros:3", "--budget", "600", "-o", "sigma0=0.5", "--save", "r.json", "--quiet"]
    cli("run", "mine:bowl", *options, cwd=tmp_path, check=True)
    saved = json.loads((tmp_path / "r.json").read_text())
    assert saved["fun"] < 1e-8 and saved["nfev"] <= 600
    assert saved["x"] == pytest.approx([1, 1, 1], abs=1e-3)


def test_run_a_named_problem_with_a_schedule(capsys):
    schedule = '{"type": "Cosine", "start": 0.1, "end": 0.001}'
    assert main(["run", "sphere", "-p", "dimension=4", "--method", "spsa", "-o", f"lr={schedule}", "--quiet"]) == 0
    out = capsys.readouterr().out
    assert "Cosine" in out and "precision" in out and "steps=500" in out


def test_a_checkpoint_of_another_run_is_refused(tmp_path, capsys):
    file = str(tmp_path / "run.zoo")
    run = ["run", "sphere", "--budget", "60", "--quiet", "--checkpoint", file]
    assert main([*run, "-p", "dimension=3"]) == 0
    assert main([*run, "-p", "dimension=3"]) == 0
    assert "going on from" in capsys.readouterr().err
    for other, message in [
        ([*run, "-p", "dimension=4"], "its problem options is {'dimension': 3}, this call's is {'dimension': 4}"),
        ([*run, "-p", "dimension=3", "--method", "sep-cma-es"], "its method is CMAES("),
        ([*run, "-p", "dimension=3", "--seed", "7"], "is of another run"),
        (["run", "math:hypot", "--x0", "1,2,3", *run[2:]], "its TARGET is 'sphere', this call's is 'math:hypot'"),
    ]:
        assert main(other) == 1
        error = capsys.readouterr().err
        assert f"zoo-opt: {file} is of another run" in error and message in error
    (tmp_path / "run.zoo").unlink()
    (tmp_path / "run.zoo.journal").unlink()
    assert main([*run, "-p", "dimension=4"]) == 0


def test_run_auto_is_told_the_problems_bounds(capsys):
    problem = ["-p", "function=1", "-p", "dimension=5"]
    assert main(["run", "bbob", *problem, "--method", "auto", "--budget", "300", "--quiet"]) == 0
    assert "bounds=(-5.0, 5.0)" in capsys.readouterr().out


def test_compare_and_export(tmp_path, capsys):
    for out, seed in (("a", "[1, 2]"), ("b", "[1, 2, 3]")):
        (tmp_path / "tiny.toml").write_text(GOOD.replace("[1, 2]", seed))
        assert main(["bench", str(tmp_path / "tiny.toml"), "--out", str(tmp_path / out), "--executor", "serial"]) == 0
    small = tmp_path / "kept" / "a.jsonl.xz"
    assert main(["export", str(tmp_path / "a"), "--record", str(small)]) == 0
    capsys.readouterr()
    html = tmp_path / "change.html"
    assert main(["bench", "compare", str(small), str(tmp_path / "b"), "--html", str(html)]) == 0
    out, table = capsys.readouterr().out, tmp_path / "table.md"
    assert "cma-es" in out and "A" in out and html.stat().st_size > 10_000
    arguments = ["report", str(small), "--earlier", str(tmp_path / "b"), "--markdown", str(table)]
    assert main([*arguments, "--html", str(tmp_path / "r.html")]) == 0
    assert "| cma-es" in table.read_text()
    assert main(["export", str(small), "--coco", str(tmp_path / "coco")]) == 1
    assert "no run of COCO's" in capsys.readouterr().err
    assert main(["report", str(small)]) == 0
    assert (tmp_path / "kept" / "a.html").exists()


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (["run", "nope"], 2, 'TARGET must be "module:function" or one of'),
        (["run", "math:sqrt"], 2, "needs --x0"),
        (["run", "math:nope", "--x0", "1"], 1, "can be imported"),
        (["run", "math:pi", "--x0", "1"], 2, "TARGET must name a function"),
        (["run", "math:sqrt", "--x0", "one"], 2, "--x0 must be numbers"),
        (["run", "sphere", "-o", "sigma0"], 2, "NAME=VALUE"),
        (["run", "sphere", "-o", 'lr={"type": "Cosine", "start": 0.1}', "--method", "spsa"], 1, "Cosine refuses"),
        (["run", "sphere", "--method", "nope"], 1, "method must be one of"),
        (["bench", "nope"], 1, "no suite file 'nope'"),
        (["bench", "quick", "--workers", "0"], 2, "--workers must be 1 or more"),
        (["bench", "quick", "--workers", "2", "--executor", "serial"], 2, "--workers goes with --executor processes"),
        (["bench", "quick", "--executor", "ray"], 2, '--executor must be "serial", "processes", "dask" or'),
        (["bench", "quick", "--only", "nobody"], 2, "no method of quick is labelled 'nobody'; it has CMA-ES, BIPOP"),
        (["bench", "quick", "--again", "nobody"], 2, "no method of quick is labelled 'nobody'"),
        (["bench", "compare", "/nowhere", "/here"], 2, "no record of a bench at /nowhere"),
        (["export", "/nowhere", "--record", "x.jsonl"], 2, "no record of a bench"),
        (["export", "/nowhere"], 2, "nothing to do: give --record FILE, --coco DIR or both"),
        (["report", "/nowhere"], 2, "no record of a bench"),
    ],
)
def test_mistakes_are_told_without_a_traceback(arguments, status, message, capsys):
    assert main(arguments) == status
    error = capsys.readouterr().err
    assert message in error and error.startswith("zoo-opt: ")


def test_run_says_that_nothing_was_found(capsys):
    assert main(["run", "math:sqrt", "--x0", "1,2", "--budget", "20", "--quiet"]) == 1
    assert "no evaluation gave a finite loss: {'TypeError':" in capsys.readouterr().out


@pytest.mark.skipif(os.name != "posix", reason="kills a process group")
def test_a_killed_bench_goes_on_and_leaves_no_workers(tmp_path):
    text = GOOD.replace("budget = 60", "budget = 20000").replace("[1, 2]", "[1, 2, 3, 4]")
    (tmp_path / "slow.toml").write_text(text.replace("lr = 0.1", "lr = 1e-6"))
    process = started("bench", "slow.toml", "--workers", "1", cwd=tmp_path)
    record = tmp_path / "results" / "slow" / "runs.jsonl"
    while not (record.exists() and record.read_bytes().count(b"\n") >= 3):
        assert process.poll() is None
        time.sleep(0.02)
    process.kill()
    process.wait()
    before = read_record(record).runs
    assert 2 <= len(before) < 8
    cli("bench", "slow.toml", "--workers", "1", cwd=tmp_path, check=True)
    after = read_record(record).runs
    assert len(after) == 8 and before.items() <= after.items()

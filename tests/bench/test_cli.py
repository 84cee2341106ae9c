"""The command line as a user meets it."""

import os
import subprocess
import time

import pytest
from bench.commands import started
from bench.commands import zoo_opt as cli
from bench.test_suite import GOOD
from refusals import raises

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
        assert raises(SystemExit, None, main, [*command, "--help"]).code == 0
        assert "examples:" in capsys.readouterr().out or command == ["list"]


def test_a_reader_that_has_seen_enough_is_no_error(tmp_path):
    """As in ``zoo-opt list | head -1``: the pipe is closed before anything is written."""
    reading, writing = os.pipe()
    os.close(reading)
    done = cli("list", cwd=tmp_path, stdout=writing, stderr=subprocess.PIPE, capture_output=False)
    os.close(writing)
    assert (done.returncode, done.stderr) == (0, "")


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
    assert main(["export", str(small), "--coco", str(tmp_path / "coco")]) == 2
    assert "no run of COCO's" in capsys.readouterr().err
    assert main(["report", str(small)]) == 0
    assert (tmp_path / "kept" / "a.html").exists()


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

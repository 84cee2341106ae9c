"""The table of a bench while it runs: what it says is what the tables say of the same runs."""

import io
import os
import sys

import pytest
from bench.runs import record, run, tables
from hypothesis import given
from rich.console import Console

from zoo_opt.bench.engine.job import Job
from zoo_opt.bench.report.live import LiveRow, LiveTable
from zoo_opt.bench.report.terminal import fraction, short_text
from zoo_opt.bench.statistics.stats import ecdf_area, summaries

ENTRIES = [run(m, f"p{i}", hits=[5 + i, None], key=f"{m}{i}", seconds=0.5) for i in range(4) for m in "ab"]


def jobs(entries):
    return [Job(e["key"], "", dict, head={"group": e["group"], "method": e["method"]}) for e in entries]


def shown(table):
    text = io.StringIO()
    Console(file=text, width=80).print(table.table())
    return text.getvalue().splitlines()


def rows(table):
    return {words[0]: words[1:] for line in shown(table)[4:] if (words := line.split())}


@pytest.fixture
def terminal(monkeypatch):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)


def test_a_row_for_every_method_of_the_group_that_runs(terminal):
    with LiveTable("T") as table:
        table.start(jobs([*ENTRIES, run("c", group="h", key="c")]), record([]))
        assert rows(table) == {"a": ["0", "4", "-", "-"], "b": ["0", "4", "-", "-"]}
        table(1, 9, None, ENTRIES[0])
        table(2, 9, 120.0, ENTRIES[2])
        assert rows(table) == {"a": ["2", "2", fraction(ecdf_area(ENTRIES[:3:2])), "200"], "b": ["0", "4", "-", "-"]}
        assert shown(table)[0].startswith("T: 2 of 9 runs, 0 s, about 2 min left")
        table(3, 9, 1.0, run("c", group="h", key="c", error="broke", nfev=0, figures={}, curve_of="cost"))
        assert shown(table)[1].strip() == "h" and "cost so far" in shown(table)[2]
        assert rows(table) == {"c": ["1", "0", "-", "-", "1"]}


LABELS = ["x [lr=0.1]", "bad [/x]", " ".join(["a name that says each of its settings"] * 4)]


@pytest.mark.parametrize("label", LABELS)
def test_any_label_is_shown_beside_its_figures(terminal, label):
    """No bracket is markup, and the longest name leaves room for the figures."""
    entry = run(label, group="g [/g]", key="k", seconds=0.5)
    with LiveTable("T [b]") as table:
        table.start(jobs([entry, entry | {"key": "l"}]), record([]))
        table(1, 2, -400.0, entry)
        heading, group, columns, _, *lines = shown(table)
    assert heading.strip() == "T [b]: 1 of 2 runs, 0 s" and group.strip() == "g [/g]"  # no time is left that is past
    names = columns.index("done")
    assert " ".join(line[:names].strip() for line in lines).strip() == label
    assert lines[0][names:].split()[:2] == ["1", "1"] and lines[0].split()[-1] == "200"


def test_what_the_record_holds_is_counted_from_the_start(terminal):
    kept = record([*ENTRIES[:5], ENTRIES[5] | {"error": "to be repeated"}, run("gone", key="another suite's")])
    kept.runs = {entry["key"]: entry for entry in kept.runs.values()}
    with LiveTable("T") as table:
        table.start(jobs(ENTRIES), kept)
        assert rows(table)["a"][:2] == ["3", "1"] and rows(table)["b"][:2] == ["2", "2"]


@given(tables())
def test_the_measure_is_that_of_the_tables(runs):
    for method in "ab":
        row, own = LiveRow(len(runs)), [entry for entry in runs if entry["method"] == method]
        for entry in own:
            row.add(entry)
        assert row.measure == fraction(ecdf_area(own)) and row.done == len(own)


@pytest.mark.parametrize("finals", [[1.0, 1e-4, 0.0], [3.0, -1.0, 2.0]])
def test_without_targets_it_is_the_mean_final_figure(finals):
    name = "precision" if min(finals) >= 0 else "cost"
    runs = [run("a", f"p{i}", curve_of=name, figures={name: value}) for i, value in enumerate(finals)]
    row = LiveRow(3)
    for entry in runs:
        row.add(entry)
    assert row.measure == short_text(summaries(runs)[0].score)


def test_without_a_terminal_it_is_a_line_now_and_then(capsys):
    with LiveTable("T") as table:
        table.start(jobs(ENTRIES), record([]))
        table(0, 8, None, None)
        for done, entry in enumerate(ENTRIES, 1):
            table(done, 8, 1.0, entry)
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "T: 0 of 8 runs, 0 s" and lines[-1] == "T: 8 of 8 runs, 0 s" and len(lines) == 9


@pytest.mark.skipif(sys.platform == "win32", reason="a pseudo-terminal is Unix's")
def test_the_command_draws_it_on_a_terminal(tmp_path):
    import pty
    import subprocess

    suite = tmp_path / "s.toml"
    suite.write_text(
        '[[group]]\nname = "spheres"\nseeds = [1, 2]\nbudget_per_dim = 50\nproblem = "bbob"\n'
        "problem_options = { functions = [1], dimensions = [2], instances = [11] }\n"
        '[[group.method]]\nuse = "spsa"\n[[group.method]]\nuse = "cma-es"\n'
    )
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "zoo_opt.cli", "bench", str(suite), "--executor", "serial", "--out", str(tmp_path)]
    with subprocess.Popen(
        command, stderr=theirs, stdout=subprocess.PIPE, env=os.environ | {"TERM": "xterm"}
    ) as process:
        os.close(theirs)
        seen = b""
        while part := read(ours):
            seen += part
        assert process.wait() == 0
    os.close(ours)
    assert b"spheres" in seen and b"evals / s" in seen and b"4 of 4 runs" in seen.splitlines()[-1]


def read(terminal):
    try:
        return os.read(terminal, 65536)
    except OSError:  # Linux says so when the other end is closed
        return b""

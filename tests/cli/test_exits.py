"""How a command ends: 2 for wrong usage, 1 for what failed, and one sentence."""

import pytest

from zoo_opt.cli import main

SPACE = ["run", "math:sqrt", "--space"]
WRONG = [
    (["run", "nope"], 'FUNCTION must be "module:function", "file.py:function" or one of'),
    (["run", "math:sqrt"], "needs --x0 or --space"),
    (["run", "math:nope", "--x0", "1"], "can be imported"),
    (["run", "nowhere.py:f", "--x0", "1"], "there is no file"),
    (["run", "math:pi", "--x0", "1"], "FUNCTION must name a function"),
    (["run", "math:sqrt", "--x0", "one"], "--x0 must be numbers"),
    (["run", "math:sqrt", "--x0", "nowhere.npy"], "--x0 must be numbers"),
    (["run", "math:sqrt", "--x0", "1", "--bounds", "-5,5"], "--bounds must be LOW:HIGH"),
    (["run", "math:sqrt", "--x0", "1", "--bounds", "0:1,0:1"], "bounds must be"),
    (["run", "math:sqrt", "--x0", "7", "--bounds", "-5:5"], "x0 must lie inside"),
    (["run", "math:sqrt", "--x0", "1", "--workers", "0"], "--workers must be 1 or more"),
    (["run", "math:sqrt", "--x0", "1", "--budget", "0"], "budget must be"),
    (["run", "math:sqrt", "--x0", "1", "-p", "a=1"], "--problem-option goes with a named problem"),
    (["run", "sphere", "-p", "colour=1"], "problem 'sphere' refuses its arguments"),
    (["run", "sphere", "-o", "sigma0"], "NAME=VALUE"),
    (["run", "sphere", "-o", 'lr={"type": "Cosine", "start": 0.1}', "--method", "spsa"], "Cosine refuses"),
    (["run", "sphere", "-o", "sigma=1"], "method 'auto' refuses its options"),
    (["run", "sphere", "--method", "nope"], "method must be one of"),
    ([*SPACE, "nowhere.toml"], "--space nowhere.toml: "),
    ([*SPACE, "good.toml", "--bounds", "0:1"], "--space goes with a function of yours, not with --bounds"),
    ([*SPACE, "good.toml", "--x0", "D=1"], "parameters must be of C, got D"),
    ([*SPACE, "bad.toml"], "--space bad.toml: C must be {float = [low, high]}"),
    ([*SPACE, "broken.toml"], "--space broken.toml: "),
    (["run", "sphere", "--space", "good.toml"], "not with a named problem"),
    (["bench", "nope"], "no suite file 'nope'"),
    (["bench", "bad.toml"], "bad.toml"),
    (["bench", "quick", "--workers", "0"], "--workers must be 1 or more"),
    (["bench", "quick", "--workers", "2", "--executor", "serial"], "--workers goes with --executor processes"),
    (["bench", "quick", "--executor", "ray"], '--executor must be "serial", "processes", "dask" or'),
    (["bench", "quick", "--only", "nobody"], "no method of quick is labelled 'nobody'; it has auto, quasi-Newton"),
    (["bench", "quick", "--again", "nobody"], "no method of quick is labelled 'nobody'"),
    (["bench", "compare", "/nowhere", "/here"], "no record of a bench at /nowhere"),
    (["export", "/nowhere", "--record", "x.jsonl"], "no record of a bench"),
    (["export", "/nowhere"], "nothing to do: give --record FILE, --coco DIR or both"),
    (["report", "/nowhere"], "no record of a bench"),
]
FAILED = [
    (["run", "sphere", "--budget", "30", "--quiet", "--save", "/nowhere/r.json"], "/nowhere/r.json"),
    (["run", "sphere", "--budget", "30", "--quiet", "--checkpoint", "/nowhere/r.zoo"], "/nowhere/"),
]


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "good.toml").write_text("C = { float = [0, 1] }")
    (tmp_path / "bad.toml").write_text("C = { float = 1 }")
    (tmp_path / "broken.toml").write_text("C = {")


@pytest.mark.parametrize(
    ("words", "message", "status"), [(*case, 2) for case in WRONG] + [(*case, 1) for case in FAILED]
)
def test_one_sentence_and_the_status_of_its_kind(words, message, status, capsys):
    if words[0] == "bench":
        pytest.importorskip("cocoex")  # the suite "quick" has problems of COCO
    assert main(words) == status
    error = capsys.readouterr().err
    assert message in error and error.startswith("zoo-opt: ") and error.count("\n") == 1


@pytest.mark.parametrize("words", [["nope"], ["run"], ["run", "sphere", "--nope"], ["bench"], ["completion", "csh"]])
def test_what_the_parser_refuses(words):
    with pytest.raises(SystemExit) as end:
        main(words)
    assert end.value.code == 2


def test_an_interrupt(monkeypatch, capsys):
    pytest.importorskip("cocoex")

    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("zoo_opt.bench.suite_runner.run_suite", interrupted)
    assert main(["bench", "quick"]) == 130
    assert "interrupted; the same command goes on" in capsys.readouterr().err

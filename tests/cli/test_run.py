"""``zoo-opt run`` and ``zoo-opt list`` as a user meets them."""

import json

import numpy as np
import pytest
from bench.commands import zoo_opt as cli

from zoo_opt.cli import main
from zoo_opt.cli.reading import joined, read_bounds

MINE = """
def bowl(x):
    return float(((x - 1) ** 2).sum())


def half(x):
    if x[0] < 0:
        raise ValueError("a negative x")
    return bowl(x)


def broken(x):
    return undefined + x.sum()


def parameters(p):
    return (p["a"] - 3) ** 2 + (p["k"] != "two") + p["b"]


def named(a, k, b):
    return parameters({"a": a, "k": k, "b": b})


away = lambda x: bowl(x)
"""
SPACE = """
a = { float = [-10, 10] }
k = { choice = ["one", "two"] }
b = { bool = true }
"""


HALF = ["own_functions:half", "--x0", "0.1,2", "--method", "cma-es", "--budget", "100"]


@pytest.fixture
def run(tmp_path, monkeypatch, capsys):
    """Run in a folder with functions of one's own; returns the status, the result, and what was said of errors."""
    (tmp_path / "own_functions.py").write_text(MINE)
    (tmp_path / "space.toml").write_text(SPACE)
    monkeypatch.chdir(tmp_path)

    def call(*words):
        status = main(["run", *words, "--json"])
        out, err = capsys.readouterr()
        return status, json.loads(out), err

    call.capsys = capsys
    return call


@pytest.mark.parametrize("start", [["--x0", "-1,0,0"], ["--x0=-1,0,0"], ["--x0", "-.5,0"]])
def test_a_start_below_zero(run, start):
    status, found, _ = run("own_functions:bowl", *start, "--budget", "400")
    assert status == 0 and found["fun"] < 1e-8 and found["x"] == pytest.approx([1] * len(found["x"]), abs=1e-3)


@pytest.mark.parametrize(
    ("words", "read"),
    [
        (["--x0", "-1,0"], ["--x0=-1,0"]),
        (["--bounds", "-inf:2", "--json"], ["--bounds=-inf:2", "--json"]),
        (["--x0", "-.5"], ["--x0=-.5"]),
        (["--quiet", "-o", "a=-1"], ["--quiet", "-o", "a=-1"]),
        (["--x0=1", "-1"], ["--x0=1", "-1"]),
        (["-1"], ["-1"]),
    ],
)
def test_words_with_a_minus(words, read):
    assert joined(words) == read


@pytest.mark.parametrize(
    ("text", "low", "high"),
    [
        ("-5:5", -5, 5),
        ("0:", 0, np.inf),
        (":", -np.inf, np.inf),
        ("0:1,-2:,:1e3", [0, -2, -np.inf], [1, np.inf, 1000]),
        ("0:1,5:6", [0, 5], [1, 6]),
    ],
)
def test_bounds(text, low, high):
    assert [np.asarray(side).tolist() for side in read_bounds(text)] == [low, high]


def test_bounds_hold(run):
    status, found, _ = run("own_functions:bowl", "--x0", "-1,0,0", "--bounds", "-2:0.5,-1:2,:", "--budget", "400")
    assert status == 0 and found["x"] == pytest.approx([0.5, 1, 1], abs=1e-3)


@pytest.mark.parametrize("name", ["own_functions.py:away", "own_functions:bowl", "./own_functions.py:bowl"])
def test_processes_give_the_same_result(run, name):
    words = [name, "--x0", "0,0", "--method", "cma-es", "--budget", "60"]
    status, found, _ = run(*words, "--workers", "2")
    assert (status, found) == run(*words)[:2] and found["nfail"] == 0


def test_a_named_problem_in_processes(run):
    words = ["sphere", "-p", "dimension=3", "--method", "cma-es", "--budget", "60"]
    assert run(*words, "--workers", "2") == run(*words)


@pytest.mark.parametrize("function", [["own_functions:parameters"], ["own_functions:named", "--unpack"]])
def test_a_space_of_a_toml_file(run, function):
    status, found, _ = run(*function, "--space", "space.toml", "--x0", "a=-5,k=one", "--budget", "400")
    assert status == 0 and found["params"] == {"a": pytest.approx(3, abs=1e-3), "k": "two", "b": False}


def test_a_space_is_shown_by_names(run, capsys):
    assert main(["run", "own_functions:parameters", "--space", "space.toml", "--budget", "400", "--quiet"]) == 0
    out = capsys.readouterr().out
    assert "params  a = 3\n" in out and "k = two" in out and "b = False" in out


def test_what_is_printed_is_what_is_saved(run, tmp_path):
    _, found, _ = run(*HALF, "--save", "r.json")
    assert json.loads((tmp_path / "r.json").read_text()) == found
    assert found["failures"] == {"ValueError": found["nfail"]} and found["nfail"] > 0
    assert "ValueError: a negative x" in found["first_failures"]["ValueError"]


@pytest.mark.parametrize("workers", [[], ["--workers", "2"]])
def test_failures_show_the_users_lines(run, workers):
    """Of some evaluations, and of all."""
    for words, status, line, last in (
        (HALF, 0, 'raise ValueError("a negative x")', "ValueError: a negative x"),
        (["own_functions.py:broken", "--x0", "1,2"], 1, "return undefined + x.sum()", "NameError: name 'undefined' is"),
    ):
        assert main(["run", *words, "--quiet", *workers]) == status
        error = run.capsys.readouterr().err
        first, place, *_ = error.splitlines()
        assert first.startswith("zoo-opt: ") and place.startswith("  File ") and "own_functions.py" in place
        assert f"    {line}\n" in error and error.splitlines()[-1].startswith(last)


@pytest.mark.parametrize(
    ("limit", "message"),
    [
        (["--target", "1e-3"], "the target is reached"),
        (["--patience", "5"], "so many evaluations in a row have not lowered the best loss"),
        (["--timeout", "0.05"], "the time is over"),
    ],
)
def test_limits(run, limit, message):
    words = ["--x0", "-1,0", "--method", "fzoo" if "--timeout" in limit else "cma-es", "--budget", "99999"]
    _, found, _ = run("own_functions:bowl", *words, *limit)
    assert found["message"] == message and 0 < found["nfev"] < 99999


def test_our_warnings_are_sentences(run, tmp_path):
    words = ["own_functions:bowl", "--x0", "1,2", "--method", "spsa", "--budget", "40", "--workers", "4", "--quiet"]
    error = cli("run", *words, cwd=tmp_path, check=True).stderr
    assert error.startswith("zoo-opt: 2 of 4 workers have nothing to do") and error.count("\n") == 1


def test_a_module_that_breaks_shows_its_own_lines(run, tmp_path, capsys):
    (tmp_path / "breaks.py").write_text("import math\nx = math.nope\n")
    assert main(["run", "breaks.py:f", "--x0", "1"]) == 2
    error = capsys.readouterr().err
    assert 'breaks.py", line 2, in <module>\n    x = math.nope\n' in error
    assert "zoo_opt" not in error and "importlib" not in error


def test_list_as_json(capsys):
    assert main(["list", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert set(found) == {"methods", "problems", "suites", "peers"} and "quick" in found["suites"]
    assert found["methods"]["cma-es"]["class"] == "CMAES"
    assert found["methods"]["cma-es"]["settings"]["sigma0"] == 0.3


def test_list_names_everything(capsys):
    import zoo_opt as zo

    assert main(["list"]) == 0
    out = capsys.readouterr().out
    for name in [*zo.METHODS, "bbob", "digits", "quick", "pycma", "nevergrad"]:
        assert name in out


def test_run_a_function_of_ones_own(tmp_path):
    (tmp_path / "mine.py").write_text("def bowl(x):\n    return float(((x - 1) ** 2).sum())\n")
    options = ["--x0", "zeros:3", "--budget", "600", "--save", "r.json", "--quiet"]
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
        ([*run, "-p", "dimension=3", "--method", "sep-cma-es"], "its method is Auto("),
        ([*run, "-p", "dimension=3", "--seed", "7"], "is of another run"),
        (["run", "math:hypot", "--x0", "1,2,3", *run[2:]], "its FUNCTION is 'sphere', this call's is 'math:hypot'"),
    ]:
        assert main(other) == 2
        error = capsys.readouterr().err
        assert f"zoo-opt: {file} is of another run" in error and message in error
    (tmp_path / "run.zoo").unlink()
    (tmp_path / "run.zoo.journal").unlink()
    assert main([*run, "-p", "dimension=4"]) == 0


def test_a_run_that_is_refused_leaves_nothing_behind(tmp_path):
    run = ["run", "sphere", "-p", "dimension=3", "--bounds", "0:1,0:1", "--checkpoint", str(tmp_path / "run.zoo")]
    assert main([*run, "--quiet"]) == 2
    assert list(tmp_path.iterdir()) == []


def test_a_checkpoint_of_before_functions_were_called_so(tmp_path):
    run = ["run", "sphere", "-p", "dimension=3", "--budget", "60", "--checkpoint", str(tmp_path / "run.zoo"), "--quiet"]
    assert main(run) == 0
    note = tmp_path / "run.zoo.target"
    note.write_text(note.read_text().replace("FUNCTION", "TARGET"))
    assert main(run) == 0
    note.write_text(note.read_text().replace("sphere", "other"))
    assert main(run) == 2


def test_run_auto_is_told_the_problems_bounds(capsys):
    pytest.importorskip("cocoex")
    problem = ["-p", "function=1", "-p", "dimension=5"]
    assert main(["run", "bbob", *problem, "--method", "auto", "--budget", "300", "--quiet"]) == 0
    assert "bounds=(-5.0, 5.0)" in capsys.readouterr().out

"""A suite file has nothing run that is not of a registry, unless it is trusted and what it names declares itself."""

import sys

import pytest
from bench.commands import zoo_opt
from bench.test_suite import GOOD, load
from refusals import raises

from zoo_opt.bench import SphereProblem, factory, run_suite
from zoo_opt.bench.engine.record import read_record
from zoo_opt.bench.suite import SuiteError

MINE = """
from pathlib import Path
Path("imported").touch()
from zoo_opt import Optimizer, SPSA
from zoo_opt.bench import SphereProblem, factory

@factory("problem")
def declared(dimension):
    return SphereProblem(dimension=dimension)

def undeclared(**options):
    Path("called").touch()

@factory("method")
def solver(x0, *, rng, budget, lr):
    return Optimizer(SPSA(lr=lr, c=0.1), x0, rng=rng, budget=budget)
"""
CASES = {
    "a problem": ('problem = "sphere"', 'problem = "mine_of_trust:{}"', "declared", "problem"),
    "a problem of a file": ('problem = "sphere"', 'problem = "mine_of_trust.py:{}"', "declared", "problem"),
    "a method": ('use = "spsa"', 'use = "mine_of_trust:{}"', "solver", "method"),
}


@pytest.fixture
def here(tmp_path, monkeypatch):
    (tmp_path / "mine_of_trust.py").write_text(MINE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    yield tmp_path
    sys.modules.pop("mine_of_trust", None)


@pytest.mark.parametrize(("old", "new", "name", "kind"), CASES.values(), ids=list(CASES))
def test_what_a_file_names_is_run_only_where_it_is_trusted_and_declares_itself(here, old, new, name, kind):
    text = GOOD.replace(old, new.format(name))
    assert text != GOOD
    said = raises(SuiteError, f"the {kind} 'mine_of_trust.* is code .* give --trust", load, here, text)
    assert "\n" not in str(said) and not (here / "imported").exists()  # not even its module
    other = {"problem": "method", "method": "problem"}[kind]
    for bad in ("undeclared", "solver" if other == "method" else "declared"):
        refused = f'declares itself, got the {kind} .*put @zoo_opt.bench.factory."{kind}". before it'
        raises(SuiteError, refused, load, here, GOOD.replace(old, new.format(bad)), trust=True)
    assert (here / "imported").exists() and not (here / "called").exists()
    suite = load(here, text, trust=True)
    assert run_suite(suite, here / "runs.jsonl", workers=0) == 4
    assert not any(run["error"] for run in read_record(here / "runs.jsonl").runs.values())


def test_no_function_is_called_while_a_suite_is_loaded(here):
    text = GOOD.replace('"sphere"', '"os:system"').replace("dimension = 3", 'command = "touch called"')
    for trust in (False, True):
        raises(SuiteError, "the problem 'os:system'", load, here, text, trust=trust)
    assert not (here / "called").exists()


def test_texts_that_a_library_evaluates_need_trust(here):
    text = GOOD.replace('"spsa"', '"pycma"')
    text = text.replace("{ lr = 0.1 }", "{ options = { maxiter = \"__import__('os').system('touch called')\" } }")
    raises(SuiteError, "option maxiter = .*, which pycma evaluates, is code .* --trust", load, here, text)
    load(here, text.replace("\"__import__('os').system('touch called')\"", "7"))


def test_the_command_line_asks_for_trust_and_imports_nothing_from_here_without(here):
    (here / "s.toml").write_text(GOOD.replace('"sphere"', '"mine_of_trust:declared"'))
    (here / "cocoex.py").write_text(MINE)  # what the current folder has of the name of a library
    refused = zoo_opt("bench", "s.toml", cwd=here)
    assert refused.returncode == 2 and "--trust" in refused.stderr and refused.stderr.count("\n") == 1
    assert not (here / "imported").exists() and not (here / "results").exists()
    zoo_opt("bench", "s.toml", "--trust", "--executor", "serial", cwd=here, check=True)
    assert (here / "imported").exists()


def test_a_factory_declares_one_of_the_kinds(here):
    raises(ValueError, "kind must be one of 'problem', 'method', 'black box', 'data', got 'os'", factory, "os")
    assert factory("problem")(SphereProblem) is SphereProblem
    del SphereProblem.__zoo_opt_factory__

"""Suite files: what they mean, and what is said about mistakes in them."""

import dataclasses
from pathlib import Path

import pytest
from refusals import raises

from zoo_opt.bench.engine.record import read_record
from zoo_opt.bench.peers import PEERS, PeerEntry
from zoo_opt.bench.suite import SuiteError, load_suite, shipped
from zoo_opt.bench.suite_reader import Reader
from zoo_opt.bench.suite_record import current
from zoo_opt.bench.suite_runner import run_suite

GOOD = """
title = "T"
[[group]]
name = "g"
seeds = [1, 2]
budget = 60
problem = "sphere"
problem_options = { dimension = 3 }
[[group.method]]
label = "A"
use = "spsa"
options = { lr = 0.1 }
[[group.method]]
use = "cma-es"
"""


def load(tmp_path, text, trust=False):
    path = tmp_path / "s.toml"
    path.write_text(text)
    return load_suite(path, trust=trust)


def test_tasks_pair_problem_seed_and_budget(tmp_path):
    tasks = load(tmp_path, GOOD).tasks()
    expected = [(seed, label, 60, "sphere-d3") for seed in (1, 2) for label in ("A", "cma-es")]
    assert [(t.seed, t.method.label, t.budget, t.problem_name) for t in tasks] == expected
    assert len({t.key for t in tasks}) == 4


def test_keys_depend_on_what_the_result_depends_on(tmp_path):
    key = load(tmp_path, GOOD).tasks()[0].key
    assert load(tmp_path, GOOD.replace('"A"', '"B"').replace('"g"', '"h"')).tasks()[0].key == key
    for old, new in [("lr = 0.1", "lr = 0.2"), ("budget = 60", "budget = 61"), ("dimension = 3", "dimension = 4")]:
        assert load(tmp_path, GOOD.replace(old, new)).tasks()[0].key != key


BBOB = GOOD.replace('"sphere"', '"bbob"').replace(
    "dimension = 3", "functions = [1, 8], dimensions = [2, 3], instances = [1, 2]"
)


def test_bbob_tables_expand(tmp_path):
    tasks = load(tmp_path, BBOB.replace("budget = 60", "budget_per_dim = 10")).tasks()
    names = {task.problem_name: task.budget for task in tasks}
    assert len(names) == 8 and names["bbob-f08-i2-d3"] == 30


def test_a_method_may_run_on_fewer_problems(tmp_path):
    tasks = load(tmp_path, BBOB + "problem_options = { dimensions = [3], instances = [2] }\n").tasks()
    names = {label: [t.problem_name for t in tasks if t.method.label == label] for label in ("A", "cma-es")}
    assert len(names["A"]) == 16 and names["cma-es"] == ["bbob-f01-i2-d3", "bbob-f08-i2-d3"] * 2
    with pytest.raises(SuiteError, match="method 'cma-es': its 'problem_options' must choose among the group's"):
        load(tmp_path, BBOB + "problem_options = { dimensions = [5] }\n")


SHARED = """
title = "T"
[[method]]
use = "spsa"
options = { lr = 0.1 }
[[group]]
name = "g"
seeds = [1]
simplex_gradients = 7
problem = "sphere"
problem_options = { dimension = 3 }
[[group]]
name = "h"
seeds = [1]
budget_per_dim = 5
problem = "sphere"
problem_options = { dimension = 2 }
[[group.method]]
use = "cma-es"
"""


def test_methods_outside_of_a_group_are_run_by_all(tmp_path):
    suite = load(tmp_path, SHARED)
    runs = [(task.group, task.method.label, task.budget) for task in suite.tasks()]
    assert runs == [("g", "spsa", 28), ("h", "spsa", 10), ("h", "cma-es", 10)]
    path = tmp_path / "runs.jsonl"
    assert run_suite(suite, path, workers=0) == 3
    assert len(current(read_record(path)).runs) == 3  # what the record takes for the suite's, from its text alone
    with pytest.raises(SuiteError, match=r"group 2 \(h\): 'method' must hold tables with different labels"):
        load(tmp_path, SHARED.replace('"cma-es"', '"spsa"'))


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("title", "titel", "s.toml: unknown key 'titel'; expected method, group, title"),
        ("seeds = [1, 2]", "", r"s.toml, group 1 \(g\): 'seeds' is missing"),
        ("[1, 2]", "[1, 1]", "'seeds' must be different integers"),
        ("[1, 2]", '["a"]', "'seeds' must be different integers"),
        ("budget = 60", "budget = 60\nbudget_per_dim = 2", "one positive 'budget' or 'budget_per_dim'"),
        ("budget = 60", "budget = 0", "one positive 'budget'"),
        ("budget = 60", 'budget = "60"', "'budget' must be a int, got '60'"),
        ("dimension = 3", "dim = 3", "refuses its arguments"),
        ('"sphere"', '"spehre"', "problem must be one of"),
        ('use = "spsa"', "", r"group 1 \(g\), method 1: 'use' is missing"),
        ('use = "spsa"', 'use = "spas"', r"group 1 \(g\), method 'A': method must be one of"),
        ("lr = 0.1", "rate = 0.1", r"method 'A': method 'spsa' refuses its options|rate"),
        ('"A"', '"cma-es"', "different labels"),
        ("[[group]]", "[group]", "'group' must be a list"),
        ('"T"', "T", "not valid TOML"),
    ],
)
def test_mistakes_are_named(tmp_path, old, new, message):
    assert old in GOOD
    raises(SuiteError, message, load, tmp_path, GOOD.replace(old, new, 1))


def test_the_same_run_twice_is_refused(tmp_path):
    with pytest.raises(SuiteError, match=r"'C' on sphere-d3 with seed 1 occurs twice \(also as 'A'\)"):
        load(tmp_path, GOOD + '[[group.method]]\nlabel = "C"\nuse = "spsa"\noptions = { lr = 0.1 }\n').tasks()


def test_a_peer_with_the_name_of_a_method_is_refused(tmp_path):
    PEERS.add(PeerEntry(name="spsa", factory="bench.engine.test_runner:Greedy"))
    try:
        with pytest.raises(SuiteError, match=r"'spsa' must be the name of one thing, got a method \(zoo_opt.* a peer"):
            load(tmp_path, GOOD)
    finally:
        PEERS.remove("spsa")


def test_unknown_suite():
    raises(SuiteError, "no suite file 'nope', and no shipped suite of that name: quick", load_suite, "nope")


def test_quick_is_shipped_and_linked():
    suite = load_suite("quick")
    assert len({t.problem_name for t in suite.tasks() if t.problem == "bbob"}) >= 6
    uses = {method.use.partition(":")[0] for group in suite.groups for method in group.methods}
    assert {"pycma", "cmaes", "nevergrad", "cma-es", "sep-cma-es", "fzoo", "spsa", "spsa-gc", "spsa-geass"} <= uses
    assert all(method.note for group in suite.groups for method in group.methods)  # how the settings were chosen
    link = Path(__file__).parents[2] / "benchmarks" / "quick.toml"
    assert load_suite(link).text == shipped()["quick"].read_text()
    assert dataclasses.is_dataclass(suite)


def test_another_version_of_a_library_is_another_run(tmp_path, monkeypatch):
    keys = {task.key for task in load(tmp_path, GOOD).tasks()}
    monkeypatch.setattr("zoo_opt.bench.task.version_of", lambda use: "99")
    assert not keys & {task.key for task in load(tmp_path, GOOD).tasks()}


@pytest.mark.parametrize("value", ["1" * 5000, "[" * 5000 + "]" * 5000], ids=["digits", "deep"])
def test_what_toml_readers_stumble_over_is_a_suite_error(value):
    with pytest.raises(SuiteError, match="somewhere: not valid TOML"):
        Reader.of_toml("somewhere", f"calls = {value}")

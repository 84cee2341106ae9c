"""A table suite has nothing run that is not of a registry, unless it is trusted and what it names declares itself."""

import sys

import pytest
from refusals import raises

from zoo_opt_seg.tables import run as tables
from zoo_opt_seg.tables.reader import SuiteError, load_table

MINE = """
from pathlib import Path
Path("imported").touch()
from zoo_opt.bench import factory
from seg.small import disc_splits, box
data = factory("data")(disc_splits)

def undeclared():
    Path("called").touch()
"""
SUITE = """
[[group]]
name = "g"
seeds = [0]
calls = 40
size = 48
domains = ["disc"]
black_box = { use = "tiny" }
row = [{ label = "zero-shot", use = "zero-shot" }]
"""
CASES = {
    "a black box": ('"tiny"', '"mine_of_tables:{}"', "box", "black box"),
    "data": ('"disc"', '"mine_of_tables:{}"', "data", "data"),
}


@pytest.fixture
def here(tmp_path, monkeypatch):
    (tmp_path / "mine_of_tables.py").write_text(MINE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    yield tmp_path
    sys.modules.pop("mine_of_tables", None)


def load(folder, text, **trust):
    (folder / "s.toml").write_text(text)
    return load_table(folder / "s.toml", **trust)


@pytest.mark.parametrize(("old", "new", "name", "kind"), CASES.values(), ids=list(CASES))
def test_what_a_table_names_is_run_only_where_it_is_trusted_and_declares_itself(here, old, new, name, kind):
    text = SUITE.replace(old, new.format(name))
    assert text != SUITE
    raises(SuiteError, f"s .g.: the {kind} 'mine_of_tables:{name}' is code .* --trust", load, here, text)
    assert not (here / "imported").exists()
    bad = SUITE.replace(old, new.format("undeclared"))
    raises(SuiteError, f'put @zoo_opt.bench.factory."{kind}". before it', load, here, bad, trust=True)
    assert (here / "imported").exists() and not (here / "called").exists()
    assert len(load(here, text, trust=True).cells()) == 1


def test_a_table_starts_no_program_without_trust(here, capsys):
    text = SUITE.replace('"tiny"', '"process", command = "touch called"')
    raises(SuiteError, "the command of the black box 'process' is code .* --trust", load, here, text)
    assert tables.main(["s.toml", "--out", "out"]) == 2
    assert "--trust" in capsys.readouterr().err and not (here / "called").exists() and not (here / "out").exists()
    assert tables.main(["s.toml", "--out", "out", "--trust"]) == 1  # it is run, and is no black box
    assert (here / "called").exists()

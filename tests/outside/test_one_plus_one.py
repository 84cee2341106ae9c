"""A method from outside passes the contract, and is in the list, the command line and a suite."""

import sys
from pathlib import Path

import numpy as np
import pytest
from bench.test_suite import GOOD

import zoo_opt as zo
from zoo_opt.bench import load_suite, read_record, run_suite
from zoo_opt.cli import main
from zoo_opt.testing import Case, MethodContract, sphere

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

from one_plus_one import OnePlusOne, OnePlusOneState  # noqa: E402

NAME = "one-plus-one"
CASE = Case(NAME, OnePlusOne(), types=(OnePlusOne, OnePlusOneState), reduction=1e-9)


class TestOnePlusOne(MethodContract):
    @pytest.fixture
    def case(self):
        return CASE


def test_it_ends_by_itself():
    result = zo.minimize(sphere, np.ones(4), method=OnePlusOne(), rng=0)
    assert result.stop == {"tolx": 1e-11} and result.fun < 1e-18


def test_it_is_written_in_the_documentation():
    code = (HERE / "one_plus_one.py").read_text().partition("@dataclass")
    assert "".join(code[1:]) in (HERE.parents[1] / "docs" / "extending.md").read_text()


@pytest.fixture
def declared(install):
    install("zoo_opt.methods", {NAME: "one_plus_one:OnePlusOne"})


@pytest.mark.usefixtures("declared")
def test_it_is_known_by_name(capsys):
    assert zo.METHODS[NAME] is OnePlusOne and NAME in list(zo.METHODS)
    assert zo.make(NAME, sigma0=0.1) == OnePlusOne(sigma0=0.1)
    assert zo.minimize(sphere, [1.0, 2.0], method=NAME, budget=500, rng=0).fun < 1e-6
    assert main(["list"]) == 0
    line = next(line for line in capsys.readouterr().out.splitlines() if line.split()[:1] == [NAME])
    assert "one-fifth success rule" in line and "OnePlusOne(sigma0=0.5, tolx=1e-11)" in line


@pytest.mark.usefixtures("declared")
def test_it_runs_from_the_command_line(capsys):
    assert main(f"run sphere -p dimension=3 --method {NAME} -o sigma0=0.2 --budget 400 --seed 1".split()) == 0
    assert "OnePlusOne(sigma0=0.2" in capsys.readouterr().out


@pytest.mark.usefixtures("declared")
def test_it_runs_in_a_suite(tmp_path):
    path = tmp_path / "suite.toml"
    path.write_text(GOOD + f'[[group.method]]\nlabel = "mine"\nuse = "{NAME}"\noptions = {{ sigma0 = 0.3 }}\n')
    run_suite(load_suite(path), tmp_path / "runs.jsonl", workers=0)
    mine = [run for run in read_record(tmp_path / "runs.jsonl").runs.values() if run["method"] == "mine"]
    assert mine and all(run["error"] is None and run["nfev"] > 1 for run in mine)

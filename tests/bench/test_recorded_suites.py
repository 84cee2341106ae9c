"""The suites of the recorded benchmarks: they load, say how settings were chosen, and share nothing with the tuning."""

import runpy
from pathlib import Path

import pytest

from zoo_opt.bench.suite import load_suite

pytest.importorskip("cocoex")
pytest.importorskip("sklearn")
FOLDER = Path(__file__).parents[2] / "benchmarks"
SUITES = sorted(path.stem for path in FOLDER.glob("*.toml") if "_table" not in path.stem)  # those are of zoo_opt_seg


@pytest.mark.parametrize("name", SUITES)
def test_it_loads_and_every_setting_has_a_reason(name):
    suite = load_suite(FOLDER / f"{name}.toml")
    assert len({task.key for task in suite.tasks()}) == len(suite.tasks()) > 0
    assert suite.description and all(method.note for group in suite.groups for method in group.methods)


def test_auto_is_told_the_budget_and_the_bounds_alone():
    for name in SUITES:
        for group in load_suite(FOLDER / f"{name}.toml").groups:
            for method in group.methods:
                if method.use == "auto":
                    assert set(method.options) <= {"bounds"}


def test_nothing_is_tuned_on_what_is_shown():
    tuned = runpy.run_path(str(FOLDER / "tune.py"))["SETS"]
    shown = {
        (task.problem, task.problem_options.get("instance"), task.seed)
        for name in SUITES
        for task in load_suite(FOLDER / f"{name}.toml").tasks()
    }
    for tried in tuned.values():
        for options in tried.options:
            for seed in tried.seeds:
                assert (tried.problem, options.get("instance"), seed) not in shown

"""The suites of the recorded benchmarks: they load, say how settings were chosen, and share nothing with the tuning."""

import itertools
import runpy
from functools import cache
from pathlib import Path

import pytest

from zoo_opt.bench.problems.split import BBOB_INSTANCES, MORE_WILD, REAL_TASKS, START_SEEDS
from zoo_opt.bench.suite import load_suite

pytest.importorskip("cocoex")
pytest.importorskip("sklearn")
FOLDER = Path(__file__).parents[2] / "benchmarks"
FILES = sorted(path for path in FOLDER.glob("*.toml") if "_table" not in path.stem)  # those are of zoo_opt_seg


@cache
def loaded(path):
    """The suite, loaded once: some of its problems take seconds to make."""
    return load_suite(path)


@cache
def tasks_of(path):
    return loaded(path).tasks()


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_it_loads_and_every_setting_has_a_reason(path):
    suite, tasks = loaded(path), tasks_of(path)
    assert len({task.key for task in tasks}) == len(tasks) > 0
    assert suite.description and all(method.note for group in suite.groups for method in group.methods)


def test_auto_is_told_the_budget_and_the_space_alone():
    methods = [method for path in FILES for group in loaded(path).groups for method in group.methods]
    assert all(set(method.options) <= {"bounds", "levels"} for method in methods if method.use == "auto")


def test_nothing_is_tuned_on_what_is_shown():
    tasks = [task for path in FILES for task in tasks_of(path)]
    shown = {(task.problem, task.problem_options.get("instance"), task.seed) for task in tasks}
    for tried in runpy.run_path(str(FOLDER / "tune.py"))["SETS"].values():
        for options, seed in itertools.product(tried.options, tried.seeds):
            assert (tried.problem, options.get("instance"), seed) not in shown


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_suites_keep_to_the_split(path):
    """What is for the record is in suites for the record, and what is to design on says so."""
    design = path.stem.endswith("-design")
    for task in tasks_of(path):
        if task.problem == "bbob":
            assert task.problem_options["instance"] in BBOB_INSTANCES["record"]
        elif task.problem == "more-wild":
            part = "design" if task.group.endswith("to design on") else "record"
            assert task.problem_options["number"] in MORE_WILD[part]
        elif task.problem == "real":
            part = "design" if design else "record"
            assert task.problem_options["task"] in REAL_TASKS[part] and task.seed in START_SEEDS[part]

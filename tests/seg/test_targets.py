"""Targets of the plugin in `zoo-opt bench` and `zoo-opt list`, found through the entry point."""

import re
import tomllib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from seg.checks import raises
from seg.small import box, disc_splits

from zoo_opt.bench import Problem, SuiteError, load_suite, make_problem, read_record, run_suite
from zoo_opt.bench.problems.targets import TARGETS
from zoo_opt.cli import main
from zoo_opt_seg import targets
from zoo_opt_seg.data import DATA_SETS
from zoo_opt_seg.visual_prompts import PROMPTS

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def entry_points(install: Callable[..., Path]) -> None:
    """What an installed zoo-opt declares, read from pyproject.toml: the tests run from a bare tree too."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    install(TARGETS.group, project["entry-points"][TARGETS.group])


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """The small SAM and discs of 32 px in place of the embedded SAM and its domains."""
    monkeypatch.setattr("zoo_opt_seg.blackbox.tiny.TinySam", box)
    monkeypatch.setattr("zoo_opt_seg.data.load_data", lambda *_, **__: disc_splits())


SMALL = {"size": 32, "batch": 4}


def test_target_is_a_problem(entry_points: None, small: None) -> None:
    problem = make_problem("seg:tiny/disc/filter", SMALL)
    assert isinstance(problem, Problem) and problem.name == "seg-tiny-disc-filter-d30" and problem.dim == 30
    x0 = problem.x0(1)
    X = np.stack([x0, x0, x0 + 0.1]).astype(np.float32)
    first = problem.losses(X, step=3, seed=1)
    assert first.shape == (3,) and first[0] == first[1] != first[2]  # one minibatch for a step
    assert np.array_equal(first, problem.losses(X, step=3, seed=1))
    assert not np.array_equal(first, problem.losses(X, step=4, seed=1))
    other = problem.losses(X, step=3, seed=2)
    assert not np.array_equal(first, other) and np.array_equal(first, problem.losses(X, step=3, seed=1))
    figures = problem.metrics(X[2])
    assert set(figures) == {"validation_loss", "test_dice", "test_hd95"} and 0 <= figures["test_dice"] <= 1
    assert figures == problem.metrics(X[2])
    assert all(np.isnan(v) for v in problem.metrics(np.full(30, np.nan)).values())


def test_bench_runs_it_beside_others(entry_points: None, small: None, tmp_path: Path) -> None:
    (tmp_path / "mixed.toml").write_text("""
[[group]]
name = "filter"
seeds = [1]
budget = 12
problem = "seg:tiny/disc/filter"
problem_options = { size = 32, batch = 4, images = 4 }
method = [{ label = "CMA-ES", use = "cma-es", options = { sigma0 = 0.1, popsize = 4 } }]
[[group]]
name = "sphere"
seeds = [1]
budget = 12
problem = "sphere"
method = [{ label = "CMA-ES", use = "cma-es", options = { sigma0 = 0.1 } }]
""")
    assert run_suite(load_suite(tmp_path / "mixed.toml"), tmp_path / "runs.jsonl", workers=0) == 2
    seg, sphere = sorted(read_record(tmp_path / "runs.jsonl").runs.values(), key=lambda run: run["group"])
    assert seg["error"] is None is sphere["error"] and seg["nfev"] <= 12
    assert seg["figures"]["validation_loss"] == seg["curve"][-1][1]


def test_recorded_suite_names_targets_that_exist(entry_points: None, small: None) -> None:
    for name in re.findall(r'problem = "seg:(.*)"', (ROOT / "benchmarks" / "seg.toml").read_text()):
        box_, domain, prompt = name.split("/")
        assert box_ in targets.boxes() and domain in DATA_SETS and prompt in PROMPTS


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("tiny/disc", "must be box/domain/prompt"),
        ("huge/disc/baps", "box of a seg target must be one of tiny, small, tiny-clipseg, got 'huge'"),
        ("tiny/moon/baps", "domain of a seg target must be one of"),
        ("tiny/disc/none", "prompt of a seg target must be one of"),
        ("tiny/polypgen/filter", "data_root must be the folder"),
    ],
)
@pytest.mark.usefixtures("entry_points", "small")
def test_errors_say_what_there_is(monkeypatch: pytest.MonkeyPatch, name: str, message: str) -> None:
    monkeypatch.delenv("ZOO_OPT_DATA", raising=False)
    raises(ValueError, message, make_problem, f"seg:{name}")


def test_wrong_argument_names_the_target(entry_points: None, small: None) -> None:
    with pytest.raises(ValueError, match="'seg:tiny/disc/filter' refuses its arguments"):
        make_problem("seg:tiny/disc/filter", {"batches": 3})


def test_absent_plugin_says_what_to_install(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("zoo_opt.support.registry.declared", lambda *_: {})
    with pytest.raises(ValueError, match=r"'seg', which is not installed: pip install \"zoo-opt\[seg\]\""):
        make_problem("seg:tiny/disc/baps")
    raises(ValueError, "install the package that has an entry point 'lab' in the group", make_problem, "lab:a/b")
    raises(ValueError, 'expected "module:name" that can be imported', make_problem, "no_such_module:function")
    suite = (
        '[[group]]\nname = "a"\nseeds = [1]\nbudget = 9\nproblem = "seg:tiny/disc/baps"\nmethod = [{ use = "spsa" }]\n'
    )
    (tmp_path / "s.toml").write_text(suite)
    raises(SuiteError, r"s\.toml, group 1 \(a\).*not installed", load_suite, tmp_path / "s.toml")


def test_module_and_function_still_name_a_problem(entry_points: None) -> None:
    assert make_problem("zoo_opt.bench.problems.sphere:SphereProblem", {"dimension": 3}).dim == 3


def test_two_packages_with_one_prefix_are_refused(install: Callable[..., Path]) -> None:
    for value in ("c.d", "a.b"):  # the later is found first
        install(TARGETS.group, {"lab": value})
    raises(ValueError, r"prefix 'lab' belongs to one plugin, got a\.b and c\.d", TARGETS.find, "lab")


@pytest.mark.usefixtures("entry_points")
def test_list_shows_targets_and_a_plugin_that_is_broken(install: Callable[..., Path], capsys) -> None:
    assert main(["list"]) == 0
    out = capsys.readouterr().out
    assert "problems of plugins" in out and "seg:tiny/DOMAIN/baps" in out
    install(TARGETS.group, {"lab": "no.such"})
    assert main(["list"]) == 0
    assert re.search("lab: +cannot be loaded: ModuleNotFoundError", capsys.readouterr().out)


def test_listing_needs_no_torch(run_python) -> None:
    code = "import sys, zoo_opt_seg, zoo_opt_seg.targets as t; t.targets(); print('torch' in sys.modules)"
    assert run_python("-c", code) == "False\n"

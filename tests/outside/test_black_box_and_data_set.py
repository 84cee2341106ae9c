"""A black box and a data set of another package, one file each: listed, on the command line, in suites."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from refusals import raises

pytest.importorskip("torch")
pytest.importorskip("monai")

from zoo_opt.bench import load_suite, read_record, run_suite
from zoo_opt_seg.blackbox import BLACK_BOXES
from zoo_opt_seg.cli import main
from zoo_opt_seg.data import DATA_SETS, load_data

ROOT = Path(__file__).resolve().parents[2]
TABLE = """
[[group]]
name = "another package's"
seeds = [0]
calls = 60
size = 48
repeats = 1
domains = ["squares"]
black_box = { use = "like-the-point", sharpness = 6.0 }
adapt = { batch = 4, validate = 2, validation_images = 2 }
row = [
    { label = "zero-shot", use = "zero-shot" },
    { label = "CMA-ES", use = "adapt", prompt = "filter", method = "cma-es", options = { sigma0 = 0.1, popsize = 4 } },
]
"""
BENCH = """
[[group]]
name = "another package's"
seeds = [1]
budget = 8
problem = "seg:like-the-point/squares/filter"
problem_options = { size = 48, batch = 2, images = 2 }
method = [{ label = "CMA-ES", use = "cma-es", options = { sigma0 = 0.1, popsize = 4 } }]
"""


@pytest.fixture(autouse=True)
def installed(install: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install("zoo_opt_seg.black_boxes", {"like-the-point": "outside.black_box:BLACK_BOX"})
    install("zoo_opt_seg.data_sets", {"squares": "outside.data_set:DATA_SET"})
    install("zoo_opt.objectives", {"seg": "zoo_opt_seg.targets"})
    monkeypatch.chdir(tmp_path)


def test_they_are_listed_beside_ours(capsys: pytest.CaptureFixture[str]) -> None:
    assert list(BLACK_BOXES)[-1] == "like-the-point" and list(DATA_SETS)[-1] == "squares"
    assert main(["list"]) == 0
    out = capsys.readouterr().out
    assert "like-the-point  what is as bright as the point" in out and "drawn: bright squares on noise" in out
    raises(SystemExit, None, main, ["adapt", "--help"])
    out = capsys.readouterr().out
    assert "like-the-point                what is as bright as the point" in out
    assert "48like-the-point" in "".join(out.split())  # wherever a line ends


def test_on_the_command_line(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--model", "like-the-point", "--data", "squares", "--repeats", "1"]
    quick = ["--calls", "100", "--batch", "4", "--validate", "2", "-o", "sigma0=0.1", "--quiet"]
    assert main(["adapt", *words, *quick, "--data-option", "sizes=[8,4,4]", "--out", "result"]) == 0
    assert main(["evaluate", *words, "--prompt", "result", "--cache", "answers"]) == 0
    assert "zero-shot" in capsys.readouterr().out


def test_in_a_table(tmp_path: Path) -> None:
    (tmp_path / "suite.toml").write_text(TABLE)
    assert main(["table", "suite.toml", "--out", "out"]) == 0
    runs = list(read_record(tmp_path / "out" / "runs.jsonl").runs.values())
    assert len(runs) == 2 and all(run["error"] is None for run in runs)
    assert {run["embedded"] for run in runs} == {"outside.black_box:LikeThePoint"}  # whose black box of this name
    assert "test images and 1 random point each" in next((tmp_path / "out").glob("*.md")).read_text()


def test_in_a_suite_of_the_bench(tmp_path: Path) -> None:
    (tmp_path / "suite.toml").write_text(BENCH)
    assert run_suite(load_suite(tmp_path / "suite.toml"), tmp_path / "runs.jsonl", workers=0) == 1
    (run,) = read_record(tmp_path / "runs.jsonl").runs.values()
    assert run["error"] is None and run["problem"] == "seg-like-the-point-squares-filter-d30"


def test_data_by_name() -> None:
    splits = load_data("squares", size=48, sizes=(3, 2, 1))
    assert [len(part) for part in (splits.train, splits.validation, splits.test)] == [3, 2, 1]
    assert np.array_equal(load_data("squares", size=48).test.masks, load_data("squares", size=48, seed=0).test.masks)
    raises(ValueError, "root must be None for 'squares', which is drawn, got 'folder'", load_data, "squares", "folder")
    raises(ValueError, "options must be those of 'squares'", load_data, "squares", colour=1)


@pytest.mark.parametrize("file", ["black_box.py", "data_set.py"])
def test_the_documentation_shows_this_file(file: str) -> None:
    code = (ROOT / "tests" / "outside" / file).read_text().partition("\n\n")[2]
    assert code in (ROOT / "docs/extending.md").read_text()

"""A comparator of another package, one file: it is listed, and is a row of tables like those that come with ours."""

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("segment_anything")

from zoo_opt.bench.engine.record import read_record  # noqa: E402
from zoo_opt_seg.cli import main  # noqa: E402
from zoo_opt_seg.tables.cells import run_cell  # noqa: E402
from zoo_opt_seg.tables.reader import SuiteError, read_table  # noqa: E402
from zoo_opt_seg.tables.suite import Place  # noqa: E402
from zoo_opt_seg.whitebox import COMPARATORS, Trained  # noqa: E402

ROOT = Path(__file__).resolve().parents[2]
SUITE = """
[[group]]
name = "a comparator of another package"
seeds = [0]
size = 32
repeats = 1
domains = ["seg.small:disc_splits"]
black_box = { use = "seg.small:box" }
platt = { epochs = 2 }
row = [
    { label = "zero-shot", use = "zero-shot" },
    { label = "Platt's scaling", use = "platt", settings = { lr = 0.5, keep = "last" } },
]
"""


@pytest.fixture(autouse=True)
def installed(install: Callable[..., Path]) -> None:
    install("zoo_opt_seg.comparators", {"platt": "outside.comparator:COMPARATOR"})


def test_it_is_listed_beside_ours(capsys: pytest.CaptureFixture[str]) -> None:
    assert list(COMPARATORS)[-1] == "platt"
    assert main(["list"]) == 0
    assert re.search(r"platt +scale and shift of the logits", capsys.readouterr().out)


@pytest.mark.slow
def test_it_is_a_row_of_a_table(tmp_path: Path) -> None:
    suite, out = tmp_path / "suite.toml", tmp_path / "out"
    suite.write_text(SUITE)
    assert main(["table", str(suite), "--out", str(out), "--trust"]) == 0
    runs = {run["method"]: run for run in read_record(out / "runs.jsonl").runs.values()}
    ours, zero_shot = runs["Platt's scaling"], runs["zero-shot"]
    assert ours["error"] is None and ours["trained"] == 2
    assert ours["settings"] == {"epochs": 2, "lr": 0.5, "keep": "last"}
    assert "of 2, ended by epochs" in ours["about"] and ours["dice"] != zero_shot["dice"]
    assert "| Platt's scaling |" in next(out.glob("*.md")).read_text()


@pytest.mark.parametrize("name", ["seed", "dice", "evaluation", "key"])
def test_its_figures_leave_the_rows_own_alone(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def train(request: object) -> Trained:
        return Trained(request.model, None, figures={"trained": 7, name: 99})

    monkeypatch.setattr("outside.comparator.train", train)
    cell = next(c for c in read_table(SUITE, "suite").cells(Place(str(tmp_path))) if c.row.use == "platt")
    entry = run_cell(cell)
    assert f"figures must leave the record's own keys alone, got {name}" in entry["error"]
    assert (entry["seed"], entry["key"], entry["trained"]) == (0, cell.key, 0)


def test_without_the_package_the_row_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    with pytest.raises(SuiteError, match=r"'use' must be one of .*, ladder, refiner, got 'platt'"):
        read_table(SUITE.replace("platt = { epochs = 2 }", ""), "suite")


def test_the_documentation_shows_this_file() -> None:
    code = (ROOT / "tests/outside/comparator.py").read_text().partition("\n\n")[2].replace("outside.", "mypackage.")
    assert code in (ROOT / "docs/extending.md").read_text()


@pytest.mark.parametrize("name", ["disk", "size"])
def test_one_with_a_word_of_tables_for_its_name_is_refused(tmp_path: Path, name: str) -> None:
    COMPARATORS.add(replace(COMPARATORS.find("platt"), name=name))
    try:
        with pytest.raises(SuiteError, match=f"'use' must be the name of one thing, got '{name}', a word of tables"):
            read_table(SUITE.replace('use = "zero-shot"', f'use = "{name}"'), "s")
        assert read_table(SUITE, "s"), "it hides no other"
    finally:
        COMPARATORS.remove(name)

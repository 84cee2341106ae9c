"""White-box rows of tables: each use trains, is measured, and says its cost; what does not fit is said."""

import re
from dataclasses import replace
from pathlib import Path

import pytest
from seg.checks import GROUP, raises, run_suite

from zoo_opt_seg.tables import run as tables
from zoo_opt_seg.tables.cells import run_cell
from zoo_opt_seg.tables.reader import SuiteError, read_table
from zoo_opt_seg.tables.sources import absent
from zoo_opt_seg.tables.suite import Cell, Place
from zoo_opt_seg.whitebox.comparators import COMPARATORS

SPOTS, POLYPS, DISCS = "seg.vlsm_cases:spot_splits", "seg.vlsm_cases:few_polyps", "seg.small:disc_splits"
QUICK, SHALLOW = "{ epochs = 2, batch = 8 }", '{ kind = "shallow", placement = "V", hidden = 4 }'
SUITE = f"""{GROUP}size = 24
domains = ["{SPOTS}"]
black_box = {{ use = "seg.vlsm_cases:box" }}
vlsm = {QUICK}
clipseg = {{ epochs = 2, batch = 8, lr = 0.01, stop_after = 0, keep = "last" }}
backprop = {QUICK}
adapt = {{ batch = 4, validate = 2 }}
row = [
    {{ label = "zero-shot", use = "zero-shot" }},
    {{ label = "dense", use = "vlsm", options = {{ kind = "dense", placement = "VLC", hidden = 4, conditional = 4 }} }},
    {{ label = "shallow", use = "vlsm", options = {SHALLOW}, settings = {{ loss = "bce+dice", lr = 0.01 }} }},
    {{ label = "decoder", use = "clipseg", options = {{ parts = "decoder" }} }},
    {{ label = "end to end", use = "clipseg" }},
    {{ label = "VPT, gradient", use = "backprop", prompt = "vpt" }},
    {{ label = "VPT", use = "adapt", prompt = "vpt", method = "spsa", options = {{ lr = 0.01, c = 0.1 }} }},
]
"""
NETS = f"""{GROUP}domains = ["{POLYPS}"]
black_box = {{ use = "tiny-clipseg" }}
cris = {{ epochs = 1, batch = 4 }}
san = {{ epochs = 1, batch = 4 }}
row = [
    {{ label = "CRIS", use = "cris" }},
    {{ label = "SAN", use = "san" }},
    {{ label = "SAN of ViT-B", use = "san", options = {{ weights = "ViT-B-16.pt" }} }},
]
"""
SAM = f"""{GROUP}size = 32
domains = ["{DISCS}"]
black_box = {{ use = "seg.small:box" }}
sam-full = {{ epochs = 1, batch = 8, augment = "paper" }}
row = [
    {{ label = "all of SAM", use = "sam-full" }},
    {{ label = "its head", use = "sam-full", options = {{ parts = ["prompt_encoder", "mask_decoder"] }} }},
    {{ label = "adapters", use = "vlsm" }},
]
"""


REFINERS = f"""{GROUP}size = 32
domains = ["{DISCS}"]
black_box = {{ use = "seg.small:box" }}
row = [
    {{ label = "refiner", use = "refiner", options = {{ images = 3, questions = 2, steps = 4 }} }},
    {{ label = "no box", use = "refiner", options = {{ images = 3, questions = 2, steps = 4, box = false }} }},
]
"""


def cells_of(suite: str, folder: Path) -> dict[str, Cell]:
    return {cell.row.label: cell for cell in read_table(suite, "small").cells(Place(str(folder)))}


@pytest.mark.slow
def test_rows_on_a_clipseg(tmp_path: Path) -> None:
    runs = run_suite(tmp_path, SUITE)
    assert not any(run["error"] for run in runs.values())
    trained = {label: run["trained"] for label, run in runs.items()}
    dense = 6 * (2 * 16 * 4 + 20) + 6 * (2 * 12 * 4 + 16) + 2 * 12 * 4 + 16
    assert set(trained) == {"zero-shot", "dense", "shallow", "decoder", "end to end", "VPT, gradient", "VPT"}
    assert (trained["zero-shot"], trained["dense"], trained["shallow"]) == (0, dense, 3 * (2 * 16 * 4 + 20))
    assert trained["VPT, gradient"] == trained["VPT"]
    assert 0 < trained["decoder"] < trained["end to end"]
    for label, run in runs.items():
        assert (run.get("memory", -1) >= 0) is (label != "zero-shot")
        assert len(run["dice"]) == 8 and run["seconds"] >= 0
        assert (run["calls"] > 0) is (label == "VPT")
        if run["use"] in ("vlsm", "clipseg", "backprop"):
            assert run["seconds_per_epoch"] > 0 and "of 2, ended by epochs" in run["about"]
    assert runs["zero-shot"]["dice"] != runs["end to end"]["dice"]
    assert len(list((tmp_path / "out" / "cells").glob("*/vlsm.safetensors"))) == 2
    text = next((tmp_path / "out").glob("*.md")).read_text()
    assert "| CPU min | peak MB |" in text and "Peak MB: growth of the process's" in text


@pytest.mark.slow
def test_networks_on_clip_and_weights_that_are_not_there(tmp_path: Path) -> None:
    cells = cells_of(NETS, tmp_path)
    for label in ("CRIS", "SAN"):
        assert absent(cells[label]) == ""
        found = run_cell(cells[label])
        assert found["error"] is None and found["trained"] > 0 and len(found["dice"]) == 2
    assert "no weights ViT-B-16.pt: give --weights" in absent(cells["SAN of ViT-B"])


def test_a_row_whose_weights_are_not_there_leaves_the_others(tmp_path: Path) -> None:
    suite, missing = read_table(NETS, "nets"), {}
    present = tables._present(reversed(suite.cells(Place(str(tmp_path)))), missing)
    assert {cell.row.label for cell in present} == {"CRIS", "SAN"}
    assert list(missing) == [f"SAN of ViT-B, {present[0].domain}"] and "no weights" in next(iter(missing.values()))


def test_all_of_sam_or_its_head(tmp_path: Path) -> None:
    cells = cells_of(SAM, tmp_path)
    whole, head = (run_cell(cells[label]) for label in ("all of SAM", "its head"))
    assert whole["error"] is None and head["error"] is None
    assert 0 < head["trained"] < whole["trained"] and whole["settings"]["augment"] == "paper"
    assert "use = 'vlsm' needs a CLIPSeg for its black box" in run_cell(cells["adapters"])["error"]


def test_a_refiner_and_its_floor(tmp_path: Path) -> None:
    refiner, floor = map(run_cell, cells_of(REFINERS, tmp_path).values())
    assert refiner["error"] is floor["error"] is None
    assert (refiner["calls"], floor["calls"]) == (6, 0)
    assert refiner["trained"] == floor["trained"] > 0 and refiner["dice"] != floor["dice"]
    assert len(list(tmp_path.glob("cells/*/refiner.safetensors"))) == 2


@pytest.mark.parametrize(
    ("label", "changes", "message"),
    [
        ("dense", {"settings": {"rate": 1}}, "settings of 'dense': .*rate"),
        ("end to end", {"options": {"parts": "head"}}, "parts must be one of all, decoder, got 'head'"),
        ("VPT, gradient", {"settings": {"epoch": 1}}, "settings of 'VPT, gradient'"),
    ],
)
def test_what_is_wrong_is_in_the_record(tmp_path: Path, label: str, changes: dict, message: str) -> None:
    cell = cells_of(SUITE, tmp_path)[label]
    assert re.search(message, run_cell(replace(cell, row=replace(cell.row, **changes)))["error"])


def test_defaults_go_with_their_use() -> None:
    rows = {row.label: row for row in read_table(SUITE, "small").groups[0].rows}
    assert rows["shallow"].settings == {"epochs": 2, "batch": 8, "loss": "bce+dice", "lr": 0.01}
    assert rows["zero-shot"].settings == {}
    message = "'use' must be one of .*vlsm, clipseg, cris, san, ladder, refiner, got 'vlsn'"
    raises(SuiteError, message, read_table, SUITE.replace('use = "vlsm"', 'use = "vlsn"'), "small")


def test_the_documentation_has_every_comparator() -> None:
    page = (Path(__file__).resolve().parents[3] / "docs/seg-whitebox.md").read_text()
    rows = [line.split("|")[1:3] for line in page.splitlines() if line.startswith("| `")]
    assert [name.strip(" `") for name, _ in rows] == list(COMPARATORS)
    for name, about in rows:
        assert about.strip().startswith(COMPARATORS.find(name.strip(" `")).about)

"""Rows that train nothing or ask nobody, what their answers cost, and that no gap is shown without them."""

from pathlib import Path

import numpy as np
import pytest
from seg.checks import GROUP, run_suite
from seg.small import box, disc_splits

from zoo_opt.bench.engine.record import Record
from zoo_opt_seg import evaluate
from zoo_opt_seg.blackbox.wrappers import Counted
from zoo_opt_seg.tables import run as tables
from zoo_opt_seg.tables.reader import SuiteError, read_table
from zoo_opt_seg.tables.report import markdown
from zoo_opt_seg.tables.suite import TableSuite, is_floor
from zoo_opt_seg.visual_prompts import Averaged, make_prompt

DISCS = "seg.small:disc_splits"
FLOORS = f"""{GROUP}size = 32
domains = ["{DISCS}"]
black_box = {{ use = "seg.small:box" }}
reference = "zero-shot"
row = [
    {{ label = "zero-shot", use = "zero-shot" }},
    {{ label = "fixed disk", use = "disk" }},
    {{ label = "two views", use = "start", prompt = "views", prompt_options = {{ zooms = [1.0, 2.0] }} }},
    {{ label = "frame", use = "start", prompt = "bar" }},
    {{ label = "averaged", use = "tta", options = {{ points = 3 }} }},
    {{ label = "trained", use = "adapt", prompt = "views", method = "spsa", options = {{ lr = 0.01, c = 0.1 }}, settings = {{ batch = 4, validate = 0 }} }},
]
"""  # noqa: E501
BETWEEN = FLOORS.replace('reference = "zero-shot"', 'reference = "zero-shot"\nfloor = "zero-shot"\nceiling = "trained"')


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, dict], Path]:
    folder = tmp_path_factory.mktemp("floors")
    return run_suite(folder, FLOORS), folder / "out"


def test_untrained_rows_are_what_evaluate_measures(runs) -> None:
    by_label, _ = runs
    test = disc_splits().test
    prompts = {
        "two views": make_prompt("views", 32),
        "frame": make_prompt("bar", 32),
        "averaged": Averaged(32, points=3),
    }
    for label, prompt in prompts.items():
        model = Counted(box())
        evaluation = evaluate(model, test, prompt=prompt, x=prompt.x0(0), repeats=1, seed=0)
        assert by_label[label]["figures"]["dice"] == pytest.approx(evaluation.summary()["dice"], abs=1e-6)
        assert by_label[label]["calls_each"] == model.calls / 6 == prompt.views
        assert by_label[label]["calls"] == 0  # none for training
    assert by_label["frame"]["dice"] != by_label["zero-shot"]["dice"] != by_label["two views"]["dice"]


def test_a_report_says_what_an_answer_costs(runs) -> None:
    by_label, out = runs
    text = markdown(*tables.read_results(out))
    assert "| calls | calls a question | trained" in text
    shown = {line.split(" | ")[0][2:]: line.split(" | ") for line in text.splitlines() if line.startswith("| ")}
    costs = {label: cells[3] for label, cells in shown.items() if label in by_label}
    wanted = {"zero-shot": "1", "fixed disk": "0", "two views": "2", "frame": "1", "averaged": "6", "trained": "2"}
    assert costs == wanted


def cells_of_tests(suite: TableSuite, runs: dict[str, dict]) -> dict[str, list[str]]:
    """By row, what stands in the columns of the gap and of the best floor."""
    lines = markdown(suite, Record([], runs, False)).splitlines()
    return {cells[1]: cells[6:8] for line in lines if line.startswith(f"| {DISCS} | ") and (cells := line.split(" | "))}


def test_no_gap_is_shown_without_a_floor(runs) -> None:
    _, out = runs
    _, record = tables.read_results(out)
    suite = read_table(BETWEEN, "suite")
    (group,) = suite.groups
    assert [row.label for row in group.rows if is_floor(row)] == ["fixed disk", "two views", "frame", "averaged"]
    bare = {k: run for k, run in record.runs.items() if run["method"] in ("zero-shot", "trained")}
    assert cells_of_tests(suite, bare)["trained"] == ["·", "·"]


def test_the_best_floor_stands_beside_the_gap() -> None:
    suite = read_table(BETWEEN, "suite")
    (group,) = suite.groups
    dice = {"zero-shot": 0.5, "fixed disk": 0.4, "two views": 0.7, "frame": 0.1, "averaged": 0.6, "trained": 0.9}
    figures = {
        group.cell(row, DISCS, 0).key: {
            **{"error": None, "seed": 0, "data": "a", "calls": 0, "trained": 0, "seconds": 1.0},
            **{"dice": [dice[row.label]] * 6, "hd95": [1.0] * 6, "figures": {"dice": dice[row.label], "hd95": 1.0}},
        }
        for row in group.rows
    }
    shown = cells_of_tests(suite, figures)
    assert shown["trained"] == ["100 %", "50 %, two views"] and shown["averaged"] == ["25 %", "50 %, two views"]
    text = markdown(suite, Record([], figures, False))
    assert "| gap | best floor | images |" in text and "beside that of the best floor" in text


def test_by_what_it_is_asked_is_part_of_a_cell_where_it_is_said() -> None:
    plain = read_table(FLOORS, "suite").cells()
    asked = read_table(FLOORS.replace("size = 32", 'size = 32\npoints = "centre"'), "suite").cells()
    assert not {cell.key for cell in plain} & {cell.key for cell in asked}
    assert all(cell.points == "centre" for cell in asked)
    trained = FLOORS.replace("size = 32", 'size = 32\npoints = "centre"').replace(
        '{ label = "averaged", use = "tta", options = { points = 3 } }', '{ label = "averaged", use = "lora" }'
    )
    with pytest.raises(SuiteError, match=r"'points' goes with zero-shot, .*, got 'lora'"):
        read_table(trained, "suite")
    with pytest.raises(SuiteError, match="'prompt' goes with start and adapt and backprop, got '' with 'start'"):
        read_table(FLOORS.replace('use = "start", prompt = "bar"', 'use = "start"'), "suite")


def test_a_group_is_asked_as_it_says(tmp_path: Path) -> None:
    text = FLOORS.replace("size = 32", 'size = 32\npoints = "centre"').replace("calls = 60", "calls = 8")
    rows = text[: text.index("row = [")] + 'row = [{ label = "zero-shot", use = "zero-shot" }]\n'
    found = run_suite(tmp_path, rows)["zero-shot"]
    wanted = evaluate(box(), disc_splits().test, draw="centre", repeats=1)
    np.testing.assert_allclose(found["dice"], wanted.dice[0], atol=1e-4)
    text = markdown(*tables.read_results(tmp_path / "out"))
    assert "mean over test images with their innermost points" in text


@pytest.mark.slow
def test_a_group_that_is_asked_by_boxes_has_the_ellipse_for_its_floor(tmp_path: Path) -> None:
    text = FLOORS.replace("size = 32", 'size = 32\npoints = "box"').replace("repeats = 1", "repeats = 3")
    rows = text.replace('{ label = "fixed disk", use = "disk" }', '{ label = "ellipse", use = "ellipse" }')
    rows = rows[: rows.index('    { label = "two views"')] + "]\n"
    runs = run_suite(tmp_path, rows)
    assert len(runs["zero-shot"]["dice"]) == 6 and runs["zero-shot"]["calls_each"] == 1
    assert runs["ellipse"]["figures"]["dice"] > 0.85 and runs["ellipse"]["about"] == "EllipseInBox()"  # they are discs
    with pytest.raises(SuiteError, match=r"'points' must be a number of points >= 1, .*, got 'square'"):
        read_table(text.replace('"box"', '"square"'), "suite")

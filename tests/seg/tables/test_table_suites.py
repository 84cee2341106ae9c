"""The suites of benchmarks/ are valid and their published figures agree; what a report shows beside Dice and HD95."""

import inspect
import re
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from seg.checks import GROUP, changed, refused, run_suite

from zoo_opt.bench.engine.record import Record, read_record
from zoo_opt_seg.adaptation.plan import method_from
from zoo_opt_seg.adaptation.settings import settings_from
from zoo_opt_seg.data import load_data
from zoo_opt_seg.data.volumes import LabelledSlices
from zoo_opt_seg.measures.trivial import best_atlas
from zoo_opt_seg.tables import run as tables
from zoo_opt_seg.tables.reader import SuiteError, load_table, read_table
from zoo_opt_seg.tables.report import markdown
from zoo_opt_seg.tables.sources import absent
from zoo_opt_seg.tables.suite import Place, TableSuite
from zoo_opt_seg.tables.whitebox import recipe_of
from zoo_opt_seg.visual_prompts import PROMPTS
from zoo_opt_seg.whitebox import COMPARATORS
from zoo_opt_seg.whitebox.ladder.model import Ladder
from zoo_opt_seg.whitebox.sam.lora import LoRA
from zoo_opt_seg.whitebox.vlsm.layers import VLSM

BENCHMARKS = Path(__file__).resolve().parents[3] / "benchmarks"
TOLD = "seg.small_clipseg:told_splits"
CMA = 'use = "adapt", method = "cma-es", options = { popsize = 4 }'
BAPS = 'use = "adapt", method = "spsa-geass:paper", options = { lr = 0.0003 }'
VOLUMES = """
[[group]]
name = "ladder"
seeds = [0, 1]
domains = ["ct"]
size = 32
black_box = { use = "seg.small:box" }
reference = "both"
ladder = { epochs = 1, warmup = 2 }

row = [
    { label = "atlas", use = "atlas", options = { DATA } },
    { label = "SAM, as it is", use = "ladder", options = { ALONE, DATA }, published = { ct = [0.0173, 260.98] } },
    { label = "both", use = "ladder", options = { DATA }, published_organs = { ct = { liver = 0.9456 } } },
]

[[published]]
title = "As published"
columns = ["DSC %", "HD95"]
rows = { "both" = ["79.45", 35.35] }
""".replace("DATA", "data = { cases = [1, 1, 2] }").replace("ALONE", 'encoders = "sam", trained = false')
TEXTS = f"""{GROUP}size = 32
figures = ["dice", "iou", "hd95"]
domains = ["{TOLD}"]
black_box = {{ use = "seg.small_clipseg:box" }}
adapt = {{ batch = 4, validate = 2 }}
row = [
    {{ label = "middle", use = "disk" }},
    {{ label = "filter", prompt = "filter", {CMA}, published = {{ "{TOLD}" = [0.8685, 0.7926, 52.18] }} }},
    {{ label = "views", prompt = "views", prompt_options = {{ zooms = [1.0, 2.0] }}, {CMA} }},
    {{ label = "BAPS", prompt = "baps", {BAPS}, published = {{ "{TOLD}" = [0.5] }} }},
]
"""


def row_of(text: str, label: str) -> list[str]:
    """The cells of a row of the first table that has it."""
    line = next(line for line in text.splitlines() if line.startswith(f"| {label} |"))
    return [cell.strip() for cell in line.strip("|").split("|")]


# ---------------------------------------------------------------------------------------------------- suites


@pytest.mark.parametrize("path", sorted(BENCHMARKS.glob("*_table*.toml")), ids=lambda p: p.stem)
def test_recorded_suites_are_valid(path: Path) -> None:
    """They can be read, and every method, prompt, comparator and recipe takes its options."""
    mine = {"trained", "through", "weights", "unit", "empty", "data", "cache"}
    takes = {"lora": LoRA, "vlsm": VLSM, "ladder": partial(Ladder, 9)}
    for cell in load_table(path).cells():
        row = cell.row
        assert set(cell.data) <= set(inspect.signature(load_data).parameters)
        assert row.use not in ("adapt", "backprop") or row.prompt in PROMPTS
        if row.use == "adapt":
            method_from(row.method, row.options, 100, 1000)
            settings_from(row.settings)
        if row.use in takes:
            takes[row.use](**{k: v for k, v in row.options.items() if row.use != "ladder" or k not in mine})
        if row.use in COMPARATORS:
            recipe_of(cell)


def papers(name: str) -> tuple[TableSuite, TableSuite]:
    return load_table(BENCHMARKS / f"{name}.toml"), load_table(BENCHMARKS / f"{name}_paper.toml")


def test_published_figures_of_table_1_are_the_same_in_both_forms() -> None:
    ours, theirs = papers("vlsm_table1")
    (paper,) = ours.published
    rows = dict(zip(paper.columns, ("CLIPSeg end to end", "CRIS", "SAN", "SA (VL)", "DA (VL)"), strict=True))
    names = ("Kvasir-SEG", "BKAI", "ClinicDB", "ISIC-16", "DFU", "CAMUS", "BUSI", "CheXlocalize")
    domains = ("kvasir-poudel", "bkai", "clinicdb", "isic2016", "dfuc2022", "camus", "busi", "chexlocalize")
    by_label = {row.label: row for row in theirs.groups[0].rows}
    beside = {row.label: row for row in ours.groups[0].rows}
    for column, label in rows.items():
        for name, domain in zip(names, domains, strict=True):
            shown = [float(v) for v in paper.rows[name][paper.columns.index(column)].split(" / ")]
            dsc, iou, hd95 = by_label[label].published[f"{domain}+texts"]
            assert [100 * dsc, 100 * iou, hd95] == pytest.approx(shown)
        assert beside[label].published["polyp"] == by_label[label].published["kvasir-poudel+texts"]
        assert beside[label].published["skin"] == by_label[label].published["isic2016+texts"]
    assert by_label["SAN"].published["chexlocalize+texts"] == (0.4437, 0.3197, 724.55)  # PAPERS.md, section 2
    assert by_label["CRIS"].published["bkai+texts"] == (0.9262, 0.8830, 49.80)


def test_published_figures_of_table_2_are_the_same_in_both_forms() -> None:
    ours, theirs = papers("vlsm_table2")
    (paper,) = ours.published
    for row in theirs.groups[0].rows:
        kind, place = row.label.split(", ")
        column = [figures[paper.columns.index(place)] for figures in list(paper.rows.values())[1:]]
        shown = [float(figure.split(" / ")[kind == "dense"]) for figure in column]
        assert [100 * dice for (dice,) in row.published.values()] == pytest.approx(shown)
    first = {cell.key for cell in papers("vlsm_table1")[0].cells()}
    assert sum(cell.key in first for cell in ours.cells()) == 3 * 4 * 3  # zero-shot and VL are those of table 1


def test_the_papers_forms_say_what_is_not_there() -> None:
    for name in ("vlsm_table1", "vlsm_table2", "lst_table"):
        assert all(absent(cell) for cell in papers(name)[1].cells(Place("x")))
        assert not any(absent(cell) for cell in papers(name)[0].cells(Place("x")))


test_suite_errors = refused(
    lambda text, old, new: read_table(changed(text, old, new), "suite"),
    ((TEXTS, '"iou", "hd95"]\ndomains', '"dsc"]\ndomains'), "'figures' must be of dice, iou, hd95"),
    ((TEXTS, 'figures = ["dice", "iou", "hd95"]\n', ""), r"'published.*' must be \[dice\] or \[dice, hd95\]"),
    ((TEXTS, "calls = 60\n", ""), "'calls'"),
    ((VOLUMES, '["79.45", 35.35]', '["79.45"]'), "published 1: row 'both' must have 2 figures, got 1"),
    ((VOLUMES, "size = 32", "size = 32\ndata.ct = {}"), "'data' is for images, rows on volumes have 'options.data'"),
    ((VOLUMES, "{ liver = 0.9456 }", "[0.9456]"), "'published_organs' must have Dice by domain and organ"),
    ((VOLUMES, "{ ct = { liver", "{ synapse = { liver"), "no domain 'synapse'"),
    error=SuiteError,
)


# ---------------------------------------------------------------------------------------------------- reports


@pytest.mark.slow
def test_volumes_have_organs_a_gate_and_millimetres(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run_suite(tmp_path, VOLUMES)
    text = capsys.readouterr().out
    assert "|  | ct | trained parameters | CPU min | peak MB | gate |" in text  # and no calls
    assert "black box seg.small:box, 32 px, 2 seeds" in text and "0 calls" not in text
    assert "Dice / HD95 (mm): mean over organs and test volumes, ± standard deviation over seeds. In brackets" in text
    assert row_of(text, "atlas")[2:] == ["0", row_of(text, "atlas")[3], "·", "·"]
    assert row_of(text, "SAM, as it is")[1].endswith("[0.0173 / 260.98]") and row_of(text, "SAM, as it is")[5] == "·"
    assert re.fullmatch(r"0\.\d\d ± 0\.\d\d", row_of(text, "both")[5])
    organs = text[text.index("|  | aorta |") :]
    assert row_of(organs, "both")[5].endswith("[0.9456]") and "[" not in row_of(organs, "both")[1]
    published = "### As published\n\n|  | DSC % | HD95 |\n| :-- | --: | --: |\n| both | 79.45 | 35.35 |"
    assert text.rstrip().endswith(published)
    assert all(len(run["dice"]) == 2 for run in read_record(tmp_path / "out" / "runs.jsonl").runs.values())


@pytest.mark.slow
def test_text_rows_have_iou_and_calls(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    runs = run_suite(tmp_path, TEXTS, "texts")
    text = capsys.readouterr().out
    assert f"|  | {TOLD} | calls | calls a question | trained parameters | CPU min | peak MB |" in text
    assert "Dice / IoU / HD95 (pixels): mean over test images" in text
    assert re.fullmatch(r"[\d.]+ / [\d.]+ / [\d.]+ \[0.8685 / 0.7926 / 52.18\]", row_of(text, "filter")[1])
    assert row_of(text, "BAPS")[1].endswith("[0.5]") and row_of(text, "middle")[2] == "0"
    assert all(0 < runs[label]["calls"] <= 60 for label in ("filter", "views", "BAPS"))
    # A second suite in the same folder finds the cells of the first, and a report has its own text.
    other = TEXTS.replace('name = "a small one"', 'name = "again"')
    (tmp_path / "other.toml").write_text(other)
    done = tables.run_table(load_table(tmp_path / "other.toml", trust=True), tmp_path / "out", workers=0)
    assert done == 0 and tables.read_results(tmp_path / "out")[0].text == other
    record = tables._current(
        load_table(tmp_path / "texts.toml", trust=True), read_record(tmp_path / "out" / "runs.jsonl")
    )
    assert len(record.runs) == 4 and record.sessions[-1]["suite"] == "texts"


def test_a_report_of_nothing_done() -> None:
    for path in sorted(BENCHMARKS.glob("*_table*.toml")):
        suite = load_table(path)
        text = markdown(suite, Record([], {}, False))
        assert "·" in text and "nan" not in text
        for group in suite.groups:
            assert all(row_of(text, row.label) for row in group.rows)


def test_the_atlas_and_its_threshold() -> None:
    labels = np.zeros((10, 16, 16), np.uint8)
    labels[:, 2:6, 2:6], labels[:4, 10:14, 10:14] = 1, 2  # the second in four of ten slices
    labels[9, :2] = 1  # in one of them all of its upper edge
    found = best_atlas(LabelledSlices(np.zeros(labels.shape, np.float32), labels, tuple("abcdefghij"), ("a", "b")))
    assert found.threshold == 0.15 and (found(np.zeros((3, 16, 16), np.float32)) == labels[:3]).all()
    large = found(np.zeros((2, 32, 32), np.float32))
    assert large.dtype == np.uint8 and (large[0] == labels[0].repeat(2, 0).repeat(2, 1)).all()

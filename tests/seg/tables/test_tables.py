"""Tables: suites, cells, the runner that resumes, statistics from the record alone, Markdown."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.stats import wilcoxon
from seg.checks import changed, raises, refused
from seg.layouts_vlsm import write_clinicdb, write_texts

from zoo_opt import METHODS, SPSAGEASS
from zoo_opt.bench.engine.record import read_record
from zoo_opt.bench.statistics.bootstrap import interval
from zoo_opt.support.registry import Entry
from zoo_opt_seg.adaptation.plan import method_from
from zoo_opt_seg.blackbox.sam import SamBlackBox
from zoo_opt_seg.digests import data_digest
from zoo_opt_seg.refine import RefinedPrompt, load_refiner
from zoo_opt_seg.tables import run as tables
from zoo_opt_seg.tables.cells import run_cell
from zoo_opt_seg.tables.reader import SuiteError, load_table, read_table
from zoo_opt_seg.tables.report import markdown
from zoo_opt_seg.tables.sources import absent, data_of, evaluated, model_of
from zoo_opt_seg.tables.statistics import cells_of, gap_closed, on_other_data, row_tests, spread_over_seeds
from zoo_opt_seg.tables.suite import Place, Row
from zoo_opt_seg.visual_prompts import load_prompt

ROOT = Path(__file__).resolve().parents[3]
DISCS = "seg.small:disc_splits"
SUITE = f"""
title = "Small table"
note = "settings of commit 0123"

[[group]]
name = "120 calls"
seeds = [0, 1]
calls = 120
size = 32
repeats = 2
domains = ["{DISCS}", "kvasir"]
black_box = {{ use = "seg.small:box" }}
reference = "SPSA"
floor = "zero-shot"
ceiling = "LoRA"

[[group.row]]
label = "zero-shot"
use = "zero-shot"
published = {{ "kvasir" = [0.68, 99.3] }}

[[group.row]]
label = "disk"
use = "disk"
domains = ["{DISCS}"]

[[group.row]]
label = "SPSA"
use = "adapt"
prompt = "filter"
method = "spsa"
options = {{ lr = 0.01, c = 0.1 }}
settings = {{ batch = 6, validate = 2 }}
grid = {{ "options.lr" = [0.01, 0.1] }}
[group.row.on.kvasir]
options = {{ lr = 0.5 }}

[[group.row]]
label = "backprop"
use = "backprop"
prompt = "filter"
settings = {{ epochs = 2, batch = 4 }}

[[group.row]]
label = "LoRA"
use = "lora"
options = {{ rank = 2 }}
settings = {{ epochs = 2, batch = 4, warmup = 0 }}
"""


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory):
    """The suite, run in this process; (suite, folder, record)."""
    out = tmp_path_factory.mktemp("table")
    (out / "small.toml").write_text(SUITE)
    suite = load_table(out / "small.toml", trust=True)
    missing: dict[str, str] = {}
    assert tables.run_table(suite, out / "r", workers=0, missing=missing) == 10
    assert list(missing) == ["kvasir"] and "--data-root" in missing["kvasir"]
    return suite, out / "r", read_record(out / "r" / "runs.jsonl")


# ---------------------------------------------------------------------------------------------------- suites


def test_cells_are_what_the_suite_says() -> None:
    suite = read_table(SUITE, "small")
    (group,) = suite.groups
    assert len(suite.cells()) == 2 * 9 and [cell.seed for cell in suite.cells()[:9]] == [0] * 9
    assert suite.labels == ["zero-shot", "disk", "SPSA", "backprop", "LoRA"]
    spsa = group.rows[2]
    assert group.cell(spsa, "kvasir", 0).row.options == {"lr": 0.5, "c": 0.1}
    assert group.cell(spsa, DISCS, 0).row.options == {"lr": 0.01, "c": 0.1}


def test_keys_tell_what_results_depend_on() -> None:
    def keys(text: str) -> dict[tuple[str, str, int], str]:
        return {(c.row.label, c.domain, c.seed): c.key for c in read_table(text, "small").cells()}

    before = keys(SUITE)
    assert len(set(before.values())) == len(before)
    longer = keys(SUITE.replace("calls = 120", "calls = 240"))
    # The others do not depend on the number of calls: groups share them.
    assert {place[0] for place in before if before[place] != longer[place]} == {"SPSA"}
    assert keys(SUITE.replace('label = "disk"', 'label = "a disk"'))["a disk", DISCS, 0] == before["disk", DISCS, 0]
    tuned = keys(SUITE.replace("lr = 0.5", "lr = 0.6"))
    assert [k for k in before if before[k] != tuned[k]] == [("SPSA", "kvasir", 0), ("SPSA", "kvasir", 1)]
    padded = keys(SUITE.replace("repeats = 2", 'repeats = 2\ndata.kvasir = { fit = "pad" }'))
    assert {place[1] for place in before if before[place] != padded[place]} == {"kvasir"}


test_suite_errors_name_the_place = refused(
    lambda old, new: read_table(changed(SUITE, old, new), "small"),
    (("seeds = [0, 1]", "seeds = [0, 0]"), "'seeds' must be different int values"),
    (("seeds = [0, 1]", "seeds = [-1]"), "'seeds' must be different"),
    (("calls = 120", "calls = 0"), "'calls' must be 1 or more"),
    (('reference = "SPSA"', 'reference = "nobody"'), "'reference' must be the label of a row, got 'nobody'"),
    (('use = "disk"', 'use = "circle"'), "'use' must be one of zero-shot"),
    (('method = "spsa"', ""), "'method' goes with adapt"),
    (('use = "zero-shot"', 'use = "zero-shot"\nprompt = "vpt"'), "'prompt' goes with start and adapt and backprop"),
    (("[0.68, 99.3]", '"0.68"'), "'published' must have"),
    (("[group.row.on.kvasir]", "[group.row.on.kvsair]"), "no domain 'kvsair'"),
    (("[group.row.on.kvasir]\noptions", "[group.row.on.kvasir]\noption"), "'on.kvasir' may have"),
    (('"options.lr" = [0.01, 0.1]', '"lr" = [0.01]'), "'grid' must have lists by names"),
    (('use = "seg.small:box"', 'name = "x"'), "'black_box' must be a table with a 'use'"),
    (("repeats = 2", "repeat = 2"), "unknown key 'repeat'"),
    (("repeats = 2", "repeats = 2\ndata.kvsair = {}"), "'data' must have options of load_data by domain, got 'kvsair'"),
    (("repeats = 2", "repeats = 2\ndata.kvasir = { size = 9 }"), "'data' must have options of load_data by domain"),
    (('label = "disk"', 'label = "SPSA"'), "different labels"),
    error=SuiteError,
)


def test_group_like_another() -> None:
    more = f"""
[[group]]
name = "300 calls"
like = "120 calls"
keep = ["zero-shot", "SPSA"]
calls = 300
domains = ["{DISCS}"]
adapt = {{ batch = 4 }}
row = [{{ label = "FZOO", use = "adapt", prompt = "filter", method = "fzoo" }}]
"""
    first, second = read_table(SUITE + more, "small").groups
    assert [row.label for row in second.rows] == ["zero-shot", "SPSA", "FZOO"]
    assert (second.calls, second.seeds, second.size, second.reference, second.ceiling) == (300, (0, 1), 32, "SPSA", "")
    assert second.rows[1].settings == first.rows[2].settings and second.rows[2].settings == {"batch": 4}
    assert second.rows[1].on == {} and second.rows[0].published == {}
    assert second.cell(second.rows[0], DISCS, 0).key == first.cell(first.rows[0], DISCS, 0).key
    with pytest.raises(SuiteError, match="'like' must be the name of a group before it"):
        read_table(SUITE + more.replace('like = "120 calls"', 'like = "none"'), "small")
    raises(SuiteError, "'keep' must be labels", read_table, SUITE + more.replace('"SPSA"]', '"SPSAA"]'), "small")


def made(row: Row, dim: int) -> Any:
    """The method of a row."""
    return method_from(row.method, row.options, 100, dim)


def test_presets_know_the_number_of_parameters() -> None:
    suite = read_table(
        SUITE.replace('"spsa"', '"spsa-geass:paper"').replace("lr = 0.01, c = 0.1", "lr = 0.02"), "small"
    )
    assert made(suite.groups[0].rows[2], 2000) == SPSAGEASS.paper(threshold=2.0, lr=0.02)
    released = read_table(SUITE.replace('"spsa"', '"spsa-geass:released"'), "small").groups[0].rows[2]
    assert made(released, 2000) == SPSAGEASS.released(dim=2000, lr=0.01, c=0.1)


class Preset:
    """What another package's class of a method says of its presets."""

    presets = ("careful",)

    @classmethod
    def careful(cls, *, dim: int, lr: float) -> tuple[int, float]:
        return dim, lr


def test_a_preset_is_what_the_class_of_a_method_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(METHODS.registry._entries, "theirs", Entry(name="theirs", factory=Preset))
    rows = [Row("a row", "adapt", method=method, options={"lr": 0.5}) for method in ("theirs:careful", "theirs:bold")]
    assert made(rows[0], 20) == (20, 0.5)
    raises(ValueError, r"method must be a preset of theirs \(careful\), got 'theirs:bold'", made, rows[1], 20)
    for method, message in (("spsa:compose", r"spsa \(it has none\)"), ("mine:own", "a name of zoo_opt.METHODS")):
        raises(ValueError, f"{message}, got '{method}'", made, replace(rows[0], method=method), 20)


# ---------------------------------------------------------------------------------------------------- cells


def cell_of(text: str, place: Place, use: str):
    return next(cell for cell in read_table(text, "small").cells(place) if cell.row.use == use)


def test_every_use_gives_figures_per_image(done) -> None:
    suite, _, record = done
    (group,) = suite.groups
    for row, domain in group.places():
        if domain != DISCS:
            continue
        cells = cells_of(group, row, domain, record.runs)
        assert sorted(cells) == [0, 1]
        for run in cells.values():
            assert run["error"] is None and len(run["dice"]) == len(run["hd95"]) == 6
            assert run["figures"]["dice"] == pytest.approx(np.mean(run["dice"]), abs=1e-3)
            assert (run["calls"] > 0) is (run["use"] == "adapt") and run["calls"] <= 120
            assert (run["trained"] > 0) is (run["use"] in ("adapt", "lora", "backprop"))
            assert run["seconds"] >= 0


def test_cell_is_the_same_again_and_rows_share_their_points(done) -> None:
    suite, _, record = done
    for cell in suite.cells(Place(str(done[1]) + "-again")):
        if cell.domain == DISCS and cell.seed == 1 and cell.row.use in ("zero-shot", "adapt"):
            cost = {"seconds": 0, "memory": 0}  # which no two runs have in common
            assert run_cell(cell) | cost == record.runs[cell.key] | cost


def test_the_validation_of_an_entry_is_that_of_the_iterate_kept(done, tmp_path: Path) -> None:
    """Chosen by the loss, the best Dice may be another mark's."""
    text = SUITE.replace("batch = 6, validate = 2", 'batch = 6, validate = 4, select = "loss"')
    text = text.replace("lr = 0.01, c = 0.1", "lr = 2.0, c = 0.1")
    cell = cell_of(text, Place(str(tmp_path)), use="adapt")
    found = run_cell(cell)["validation"]
    metrics = json.loads((tmp_path / "cells" / cell.key / "metrics.json").read_text())
    kept = metrics["marks"][metrics["chosen"]["mark"]]
    assert found == {name: kept[name] for name in ("calls", "loss", "dice")}
    assert found["loss"] == min(mark["loss"] for mark in metrics["marks"])


def test_a_row_with_a_refiner_is_measured_with_it(tmp_path: Path) -> None:
    text = SUITE.replace(
        "batch = 6, validate = 2", "batch = 2, validate = 0, refine = true, refine_steps = 6, refine_networks = 2"
    )
    found = run_cell(cell := cell_of(text, Place(str(tmp_path)), use="adapt"))
    folder = tmp_path / "cells" / cell.key
    prompt, refiner = load_prompt(folder / "prompt.npz"), load_refiner(folder / "refiner.safetensors")
    again = evaluated(cell, model_of(cell), prompt=RefinedPrompt(prompt, refiner))
    assert found["dice"] == pytest.approx(again.per_image().tolist(), abs=1e-4)
    assert found["dice"] != pytest.approx(evaluated(cell, model_of(cell), prompt=prompt).per_image().tolist(), abs=1e-4)
    assert found["trained"] == prompt.prompt.dim + refiner.parameters


def test_lora_is_asked_as_the_black_box_of_the_other_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = SUITE.replace('"seg.small:box" }', '"seg.small:box", masks = "best", quantize = false, batch_size = 5 }')
    cell = cell_of(text, Place(str(tmp_path)), use="lora")
    made = []
    begin = SamBlackBox.__init__

    def watched(self: SamBlackBox, *args: object, **options: object) -> None:
        made.append(options)
        begin(self, *args, **options)

    monkeypatch.setattr(SamBlackBox, "__init__", watched)
    assert run_cell(cell)["error"] is None
    asked = {"quantize": False, "masks": "best", "batch_size": 5}
    assert len(made) == 3 and all(asked.items() <= options.items() for options in made)  # rows, training, test


def test_failing_cell_is_an_entry_and_is_tried_again(tmp_path: Path) -> None:
    text = SUITE.replace(f'domains = ["{DISCS}", "kvasir"]', f'domains = ["{DISCS}"]')
    text = text.replace('published = { "kvasir" = [0.68, 99.3] }', "")
    text = text[: text.index('[[group.row]]\nlabel = "SPSA"')] + '[[group.row]]\nlabel = "SPSA"\nuse = "adapt"\n'
    text += 'prompt = "vptt"\nmethod = "spsa"\n[[group.row]]\nlabel = "LoRA"\nuse = "disk"\noptions = {a = 1}\n'
    suite = read_table(text, "small")
    assert tables.run_table(suite, tmp_path, workers=0) == 8
    errors = [run["error"] for run in read_record(tmp_path / "runs.jsonl").runs.values() if run["error"]]
    assert len(errors) == 2 and all("vptt" in error for error in errors)
    assert tables.run_table(suite, tmp_path, workers=0) == 2


def test_data_that_is_not_there_is_said_so(tmp_path: Path) -> None:
    (cell, *_) = [c for c in read_table(SUITE, "small").cells(Place("x", str(tmp_path))) if c.domain == "kvasir"]
    assert absent(cell) == f"no folder {tmp_path / 'kvasir'}"
    sam = SUITE.replace('use = "seg.small:box"', 'use = "sam", checkpoint = "vit.pth"')
    assert "no weights" in absent(read_table(sam, "small").cells()[0])


def test_domains_with_published_texts(tmp_path: Path) -> None:
    text = SUITE.replace('"kvasir"]', '"clinicdb+texts"]').replace("kvasir", "clinicdb+texts")
    text = text.replace("on.clinicdb+texts", 'on."clinicdb+texts"')
    cell = next(c for c in read_table(text, "small").cells(Place("x", str(tmp_path))) if c.domain == "clinicdb+texts")
    assert absent(cell) == f"no folder {tmp_path / 'clinicdb'}"
    write_clinicdb(tmp_path / "clinicdb")
    assert absent(cell) == f"no folder {tmp_path / 'prompts'} of text prompts"
    numbers = {"train": (1, 2), "validation": (3,), "test": (4,)}
    files = {split: [(f"{i}.png", f"{i}.png") for i in some] for split, some in numbers.items()}
    write_texts(tmp_path / "prompts/clinicdb_polyp/anns", files)
    assert absent(cell) == ""
    splits = data_of(cell)
    assert splits.train.names == ("1", "2") and splits.test.texts is not None
    padded = data_of(replace(cell, data={"fit": "pad"}))
    assert padded.train.images.shape == splits.train.images.shape and not padded.train.images[:, -1].any()
    raises(ValueError, r"data must be of data sets by name", data_of, replace(cell, domain=DISCS, data={"fit": "pad"}))
    raises(ValueError, r"domain must be one of .*, got 'disc\+texts'", data_of, replace(cell, domain="disc+texts"))


# ---------------------------------------------------------------------------------------------------- runner


def test_finished_cells_are_not_repeated_unless_asked(done) -> None:
    suite, out, _ = done
    assert tables.run_table(suite, out, workers=0) == 0
    calls: list[int] = []
    assert tables.run_table(suite, out, workers=0, again=["disk"], progress=lambda d, t, left, e: calls.append(d)) == 2
    assert calls == [8, 9, 10]


def test_an_edited_title_is_recorded_without_a_run(tmp_path: Path, done) -> None:
    _, out, _ = done
    shutil.copytree(out, tmp_path / "r", ignore=shutil.ignore_patterns("cells"))
    other = tmp_path / "small.toml"
    other.write_text(SUITE.replace("Small table", "Edited").replace('ceiling = "LoRA"', ""))
    for _ in range(2):
        assert tables.run_table(load_table(other, trust=True), tmp_path / "r", workers=0) == 0
    assert [s["title"] for s in read_record(tmp_path / "r" / "runs.jsonl").sessions][-2:] == ["Small table", "Edited"]
    assert tables.read_results(tmp_path / "r")[0].title == "Edited"


@pytest.mark.slow
def test_killed_table_goes_on(tmp_path: Path, done) -> None:
    """SIGKILL while cells are under way; the same command does the rest, in two processes, with the same figures."""
    (tmp_path / "small.toml").write_text(SUITE)
    command = [sys.executable, "-m", "zoo_opt_seg.tables.run", "small.toml", "--out", "r", "--workers", "2", "--trust"]
    env = os.environ | {"PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'tests'}", "OMP_NUM_THREADS": "1"}
    first = subprocess.Popen(command, cwd=tmp_path, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    record, end = tmp_path / "r" / "runs.jsonl", time.monotonic() + 400
    while not (record.is_file() and record.read_text().count('"kind": "run"') >= 3):
        assert time.monotonic() < end and first.poll() is None
        time.sleep(0.05)
    first.send_signal(signal.SIGKILL)
    first.wait()
    kept = set(read_record(record).runs)
    second = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True, timeout=500)
    assert second.returncode == 0, second.stderr
    lines = [json.loads(line) for line in record.read_text().splitlines()]
    keys = [line["key"] for line in lines if line["kind"] == "run"]
    assert len(keys) == len(set(keys)) == 10 and kept <= set(keys)
    expected = done[2].runs
    for key, run in read_record(record).runs.items():
        assert run["dice"] == expected[key]["dice"], run["method"]
    assert "Not run here: kvasir" in second.stdout and "10 of 18 cells done" in second.stderr


def test_command_reports_from_a_small_record(done, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _, out, _ = done
    record = tmp_path / "small.jsonl.xz"
    assert tables.main([str(out), "--record", str(record), "--markdown", str(tmp_path / "a.md")]) == 0
    assert record.stat().st_size < 20_000
    assert tables.main([str(record), "--markdown", str(tmp_path / "b.md")]) == 0
    assert (tmp_path / "a.md").read_text() == (tmp_path / "b.md").read_text()
    capsys.readouterr()
    (tmp_path / "suite.toml").write_text(SUITE)
    assert tables.main([str(tmp_path / "suite.toml"), "--only", "nobody", "--out", str(tmp_path), "--trust"]) == 2
    assert "has no 'nobody' for --only" in capsys.readouterr().err
    (tmp_path / "empty.jsonl").write_text("")
    assert tables.main([str(tmp_path / "empty.jsonl")]) == 2


# ---------------------------------------------------------------------------------------------------- statistics


def synthetic(dice: dict[str, list[list[float]]], groups: list[int] | None = None):
    """The suite with made-up cells on the discs: by label, figures (seeds, images)."""
    (group,) = read_table(SUITE, "small").groups
    runs = {}
    for row in group.rows:
        for seed, values in enumerate(dice.get(row.label, [])):
            key = group.cell(row, DISCS, seed).key
            figures = {"dice": float(np.mean(values)), "hd95": 10.0}
            runs[key] = {"error": None, "figures": figures, "dice": values, "hd95": [10.0] * len(values)}
            runs[key] |= {} if groups is None else {"groups": groups}
    return group, runs


def test_statistics_by_hand() -> None:
    rng = np.random.default_rng(0)
    base = rng.uniform(0.4, 0.6, (2, 30))
    better = base + rng.uniform(0.0, 0.2, (2, 30))
    group, runs = synthetic({"SPSA": base.tolist(), "backprop": better.tolist(), "disk": base.tolist()})
    cells = cells_of(group, group.rows[3], DISCS, runs)
    means = better.mean(axis=1)
    assert spread_over_seeds(cells, "dice").mean == pytest.approx(means.mean())
    assert spread_over_seeds(cells, "dice").sd == pytest.approx(abs(means[0] - means[1]) / np.sqrt(2))
    by_row = {c.row: c for c in row_tests(group, DISCS, runs)}
    assert sorted(by_row) == ["backprop", "disk"]
    difference = (better - base).mean(axis=0)
    expected, found = interval(difference), by_row["backprop"].gain["dice"]
    assert (found.estimate, found.low, found.high) == pytest.approx((expected.estimate, expected.low, expected.high))
    assert by_row["backprop"].gain["dice"].low > 0
    assert by_row["backprop"].p["dice"] == pytest.approx(2 * wilcoxon(difference).pvalue)  # Holm: the smaller of two
    assert by_row["disk"].p["dice"] == 1.0 and by_row["disk"].gain["dice"].estimate == 0.0


def test_groups_are_resampled_together() -> None:
    rng = np.random.default_rng(1)
    groups = np.repeat(np.arange(6), 5).tolist()
    effect = np.repeat(rng.normal(0.05, 0.1, 6), 5)
    base = rng.uniform(0.4, 0.6, (1, 30))
    alone = synthetic({"SPSA": base.tolist(), "disk": (base + effect).tolist()})
    together = synthetic({"SPSA": base.tolist(), "disk": (base + effect).tolist()}, groups)
    (a,), (b,) = row_tests(alone[0], DISCS, alone[1]), row_tests(together[0], DISCS, together[1])
    assert (a.groups, b.groups, b.images) == (30, 6, 30)
    assert a.gain["dice"].estimate == pytest.approx(b.gain["dice"].estimate)
    width = [c.gain["dice"].high - c.gain["dice"].low for c in (a, b)]
    assert width[1] > 1.5 * width[0] and b.p["dice"] > a.p["dice"]


@pytest.mark.parametrize("change", ["data", "images"])
def test_rows_of_other_data_are_not_compared(change: str) -> None:
    group, runs = synthetic({"SPSA": [[0.5] * 8], "disk": [[0.6] * 8], "backprop": [[0.7] * 8]})
    for run in runs.values():
        run["data"] = "a"
    other = runs[group.cell(group.rows[3], DISCS, 0).key]
    other |= {"data": "b"} if change == "data" else {"dice": [0.7] * 9, "hd95": [10.0] * 9}
    assert [c.row for c in row_tests(group, DISCS, runs)] == ["disk"]
    assert on_other_data(group, DISCS, runs) == ["backprop"]


def test_an_entry_tells_its_data(done) -> None:
    suite, _, record = done
    test = data_of(suite.cells(Place("r"))[0]).test
    assert {run["data"] for run in record.runs.values()} == {data_digest(test.images, test.masks, *test.names)}


def test_part_of_the_gap() -> None:
    group, runs = synthetic({"zero-shot": [[0.5]], "SPSA": [[0.6]], "LoRA": [[0.9]]})
    changed = {key: run | {"data": str(i)} for i, (key, run) in enumerate(runs.items())}
    assert np.isnan(gap_closed(group, group.rows[2], DISCS, changed))
    assert gap_closed(group, group.rows[2], DISCS, runs) == pytest.approx(0.25)
    assert np.isnan(gap_closed(group, group.rows[2], "kvasir", runs))
    more = synthetic({"zero-shot": [[0.5], [0.1]], "SPSA": [[0.6]], "LoRA": [[0.9], [0.2]]})
    # Over the seed that all three have.
    assert gap_closed(more[0], more[0].rows[2], DISCS, more[1]) == pytest.approx(0.25)


def test_markdown_holds_figures_costs_and_tests(done) -> None:
    suite, _, record = done
    text = markdown(suite, record, {"kvasir": "no folder kvasir"})
    assert "Not run here: kvasir (no folder kvasir)." in text and "settings of commit 0123" in text
    lines = {line.split(" | ")[0].removeprefix("| "): line.split(" | ") for line in text.splitlines() if "|" in line}
    assert "·" in lines["zero-shot"][2] and "[0.68 / 99.3]" in lines["zero-shot"][2]
    assert " ± " in lines["zero-shot"][1] and lines["zero-shot"][3:5] == ["0", "0"]
    assert lines["disk"][2] == ""  # not of this domain
    assert "Against SPSA" in text and "Gap: part of the way in Dice from zero-shot to LoRA" in text
    assert text.count(f"\n| {DISCS} | ") == 4

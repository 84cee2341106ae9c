"""A table whose black box is out of service: an outage is waited for, and no cell is recorded that it has ended."""

from pathlib import Path

import pytest

from zoo_opt import outage
from zoo_opt.bench import ExecutorError, read_record, run_jobs
from zoo_opt_seg.blackbox.sam import SamBlackBox
from zoo_opt_seg.tables.cells import job_of
from zoo_opt_seg.tables.reader import load_table
from zoo_opt_seg.tables.suite import Cell, Place

SUITE = """
[[group]]
name = "g"
seeds = [0]
calls = 40
size = 32
repeats = 1
domains = ["seg.small:disc_splits"]
black_box = { use = "seg.small:box" }
[[group.row]]
label = "zero-shot"
use = "zero-shot"
[[group.row]]
label = "SPSA"
use = "adapt"
prompt = "filter"
method = "spsa"
options = { lr = 0.01, c = 0.1 }
settings = { batch = 6, validate = 2, validation_images = 4, wait = 0 }
"""


class Service:
    """The questions that reach the small SAM, of which those from ``first`` to ``last`` find nobody."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.asked, self.first, self.last = 0, 0, 0
        plain = SamBlackBox.__call__

        def ask(box, images, prompts):
            self.asked += 1
            if self.first <= self.asked <= self.last:
                raise ConnectionRefusedError("nobody listens")
            return plain(box, images, prompts)

        monkeypatch.setattr(SamBlackBox, "__call__", ask)
        monkeypatch.setattr(outage.time, "sleep", lambda seconds: None)


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch) -> Service:
    return Service(monkeypatch)


@pytest.fixture
def cells(tmp_path: Path) -> list[Cell]:
    (tmp_path / "s.toml").write_text(SUITE)
    return load_table(tmp_path / "s.toml", trust=True).cells(Place(str(tmp_path)))


def test_a_short_outage_changes_no_figure(cells, service, tmp_path):
    run_jobs([job_of(cells[0])], tmp_path / "whole.jsonl", workers=0)
    service.first, service.last = service.asked + 1, service.asked + 3
    run_jobs([job_of(cells[0])], tmp_path / "r.jsonl", workers=0)
    whole, found = (next(iter(read_record(tmp_path / name).runs.values())) for name in ("whole.jsonl", "r.jsonl"))
    assert found["error"] is None and found["dice"] == whole["dice"]
    assert service.asked > service.last


def test_a_long_one_ends_the_table_and_is_no_result(cells, service, tmp_path):
    service.first, service.last = 3, 10**9
    with pytest.raises(ExecutorError, match=r"with SPSA: .*out of service.*nobody listens; the same command"):
        run_jobs([job_of(cell) for cell in cells], tmp_path / "r.jsonl", workers=0)
    assert [run["method"] for run in read_record(tmp_path / "r.jsonl").runs.values()] == ["zero-shot"]
    service.last = 0
    assert run_jobs([job_of(cell) for cell in cells], tmp_path / "r.jsonl", workers=0) == 1
    assert not any(run["error"] for run in read_record(tmp_path / "r.jsonl").runs.values())

"""A killed `zoo-opt-seg adapt` goes on exactly: the same prompt, and only what was in flight is asked again."""

import json
import os
from pathlib import Path

import pytest

if not hasattr(os, "fork"):
    pytest.skip("needs fork", allow_module_level=True)

KILLING = str(Path(__file__).parents[1] / "killing.py")


@pytest.mark.slow
def test_twenty_kills_at_random_moments(run_python, tmp_path: Path) -> None:
    found = json.loads(run_python(KILLING, "random", str(tmp_path), "20", "0", timeout=900))
    whole, cut = found["asked"]
    assert found["kills"] == 20 and found["status"] == 0
    assert whole <= cut <= whole + 20
    assert found["cut"]["x"] == found["whole"]["x"]
    assert found["cut"] == found["whole"]


@pytest.mark.slow
def test_the_end_before_any_line_of_ours(run_python, tmp_path: Path) -> None:
    found = json.loads(run_python(KILLING, "lines", str(tmp_path), "12", timeout=900))
    assert found["lines"] > 1000
    assert found["wrong"] == []

"""A killed `zoo-opt-seg adapt` goes on exactly: the same prompt, and only what was in flight is asked again."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("torch")
pytest.importorskip("monai")
if not hasattr(os, "fork"):
    pytest.skip("needs fork", allow_module_level=True)

KILLING = Path(__file__).parents[1] / "killing.py"


def killing(*words: object) -> dict:
    """What the helper says."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, str(KILLING), *map(str, words)], capture_output=True, text=True, timeout=900, env=environment
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.slow
def test_twenty_kills_at_random_moments(tmp_path: Path) -> None:
    found = killing("random", tmp_path, 20, 0)
    whole, cut = found["asked"]
    assert found["kills"] == 20 and found["status"] == 0
    assert whole <= cut <= whole + 20
    assert found["cut"]["x"] == found["whole"]["x"]
    assert found["cut"] == found["whole"]


@pytest.mark.slow
def test_the_end_before_any_line_of_ours(tmp_path: Path) -> None:
    found = killing("lines", tmp_path, 12)
    assert found["lines"] > 1000
    assert found["wrong"] == []

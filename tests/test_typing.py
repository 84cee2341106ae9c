"""A user's program passes `mypy --strict`, and mistakes in one are found."""

import importlib.util
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
SCRIPTS = [*(ROOT / "tests" / "typing").glob("*.py"), ROOT / "examples" / "failing_simulator.py"]


@pytest.mark.slow
def test_users_programs_are_typed(tmp_path: Path) -> None:
    if importlib.util.find_spec("mypy") is None:
        pytest.skip("needs mypy")
    expected = {
        f"{path.name}:{number}: {match.group(1)}"
        for path in SCRIPTS
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1)
        if (match := re.search(r"  # ([a-z]+-[a-z]+)$", line))
    }
    command = [sys.executable, "-m", "mypy", "--strict", "--config-file=", "--follow-imports=silent"]
    done = subprocess.run(
        [*command, f"--cache-dir={tmp_path}", *map(str, SCRIPTS)], cwd=ROOT, capture_output=True, text=True, check=False
    )
    found = re.findall(r"(\w+\.py):(\d+): error: .*\[([\w-]+)\]", done.stdout)
    assert {f"{name}:{line}: {code}" for name, line, code in found} == expected, done.stdout + done.stderr


def test_users_program_runs(run_python: Callable[..., str]) -> None:
    assert "THE CALLBACK RAISED" in run_python("-W", "error", str(ROOT / "tests" / "typing" / "user_script.py"))
